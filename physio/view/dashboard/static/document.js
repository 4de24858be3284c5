// Native controls, texts and keyboard shortcuts, and the acknowledgement of frames.
const send = (command) => { inbox.data = { command: [JSON.stringify({ ...command, at: Date.now() / 1e3 })] } }
const morph = (old, fresh) => { // unchanged nodes are kept, and with them focus and selection
  const children = [...old.childNodes], updated = [...fresh.childNodes]
  if (old.nodeName !== fresh.nodeName || children.length !== updated.length) return old.replaceWith(fresh)
  if (old.nodeType === Node.TEXT_NODE && old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue
  for (const { name, value } of fresh.attributes ?? []) if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  for (const { name } of [...old.attributes ?? []]) if (!fresh.hasAttribute(name)) old.removeAttribute(name)
  children.forEach((child, i) => morph(child, updated[i]))
}
const updateTexts = () => {
  for (const [i, id] of outbox.data.id.entries()) {
    const element = document.getElementById(id)
    if (!element) continue
    const fresh = element.cloneNode(false)
    fresh.innerHTML = outbox.data.html[i]
    morph(element, fresh)
  }
  showPanels()
}
const showPanels = () => { // panels without anything to show leave, and the others fill the page
  const text = document.getElementById("panels")?.textContent
  if (!text) return
  const shown = new Set(text.split(" "))
  for (const panel of document.querySelectorAll("[data-panel]")) panel.hidden = !shown.has(panel.dataset.panel)
}
outbox.properties.data.change.connect(updateTexts)
updateTexts()

// A frame that came before the signals' view existed is drawn as soon as it does.
let tries = 50
const firstFrame = setInterval(() => {
  const host = Bokeh.documents.map((doc) => doc.get_model_by_name("signals")).find((model) => model)
  if (!host || host.panel || !--tries) return clearInterval(firstFrame)
  beat.properties.data.change.emit()
}, 200)

let armed = null // the button that waits for a second click
const press = (button) => {
  const { kind, label, confirm } = button.dataset
  if (confirm && armed !== button) {
    const before = button.textContent
    armed = button
    button.textContent = confirm
    setTimeout(() => { armed = null; button.textContent = before }, 6000)
    return
  }
  send({ kind, label: label ?? "" })
  button.classList.add("done")
  setTimeout(() => button.classList.remove("done"), 300)
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-kind]"), figure = event.target.closest("[data-value]")
  if (button) press(button)
  if (!figure) return
  const slider = figure.closest(".scale").querySelector("input")
  slider.value = figure.dataset.value
  slider.dispatchEvent(new Event("input", { bubbles: true }))
})
document.addEventListener("submit", (event) => {
  event.preventDefault()
  const form = event.target, values = Object.fromEntries(new FormData(form))
  const { kind } = form.dataset
  if (kind === "mark" && values.label.trim()) { send({ kind, label: values.label.trim() }); form.reset() }
  if (kind === "rate") send({ kind, label: "", values })
})
let lastRating = 0
document.addEventListener("input", (event) => { // a continuous rating, at most 4 a second
  const form = event.target.closest("form:has([name=continuous]:checked)"), now = performance.now()
  if (form && now - lastRating > 250) { lastRating = now; send({ kind: "rate", label: "rating", values: Object.fromEntries(new FormData(form)) }) }
})
document.addEventListener("input", ({ target }) => { if (target.dataset.view === "at") send({ kind: "view", label: "at", value: target.value }) })
document.addEventListener("click", ({ target }) => {
  if (!("play" in target.dataset)) return
  const on = target.getAttribute("aria-pressed") !== "true"
  target.setAttribute("aria-pressed", on)
  target.textContent = on ? "pause" : "play"
  send({ kind: "view", label: "play", value: on ? "1" : "0" })
})
document.addEventListener("change", (event) => {
  const { view } = event.target.dataset
  if (view) send({ kind: "view", label: view, value: event.target.value })
})
document.addEventListener("change", ({ target }) => {
  if (target.id !== "kind") return
  for (const part of document.querySelectorAll(".kind")) part.hidden = part.dataset.kindName !== target.value
})
const system = matchMedia("(prefers-color-scheme: dark)")
if (new URLSearchParams(location.search).has("system")) system.addEventListener("change", () => location.replace(location.pathname))
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  const typing = event.target.matches?.("input:not([type=range]), select, textarea")
  if (typing) { if (event.key === "Escape") event.target.blur(); return }
  const key = document.querySelector(`.keys button[data-label="${CSS.escape(event.key)}"]`)
  if (key && /^[1-9]$/.test(event.key)) press(key)
  const fields = { m: "#marker", r: "form[data-kind=rate] input" }
  const field = fields[event.key] && document.querySelector(fields[event.key])
  if (field) { field.focus(); event.preventDefault() }
})

// Each new frame on the screen is acknowledged, so that a slow, hidden or closed page is
// not sent more than it can show.
const page = { frame: -1, since: performance.now(), frames: 0, ages: [], count: 0, changed: performance.now() }
window.physio = page
const stalled = document.getElementById("stalled")
let shown = NaN // time of the newest sample on the screen
const onFrame = (now) => {
  requestAnimationFrame(onFrame)
  page.frames += 1
  const [frame, newest, live] = beat.data.v
  const age = Date.now() - 1e3 * shown // of the samples on the screen until now
  shown = newest
  if (live && Number.isFinite(age)) { page.ages.push(age); if (page.ages.length > 600) page.ages.shift() }
  if (frame !== page.frame) {
    page.frame = frame
    page.count += 1
    page.changed = now
    ack.data = { v: [frame, age] }
  }
  if (stalled) {
    stalled.hidden = !live || now - page.changed < 3000
    stalled.querySelector("b").textContent = Math.round((now - page.changed) / 1e3)
  }
}
requestAnimationFrame(onFrame)
