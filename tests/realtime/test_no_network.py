"""Nothing leaves this computer: the network calls of whole commands, by strace.

Python's audit hooks do not see the calls of libraries, such as ONNX Runtime's.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CALL = re.compile(r"\b(socket|connect|bind|sendto|sendmsg|sendmmsg)\((.*)")
ADDRESS = re.compile(r'inet_addr\("([^"]*)"\)|inet_pton\(AF_INET6, "([^"]*)"')
LOCAL = ("AF_UNIX", "AF_NETLINK", "AF_UNSPEC")
"""Families of sockets that reach this computer only; netlink asks the kernel."""


@pytest.fixture(scope="module")
def strace(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of strace, or skip where it is missing or forbidden."""
    path = shutil.which("strace")
    if path is None:
        pytest.skip("strace is not installed (.ci/run installs it)")
    log = tmp_path_factory.mktemp("strace") / "log"
    tried = subprocess.run(
        [path, "-f", "-qq", "-e", "trace=network", "-o", log, "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tried.returncode:
        pytest.skip(f"this machine forbids strace: {tried.stderr.strip()}")
    return path


def traced(
    strace: str, folder: Path, *program: object, **variables: str
) -> tuple[set[str], set[str]]:
    """Run a program; return the families of its sockets, and where it sent to."""
    log, home = folder / "calls", folder / "home"
    home.mkdir(exist_ok=True)
    kept = ("PATH", "LANG", "LSLAPICFG", "OMP_NUM_THREADS", "PHYSIO_DATA")
    inside = {k: os.environ[k] for k in kept if k in os.environ}
    # Without the variables of a test service, by which libraries turn telemetry off.
    inside |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [strace, "-f", "-qq", "--seccomp-bpf", "-e", "trace=network", "-e",
         "signal=none", "-o", log, sys.executable, *map(str, program)],
        env={**inside, **variables}, cwd=folder, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:] or done.stdout[-3000:]
    assert not [p for p in home.rglob("*") if "icrosoft" in str(p)]
    families, targets = set[str](), set[str]()
    for call, rest in CALL.findall(log.read_text("utf-8", "replace")):
        if call == "socket":
            families.add(rest.split(",")[0])
        elif call != "bind":
            targets |= {a or b for a, b in ADDRESS.findall(rest)}
    return families, targets


def outside(targets: set[str]) -> set[str]:
    return {t for t in targets if not t.startswith("127.") and t != "::1"}


def test_a_tracer_sees_a_call(strace: str, tmp_path: Path) -> None:
    code = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        "s.sendto(b'x', ('127.0.0.1', 9)); s.connect(('192.0.2.1', 53))"
    )
    families, targets = traced(strace, tmp_path, "-c", code)
    assert "AF_INET" in families
    assert targets >= {"127.0.0.1", "192.0.2.1"}
    assert outside(targets) == {"192.0.2.1"}


def test_a_demonstration_and_its_replay_open_no_socket(
    strace: str, tmp_path: Path
) -> None:
    out = tmp_path / "demo"
    line = ["-m", "physio", "demo", "--fast", "--seconds", "3", "--out", out]
    first = traced(strace, tmp_path, *line)
    line = ["-m", "physio", "replay", out / "recording.xdf", "--fast", "--out", "r"]
    second = traced(strace, tmp_path, *line)
    for families, targets in (first, second):
        assert families <= set(LOCAL)
        assert targets == set()


SESSION = """
[session]
participant = "p1"
consent = "form-1"
[devices.band]
use = "devices.simulated:Wristband"
[devices.lsl]
use = "devices.lsl:Inlet"
source_id = "strace-EEG"
[sinks.lsl]
use = "physio.sinks.lsl:Lsl"
[sinks.dashboard]
use = "physio.view.dashboard:Dashboard"
"""


@pytest.mark.long
def test_a_live_session_with_lsl_and_dashboard_stays_on_loopback(
    strace: str, tmp_path: Path
) -> None:
    """LSL finds streams of this computer only, as ``conftest.py`` sets."""
    (tmp_path / "s.toml").write_text(SESSION, "utf-8")
    sender = Path(__file__).with_name("sender.py")
    with subprocess.Popen([sys.executable, str(sender), "strace"]) as process:
        try:
            families, targets = traced(
                strace, tmp_path, "-m", "physio", "live", "s.toml", "--seconds", "4",
                "--demo-weights", "--out", "live",
            )  # fmt: skip
        finally:
            process.kill()
    assert "AF_INET" in families
    assert outside(targets) == set()
    assert (tmp_path / "live" / "recording.xdf").stat().st_size > 10_000


TRAINING = """
[training]
use = "experiments.weights.demo:TrainDemo"
electrodes = ["C3", "C4"]
columns = [["eda.tonic", "log"], ["motion.activity", "log"]]
participants = 3
tested = 1
seconds = 60.0
every = 2.0
epochs = 1
[training.headset]
use = "devices.simulated:Headset"
preset = "exaggerated"
channels = ["C3", "C4"]
[training.band]
use = "devices.simulated:Wristband"
preset = "exaggerated"
"""


@pytest.mark.long
def test_a_training_opens_no_socket(strace: str, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(TRAINING, "utf-8")
    line = ["-m", "physio", "train", "t.toml", "--out", "weights"]
    families, targets = traced(strace, tmp_path, *line)
    assert families <= set(LOCAL)
    assert targets == set()


NOTEBOOK = """
import nbformat
from nbclient import NotebookClient

cell = '''
import physio
from physio.inference import onnx
from physio.models import model_card
from physio.view import notebook
print(type(onnx.to_onnx_model(model_card.load("eeg-demo").model())).__name__)
'''
book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
done = NotebookClient(book, timeout=200, kernel_name="python3").execute()
assert "OnnxModel" in str(done.cells[0].outputs), done.cells[0].outputs
"""


@pytest.mark.long
def test_the_kernel_of_a_notebook_stays_on_loopback(
    strace: str, tmp_path: Path
) -> None:
    for package in ("nbclient", "ipykernel", "onnxruntime", "panel"):
        pytest.importorskip(package)
    families, targets = traced(
        strace, tmp_path, "-c", NOTEBOOK, PYDEVD_DISABLE_FILE_VALIDATION="1"
    )
    assert "AF_INET" in families  # of the kernel's own ports
    assert outside(targets) == set()
