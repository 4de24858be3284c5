// What Bokeh cannot: native controls, text, hot keys; and telling the server what was seen.
const send = (wish) => { inbox.data = { wish: [JSON.stringify({ ...wish, at: Date.now() / 1e3 })] } }
const morph = (old, fresh) => { // what stays the same stays: buttons, focus, selections
  const kids = [...old.childNodes], news = [...fresh.childNodes]
  if (old.nodeName !== fresh.nodeName || kids.length !== news.length) return old.replaceWith(fresh)
  if (old.nodeType === Node.TEXT_NODE && old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue
  for (const { name, value } of fresh.attributes ?? []) if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  for (const { name } of [...old.attributes ?? []]) if (!fresh.hasAttribute(name)) old.removeAttribute(name)
  kids.forEach((kid, i) => morph(kid, news[i]))
}
const texts = () => {
  for (const [i, id] of outbox.data.id.entries()) {
    const place = document.getElementById(id)
    if (!place) continue
    const fresh = place.cloneNode(false)
    fresh.innerHTML = outbox.data.html[i]
    morph(place, fresh)
  }
}
outbox.properties.data.change.connect(texts)
texts()

let armed = null
const act = (button) => {
  const { what, label, confirm } = button.dataset
  if (confirm && armed !== button) {
    const before = button.textContent
    armed = button
    button.textContent = confirm
    setTimeout(() => { armed = null; button.textContent = before }, 6000)
    return
  }
  send({ what, label: label ?? "" })
  button.classList.add("done")
  setTimeout(() => button.classList.remove("done"), 300)
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-what]"), figure = event.target.closest("[data-value]")
  if (button) act(button)
  if (!figure) return
  const slider = figure.closest(".scale").querySelector("input")
  slider.value = figure.dataset.value
  slider.dispatchEvent(new Event("input", { bubbles: true }))
})
document.addEventListener("submit", (event) => {
  event.preventDefault()
  const form = event.target, given = Object.fromEntries(new FormData(form))
  const { what } = form.dataset
  if (what === "mark" && given.label.trim()) { send({ what, label: given.label.trim() }); form.reset() }
  if (what === "rate") send({ what, label: "", values: given })
})
let last = 0
document.addEventListener("input", (event) => { // a continuous rating, at most 4 a second
  const form = event.target.closest("form:has([name=continuous]:checked)"), now = performance.now()
  if (form && now - last > 250) { last = now; send({ what: "rate", label: "rating", values: Object.fromEntries(new FormData(form)) }) }
})
document.addEventListener("input", ({ target }) => { if (target.dataset.view === "at") send({ what: "view", label: "at", value: target.value }) })
document.addEventListener("click", ({ target }) => {
  if (!("play" in target.dataset)) return
  const on = target.getAttribute("aria-pressed") !== "true"
  target.setAttribute("aria-pressed", on)
  target.textContent = on ? "pause" : "play"
  send({ what: "view", label: "play", value: on ? "1" : "0" })
})
document.addEventListener("change", (event) => {
  const { view } = event.target.dataset
  if (view) send({ what: "view", label: view, value: event.target.value })
})
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  const writing = event.target.matches?.("input:not([type=range]), select, textarea")
  if (writing) { if (event.key === "Escape") event.target.blur(); return }
  const key = document.querySelector(`.keys button[data-label="${CSS.escape(event.key)}"]`)
  if (key && /^[1-9]$/.test(event.key)) act(key)
  const places = { m: "#marker", r: "form[data-what=rate] input" }
  const place = places[event.key] && document.querySelector(places[event.key])
  if (place) { place.focus(); event.preventDefault() }
})

// What is on the screen: each frame that shows something new is acknowledged, so that a
// slow, hidden or dead page is sent no more than it can show.
const seen = { frame: -1, since: performance.now(), frames: 0, ages: [], count: 0, news: performance.now() }
window.physio = seen
const away = document.getElementById("away")
let shown = NaN
const look = (now) => {
  requestAnimationFrame(look)
  seen.frames += 1
  const [frame, newest, live] = beat.data.v
  const age = Date.now() - 1e3 * shown // of what was on the screen until now
  shown = newest
  if (live && Number.isFinite(age)) { seen.ages.push(age); if (seen.ages.length > 600) seen.ages.shift() }
  if (frame !== seen.frame) {
    seen.frame = frame
    seen.count += 1
    seen.news = now
    ack.data = { v: [frame, age] }
  }
  if (away) {
    away.hidden = !live || now - seen.news < 3000
    away.querySelector("b").textContent = Math.round((now - seen.news) / 1e3)
  }
}
requestAnimationFrame(look)
