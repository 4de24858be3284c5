// The workbench: files of a folder, actions for them, and the commands that run.
// Text of files and commands enters the page as text, never as markup.

const $ = (id) => document.getElementById(id);
const state = { items: [], actions: [], chosen: new Set(), values: {}, jobs: new Map(), open: new Set() };
const KINDS = {
  recording: "recording", session: "session", dataset: "data set", study: "study", settings: "session file",
  conditions: "conditions", table: "table", page: "report", picture: "picture",
};
const PART = 1 << 20;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function ask(path, content) {
  const options = content === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content),
  };
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Error("physio app does not answer: is it still running in its terminal?");
  }
  const answer = await reply.json().catch(() => ({ error: `the request was refused (${reply.status})` }));
  if (!reply.ok || answer.error) throw new Error(answer.error || `the request was refused (${reply.status})`);
  return answer;
}

function alertUser(error) {
  $("alert").textContent = error ? error.message || String(error) : "";
  $("alert").className = error ? "error" : "";
}

function size(bytes) {
  if (!bytes) return "";
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

async function refresh() {
  const answer = await ask("/app/items");
  state.items = answer.items;
  state.actions = answer.actions;
  const paths = new Set(state.items.map((item) => item.path));
  for (const path of state.chosen) if (!paths.has(path)) state.chosen.delete(path);
  $("cut").hidden = !answer.cut;
  $("empty").hidden = state.items.some((item) => item.kind === "recording" || item.kind === "session");
  drawItems();
  drawActions();
}

function drawItems() {
  const kind = $("filter").value;
  const rows = state.items.filter((item) => !kind || item.kind === kind).map((item) => {
    const box = make("input", { type: "checkbox", checked: state.chosen.has(item.path) });
    box.setAttribute("aria-label", `Choose ${item.path}`);
    box.dataset.path = item.path;
    box.addEventListener("change", () => {
      if (box.checked) state.chosen.add(item.path); else state.chosen.delete(item.path);
      drawActions();
    });
    const cells = [make("td", {}, box), make("td", {}, name(item)), make("td", { textContent: KINDS[item.kind] || item.kind }),
      make("td", { textContent: size(item.size) }), make("td", { textContent: new Date(item.modified).toLocaleString() })];
    return make("tr", {}, ...cells);
  });
  $("items").tBodies[0].replaceChildren(...rows);
}

function name(item) {
  if (["page", "picture"].includes(item.kind)) return shown(item.path, item.path);
  if (item.kind === "table" && /\.[ct]sv$/i.test(item.path)) return previewButton(item.path, item.path);
  return document.createTextNode(item.path);
}

function shown(path, text) {
  const link = make("a", { textContent: text, target: "_blank", rel: "noopener" });
  link.href = `/app/show?path=${encodeURIComponent(path)}`;
  return link;
}

function previewButton(path, text) {
  const button = make("button", { type: "button", textContent: text });
  button.addEventListener("click", () => preview(path).catch(alertUser));
  return button;
}

function applicable(action) {
  const chosen = state.items.filter((item) => state.chosen.has(item.path));
  if (!action.kinds.length) return chosen.length === 0;
  return chosen.length > 0 && (action.several || chosen.length === 1) && chosen.every((item) => action.kinds.includes(item.kind));
}

function drawActions() {
  const chosen = [...state.chosen];
  $("chosen").textContent = chosen.length === 0 ? "Choose a file." : chosen.length === 1 ? chosen[0] : `${chosen.length} files`;
  const cards = state.actions.filter(applicable).map(actionCard);
  $("actions").replaceChildren(...cards);
}

function actionCard(action) {
  const code = make("code", { textContent: "" });
  const run = make("button", { type: "button", className: "primary", textContent: action.label });
  const copy = make("button", { type: "button", textContent: "Copy" });
  copy.setAttribute("aria-label", `Copy the command of ${action.label}`);
  const values = (state.values[action.name] ||= {});
  const update = async () => {
    try {
      code.textContent = (await ask("/app/command", request(action))).command;
      code.className = "";
      run.disabled = false;
    } catch (error) {
      code.textContent = error.message;
      code.className = "error";
      run.disabled = true;
    }
  };
  const fields = action.fields.map((field) => fieldInput(action, field, values, update));
  run.addEventListener("click", () => start(action).catch(alertUser));
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.textContent).catch(() => getSelection().selectAllChildren(code));
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  update();
  return make("div", { className: "action" }, make("h3", { textContent: action.label }),
    make("p", { className: "dim", textContent: action.description }), make("div", { className: "row" }, run, ...fields),
    make("div", { className: "command" }, code, copy));
}

function fieldInput(action, field, values, update) {
  let input;
  if (field.choices.length || field.items) {
    const sheets = state.items.filter((item) => item.kind === field.items).map((item) => item.path);
    const choices = field.items ? ["", ...sheets] : field.choices;
    input = make("select", {}, ...choices.map((c) => make("option", { value: c, textContent: c || (field.items ? "as the recording states" : "all that answer") })));
    values[field.name] ??= field.items ? sheets[0] || "" : choices[0];
    if (!choices.includes(values[field.name])) values[field.name] = choices[0];
  } else {
    input = make("input", { type: "text", placeholder: field.hint, size: 14 });
  }
  input.value = values[field.name] || "";
  input.addEventListener("input", () => {
    values[field.name] = input.value;
    update();
  });
  return make("label", {}, `${field.label} `, input);
}

