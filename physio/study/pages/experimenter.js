// The experimenter's page: state of the session, signals, notes and controls.
import { ask, byId, sleep } from "./link.js";

let state = null;

function make(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function command(content) {
  byId("refusal").textContent = "";
  try {
    await ask("experimenter/event", content);
  } catch (error) {
    byId("refusal").textContent = error.message;
  }
}

function clockText(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

const STEPS = {
  instructions: "reads the instructions", consent: "reads the consent text", ready: "reads the prompt",
  timed: "condition", stimulus: "stimulus", questions: "questions", break: "break", thanks: "done",
};

function render() {
  byId("study").textContent = state.study;
  byId("who").textContent = `participant ${state.participant}`;
  const paused = state.state === "paused";
  byId("badge").textContent = paused ? "PAUSED" : state.pause_due ? "pauses after this stimulus" : state.step === "thanks" ? "COMPLETED" : "RUNNING";
  byId("badge").className = paused ? "warn" : "good";
  byId("link").textContent = state.present ? "The participant's page is open." : "The participant's page is closed: open its address.";
  byId("link").className = state.present ? "good" : "error";
  byId("condition").textContent = state.condition || (state.step === "thanks" ? "all conditions are completed" : "before the first condition");
  const about = state.file ? `stimulus ${state.file}` : STEPS[state.step] ?? state.step;
  const asked = state.question ? `question ${state.question}${state.about ? ` about ${state.about}` : ""}` : about;
  byId("step").textContent = asked;
  byId("left").textContent = ["condition", "break"].includes(state.state) || (paused && state.remaining > 0) ? `${clockText(state.remaining)} left` : "";
  byId("bar").setAttribute("aria-valuenow", Math.round(100 * state.progress));
  byId("bar").firstChild.style.width = `${100 * state.progress}%`;
  byId("conditions").replaceChildren(...state.conditions.map((name, i) => {
    const done = i < state.index || state.step === "thanks";
    const item = make("li", done ? `✓ ${name}` : name, done ? "done" : i === state.index ? "now" : "");
    if (i === state.index && !done) item.setAttribute("aria-current", "step");
    return item;
  }));
  byId("pause").textContent = paused || state.pause_due ? "Continue" : "Pause";
  byId("repeat").disabled = !state.condition;
  renderSignals();
  byId("events").replaceChildren(...[...state.log].reverse().map(([ago, text]) => {
    const item = document.createElement("li");
    item.append(make("time", `${clockText(ago)} ago`), make("span", text));
    return item;
  }));
  byId("timing").textContent = state.onsets
    ? `${state.onsets} ${state.onsets === 1 ? "onset" : "onsets"}; clock of the page known to ${state.uncertainty === null ? "?" : state.uncertainty.toFixed(1)} ms (median)` : "";
}

function renderSignals() {
  byId("streams").replaceChildren(...state.streams.map((row) => {
    const line = document.createElement("tr"), unfit = state.unfit?.[row.name] ?? [];
    const bad = row.silent || row.lost > 0.05;
    const name = make("th", row.name);
    name.scope = "row";
    line.append(
      name, make("td", row.silent ? `✕ no data for ${row.age === null ? "?" : row.age.toFixed(0)} s` : bad ? "▲ losses" : "✓ receiving", row.silent ? "error" : bad ? "warn" : "good"),
      make("td", row.rate === null ? `${row.nominal} nominal` : row.rate.toFixed(1)),
      make("td", `${(100 * row.lost).toFixed(1)} %`), make("td", unfit.join(", ") || "none", unfit.length ? "warn" : ""),
    );
    return line;
  }));
}

function confirmed(title, text, yes, withReason) {
  const dialog = byId("sure");
  byId("sure-title").textContent = title;
  byId("sure-text").textContent = text;
  byId("yes").textContent = yes;
  byId("why").hidden = byId("why-label").hidden = !withReason;
  byId("why").value = "";
  dialog.showModal();
  return new Promise((done) => {
    byId("yes").onclick = () => { dialog.close(); done({ text: byId("why").value }); };
    byId("no").onclick = () => dialog.close();
    dialog.onclose = () => done(null);
  });
}

byId("pause").onclick = () => command({ kind: "pause", on: !(state.state === "paused" || state.pause_due) });
byId("repeat").onclick = async () => {
  if (await confirmed("Repeat this condition?", `${state.condition} begins again; its last complete run counts.`, "Repeat", false)) command({ kind: "repeat" });
};
byId("stop").onclick = async () => {
  const given = await confirmed("Stop this session?", "The recording is kept. Run the participant again to continue with the present condition.", "Stop", true);
  if (given) command({ kind: "stop", text: given.text });
};
byId("note").onsubmit = (event) => {
  event.preventDefault();
  const text = byId("words").value.trim();
  if (text) command({ kind: "note", text });
  byId("words").value = "";
};

for (let version = ""; ;) {
  try {
    const next = await ask(`experimenter/state?version=${version}`);
    if (next.ended) {
      byId("badge").textContent = "ENDED";
      byId("link").textContent = "The session has ended; the recording is complete.";
      byId("link").className = "";
      document.querySelectorAll("button, #words").forEach((control) => { control.disabled = true; });
      break;
    }
    if (next.version !== undefined) {
      version = String(next.version);
      state = next;
      render();
    }
    await sleep(250);
  } catch (error) {
    byId("link").textContent = "No connection to the session.";
    byId("link").className = "error";
    await sleep(500);
  }
}
