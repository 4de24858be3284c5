// Correction by eye: keys, cursor, edits. Times are those shown, in the rater's order.

import { Drawing, lower } from "./drawing.js"
import { Tiles } from "./tiles.js"

const $ = id => document.getElementById(id)
const KEYS = [
  ["← →", "scroll; hold to go on, with Shift faster"], ["Home End", "begin, end"],
  ["[ ]", "zoom out, in; also Ctrl and the wheel"], ["+ −", "amplitude of the active channel; with Shift of all"],
  ["↑ ↓", "active channel"], ["c", "add the active channel to the selection, or remove it"], ["a", "select all channels of the stream, or none"],
  [", .", "cursor; with Shift by a sample"], ["click", "cursor and active channel"], ["n p", "next, previous beat or SCR"], ["o", "next outlier of the intervals"],
  ["g", "next part; with Shift the previous"],
  ["b", "begin of a bad span at the cursor, then its end; Esc cancels"],
  ["i", "insert a beat or an SCR at the cursor"], ["d", "delete the nearest beat or SCR"], ["m", "pick the nearest one, then move it to the cursor"],
  ["x", "exclude the condition under the cursor"], ["y", "reason of the next edits"],
  ["u r", "undo, redo"], ["?", "this help"],
]
const BEATS = ["ecg", "bio", "interval"]
const SCROLL = 0.9, ZOOM = 1.6 // views a second, octaves a second

let info, state, tiles, drawing
let channels = [], rows = []
let view = { begin: 0, perPixel: 0.02 }, target = null
const held = new Set()
const gains = new Map(), hidden = new Set()
const focus = { cursor: 0, active: 0, keys: new Set(), pending: null, moved: null, chosen: [], beats: [] }
let dirty = true, last = 0, busy = Promise.resolve()

async function start() {
  const reply = await fetch("/edit/data")
  info = await reply.json()
  if (!reply.ok) return say(info.error, true)
  tiles = new Tiles(info, () => { dirty = true })
  drawing = new Drawing($("canvas"), tiles)
  channels = info.streams.flatMap((stream, s) => stream.channels.map((channel, c) => ({
    ...channel, stream: s, channel: c, streamName: stream.name, key: `${stream.name}/${channel.name}`,
  })))
  $("name").textContent = `${info.name} · rater ${info.rater}`
  listChannels()
  listKeys()
  take(info)
  drawing.resize()
  view.perPixel = Math.min(20, state.seconds) / drawing.width
  focus.cursor = Math.min(2, state.seconds / 2)
  layout()
  new ResizeObserver(() => { drawing.resize(); layout() }).observe($("signals"))
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawing.readColours(); layout() })
  $("signals").focus()
  requestAnimationFrame(frame)
}

function take(news) {
  const other = state && news.blind !== state.blind
  state = news
  for (const beats of state.beats) {
    const known = beats.intervals.filter(v => v !== null).sort((a, b) => a - b)
    const low = known[Math.floor(known.length * 0.02)] ?? 600, high = known[Math.floor(known.length * 0.98)] ?? 1000
    const margin = Math.max((high - low) * 0.6, 80)
    beats.limits = [Math.max(low - margin, 0), high + margin]
  }
  if (other) return location.reload()
  focus.beats = state.beats
  $("blind").textContent = state.blind ? "blind" : "unblinded"
  $("blind").classList.toggle("shown", !state.blind)
  $("unblind").hidden = !state.blind
  $("saved").textContent = state.stored ? `saved ${state.stored.slice(11, 19)} UTC` : "no edits yet"
  $("undo").disabled = !state.undo
  $("redo").disabled = !state.redo
  listEntries()
  if (drawing) { drawing.labels = null; if (drawing.ratio) layout() }
  dirty = true
}

function layout() {
  rows = channels.filter(c => !hidden.has(c.key))
  focus.active = Math.max(Math.min(focus.active, rows.length - 1), 0)
  drawing.arrange(rows, row => gains.get(row.key) ?? 1, state.beats)
  limit()
  markActive()
  dirty = true
}

function limit() {
  const most = Math.max(state.seconds * 1.02 / drawing.width, 1e-4)
  view.perPixel = Math.min(Math.max(view.perPixel, 0.0005), most)
  const whole = drawing.width * view.perPixel
  view.begin = Math.min(Math.max(view.begin, 0), Math.max(state.seconds - whole * 0.9, 0))
}