function request(action) {
  return { action: action.name, items: [...state.chosen], values: { ...state.values[action.name] } };
}

async function start(action) {
  alertUser();
  const tab = action.is_page ? window.open("/app/wait", "_blank") : null;
  try {
    const { number } = await ask("/app/run", request(action));
    state.open.add(number);
    if (tab) tab.location = `/app/wait?job=${number}`;
  } catch (error) {
    if (tab) tab.close();
    throw error;
  }
  await drawJobs();
}

async function drawJobs() {
  const jobs = await ask("/app/jobs");
  let ended = false;
  for (const job of jobs) {
    const text = JSON.stringify({ ...job, seconds: 0 });
    const before = state.jobs.get(job.number);
    if (before?.text === text) {
      before.time.textContent = seconds(job);
      continue;
    }
    ended ||= before?.state === "running" && job.state !== "running";
    const card = jobCard(job);
    if (before) before.card.replaceWith(card); else $("jobs").prepend(card);
    state.jobs.set(job.number, { text, state: job.state, card, time: card.querySelector(".time") });
  }
  if (ended) await refresh();
}

function seconds(job) {
  return `${Math.round(job.seconds)} s`;
}

function jobCard(job) {
  const title = make("h3", {}, `${job.label}: `, make("span", { className: `state ${tone(job.state)}`, textContent: job.state }), " ",
    make("small", { className: "time", textContent: seconds(job) }));
  const row = make("div", { className: "row" });
  if (job.url) {
    const link = make("a", { textContent: "Open the page", href: job.url, target: "_blank", rel: "noopener" });
    row.append(link);
  }
  for (const path of job.outputs) {
    if (/\.html$/i.test(path)) row.append(shown(path, `Show ${path}`));
    else if (/\.[ct]sv$/i.test(path)) row.append(previewButton(path, `Show ${path}`));
    else row.append(make("code", { textContent: path }));
  }
  if (job.state === "running") {
    const stop = make("button", { type: "button", textContent: "Stop" });
    stop.setAttribute("aria-label", `Stop ${job.label}`);
    stop.addEventListener("click", () => ask("/app/stop", { number: job.number }).catch(alertUser));
    row.append(stop);
  }
  const card = make("div", { className: "job" }, title, make("code", { textContent: job.command }), row);
  card.dataset.number = job.number;
  if (job.lines.length) {
    const details = make("details", { open: state.open.has(job.number) && !job.is_page }, make("summary", { textContent: "Output" }),
      make("pre", { textContent: job.lines.join("\n"), tabIndex: 0 }));
    details.addEventListener("toggle", () => {
      if (details.open) state.open.add(job.number); else state.open.delete(job.number);
    });
    card.append(details);
  }
  return card;
}

function tone(word) {
  return word === "failed" ? "error" : word === "done with findings" ? "warn" : word === "done" ? "good" : "";
}

async function preview(path) {
  const table = await ask(`/app/table?path=${encodeURIComponent(path)}`);
  $("preview-title").textContent = `${path}${table.cut ? " (first rows)" : ""}`;
  const view = $("preview-table");
  view.tHead.replaceChildren(make("tr", {}, ...table.columns.map((c) => make("th", { scope: "col", textContent: c }))));
  view.tBodies[0].replaceChildren(...table.rows.map((row) => make("tr", {}, ...row.map((c) => make("td", { textContent: short(c), title: c })))));
  $("preview").hidden = false;
  $("preview").scrollIntoView({ block: "nearest" });
}

function short(cell) {
  return /^-?\d+\.\d{4,}$/.test(cell) ? String(Number(Number(cell).toPrecision(5))) : cell;
}

async function upload(files) {
  for (const file of files) {
    const say = (text) => { $("upload-state").textContent = `${file.name}: ${text}`; };
    try {
      const { key } = await ask("/app/upload", { name: file.name, size: file.size });
      let offset = 0;
      let done;
      do {
        const data = await base64(file.slice(offset, offset + PART));
        done = await ask("/app/upload", { key, offset, data });
        offset = done.written;
        say(`${Math.round(100 * (file.size ? offset / file.size : 1))} %`);
      } while (!done.name);
      say(done.name === file.name ? "in the folder" : `in the folder as ${done.name}`);
      state.chosen = new Set([done.name]);
    } catch (error) {
      say(error.message);
    }
  }
  await refresh();
}

async function base64(blob) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error("the browser cannot read the file; folders are not accepted, zip them"));
    reader.readAsDataURL(blob);
  });
  return url.slice(url.indexOf(",") + 1);
}

const drop = $("drop");
for (const kind of ["dragover", "dragenter"]) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  upload([...event.dataTransfer.files]).catch(alertUser);
});
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
$("upload").addEventListener("change", () => upload([...$("upload").files]).catch(alertUser));
$("filter").addEventListener("change", drawItems);

refresh().catch(alertUser);
drawJobs().catch(alertUser);
setInterval(() => { if (!document.hidden) drawJobs().catch(alertUser); }, 700);
window.addEventListener("focus", () => refresh().catch(() => {}));
