"""Markers and ratings for a running session; Python's own modules are enough."""

import json
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class Markers:
    """Markers and ratings; ``folder``: the session's folder, with ``http.json``."""

    def __init__(self, folder):
        at = json.loads(Path(folder, "http.json").read_text())
        self.url, self.token = at["url"], at["control"]

    def mark(self, label, onset=None):
        """Set a marker; ``onset``: its ``time.time()`` (s), by default now."""
        return self._post("marker", label=label, time=onset or time.time())

    def rate(self, valence, arousal, dominance=None):
        """Enter a rating on a scale of 1 to 9; None for a missing answer."""
        return self._post("rating", sam=[valence, arousal, dominance])

    def _post(self, path, **content):
        headers = {"Content-Type": "application/json"}
        headers["Authorization"] = f"Bearer {self.token}"
        body = json.dumps(content).encode()
        try:
            request = Request(f"{self.url}/{path}", body, headers)
            with urlopen(request, timeout=5) as reply:
                return json.load(reply)
        except HTTPError as error:
            raise ValueError(json.load(error)["error"]) from None
