// Print the estimates of a running session: node client.mjs sessions/p07
import { readFileSync } from "node:fs";

const at = JSON.parse(readFileSync(`${process.argv[2]}/http.json`, "utf8"));
const headers = { Authorization: `Bearer ${at.look}` };
const answer = await fetch(`${at.url}/events?streams=estimates`, { headers });
let text = "";
for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
  const lines = (text + part).split("\n");
  text = lines.pop();
  for (const line of lines.filter((line) => line.startsWith("data: "))) {
    const message = JSON.parse(line.slice(6));
    if (message.type === "row")
      console.log(message.time, message.values.arousal ?? message.missing.arousal);
  }
}
