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
    Object.assign(panel, { scale, left: Math.round(74 * scale), foot: Math.round(18 * scale), cleared: NaN, named: null })
    panel.wide = Math.max(canvas.width - panel.left - Math.round(4 * scale), 50)
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
const names = row_labels.data.name, states = row_labels.data.state
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

// Labels, only when they change: sign and colour both show a channel's state.
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
    ink.fillText(name, left - (crowded && i % 2 ? 40 : 6) * scale, y(-i), left / (crowded ? 2 : 1) - 6 * scale)
  })
  canvas.setAttribute("aria-label", `${names.length} signals: ${names.join(", ")}`)
}

// The window: rows, gaps, strip, clock.
ink.fillStyle = theme.card
ink.fillRect(left, 0, canvas.width - left, canvas.height)
ink.fillStyle = theme.grid
for (let i = 0; i < count; i++) ink.fillRect(left, Math.round(y(-i)), wide, 1)
s.hatch ??= (() => { const c = document.createElement("canvas"), p = c.getContext("2d"); c.width = c.height = 8; p.strokeStyle = theme.lost; p.globalAlpha = 0.45; p.beginPath(); p.moveTo(-2, 10); p.lineTo(10, -2); p.moveTo(-2, 2); p.lineTo(2, -2); p.moveTo(6, 10); p.lineTo(10, 6); p.stroke(); return ink.createPattern(c, "repeat") })()
ink.fillStyle = s.hatch
gaps.data.row.forEach((i, k) => {
  const from = Math.max(left, left + wide + x(gaps.data.l[k] - now)), to = left + wide + x(Math.min(gaps.data.r[k], now) - now)
  if (to > from) ink.fillRect(from, y(0.5 - i), to - from, row)
})
const end = Math.floor(x(now)), begin = (((end - wide) % ring) + ring) % ring, some = Math.min(ring - begin, wide)
ink.drawImage(strip, begin, 0, some, high, left, 0, some, high)
if (some < wide) ink.drawImage(strip, 0, 0, wide - some, high, left + some, 0, wide - some, high)
const step = [1, 2, 5, 10, 20].find((n) => seconds / n <= 10) ?? 30
ink.fillStyle = theme.dim
ink.textAlign = "center"
for (let t = Math.ceil((now - seconds) / step) * step; t <= now; t += step) {
  const px = left + wide + x(t - now), a = Math.abs(t)
  if (px < left + 12 * scale || px > left + wide - 10 * scale) continue
  ink.fillRect(Math.round(px), high, 1, 3 * scale)
  ink.fillText(`${t < 0 ? "-" : ""}${Math.floor(a / 60)}:${String(a % 60).padStart(2, "0")}`, px, high + 11 * scale)
}