// One picture a frame, only if something has changed.
function frame(now) {
  const seconds = Math.min((now - last) / 1000, 0.1)
  last = now
  if (held.size) move(seconds)
  if (target !== null) {
    const gap = target - view.begin
    view.begin += gap * Math.min(seconds * 14, 1)
    if (Math.abs(gap) < view.perPixel) { view.begin = target; target = null }
    limit()
    dirty = true
  }
  if (dirty) {
    dirty = false
    chosen()
    drawing.draw(view, state, focus)
  }
  if (tiles.work()) dirty = true
  requestAnimationFrame(frame)
}

function move(seconds) {
  const fast = held.has("Shift") ? 4 : 1
  const whole = drawing.width * view.perPixel
  if (held.has("ArrowRight")) view.begin += SCROLL * fast * whole * seconds
  if (held.has("ArrowLeft")) view.begin -= SCROLL * fast * whole * seconds
  if (held.has("[")) zoom(2 ** (ZOOM * seconds))
  if (held.has("]")) zoom(2 ** (-ZOOM * seconds))
  limit()
  if (["ArrowRight", "ArrowLeft", "[", "]"].some(k => held.has(k))) dirty = true
}

function zoom(factor, at = inside(focus.cursor) ? focus.cursor : view.begin + drawing.width * view.perPixel / 2) {
  const part = (at - view.begin) / view.perPixel
  view.perPixel *= factor
  limit()
  view.begin = at - part * view.perPixel
  limit()
  dirty = true
}

const inside = t => t >= view.begin && t <= view.begin + drawing.width * view.perPixel

function show(t) {
  focus.cursor = Math.min(Math.max(t, 0), state.seconds)
  if (!inside(focus.cursor)) target = focus.cursor - drawing.width * view.perPixel / 2
  dirty = true
}

function chosen() {
  const selected = rows.filter(r => focus.keys.has(r.key))
  focus.chosen = selected.length ? selected : rows.slice(focus.active, focus.active + 1)
}

const activeRow = () => rows[focus.active]

// Times of the marks of the active channel, in order.
function marks(row = activeRow()) {
  if (!row) return []
  if (row.kind === "gsr") return state.scrs.filter(s => s.stream === row.streamName && s.channel === row.name).map(s => s.onset).sort((a, b) => a - b)
  return state.beats.find(b => b.stream === row.streamName && b.channel === row.name)?.times ?? []
}

function nearest() {
  const times = marks(), at = lower(times, focus.cursor)
  const near = [times[at - 1], times[at]].filter(t => t !== undefined)
  near.sort((a, b) => Math.abs(a - focus.cursor) - Math.abs(b - focus.cursor))
  return near.length && Math.abs(near[0] - focus.cursor) < Math.max(40 * drawing.ratio * view.perPixel, 0.3) ? near[0] : null
}

const thing = row => row.kind === "gsr" ? "scr" : "beat"
const word = row => row.kind === "gsr" ? "an SCR" : "a beat"

function send(entry, done) {
  busy = busy.then(async () => {
    const reply = await fetch("/edit/entry", {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ why: $("why").value, ...entry }),
    }).catch(() => null)
    if (!reply) return say("The page's program has ended: run physio edit again. The last edit is not stored.", true)
    const news = await reply.json()
    if (!reply.ok) return say(`Not stored: ${news.error}`, true)
    take(news)
    say(done)
  })
  return busy
}

function say(text, bad = false) {
  $("status").textContent = text
  $("status").classList.toggle("error", bad)
}

const seconds = t => `${t.toFixed(2)} s`

