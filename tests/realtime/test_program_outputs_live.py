"""Programs of every kind follow a running session, and send it markers and ratings.

The sinks Osc, Callback, Ttl and Http run together, in one session process.
"""

import functools
import http.server
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from physio.io import xdf

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "docs" / "programs"
SESSION = """
[session]
participant = "p07"
consent = "simulated: none is needed"
[devices.wrist]
use = "devices.simulated:Wristband"
seed = 3
seconds = 3600
[rules.skin]
when = "motion.activity >= 0 for 1 s"
code = 7
marker = "skin is there"
[sinks.osc]
port = {osc}
[sinks.http]
origins = ["http://127.0.0.1:{page}"]
[sinks.ttl]
port = "{ttl}"
[sinks.callback]
call = "my_calls:take"
streams = ["features"]
"""
CALLS = """
import json
file = open("calls.jsonl", "w")
def take(message):
    file.write(json.dumps(message) + "\\n")
    file.flush()
"""


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running:
    """A session process, and what its clients need."""

    def __init__(self, root: Path) -> None:
        self.folder, self.root = root / "p07", root
        self.osc = free_port(socket.SOCK_DGRAM)
        self.box, port = os.openpty()
        self.files = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0),
            functools.partial(Files, directory=str(PROGRAMS)),
        )
        self.page = self.files.server_address[1]
        threading.Thread(target=self.files.serve_forever, daemon=True).start()
        (root / "my_calls.py").write_text(CALLS)
        (root / "s.toml").write_text(
            SESSION.format(osc=self.osc, page=self.page, ttl=os.ttyname(port))
        )
        run = ["live", "s.toml", "--out", "p07", "--trust", "my_calls"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "physio", *run, "--no-dashboard"],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + 120
        while not (self.folder / "http.json").exists() or not self.latest():
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def wait_for_estimates(self) -> None:
        deadline = time.monotonic() + 60
        while self.latest()["estimates"]["values"]["arousal"] is None:
            assert time.monotonic() < deadline
            time.sleep(0.2)

    @property
    def at(self) -> dict[str, str]:
        return json.loads((self.folder / "http.json").read_text())

    def ask(self, path: str, content: Any = None) -> Any:
        from urllib.request import Request, urlopen

        body = None if content is None else json.dumps(content).encode()
        headers = {"Authorization": f"Bearer {self.at['control']}"}
        headers["Content-Type"] = "application/json"
        with urlopen(Request(f"{self.at['url']}{path}", body, headers)) as reply:
            return json.load(reply)

    def latest(self) -> dict[str, Any]:
        return self.ask("/latest?streams=estimates,features")

    def program(self, *command: str, seconds: float) -> str:
        """Return what a client prints in this time."""
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            return process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return process.communicate()[0]


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    session = Running(tmp_path_factory.mktemp("programs"))
    yield session
    session.process.kill()
    session.process.wait()
    session.files.shutdown()
    session.files.server_close()
    os.close(session.box)


