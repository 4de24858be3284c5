// Requests to the server, frames, and the session clock on the page's clock.
export const byId = (id) => document.getElementById(id);
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
export const frame = () => new Promise((done) => requestAnimationFrame(done));

export async function ask(path, content) {
  const options = content === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content), keepalive: true,
  };
  const answer = await fetch(`/${path}`, options);
  const reply = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(reply.error), { refused: answer.status < 500 });
  return reply;
}

const DRIFT = 1e-5; // of two clocks of one computer, at most
const KEPT = 200;

// Session time of the page's times: the round trip with the least delay decides, as in
// NTP; half of it, and the drift since then, is the uncertainty (ms).
export class SessionClock {
  trips = [];
  speed = 1;

  async compare() {
    const sent = performance.now();
    const reply = await ask("participant/clock", {});
    const back = performance.now();
    this.speed = reply.speed;
    this.trips.push({ page: (sent + back) / 2, session: reply.session, half: (back - sent) / 2 });
    if (this.trips.length > KEPT) this.trips.shift();
  }

  async begin() {
    for (let i = 0; i < 20; i++) await this.compare();
    const again = () => this.compare().catch(() => {}).finally(() => setTimeout(again, 1000));
    again();
  }

  at(time) {
    const doubt = (trip) => trip.half + DRIFT * Math.abs(time - trip.page);
    const best = this.trips.reduce((a, b) => (doubt(b) < doubt(a) ? b : a));
    return { at: best.session + (time - best.page) / 1000 * this.speed, uncertainty: doubt(best) };
  }

  remaining(session) {
    return (session - this.at(performance.now()).at) / this.speed;
  }
}
