
// The whole session: conditions, markers and lines; the selected span is what all figures show.
const stripData = JSON.parse(document.getElementById("strip-data").textContent)
const strip = { canvas: document.getElementById("strip"), from: 0, to: Math.max(stripData.seconds, 1), at: NaN, wide: 10, drag: null }
window.physioStrip = strip
const tints = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#56b4e9", "#5b6675"]
const names = [...new Set(stripData.conditions.map(([name]) => name))]
const clockText = (t) => `${Math.floor(t / 60)}:${String(Math.floor(t % 60)).padStart(2, "0")}`
const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name)
const shorten = (ink, text, room) => {
  if (ink.measureText(text).width <= room) return text
  while (text && ink.measureText(`${text}…`).width > room) text = text.slice(0, -1)
  return text && `${text}…`
}
const drawStrip = () => {
  const { canvas } = strip, scale = devicePixelRatio || 1, box = canvas.getBoundingClientRect()
  if (!box.width) return
  canvas.width = Math.round(box.width * scale)
  canvas.height = Math.round(box.height * scale)
  const ink = canvas.getContext("2d"), left = 74, right = box.width - 12, wide = right - left
  ink.scale(scale, scale)
  ink.font = `10.5px ${getComputedStyle(canvas).fontFamily}`
  ink.textBaseline = "middle"
  const x = (t) => left + wide * (t - strip.from) / (strip.to - strip.from)
  const top = 18, foot = box.height - 16, weights = stripData.lanes.map((lane) => lane.length > 1 ? 2 : 1)
  const unit = (foot - top) / weights.reduce((a, b) => a + b, 0), tops = weights.map((_, k) => top + unit * weights.slice(0, k).reduce((a, b) => a + b, 0))
  ink.save()
  ink.beginPath()
  ink.rect(left, 0, wide, foot)
  ink.clip()
  for (const [name, begin, end] of stripData.conditions) {
    const tint = tints[names.indexOf(name) % tints.length], a = x(begin), b = x(end)
    ink.fillStyle = tint
    ink.globalAlpha = 0.13
    ink.fillRect(a, top, b - a, foot - top)
    ink.globalAlpha = 0.35
    ink.fillRect(a, 1, b - a - 1, 15)
    ink.globalAlpha = 1
    ink.fillStyle = colour("--ink")
    const begins = Math.max(a, left) + 4
    ink.fillText(shorten(ink, name, Math.min(b, right) - begins - 4), begins, 9)
  }
  stripData.lanes.forEach((lane, k) => {
    const tall = unit * weights[k], hatch = lane[0].hatch
    if (!hatch) return
    ink.save()
    ink.beginPath()
    ink.rect(left, tops[k], wide, tall)
    ink.clip()
    ink.strokeStyle = ink.fillStyle = colour("--dim")
    ink.globalAlpha = 0.25
    ink.beginPath()
    for (let px = left - tall; px < right; px += 10) { ink.moveTo(px, tops[k] + tall); ink.lineTo(px + tall, tops[k]) }
    ink.stroke()
    ink.globalAlpha = 1
    ink.textAlign = "right"
    ink.fillText(hatch, right - 4, tops[k] + 7)
    ink.restore()
  })
  stripData.lanes.forEach((lane, k) => lane.forEach((line) => {
    ink.strokeStyle = colour(line.colour)
    ink.lineWidth = 1.4
    ink.beginPath()
    let down = false
    line.t.forEach((t, i) => {
      const value = line.y[i]
      if (value === null) { down = false; return }
      const px = x(t), py = tops[k] + unit * weights[k] * (0.94 - 0.88 * value)
      down ? ink.lineTo(px, py) : ink.moveTo(px, py)
      down = true
    })
    ink.stroke()
  }))
  ink.setLineDash([2, 3])
  ink.strokeStyle = colour("--dim")
  let free = -Infinity
  for (const [t, label] of stripData.marks) {
    const px = x(t)
    ink.beginPath()
    ink.moveTo(px, top)
    ink.lineTo(px, foot)
    ink.stroke()
    if (names.includes(label) || px < free) continue
    ink.fillStyle = colour("--dim")
    const text = shorten(ink, label, 90)
    ink.fillText(text, px + 3, foot - 6)
    free = px + ink.measureText(text).width + 8
  }
  ink.setLineDash([])
  const a = x(strip.drag ? Math.min(...strip.drag) : strip.at - strip.wide), b = x(strip.drag ? Math.max(...strip.drag) : strip.at)
  ink.globalAlpha = 0.16
  ink.fillStyle = colour("--accent")
  ink.fillRect(a, top, Math.max(b - a, 2), foot - top)
  ink.globalAlpha = 1
  ink.strokeStyle = colour("--accent")
  ink.lineWidth = 2
  ink.strokeRect(a, top + 1, Math.max(b - a, 2), foot - top - 2)
  ink.restore()
  ink.textAlign = "right"
  stripData.lanes.forEach((lane, k) => lane.forEach((line, i) => {
    ink.fillStyle = colour(line.colour)
    ink.fillText(line.name, left - 6, tops[k] + unit * weights[k] * (i + 0.5) / lane.length)
  }))
  ink.fillStyle = colour("--dim")
  ink.textAlign = "center"
  const span = strip.to - strip.from
  const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600].find((n) => span / n <= Math.max(wide / 70, 2)) ?? 7200
  for (let t = Math.ceil(strip.from / step) * step; t <= strip.to; t += step) {
    const px = Math.min(Math.max(x(t), left + 10), right - 6)
    ink.fillRect(x(t), foot, 1, 3)
    ink.fillText(clockText(t), px, foot + 10)
  }
}
const timeAt = (event) => {
  const box = strip.canvas.getBoundingClientRect(), share = (event.clientX - box.left - 74) / (box.width - 86)
  return Math.min(Math.max(strip.from + share * (strip.to - strip.from), 0), stripData.seconds)
}
const select = (a, b) => {
  const begin = Math.max(0, Math.min(a, b)), end = Math.min(stripData.seconds, Math.max(a, b))
  if (end - begin < 0.5) return
  strip.wide = end - begin
  strip.at = end
  send({ kind: "view", label: "span", value: `${begin},${end}` })
  drawStrip()
}
const moveTo = (end) => { // the selected span keeps its length
  strip.at = Math.min(Math.max(end, Math.min(strip.wide, stripData.seconds)), stripData.seconds)
  send({ kind: "view", label: "at", value: String(strip.at) })
  drawStrip()
}
const zoom = (factor, about) => {
  const span = Math.min(Math.max((strip.to - strip.from) * factor, 5), Math.max(stripData.seconds, 5))
  const share = (about - strip.from) / (strip.to - strip.from)
  strip.from = Math.min(Math.max(about - share * span, 0), Math.max(stripData.seconds - span, 0))
  strip.to = strip.from + span
  drawStrip()
}
strip.canvas.addEventListener("pointerdown", (event) => {
  strip.canvas.setPointerCapture(event.pointerId)
  strip.drag = [timeAt(event), timeAt(event)]
})
strip.canvas.addEventListener("pointermove", (event) => {
  if (strip.drag) { strip.drag[1] = timeAt(event); drawStrip() }
})
strip.canvas.addEventListener("pointerup", () => {
  const [a, b] = strip.drag ?? [0, 0], pixel = (strip.to - strip.from) / Math.max(strip.canvas.clientWidth - 86, 1)
  strip.drag = null
  Math.abs(b - a) > 4 * pixel ? select(a, b) : moveTo(a + strip.wide / 2)
})
strip.canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event)) }, { passive: false })
strip.canvas.addEventListener("keydown", (event) => {
  const step = event.shiftKey ? strip.wide : strip.wide / 10
  const act = {
    ArrowLeft: () => moveTo(strip.at - step), ArrowRight: () => moveTo(strip.at + step),
    Home: () => moveTo(0), End: () => moveTo(stripData.seconds),
    "+": () => zoom(0.8, strip.at), "-": () => zoom(1.25, strip.at), "0": () => zoom(1e9, strip.at),
  }[event.key]
  if (act) { event.preventDefault(); event.stopPropagation(); act() }
})
document.addEventListener("click", ({ target }) => {
  const way = target.dataset?.zoom
  if (way) zoom({ in: 0.5, out: 2, all: 1e9 }[way], strip.at)
})
document.addEventListener("change", ({ target }) => {
  if (target.dataset.view === "seconds") { strip.wide = Number(target.value); drawStrip() }
})
const followPosition = () => { // the span moves as the recording plays
  const at = parseFloat(document.getElementById("position").textContent)
  if (!Number.isFinite(at) || at === strip.at || strip.drag) return
  strip.at = at
  const slider = document.querySelector("[data-view=at]")
  if (document.activeElement !== slider) slider.value = at
  drawStrip()
}
outbox.properties.data.change.connect(followPosition)
new ResizeObserver(drawStrip).observe(strip.canvas)
followPosition()
drawStrip()
