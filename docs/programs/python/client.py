"""Print the estimates of a running session: python client.py sessions/p07."""

import json
import sys
from pathlib import Path
from urllib.request import Request, urlopen

at = json.loads(Path(sys.argv[1], "http.json").read_text())
address = f"{at['url']}/events?streams=estimates,session"
request = Request(address, headers={"Authorization": f"Bearer {at['look']}"})
with urlopen(request) as lines:
    for line in lines:
        if not line.startswith(b"data: "):
            continue
        message = json.loads(line[6:])
        if message["type"] == "row":
            arousal, sd = (message["values"][c] for c in ("arousal", "arousal.sd"))
            why = message["missing"].get("arousal", "")
            print(message["time"], why or f"{arousal:.2f} +- {sd:.2f}", flush=True)
        elif message["type"] == "event":
            print(message["time"], message["stream"], message["label"], flush=True)
        elif message["type"] == "ended":
            break
