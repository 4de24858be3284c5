// Pictures, sounds and videos: loaded and decoded before, shown at a frame.
import { frame, sleep } from "./link.js";

const PART = 2 ** 22, GRANT = 150, PATIENCE = 150;

async function download(item) {
  const parts = [];
  for (let part = 0; ; part++) {
    const answer = await fetch(`/participant/media?number=${item.number}&part=${part}`);
    if (!answer.ok) throw new Error("it could not be loaded");
    const bytes = await answer.arrayBuffer();
    parts.push(bytes);
    if (bytes.byteLength < PART) return new Blob(parts, { type: item.type });
  }
}

export class Stimuli {
  constructor(section, stamped, report) {
    this.section = section;
    this.box = section.querySelector(".media");
    this.cross = section.querySelector(".cross");
    this.stamped = stamped;
    this.report = report;
    this.loaded = new Map();
    this.job = 0;
    this.waiting = null;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) this.waiting?.(entry.renderTime || NaN);
    }).observe({ type: "element", buffered: false });
  }

  unlockSound() {
    this.sound ??= new AudioContext();
    this.sound.resume().catch(() => {});
  }

  preload(item) {
    if (!item) return null;
    if (!this.loaded.has(item.number)) {
      for (const number of [...this.loaded.keys()].slice(0, -2)) this.loaded.delete(number);
      const blob = download(item);
      blob.catch(() => this.loaded.delete(item.number));
      this.loaded.set(item.number, blob);
    }
    return this.loaded.get(item.number);
  }

  stop() {
    this.job++;
    this.end?.();
    this.end = null;
    this.waiting = null;
    this.box.replaceChildren();
    this.cross.hidden = false;
  }

  async show(item, turn, speed) {
    const mine = this.job, over = () => mine !== this.job;
    const prepared = this.prepare(item);
    prepared.catch(() => {});
    const began = await frame();
    if (over()) return;
    this.report(turn, "start", this.stamped(began));
    let present;
    try {
      present = await prepared;
    } catch (error) {
      if (over()) return;
      await this.report(turn, "show");
      this.report(turn, "failed", { text: error.message || String(error) });
      return;
    }
    const gap = item.gap * 1000 / speed;
    await sleep(Math.max(0, began + gap - GRANT - performance.now()));
    if (over() || (await this.report(turn, "show")).error || over()) return;
    let time = await frame();
    while (!over() && time - began < gap - 8) time = await frame();
    if (over()) return;
    const onset = await present(time);
    performance.mark("stimulus", { startTime: onset.time }); // for profilers
    const length = item.seconds * 1000 / speed;
    // The first frame was shown: its time is reported as soon as the browser knows it.
    onset.measured.then((measured) => this.report(turn, "shown", { ...this.stamped(onset.time), ...measured }));
    while (!over() && time < onset.time + length - 8) time = await frame();
    if (over()) return;
    this.end?.();
    this.end = null;
    this.box.replaceChildren();
    this.cross.hidden = false;
    await onset.measured;
    this.report(turn, "hidden", this.stamped(time));
  }

  async prepare(item) {
    const blob = await this.preload(item);
    if (item.kind === "sound") return this.prepareSound(blob);
    const url = URL.createObjectURL(blob);
    const element = document.createElement(item.kind === "picture" ? "img" : "video");
    this.end = () => { element.pause?.(); URL.revokeObjectURL(url); };
    if (item.kind === "picture") {
      element.alt = "stimulus";
      element.setAttribute("elementtiming", "stimulus");
      element.src = url;
      await element.decode();
      return (time) => this.presentPicture(element, time);
    }
    element.playsInline = true;
    element.preload = "auto";
    element.className = "waiting";
    element.setAttribute("aria-label", "stimulus");
    await new Promise((done, failed) => {
      element.oncanplay = done;
      element.onerror = () => failed(new Error(element.error?.message || "the browser cannot play it"));
      element.src = url;
      this.box.replaceChildren(element);
    });
    return (time) => this.presentVideo(element, time);
  }

  presentPicture(element, time) {
    const painted = new Promise((done) => { this.waiting = done; });
    this.cross.hidden = true;
    this.box.replaceChildren(element);
    return { time, measured: this.measure(time, painted) };
  }

  presentVideo(element, time) {
    const painted = new Promise((done) => {
      element.requestVideoFrameCallback((_now, frameData) => done(frameData.presentationTime));
    });
    this.cross.hidden = true;
    element.className = "";
    element.play().catch(() => {});
    return { time, measured: this.measure(time, painted) };
  }

  async measure(time, painted) {
    const following = await frame();
    const presented = await Promise.race([painted, sleep(PATIENCE)]);
    const measured = { frame: following - time };
    if (Number.isFinite(presented)) measured.presented = presented - time;
    return measured;
  }

  async prepareSound(blob) {
    this.unlockSound();
    const sound = this.sound;
    const buffer = await sound.decodeAudioData(await blob.arrayBuffer());
    return async () => {
      const source = sound.createBufferSource();
      source.buffer = buffer;
      source.connect(sound.destination);
      const when = sound.currentTime + 0.1;
      source.start(when);
      this.end = () => { source.stop(); source.disconnect(); };
      const output = sound.getOutputTimestamp();
      const known = output.performanceTime > 0 && output.contextTime > 0;
      const time = known
        ? output.performanceTime + (when - output.contextTime) * 1000
        : performance.now() + (when - sound.currentTime) * 1000;
      await sleep(Math.max(0, time - performance.now()));
      return { time, measured: Promise.resolve({}) };
    };
  }
}
