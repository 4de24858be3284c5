// Markers and ratings for a running session; "PORT:TOKEN" as in http.json.
class PhysioMarkers {
  constructor(place) {
    const [port, token] = place.split(":");
    this.url = `http://127.0.0.1:${port}`;
    this.headers = {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
    };
  }

  // Marker at the time of the next frame, which shows what was drawn just now.
  markAtNextFrame(label) {
    requestAnimationFrame((frame) => {
      const age = Math.max(0, (performance.now() - frame) / 1000);
      this.post("marker", { label, age });
    });
  }

  // Rating on a scale of 1 to 9; null for a missing answer.
  rate(valence, arousal, dominance = null) {
    return this.post("rating", { sam: [valence, arousal, dominance] });
  }

  async post(path, content) {
    const body = JSON.stringify(content);
    const { headers } = this;
    const answer = await fetch(`${this.url}/${path}`, { method: "POST", headers, body });
    const reply = await answer.json();
    if (!answer.ok) console.error(reply.error);
    return reply;
  }
}
