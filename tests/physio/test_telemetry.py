"""ONNX Runtime sends nothing, and leaves no identifier of the computer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADS = re.compile(r"(?:^\s*(?:import|from) |\w+\(\")onnxruntime", re.M)


@pytest.mark.parametrize("before", [{}, {"ORT_DISABLE_TELEMETRY": "0"}])
def test_the_runtime_starts_with_telemetry_off(
    tmp_path: Path, before: dict[str, str]
) -> None:
    pytest.importorskip("onnxruntime")
    program = (
        "import os\n"
        "from physio.models import model_card\n"
        "from physio.inference import onnx\n"
        "quick = onnx.to_onnx_model(model_card.load('eeg-demo').model())\n"
        "assert isinstance(quick, onnx.OnnxModel)\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    # Without the variables of a test service, which would turn it off as well.
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**home, **before}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"
    # It writes an identifier of the device and a queue of events where it is on.
    assert not [p for p in tmp_path.rglob("*") if "icrosoft" in str(p)]
    assert not list(tmp_path.rglob("deviceid"))


def test_the_calls_are_turned_off_too(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = pytest.importorskip("onnxruntime")
    from physio.inference import onnx

    calls: list[str] = []
    monkeypatch.setattr(
        runtime, "disable_telemetry_events", lambda: calls.append("off")
    )
    with pytest.raises(ValueError, match="cannot run this graph"):
        onnx.open_graph(b"no graph")
    assert calls == ["off"]


def test_one_place_alone_loads_the_runtime() -> None:
    sources = [p for d in ("physio", "devices") for p in (ROOT / d).rglob("*.py")]
    loading = [p for p in sources if LOADS.search(p.read_text("utf-8"))]
    assert loading == [ROOT / "physio" / "inference" / "onnx.py"]
