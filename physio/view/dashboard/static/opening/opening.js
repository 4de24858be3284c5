// Shows what is being loaded, and loads the page again once the dashboard is there.

const path = `${location.pathname.replace(/\/$/, "")}/progress`;

async function look() {
  let reply;
  try {
    reply = await fetch(path);
  } catch {
    document.getElementById("progress").textContent += " (no answer: has the command ended in its terminal?)";
    return;
  }
  if (!reply.ok) {
    location.reload();
    return;
  }
  const { text } = await reply.json();
  const bar = document.querySelector("progress");
  const share = /(\d+) %$/.exec(text);
  if (share) bar.value = Number(share[1]) / 100; else bar.removeAttribute("value");
  document.getElementById("progress").textContent = text;
  setTimeout(look, 100);
}

look();