const actions = {
  b() {
    if (focus.pending === null) {
      focus.pending = focus.cursor
      chosen()
      return say(`Bad span of ${names()} begins here: go to its end and press b, or Esc.`)
    }
    const [begin, end] = [focus.pending, focus.cursor].sort((p, q) => p - q)
    focus.pending = null
    if (end - begin < 1e-3) return say("A bad span needs two places: move the cursor.", true)
    chosen()
    const streams = [...new Set(focus.chosen.map(r => r.streamName))]
    for (const stream of streams) {
      const mine = focus.chosen.filter(r => r.streamName === stream).map(r => r.name)
      send({ kind: "bad", stream, channels: mine, begin, end }, `Bad span of ${names()}: ${seconds(end - begin)}.`)
    }
  },
  i() {
    const row = activeRow()
    if (row) send({ kind: `add ${thing(row)}`, stream: row.streamName, channels: [row.name], begin: focus.cursor }, `Added ${word(row)} on ${row.name}.`)
  },
  d() {
    const row = activeRow(), at = nearest()
    if (at === null) return say(`No beat or SCR of ${row?.name} is near the cursor: n and p go to one.`, true)
    send({ kind: `delete ${thing(row)}`, stream: row.streamName, channels: [row.name], begin: at }, `Deleted ${word(row)} of ${row.name}.`)
  },
  m() {
    const row = activeRow()
    if (focus.moved === null) {
      focus.moved = nearest()
      return focus.moved === null ? say(`No beat or SCR of ${row?.name} is near the cursor: n and p go to one.`, true)
        : say(`Picked ${word(row)}: move the cursor and press m, or Esc.`)
    }
    const begin = focus.moved
    focus.moved = null
    send({ kind: `move ${thing(row)}`, stream: row.streamName, channels: [row.name], begin, end: focus.cursor }, `Moved ${word(row)} by ${seconds(focus.cursor - begin)}.`)
  },
  x() { send({ kind: "exclude", begin: focus.cursor }, "Excluded this condition.") },
  u() { send({ kind: "undo", why: "" }, "Undone.") },
  r() { send({ kind: "redo", why: "" }, "Done again.") },
  y() { $("why").focus() },
  c() {
    const row = activeRow()
    if (!row) return
    if (!focus.keys.delete(row.key)) focus.keys.add(row.key)
    say(`${focus.keys.has(row.key) ? "Selected" : "No longer selected"}: ${row.name}.`)
  },
  a() {
    const row = activeRow(), mine = rows.filter(r => r.streamName === row?.streamName)
    const all = mine.every(r => focus.keys.has(r.key))
    mine.forEach(r => all ? focus.keys.delete(r.key) : focus.keys.add(r.key))
    say(all ? "No channel is selected." : `Selected the ${mine.length} channels of ${row.streamName}.`)
  },
  n() { step(1) },
  p() { step(-1) },
  o() {
    const next = state.beats.flatMap(b => b.times.filter((t, i) => b.signs[i] === 1 && t > focus.cursor + 1e-4)).sort((a, b) => a - b)[0]
    if (next === undefined) return say("No outlier follows.")
    show(next)
    say("Outlier of the intervals.")
  },
  g(back) {
    const begins = state.segments.map(s => s.begin)
    const next = back ? begins.filter(t => t < focus.cursor - 0.5).at(-1) : begins.find(t => t > focus.cursor + 1e-6)
    if (next === undefined) return say("No further part.")
    show(next + 0.01)
    target = next
    say(`Part ${begins.indexOf(next) + 1} of ${begins.length}.`)
  },
  "?"() { $("keys").showModal() },
}

function names() {
  const list = focus.chosen.map(r => r.name)
  return list.length > 3 ? `${list.length} channels` : list.join(", ")
}

function step(sign) {
  const times = marks()
  const at = sign > 0 ? times[lower(times, focus.cursor + 1e-3)] : times[lower(times, focus.cursor - 1e-3) - 1]
  if (at === undefined) return say("No further beat or SCR on this channel.")
  show(at)
}

function onKey(event) {
  const key = event.key.length === 1 && event.key !== "?" ? event.key.toLowerCase() : event.key
  const command = event.ctrlKey || event.metaKey
  if (command && ["z", "y"].includes(key)) { event.preventDefault(); return actions[key === "z" && !event.shiftKey ? "u" : "r"]() }
  if (command || event.altKey) return
  if (["ArrowLeft", "ArrowRight", "[", "]"].includes(key)) {
    event.preventDefault()
    held.add(key)
    if (event.shiftKey) held.add("Shift"); else held.delete("Shift")
    return
  }
  if (key === "Shift") return
  if (key === "Escape") { focus.pending = focus.moved = null; say("Cancelled."); dirty = true; return }
  const whole = drawing.width * view.perPixel
  const moves = {
    ",": () => show(focus.cursor - (event.shiftKey ? 0.004 : whole / 100)), "<": () => show(focus.cursor - 0.004),
    ".": () => show(focus.cursor + (event.shiftKey ? 0.004 : whole / 100)), ">": () => show(focus.cursor + 0.004),
    Home: () => { show(0); target = 0 }, End: () => show(state.seconds),
    ArrowUp: () => activate(focus.active - 1), ArrowDown: () => activate(focus.active + 1),
    "+": () => amplify(1.25, event.shiftKey), "=": () => amplify(1.25, false), "-": () => amplify(0.8, false), "_": () => amplify(0.8, true),
  }
  const run = moves[key] ?? (actions[key] && (() => actions[key](event.shiftKey)))
  if (!run) return
  event.preventDefault()
  run()
  dirty = true
}

