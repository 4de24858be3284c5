// Scrolling signals: new samples are drawn once into a ring buffer of pixels ("strip").
const createPanel = () => {
  const view = cb_context.index.find_one(host)
  if (!view) return null
  const canvas = document.createElement("canvas"), strip = document.createElement("canvas")
  canvas.style.cssText = "position:absolute;inset:0;width:100%;height:100%"
  canvas.setAttribute("role", "img")
  view.shadow_el.append(canvas)
  const panel = host.panel = { view, canvas, strip, ink: canvas.getContext("2d"), pen: strip.getContext("2d"), last: [] }
  const size = () => {
    const box = canvas.getBoundingClientRect(), scale = devicePixelRatio || 1
    if (!box.width || !box.height) return
    canvas.width = Math.round(box.width * scale)
    canvas.height = Math.round(box.height * scale)
    Object.assign(panel, { scale, left: Math.round(78 * scale), foot: Math.round(18 * scale), cleared: NaN, named: null })
    panel.wide = Math.max(canvas.width - panel.left - Math.round(58 * scale), 50)
    panel.high = canvas.height - panel.foot
    strip.width = panel.wide + 16 // a ring: time wraps around
    strip.height = panel.high
    width.data = { v: [panel.wide] }
  }
  new ResizeObserver(size).observe(canvas)
  size()
  return panel
}

const s = (host.panel?.view.is_destroyed ? null : host.panel) ?? createPanel()
if (!s?.wide) return
const { ink, pen, strip, canvas, wide, high, left, scale } = s
const v = news.data.v
let at = 3 // after the frame's number, its time, and the flag of a live session
for (let k = 0; k < part; k++) at += 1 + v[at]
const stop = at + 1 + v[at], [whole, now, seconds, count] = v.slice(at + 1, at + 5)
const { name: names, state: states, bar: bars, scale: scales, ticks } = row_labels.data
const ring = strip.width, per = wide / seconds, row = high / Math.max(count, 1)
const x = (t) => t * per, y = (v) => (0.5 - v) * row

// Strip: clear the pixels of the new time, then draw the new part of each line.
if (whole || !(now - s.cleared < seconds)) {
  pen.setTransform(1, 0, 0, 1, 0, 0)
  pen.clearRect(0, 0, ring, high)
  s.last = []
} else {
  const from = Math.floor(x(s.cleared)) + 3, to = Math.floor(x(now)) + 3
  pen.setTransform(1, 0, 0, 1, 0, 0)
  for (let px = from; px < to;) {
    const begin = ((px % ring) + ring) % ring, size = Math.min(to - px, ring - begin)
    pen.clearRect(begin, 0, size, high)
    px += size
  }
}
s.cleared = now
pen.lineWidth = scale
pen.lineJoin = "bevel"
const strokes = {}
let first = Infinity, latest = -Infinity
for (at += 5; at < stop;) {
  const n = v[at], m = v[at + 1], rows = at + 2, times = rows + m, values = times + n
  for (let k = 0; k < m; k++) {
    const i = v[rows + k], path = strokes[states[i]] ??= new Path2D()
    let down = false
    const old = s.last[i]
    if (old) { path.moveTo(old[0], old[1]); down = true; first = Math.min(first, old[0]) }
    for (let j = 0; j < n; j++) {
      const value = v[values + j * m + k], px = x(v[times + j]), py = y(value - i)
      if (value !== value) { down = false; continue }
      down ? path.lineTo(px, py) : path.moveTo(px, py)
      down = true
      s.last[i] = [px, py]
      first = Math.min(first, px)
      latest = Math.max(latest, px)
    }
    if (!down) s.last[i] = null
  }
  at = values + n * m
}
for (let turn = Math.floor(first / ring); turn <= Math.floor(latest / ring); turn++) {
  pen.setTransform(1, 0, 0, 1, -turn * ring, 0)
  for (const [state, path] of Object.entries(strokes)) { pen.strokeStyle = theme[state] ?? theme.good; pen.stroke(path) }
}

