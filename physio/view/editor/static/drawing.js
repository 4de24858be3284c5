// The picture: signals, bad spans, marks, tachogram, cursor, axis.

export const GUTTER = 128, AXIS = 22, TACHOGRAM = 96
const KINDS = { eeg: 0, ecg: 1, bio: 1, gsr: 2, resp: 3, misc: 3, temperature: 3 }

export class Drawing {
  constructor(canvas, tiles) {
    this.canvas = canvas
    this.context = canvas.getContext("2d", { alpha: false })
    this.tiles = tiles
    this.readColours()
  }

  readColours() {
    const style = getComputedStyle(document.documentElement)
    const get = name => style.getPropertyValue(`--${name}`).trim()
    this.colour = Object.fromEntries(
      ["card", "page", "ink", "dim", "line", "edge", "accent", "bad", "mark", "lost", "good", "poor", "s0", "s1", "s2", "s3"]
        .map(name => [name, get(name)]))
    this.traces = ["trace", "s0", "s1", "s3"].map(name => packed(get(name)))
    this.labels = null
  }

  resize() {
    const box = this.canvas.parentElement.getBoundingClientRect()
    this.ratio = window.devicePixelRatio || 1
    this.canvas.width = Math.max(Math.round(box.width * this.ratio), 1)
    this.canvas.height = Math.max(Math.round(box.height * this.ratio), 1)
    this.canvas.style.width = `${box.width}px`
    this.canvas.style.height = `${box.height}px`
  }

  get left() { return Math.round(GUTTER * this.ratio) }
  get width() { return this.canvas.width - this.left }

  // Place the visible channels and the tachograms.
  arrange(rows, gains, beats) {
    const ratio = this.ratio
    const lanes = beats.length * TACHOGRAM * ratio
    this.bottom = this.canvas.height - AXIS * ratio - Math.min(lanes, this.canvas.height * 0.4)
    const lane = this.bottom / Math.max(rows.length, 1)
    this.lane = lane
    this.rows = rows.map((row, i) => ({
      ...row, centre: (i + 0.5) * lane, lane: Math.min(lane * 0.98, this.bottom),
      scale: gains(row) * lane * (rows.length > 6 ? 0.9 : 0.75) / row.range,
      colour: this.traces[KINDS[row.kind] ?? 0], thick: Math.max(Math.round(ratio), 1),
    }))
    this.tiles.arrange(this.rows, Math.round(this.bottom))
    this.labels = null
  }

  draw(view, state, focus) {
    const c = this.context, width = this.canvas.width, height = this.canvas.height
    c.fillStyle = this.colour.card
    c.fillRect(0, 0, width, height)
    c.save()
    c.beginPath()
    c.rect(this.left, 0, this.width, height)
    c.clip()
    const x = t => this.left + (t - view.begin) / view.perPixel
    const end = view.begin + this.width * view.perPixel
    const shown = { c, x, begin: view.begin, end }
    this.drawSegments(shown, state)
    const missing = this.tiles.draw(c, this.left, this.width, view.begin, view.perPixel)
    this.drawBad(shown, state, focus)
    this.drawBeats(shown, state, view)
    this.drawResponses(shown, state)
    this.drawEvents(shown, state)
    this.drawCursor(shown, focus)
    this.drawAxis(shown, state, view)
    c.restore()
    this.drawLabels(focus)
    return missing
  }

  // Segments between thin lines; an excluded one is shaded.
  drawSegments({ c, x, begin, end }, state) {
    for (const s of state.segments) {
      if (s.end < begin || s.begin > end) continue
      if (s.excluded) {
        c.fillStyle = this.colour.bad
        c.fillRect(x(s.begin), 0, x(s.end) - x(s.begin), this.canvas.height)
      }
      c.fillStyle = this.colour.edge
      c.fillRect(Math.round(x(s.begin)), 0, Math.max(this.ratio, 1), this.canvas.height)
    }
  }

  drawBad({ c, x, begin, end }, state, focus) {
    c.fillStyle = this.colour.bad
    for (const span of state.bad) {
      if (span.end < begin || span.begin > end) continue
      this.fillRows(c, span, x(span.begin), x(span.end))
    }
    if (focus.pending !== null) {
      const [a, b] = [focus.pending, focus.cursor].sort((p, q) => p - q)
      for (const row of focus.chosen) this.fillRows(c, { stream: row.streamName, channels: [row.name] }, x(a), Math.max(x(b), x(a) + 2))
    }
  }