def test_markers_of_an_experiment_have_their_time(running: Running) -> None:
    path = PROGRAMS / "psychopy" / "physio_markers.py"
    spec = importlib.util.spec_from_file_location("physio_markers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    markers = module.Markers(running.folder)
    onset = time.time()
    time.sleep(0.5)
    reply = markers.mark("picture 1", onset)
    assert reply["unix"] == pytest.approx(onset, abs=0.005)
    assert reply["clock"].startswith("Unix clock of the sender")
    assert markers.rate(7, None, 5)["clock"].startswith("arrival of the request")
    with pytest.raises(ValueError, match="the scale goes from 1 to 9"):
        markers.rate(10, 5)
    with pytest.raises(ValueError, match="nobody here is 'p99'"):
        markers._post("rating", sam=[5], participant="p99")
    for name in ("experiment.py", "physio_markers.py"):
        source = (path.parent / name).read_text("utf-8")
        compile(source, name, "exec")


def test_status_names_units_and_streams(running: Running) -> None:
    status = running.ask("/status")
    assert (status["participant"], status["state"]) == ("p07", "running")
    streams = {s["stream"]: s for s in status["streams"]}
    units = {c["name"]: c["unit"] for c in streams["features"]["columns"]}
    assert units["eda.tonic"] == "uS"
    assert streams["estimates"]["origin"] == "demo"


def test_osc_has_reasons_and_units(running: Running) -> None:
    osc_bundle = pytest.importorskip("pythonosc.osc_bundle")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", running.osc))
        udp.settimeout(10)
        seen: dict[str, list[Any]] = {}
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and "/physio/estimates/unit" not in seen:
            for message in osc_bundle.OscBundle(udp.recv(65536)):
                seen[message.address] = message.params
    arousal = seen.get("/physio/estimates/arousal", [0.0])[0]
    assert -1 <= arousal <= 1
    assert seen["/physio/estimates/dominance.missing"][0] in {"ok", "warming up"}
    assert seen["/physio/estimates/unit"][1] == "1"


def test_python_follows(running: Running) -> None:
    running.wait_for_estimates()
    client = str(PROGRAMS / "python" / "client.py")
    text = running.program(sys.executable, client, str(running.folder), seconds=2)
    rows = [line.split() for line in text.splitlines()]
    assert len([r for r in rows if len(r) == 4 and r[2] == "+-"]) > 2, text
    assert float(rows[-1][0]) - float(rows[0][0]) > 0.7


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_follows(running: Running) -> None:
    client = str(PROGRAMS / "javascript" / "client.mjs")
    text = running.program("node", client, str(running.folder), seconds=2)
    values = [float(line.split()[1]) for line in text.splitlines()]
    assert len(values) > 2
    assert all(-1 <= v <= 1 for v in values)


@pytest.mark.skipif(shutil.which("pd") is None, reason="Pure Data is not installed")
def test_pure_data_follows(running: Running, tmp_path: Path) -> None:
    patch = (PROGRAMS / "puredata" / "physio.pd").read_text()
    (tmp_path / "physio.pd").write_text(patch.replace("9000", str(running.osc)))
    options = ["-nogui", "-noaudio", "-nomidi", "-stderr"]
    text = running.program("pd", *options, str(tmp_path / "physio.pd"), seconds=2)
    lines = text.splitlines()
    values = [float(s.split()[1]) for s in lines if s.startswith("arousal: ")]
    assert len(values) > 2, text
    assert "missing: ok" in lines


def test_a_page_follows_in_the_browser(running: Running) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("Chromium is not installed")
    port = running.at["url"].rpartition(":")[2]
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_page()
        where = f"http://127.0.0.1:{running.page}/javascript/page.html"
        page.goto(f"{where}#{port}:{running.at['look']}")
        page.wait_for_function(
            "Number.isFinite(parseFloat(arousal.value))", timeout=30_000
        )
        page.goto(f"http://127.0.0.1:{running.page}/jspsych/")
        page.add_script_tag(url="physio_markers.js")
        reply = page.evaluate(
            """async (place) => {
              const markers = new PhysioMarkers(place);
              markers.markAtNextFrame("from a page");
              await new Promise((done) => setTimeout(done, 300));
              return markers.rate(7, 3);
            }""",
            f"{port}:{running.at['control']}",
        )
        assert reply["clock"].startswith("arrival")
        # A page of another origin gets nothing.
        page.goto("about:blank")
        answer = page.evaluate(
            "(url) => fetch(url).then(() => 'read', () => 'refused')",
            f"{running.at['url']}/latest?token={running.at['look']}",
        )
        assert answer == "refused"
        browser.close()


def test_the_session_ends_with_everything_recorded(running: Running) -> None:
    """The last test: it ends the session, and reads what was recorded."""
    follow = f"{running.at['url']}/events?token={running.at['look']}"
    client = subprocess.Popen(
        [sys.executable, "-c", "import sys,urllib.request as u;"
         "print(u.urlopen(sys.argv[1]).read().decode())", follow],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(1.0)
    running.process.send_signal(signal.SIGINT)
    output = running.process.communicate(timeout=60)[0]
    assert running.process.returncode == 0, output
    assert '"type": "ended"' in client.communicate(timeout=10)[0]
    assert not (running.folder / "http.json").exists()

    recording = xdf.read(running.folder / "recording.xdf")
    markers = recording.events["session.markers"]
    assert markers.labels.count("skin is there") == 1
    assert {"from a page", "picture 1"} <= set(markers.labels)
    rules = recording.events["session.rules"]
    assert rules.labels == ("skin",)
    assert rules.times[0] == markers.times[markers.labels.index("skin is there")]
    assert len(recording.events["session.ratings"]) == 2
    os.set_blocking(running.box, False)
    assert os.read(running.box, 100) == b"\x07\x00"

    lines = (running.root / "calls.jsonl").read_text("utf-8").splitlines()
    calls = [json.loads(line) for line in lines]
    rows = [c for c in calls if c["type"] == "row"]
    times = np.array([c["time"] for c in rows])
    np.testing.assert_allclose(np.diff(times), 0.25, rtol=0, atol=1e-9)
    assert [c["label"] for c in calls if c["type"] == "event"].count("skin") == 1
    text = (running.folder / "session.toml").read_text()
    assert "[rules.skin]" in text
    assert 'use = "physio.sinks.osc:Osc"' in text