function activate(index) {
  focus.active = Math.max(Math.min(index, rows.length - 1), 0)
  focus.moved = null
  markActive()
  say(`${activeRow()?.name} of ${activeRow()?.streamName}`)
  dirty = true
}

function amplify(factor, all) {
  for (const row of all ? rows : rows.slice(focus.active, focus.active + 1)) gains.set(row.key, (gains.get(row.key) ?? 1) * factor)
  layout()
}

function markActive() {
  for (const label of $("channels").querySelectorAll("label")) label.classList.toggle("active", label.dataset.key === activeRow()?.key)
}

function listChannels() {
  info.streams.forEach((stream, s) => {
    const title = document.createElement("h3")
    title.textContent = stream.name
    $("channels").append(title)
    for (const channel of channels.filter(c => c.stream === s)) {
      const label = document.createElement("label"), box = document.createElement("input")
      box.type = "checkbox"
      box.checked = true
      box.addEventListener("change", () => { box.checked ? hidden.delete(channel.key) : hidden.add(channel.key); layout() })
      label.dataset.key = channel.key
      label.append(box, channel.name)
      $("channels").append(label)
    }
  })
}

const WORDS = { undo: "undid", redo: "redid", unblind: "unblinded" }

function listEntries() {
  $("entries").replaceChildren(...state.entries.toReversed().map(entry => {
    const item = document.createElement("li"), text = document.createElement("span")
    const what = WORDS[entry.kind] ? `${WORDS[entry.kind]}${entry.of ? ` ${entry.of}` : ""}` : `${entry.kind.replace("scr", "SCR")} ${entry.place}`
    text.textContent = `${entry.number}. ${what}${entry.seconds ? `, ${entry.seconds} s` : ""}${entry.why ? ` (${entry.why})` : ""}`
    item.append(text)
    item.classList.toggle("undone", entry.undone)
    if (!WORDS[entry.kind]) {
      const button = document.createElement("button")
      button.type = "button"
      button.textContent = entry.undone ? "redo" : "undo"
      button.setAttribute("aria-label", `${button.textContent} edit ${entry.number}`)
      button.addEventListener("click", () => send({ kind: button.textContent, of: entry.number, why: "" }, `Edit ${entry.number}: ${button.textContent}.`))
      item.append(button)
    }
    return item
  }))
}

function listKeys() {
  $("key-table").tBodies[0].replaceChildren(...KEYS.map(([keys, text]) => {
    const row = document.createElement("tr"), head = document.createElement("th"), cell = document.createElement("td")
    head.scope = "row"
    head.append(...keys.split(" ").flatMap(k => { const kbd = document.createElement("kbd"); kbd.textContent = k; return [kbd, " "] }))
    cell.textContent = text
    row.append(head, cell)
    return row
  }))
}

function pointed(event) {
  const box = $("canvas").getBoundingClientRect()
  const x = (event.clientX - box.left) * drawing.ratio, y = (event.clientY - box.top) * drawing.ratio
  return { at: view.begin + (x - drawing.left) * view.perPixel, row: Math.floor(y / drawing.lane), inside: x >= drawing.left }
}

$("signals").addEventListener("keydown", onKey)
addEventListener("keyup", event => { held.delete(event.key); held.delete(event.key.toLowerCase()) })
addEventListener("blur", () => held.clear())
$("signals").addEventListener("pointerdown", event => {
  const place = pointed(event)
  if (place.row >= 0 && place.row < rows.length) activate(place.row)
  if (place.inside) show(place.at)
})
$("signals").addEventListener("wheel", event => {
  event.preventDefault()
  if (event.ctrlKey) return zoom(2 ** (event.deltaY / 300), pointed(event).at)
  view.begin += (event.deltaX + event.deltaY) * drawing.ratio * view.perPixel
  target = null
  limit()
  dirty = true
}, { passive: false })
$("undo").addEventListener("click", () => actions.u())
$("redo").addEventListener("click", () => actions.r())
$("help").addEventListener("click", () => actions["?"]())
$("unblind").addEventListener("click", () => $("unblinding").showModal())
$("close").addEventListener("click", () => $("keys").close())
$("cancel").addEventListener("click", () => $("unblinding").close())
$("confirm").addEventListener("click", () => {
  $("unblinding").close()
  send({ kind: "unblind", why: $("reason").value }, "Conditions and markers are shown, in the order of the recording.")
})
$("why").addEventListener("keydown", event => { if (["Enter", "Escape"].includes(event.key)) $("signals").focus() })
document.addEventListener("keydown", event => {
  if (event.key === "?" && event.target === document.body) actions["?"]()
})

start()
