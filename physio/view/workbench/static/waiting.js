// A tab that waits for the page of a command, and then goes to it.

const number = Number(new URLSearchParams(location.search).get("job"));
const began = Date.now();

async function look() {
  if (!number) return;
  const jobs = await (await fetch("/app/jobs")).json();
  const job = jobs.find((candidate) => candidate.number === number);
  if (!job) return;
  document.title = `physio: ${job.label}`;
  document.querySelector("h1").textContent = job.label;
  document.getElementById("wait-lines").textContent = job.lines.slice(-12).join("\n");
  const passed = `${Math.round((Date.now() - began) / 1000)} s`;
  const running = job.state === "running";
  document.getElementById("wait-state").textContent = running ? `${job.command}: reading, ${passed}` : `${job.command}: ${job.state}`;
  document.querySelector("progress").hidden = !running;
  if (job.url) location.replace(job.url);
  else if (running) setTimeout(() => look().catch(() => {}), 200);
}

look().catch(() => {});
