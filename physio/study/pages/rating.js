// Continuous rating of one or two dimensions, by pointer, keyboard or gamepad.
const EVERY = 250, STILL = 0.08; // ms between two ratings; noise of a stick at rest

function span(className, text) {
  const made = document.createElement("span");
  made.className = className;
  made.textContent = text;
  return made;
}

export class ContinuousRating {
  constructor(section, report) {
    this.section = section;
    this.report = report;
    this.names = "";
    this.run = null;
    this.timer = 0;
  }

  // Values stay between the stimuli of one run of a condition, until the next run.
  show(dimensions, run) {
    const names = dimensions.map((d) => d.name).join();
    const again = run === this.run;
    if (names === this.names && (again || !names)) return;
    this.names = names;
    clearInterval(this.timer);
    cancelAnimationFrame(this.loop);
    this.section.hidden = !names;
    this.section.replaceChildren();
    if (!names) return;
    this.dimensions = dimensions;
    if (!again) {
      this.values = dimensions.map(() => 0);
      this.isMoved = this.usesPad = false; // nothing is rated before the first movement
    }
    this.run = run;
    this.inputs = dimensions.map((dimension, i) => this.slider(dimension, i));
    if (dimensions.length === 2) this.buildPlane();
    else this.buildLine();
    this.draw();
    this.timer = setInterval(() => this.send(), EVERY);
    const look = () => { this.readPad(); this.loop = requestAnimationFrame(look); };
    look();
  }

  slider(dimension, i) {
    const input = document.createElement("input");
    input.type = "range";
    input.min = -1;
    input.max = 1;
    input.step = 0.01;
    input.value = this.values[i];
    input.setAttribute("aria-label", `${dimension.name} now, from ${dimension.low} to ${dimension.high}`);
    input.onpointerdown = () => { this.isMoved = true; };
    input.oninput = () => { this.isMoved = true; this.values[i] = Number(input.value); this.draw(); };
    return input;
  }

  buildLine() {
    const label = document.createElement("label"), ends = document.createElement("span");
    ends.className = "ends";
    ends.append(span("", this.dimensions[0].low), span("", this.dimensions[0].high));
    label.append(this.inputs[0], ends);
    this.section.append(label);
  }

  buildPlane() {
    const plane = this.plane = document.createElement("div"), [x, y] = this.dimensions;
    plane.className = "plane";
    plane.append(span("west", x.low), span("east", x.high), span("south", y.low), span("north", y.high));
    this.dot = plane.appendChild(document.createElement("i"));
    for (const input of this.inputs) { input.classList.add("visually-hidden"); plane.append(input); }
    const move = (event) => {
      if (event.type === "pointerdown") plane.setPointerCapture(event.pointerId);
      if (!plane.hasPointerCapture(event.pointerId)) return;
      const box = plane.getBoundingClientRect();
      const clip = (v) => Math.max(-1, Math.min(1, v));
      this.isMoved = true;
      this.values = [
        clip(2 * (event.clientX - box.left) / box.width - 1), clip(1 - 2 * (event.clientY - box.top) / box.height),
      ];
      this.draw();
    };
    plane.onpointerdown = plane.onpointermove = move;
    this.section.append(plane);
  }

  readPad() {
    const pad = [...(navigator.getGamepads?.() ?? [])].find((p) => p && p.axes.length >= 2);
    if (!pad) return;
    const [x, y] = [pad.axes[0], -pad.axes[1]];
    this.usesPad ||= Math.hypot(x, y) > STILL;
    if (!this.usesPad) return; // a pad that nobody touches leaves the pointer alone
    this.isMoved = true;
    const values = this.dimensions.length === 2 ? [x, y] : [x];
    this.values = values.map((v) => Math.max(-1, Math.min(1, v)));
    this.draw();
  }

  draw() {
    this.inputs.forEach((input, i) => { if (Number(input.value) !== this.values[i]) input.value = this.values[i]; });
    if (!this.dot || this.dimensions.length !== 2) return;
    this.dot.hidden = !this.isMoved;
    this.dot.style.left = `${50 * (1 + this.values[0])}%`;
    this.dot.style.top = `${50 * (1 - this.values[1])}%`;
  }

  send() {
    if (!this.isMoved) return;
    this.report(Object.fromEntries(this.dimensions.map((d, i) => [d.name, Math.round(1000 * this.values[i]) / 1000])));
  }
}
