// Tiles of the signals: least and greatest values from the server, drawn once into
// bitmaps that scrolling only copies.

const MOST_DATA = 300, MOST_BITMAPS = 48, AT_ONCE = 4, BUDGET = 5, NEAR = 3

export class Tiles {
  constructor(info, changed) {
    this.streams = info.streams
    this.columns = info.columns
    this.finest = info.finest
    this.changed = changed
    this.data = new Map()
    this.bitmaps = new Map()
    this.waiting = new Map()
    this.queue = []
    this.rows = []
    this.height = 1
    this.seconds = info.seconds
    this.colours = new Map()
  }

  step(level) { return this.finest * 2 ** (level / 2) }

  level(perPixel) {
    return Math.min(Math.max(Math.round(2 * Math.log2(perPixel / this.finest)), 0), 59)
  }

  // Rows to draw: {stream, channel, middle, scale, centre, lane, colour}.
  arrange(rows, height) {
    this.rows = rows
    this.height = Math.max(height, 1)
    this.used = [...new Set(rows.map(r => r.stream))]
    this.bitmaps.clear()
  }

  draw(context, left, width, begin, perPixel) {
    const level = this.level(perPixel), step = this.step(level)
    const span = this.columns * step
    const first = Math.max(Math.floor(begin / span), 0)
    const last = Math.floor(Math.min(begin + width * perPixel, this.seconds - 1e-9) / span)
    const wanted = []
    for (let k = first; k <= last; k++) {
      const x = Math.round((k * span - begin) / perPixel) + left
      const next = Math.round(((k + 1) * span - begin) / perPixel) + left
      const bitmap = this.bitmap(level, k)
      if (bitmap) {
        if (next - x === this.columns) context.drawImage(bitmap, x, 0)
        else context.drawImage(bitmap, x, 0, next - x, this.height)
      } else {
        wanted.push([level, k])
        this.drawOther(context, level, k * span, span, x, next - x)
      }
    }
    for (const k of [last + 1, first - 1, last + 2]) {
      if (k >= 0 && k * span < this.seconds && !this.bitmap(level, k)) wanted.push([level, k])
    }
    for (const up of [2, 4]) {
      const k = Math.floor((begin + width * perPixel / 2) / (this.columns * this.step(level + up)))
      if (level + up < 60 && !this.bitmap(level + up, k)) wanted.push([level + up, k])
    }
    for (let k = 0; k <= 1; k++) {
      if (k * this.columns * this.step(this.overview) < this.seconds && !this.bitmap(this.overview, k)) {
        wanted.unshift([this.overview, k])
      }
    }
    this.wanted = wanted
    return wanted.length > 0
  }

  // The level at which the whole recording is two tiles, which are always there.
  get overview() {
    return Math.max(Math.ceil(2 * Math.log2(this.seconds / (2 * this.columns) / this.finest)), 0)
  }

  // Another level stands in for a tile that is not there yet.
  drawOther(context, level, at, span, x, width) {
    if (this.drawCoarser(context, level, 1, NEAR, at, span, x, width)) return
    if (this.drawFiner(context, level, at, span, x, width)) return
    this.drawCoarser(context, level, NEAR + 1, this.overview - level, at, span, x, width)
  }

  drawFiner(context, level, at, span, x, width) {
    let drawn = false
    for (let down = 1; down <= 2 * NEAR && level - down >= 0 && !drawn; down++) {
      const size = this.columns * this.step(level - down)
      for (let k = Math.floor(at / size); k * size < at + span; k++) {
        const bitmap = this.bitmap(level - down, k)
        if (!bitmap) continue
        const scale = width / span
        context.drawImage(bitmap, x + (k * size - at) * scale, 0, size * scale, this.height)
        drawn = true
      }
    }
    return drawn
  }

  drawCoarser(context, level, first, last, at, span, x, width) {
    for (let up = first; up <= last; up++) {
      const step = this.step(level + up), k = Math.floor(at / (this.columns * step))
      const bitmap = this.bitmap(level + up, k)
      if (!bitmap) continue
      const from = (at - k * this.columns * step) / step
      const size = Math.min(span / step, this.columns - from)
      context.drawImage(bitmap, from, 0, size, this.height,
        x, 0, width * size * step / span, this.height)
      return true
    }
    return false
  }