  fillRows(c, span, first, last) {
    for (const row of this.rows) {
      if (row.streamName !== span.stream) continue
      if (span.channels.length && !span.channels.includes(row.name)) continue
      c.fillRect(first, row.centre - this.lane / 2, Math.max(last - first, 1), this.lane)
    }
  }

  sign(kind) {
    return [this.colour.dim, this.colour.lost, this.colour.poor, this.colour.accent][kind]
  }

  // Beats as ticks on their channel, and their intervals below.
  drawBeats({ c, x, begin, end }, state, view) {
    const top0 = this.bottom, ratio = this.ratio
    const lane = (this.canvas.height - AXIS * ratio - this.bottom) / Math.max(state.beats.length, 1)
    state.beats.forEach((beats, k) => {
      const { times, intervals, signs } = beats
      const first = lower(times, begin), last = lower(times, end)
      const row = this.rows.find(r => r.streamName === beats.stream && r.name === beats.channel)
      const dense = (last - first) > this.width / (4 * ratio)
      const top = top0 + k * lane, [low, high] = beats.limits
      const size = Math.max(Math.round((dense ? 2 : 4) * ratio), 1)
      c.fillStyle = this.colour.line
      c.fillRect(this.left, Math.round(top), this.width, ratio)
      c.fillStyle = this.colour.dim
      c.font = `${11 * ratio}px system-ui, sans-serif`
      for (let kind = 0; kind < 4; kind++) {
        c.fillStyle = this.sign(kind)
        for (let i = first; i < last; i++) {
          if (signs[i] !== kind) continue
          const at = x(times[i])
          if (row && !dense) {
            const tall = Math.min(this.lane * 0.3, (kind ? 16 : 9) * ratio), wide = Math.max((kind ? 3 : 2) * ratio, 1)
            c.fillRect(Math.round(at - wide / 2), row.centre + this.lane / 2 - tall, wide, tall)
          }
          const ms = intervals[i]
          if (ms === null) continue
          const part = (Math.min(Math.max(ms, low), high) - low) / (high - low)
          c.fillRect(at - size / 2, top + lane - 6 * ratio - part * (lane - 12 * ratio) - size / 2, size, size)
        }
      }
    })
  }

  drawResponses({ c, x, begin, end }, state) {
    const r = this.ratio
    const shown = state.scrs.filter(s => s.peak + 1 >= begin && s.onset - 1 <= end)
    const size = Math.max(Math.min(6, this.width / r / (3 * shown.length + 1)), 1) * r
    for (const scr of shown) {
      const row = this.rows.find(q => q.streamName === scr.stream && q.name === scr.channel)
      if (!row) continue
      c.fillStyle = scr.edited ? this.colour.accent : this.colour.mark
      const at = x(scr.onset), y = row.centre + this.lane / 2 - 3 * r
      c.beginPath()
      c.moveTo(at, y - 11 * r); c.lineTo(at - size, y); c.lineTo(at + size, y)
      c.fill()
      c.fillRect(at, y, Math.max(x(scr.peak) - at, r), 2 * r)
    }
  }

  drawEvents({ c, x, begin, end }, state) {
    if (!state.events.length) return
    c.font = `${11 * this.ratio}px system-ui, sans-serif`
    let free = -Infinity
    for (const event of state.events) {
      if (event.at < begin || event.at > end) continue
      const at = x(event.at)
      c.fillStyle = this.colour.good
      c.fillRect(Math.round(at), 0, this.ratio, this.bottom)
      if (at < free) continue
      c.fillText(event.label, at + 3 * this.ratio, 12 * this.ratio)
      free = at + c.measureText(event.label).width + 12 * this.ratio
    }
  }

  drawCursor({ c, x }, focus) {
    c.fillStyle = this.colour.accent
    c.fillRect(Math.round(x(focus.cursor)), 0, Math.max(2 * this.ratio, 1), this.canvas.height)
    if (focus.moved !== null) {
      c.fillStyle = this.colour.lost
      c.fillRect(Math.round(x(focus.moved)), 0, Math.max(this.ratio, 1), this.canvas.height)
    }
  }

