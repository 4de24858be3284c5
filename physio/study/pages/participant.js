// The participant's page: shows the present step, and reports frames and answers.
import { SessionClock, ask, byId, frame, sleep } from "./link.js";
import { showQuestion } from "./question.js";
import { ContinuousRating } from "./rating.js";
import { Stimuli } from "./stimulus.js";

const clock = new SessionClock();
const page = crypto.randomUUID().replaceAll("-", "");
const parts = ["enter", "text", "timed", "stimulus", "question", "pause", "over"];
let state = null, shown = { turn: 0, paused: false }, version = "", entered = false, job = 0;
let queue = Promise.resolve();

// Messages go in their order; a step that has just been left or paused is no trouble.
const QUIET = ["start", "show", "shown", "hidden", "next"];
function send(content) {
  const sent = queue.then(async () => {
    for (let tries = 0; ; tries++) {
      try {
        return await ask("participant/event", { ...content, page });
      } catch (error) {
        if (error.refused || tries === 5) {
          if (!QUIET.includes(content.kind)) trouble(error.message);
          return { error: error.message };
        }
        await sleep(300);
      }
    }
  });
  queue = sent.catch(() => {});
  return sent;
}

const stamped = (time) => clock.at(time);
const report = (turn, kind, content = {}) => send({ turn, kind, ...content });

let silence = 0;
function trouble(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
  clearTimeout(silence);
  if (text) silence = setTimeout(() => trouble(""), 6000);
}

function open(name) {
  for (const part of parts) byId(part).hidden = part !== name;
}

const stimuli = new Stimuli(byId("stimulus"), stamped, report);
const rating = new ContinuousRating(byId("rating"), (values) =>
  ask("participant/event", { kind: "rating", page, values, ...stamped(performance.now()) }).catch(() => {}));

function showText(title, text, go, consent = false) {
  const section = byId("text"), turn = state.turn;
  section.querySelector("h1").textContent = title;
  const body = section.querySelector(".body");
  body.replaceChildren(...text.split(/\n\s*\n/).map((words) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = words.trim();
    return paragraph;
  }));
  body.tabIndex = 0;
  const agree = section.querySelector(".agree"), decline = section.querySelector(".decline");
  const button = section.querySelector(".go"), box = agree.querySelector("input");
  agree.hidden = decline.hidden = !consent;
  button.textContent = go;
  box.checked = false;
  button.disabled = consent;
  box.onchange = () => { button.disabled = !box.checked; };
  decline.onclick = () => { decline.disabled = button.disabled = true; report(turn, "consent", { agreed: false }); };
  decline.disabled = false;
  button.onclick = () => {
    button.disabled = true;
    report(turn, consent ? "consent" : "next", consent ? { agreed: true } : {});
  };
  open("text");
  if (!consent) button.focus(); else body.focus();
}

async function countDown(element, mine) {
  while (mine === job) {
    const left = state.ends === undefined ? null : clock.remaining(state.ends);
    const whole = left === null ? 0 : Math.max(0, Math.ceil(left - 0.05));
    element.textContent = left === null ? "" : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
    await sleep(200);
  }
}

async function showTimed(mine) {
  const section = byId("timed"), turn = state.turn, show = state.show;
  const body = section.querySelector(".body");
  body.className = show === "cross" ? "body cross" : "body";
  body.textContent = show === "cross" ? "+" : state.text;
  const timer = section.querySelector(".clock");
  timer.hidden = show !== "countdown";
  open("timed");
  const time = await frame();
  if (mine !== job) return;
  report(turn, "start", stamped(time));
  if (show === "countdown") countDown(timer, mine);
}

async function showBreak(mine) {
  showText("A short break", "Continue whenever you are ready.", "Continue");
  report(state.turn, "start", stamped(await frame()));
  const timer = document.createElement("p");
  timer.className = "clock";
  timer.setAttribute("role", "timer");
  byId("text").querySelector(".body").append(timer);
  countDown(timer, mine);
}

function render() {
  byId("progress").setAttribute("aria-valuenow", Math.round(100 * state.progress));
  byId("progress").firstChild.style.width = `${100 * state.progress}%`;
  rating.show(state.rate, state.run);
  stimuli.preload(state.next);
  if (state.turn === shown.turn && state.paused === shown.paused) return;
  shown = { turn: state.turn, paused: state.paused };
  const mine = ++job;
  stimuli.stop();
  if (state.paused) { open("pause"); return; }
  switch (state.kind) {
    case "instructions": showText("Instructions", state.text, "Continue"); break;
    case "consent": showText("Consent", state.text, "I agree", true); break;
    case "ready": showText("Next", state.text, "I am ready"); break;
    case "timed": showTimed(mine); break;
    case "break": showBreak(mine); break;
    case "stimulus": open("stimulus"); stimuli.show(state.stimulus, state.turn, state.speed); break;
    case "questions":
      showQuestion(byId("question"), state.question, (kind, value) => report(shown.turn, kind, kind === "answer" ? { value } : {}));
      open("question");
      break;
    default: finish(state.text || "You have completed all parts. Please call the experimenter.");
  }
}

function finish(text) {
  job++;
  rating.show([]);
  byId("over").querySelector(".body").textContent = text;
  open("over");
}

async function follow() {
  for (;;) {
    try {
      const next = await ask(`participant/state?version=${version}`);
      if (next.ended) {
        if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
        finish(next.ended);
        return;
      }
      if (next.version === undefined) continue;
      version = String(next.version);
      state = next;
      if (entered) render();
    } catch (error) {
      trouble("No connection to the session. Please wait, or call the experimenter.");
      await sleep(500);
    }
  }
}

byId("begin").onclick = async () => {
  byId("begin").disabled = true;
  const whole = document.documentElement.requestFullscreen?.({ navigationUI: "hide" });
  whole?.catch(() => {});
  navigator.wakeLock?.request("screen").catch(() => {});
  stimuli.unlockSound();
  const greeted = await send({ kind: "hello" });
  if (greeted.error) { byId("begin").disabled = false; return; }
  await clock.begin();
  entered = true;
  shown = { turn: 0, paused: false };
  if (state) render();
};
byId("full").onclick = () => document.documentElement.requestFullscreen?.().catch(() => {});
document.addEventListener("fullscreenchange", () => {
  byId("full").hidden = Boolean(document.fullscreenElement) || !document.fullscreenEnabled;
});
addEventListener("contextmenu", (event) => event.preventDefault());
follow();