  bitmap(level, index) {
    const key = `${level}/${index}`, bitmap = this.bitmaps.get(key)
    if (bitmap) { this.bitmaps.delete(key); this.bitmaps.set(key, bitmap) }
    return bitmap
  }

  // Build what is wanted for a few milliseconds; return whether something is left.
  work() {
    const until = performance.now() + BUDGET
    let left = false
    const keys = new Set((this.wanted ?? []).map(([level, index]) => `${level}/${index}`))
    for (const [key, request] of this.waiting) {
      if (!keys.has(key.slice(key.indexOf("/") + 1))) request.abort()
    }
    for (const [level, index] of this.wanted ?? []) {
      if (this.bitmaps.has(`${level}/${index}`)) continue
      const missing = this.used.filter(s => !this.data.has(`${s}/${level}/${index}`))
      missing.forEach(s => this.load(s, level, index))
      if (missing.length) continue
      if (performance.now() > until) { left = true; break }
      this.build(level, index)
      this.changed()
    }
    return left
  }

  load(stream, level, index) {
    const key = `${stream}/${level}/${index}`
    if (this.waiting.has(key) || this.waiting.size >= AT_ONCE) return
    const request = new AbortController()
    this.waiting.set(key, request)
    fetch(`/edit/tile?stream=${stream}&level=${level}&index=${index}`, { signal: request.signal })
      .then(r => r.ok ? r.arrayBuffer() : Promise.reject(new Error(r.statusText)))
      .then(buffer => {
        this.data.set(key, new Float32Array(buffer))
        trim(this.data, MOST_DATA)
      })
      .catch(() => {}) // aborted, or the program has ended: the next edit says so
      .finally(() => { this.waiting.delete(key); this.changed() })
  }

  build(level, index) {
    const width = this.columns, image = new ImageData(width, this.height)
    const pixels = new Uint32Array(image.data.buffer)
    for (const row of this.rows) {
      const data = this.data.get(`${row.stream}/${level}/${index}`)
      paint(pixels, width, this.height, data, this.streams[row.stream].channels.length, row)
    }
    const canvas = new OffscreenCanvas(width, this.height)
    canvas.getContext("2d").putImageData(image, 0, 0)
    this.bitmaps.set(`${level}/${index}`, canvas)
    trim(this.bitmaps, MOST_BITMAPS)
  }
}

function trim(map, most) {
  while (map.size > most) map.delete(map.keys().next().value)
}

// Fill each column from its greatest to its least value, joined to the column before.
function paint(pixels, width, height, data, channels, row) {
  const top = Math.max(Math.round(row.centre - row.lane), 0)
  const bottom = Math.min(Math.round(row.centre + row.lane), height - 1)
  const half = width * channels, factor = row.scale, centre = row.centre
  let lastTop = -1, lastBottom = -1
  for (let i = 0, at = row.channel; i < width; i++, at += channels) {
    const low = data[at], high = data[half + at]
    if (low !== low || high !== high) { lastTop = -1; continue }
    let y1 = Math.round(centre - (high - row.middle) * factor)
    let y2 = Math.round(centre - (low - row.middle) * factor)
    y1 = y1 < top ? top : y1 > bottom ? bottom : y1
    y2 = y2 < top ? top : y2 > bottom ? bottom : y2
    const ownTop = y1, ownBottom = y2
    if (lastTop >= 0) {
      if (y1 > lastBottom) y1 = lastBottom
      if (y2 < lastTop) y2 = lastTop
    }
    lastTop = ownTop
    lastBottom = ownBottom
    if (y2 < y1 + row.thick - 1) y2 = Math.min(y1 + row.thick - 1, bottom)
    for (let p = y1 * width + i, end = y2 * width + i; p <= end; p += width) pixels[p] = row.colour
  }
}