  // Time within the segment: the time of the recording stays hidden.
  drawAxis({ c, x, begin, end }, state, view) {
    const r = this.ratio, y = this.canvas.height - AXIS * r
    c.fillStyle = this.colour.page
    c.fillRect(this.left, y, this.width, AXIS * r)
    c.font = `${11.5 * r}px system-ui, sans-serif`
    const step = nice(90 * r * view.perPixel)
    let free = this.left
    state.segments.forEach((s, k) => {
      if (s.end < begin || s.begin > end) return
      const name = s.label || `part ${k + 1}`
      const from = Math.max(s.begin, begin)
      for (let t = Math.ceil((from - s.begin) / step - 1e-9) * step; s.begin + t <= Math.min(s.end, end); t += step) {
        const at = x(s.begin + t), text = t < 1e-9 ? name : clock(t, step)
        c.fillStyle = this.colour.dim
        c.fillRect(Math.round(at), y, r, 4 * r)
        if (at < free - 1) continue
        c.fillStyle = t < 1e-9 ? this.colour.ink : this.colour.dim
        c.fillText(text, at + 3 * r, y + 15 * r)
        free = at + c.measureText(text).width + 10 * r
      }
    })
  }

  drawLabels(focus) {
    const key = `${focus.active}/${[...focus.keys].join()}`
    if (!this.labels || this.labelKey !== key) {
      this.labels = this.paintLabels(focus)
      this.labelKey = key
    }
    this.context.drawImage(this.labels, 0, 0)
  }

  paintLabels(focus) {
    const r = this.ratio, canvas = new OffscreenCanvas(this.left, this.canvas.height)
    const c = canvas.getContext("2d")
    c.fillStyle = this.colour.page
    c.fillRect(0, 0, canvas.width, canvas.height)
    c.textBaseline = "middle"
    const size = Math.min(12.5, this.lane / r * 0.95)
    this.rows.forEach((row, i) => {
      const top = row.centre - this.lane / 2
      if (focus.keys.has(row.key)) {
        c.fillStyle = this.colour.bad
        c.fillRect(0, top, this.left, this.lane)
      }
      if (i === focus.active) {
        c.fillStyle = this.colour.accent
        c.fillRect(0, top, 5 * r, this.lane)
      }
      c.fillStyle = i === focus.active ? this.colour.accent : this.colour.ink
      c.font = `${i === focus.active ? "bold " : ""}${size * r}px system-ui, sans-serif`
      const unit = ["1", ""].includes(row.unit) ? "" : ` ${row.unit.replace("u", "µ").replace("degC", "°C")}`
      c.fillText(fitted(c, `${row.name}${unit}`, this.left - 14 * r), 10 * r, row.centre)
      if (this.lane / r > 46 && row.stream !== this.rows[i - 1]?.stream) {
        c.fillStyle = this.colour.dim
        c.font = `${10.5 * r}px system-ui, sans-serif`
        c.fillText(fitted(c, row.streamName, this.left - 14 * r), 10 * r, row.centre + 14 * r)
      }
    })
    this.paintLimits(c, focus)
    return canvas
  }

  paintLimits(c, focus) {
    const r = this.ratio
    const lane = (this.canvas.height - AXIS * r - this.bottom) / Math.max(focus.beats.length, 1)
    c.font = `${11 * r}px system-ui, sans-serif`
    focus.beats.forEach((beats, k) => {
      const top = this.bottom + k * lane
      c.fillStyle = this.colour.dim
      c.fillText(`${Math.round(beats.limits[1])} ms`, 10 * r, top + 10 * r)
      c.fillText(`${Math.round(beats.limits[0])}`, 10 * r, top + lane - 10 * r)
      c.fillStyle = this.colour.ink
      c.fillText(fitted(c, `intervals ${beats.channel}`, this.left - 14 * r), 10 * r, top + lane / 2)
    })
  }
}

function packed(text) {
  const canvas = new OffscreenCanvas(1, 1), c = canvas.getContext("2d")
  c.fillStyle = text
  c.fillRect(0, 0, 1, 1)
  return new Uint32Array(c.getImageData(0, 0, 1, 1).data.buffer)[0]
}

function fitted(c, text, width) {
  if (c.measureText(text).width <= width) return text
  let cut = text
  while (cut.length > 1 && c.measureText(`${cut}…`).width > width) cut = cut.slice(0, -1)
  return `${cut}…`
}

export function lower(times, value) {
  let low = 0, high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (times[middle] < value) low = middle + 1
    else high = middle
  }
  return low
}

function nice(least) {
  const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600]
  return steps.find(s => s >= least) ?? 7200
}

function clock(seconds, step) {
  const minutes = Math.floor((seconds + 1e-9) / 60), rest = seconds - 60 * minutes
  const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0
  return `${minutes}:${Math.max(rest, 0).toFixed(digits).padStart(digits ? 3 + digits : 2, "0")}`
}