// Labels and scales, only when they change: sign and colour both show a channel's state.
const fit = (text, room) => { // ends with an ellipsis where there is no room
  if (ink.measureText(text).width <= room) return text
  while (text.length > 1 && ink.measureText(`${text}…`).width > room) text = text.slice(0, -1)
  return `${text}…`
}
ink.font = `${10 * scale}px ${theme.font}`
ink.textBaseline = "middle"
if (s.named !== names || s.count !== count) {
  Object.assign(s, { named: names, count })
  ink.fillStyle = theme.card
  ink.fillRect(0, 0, canvas.width, canvas.height)
  ink.textAlign = "right"
  const crowded = row < 11 * scale // two columns of labels
  names.forEach((name, i) => {
    ink.fillStyle = states[i] === "good" ? theme.dim : theme[states[i]]
    const room = (crowded ? left / 2 : left) - 8 * scale
    ink.fillText(fit(name, room), left - (crowded && i % 2 ? left / 2 + 2 * scale : 6 * scale), y(-i))
  })
  // Scales at the right: two values of the row's axis, or a bar with its size.
  ink.textAlign = "left"
  const right = left + wide + 4 * scale, equal = scales.every((text) => text === scales[0])
  names.forEach((_, i) => {
    if (ticks[i].length > 1 && row >= 24 * scale) {
      ink.fillStyle = theme.dim
      for (const [at, text] of ticks[i]) {
        ink.fillRect(right - 4 * scale, Math.round(y(at - i)), 4 * scale, scale)
        ink.fillText(fit(text, 50 * scale), right + 3 * scale, Math.min(Math.max(y(at - i), 6 * scale), high - 6 * scale))
      }
    } else if (equal ? i === 0 : row >= 11 * scale) {
      const size = Math.min(bars[i] * row, high), top = equal ? scale : Math.max(y(-i) - size / 2, scale)
      ink.fillStyle = theme.ink
      ink.fillRect(right, Math.round(top), 1.5 * scale, Math.min(size, high - top - scale))
      ink.fillStyle = theme.dim
      ink.fillText(fit(scales[i], 48 * scale), right + 5 * scale, Math.max(top + size / 2, 6 * scale))
    }
  })
  canvas.setAttribute("aria-label", `${names.length} signals: ${names.map((name, i) => `${name}, scale ${scales[i]}`).join("; ")}`)
}

// The window: rows, gaps, strip, clock.
ink.fillStyle = theme.card
ink.fillRect(left, 0, wide, canvas.height)
ink.fillRect(left + wide, high, canvas.width - left - wide, canvas.height - high)
ink.fillStyle = theme.grid
for (let i = 0; i < count; i++) ink.fillRect(left, Math.round(y(-i)), wide, 1)
s.hatch ??= (() => { const c = document.createElement("canvas"), p = c.getContext("2d"); c.width = c.height = 8; p.strokeStyle = theme.lost; p.globalAlpha = 0.45; p.beginPath(); p.moveTo(-2, 10); p.lineTo(10, -2); p.moveTo(-2, 2); p.lineTo(2, -2); p.moveTo(6, 10); p.lineTo(10, 6); p.stroke(); return ink.createPattern(c, "repeat") })()
const spans = (kind, draw) => gaps.data.row.forEach((i, k) => {
  if (gaps.data.kind[k] !== kind) return
  const from = Math.max(left, left + wide + x(gaps.data.l[k] - now)), to = left + wide + x(Math.min(gaps.data.r[k], now) - now)
  if (to > from) draw(i, from, to - from)
})
ink.fillStyle = s.hatch
spans("gap", (i, from, size) => ink.fillRect(from, y(0.5 - i), size, row))
const end = Math.floor(x(now)), begin = (((end - wide) % ring) + ring) % ring, some = Math.min(ring - begin, wide)
ink.drawImage(strip, begin, 0, some, high, left, 0, some, high)
if (some < wide) ink.drawImage(strip, 0, 0, wide - some, high, left + some, 0, wide - some, high)
// A lane below a row: spans without features. Marks: a beat above its row, a response below it.
ink.fillStyle = theme.poor
spans("masked", (i, from, size) => ink.fillRect(from, y(-0.5 - i) - 3 * scale, size, 3 * scale))
points.data.t.forEach((t, k) => {
  const px = left + wide + x(t - now), i = points.data.row[k], beat = points.data.kind[k] === "beat"
  if (px < left + 3 * scale || px > left + wide - 3 * scale) return
  const tip = beat ? y(0.5 - i) + 6 * scale : y(-0.5 - i) - 10 * scale, base = tip + (beat ? -5 : 7) * scale
  ink.fillStyle = beat ? theme.beat : theme.response
  ink.beginPath()
  ink.moveTo(px, tip)
  ink.lineTo(px - 3 * scale, base)
  ink.lineTo(px + 3 * scale, base)
  ink.fill()
})
const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600].find((n) => seconds / n <= 10) ?? 1800
ink.fillStyle = theme.dim
ink.textAlign = "center"
for (let t = Math.ceil((now - seconds) / step) * step; t <= now; t += step) {
  const px = left + wide + x(t - now), a = Math.abs(t)
  if (px < left + 12 * scale || px > left + wide - 4 * scale) continue
  ink.fillRect(Math.round(px), high, 1, 3 * scale)
  ink.fillText(`${t < 0 ? "-" : ""}${Math.floor(a / 60)}:${String(a % 60).padStart(2, "0")}`, px, high + 11 * scale)
}
