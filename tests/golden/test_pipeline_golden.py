"""Features and estimates of four recordings, and the shipped weights, are frozen.

The whole pipeline runs, and each column is compared by the number of its values, their
mean and standard deviation, to eight digits: the last bits of another processor's
exponential do not matter, a changed constant does. A change is renewed on purpose with
``python tests/golden/test_pipeline_golden.py`` in a commit that says which numbers
moved and why.
"""

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import physio
from physio import config
from physio.core.block import Block
from physio.core.protocols import FastClock
from physio.core.recording import Recording
from physio.online.engine import run
from physio.online.session import Session
from physio.online.session_config import SessionConfig
from physio.sinks.xdf import Xdf

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GOLDEN = HERE / "pipeline.json"
SIMULATED = {"demo": "physio/assets/demo.toml", "dyad": "configs/dyad.toml"}
MEASURED = {"eegmat": "eegmat/Subject00_1.edf", "S10": "wesad/S10"}
SECONDS = 60.0


def simulated(name: str, folder: Path) -> tuple[Recording, SessionConfig]:
    """Record the simulated devices of a session file."""
    tables = config.read(ROOT / SIMULATED[name])
    for table in tables["devices"].values():
        table["seconds"] = SECONDS
    file = SessionConfig(tables, name)
    clock = FastClock()
    plan, sinks = file.plan, [Xdf(folder)]
    with Session(plan, file.devices(clock), sinks, clock, 0.25, SECONDS) as session:
        for _ in session:
            pass
    return physio.read(folder / "recording.xdf"), file


def summary(
    recording: Recording, file: SessionConfig
) -> dict[str, dict[str, list[float]]]:
    """Return the number of values of each computed column, their mean and SD."""
    blocks: dict[str, list[Block]] = {}
    for item in run(recording, file.plan(recording.inputs)):
        if isinstance(item, Block):
            blocks.setdefault(item.info.name, []).append(item)
    return {
        name: {
            column: _moments(np.concatenate([b.data[:, i] for b in parts]))
            for i, column in enumerate(parts[0].info.names)
        }
        for name, parts in sorted(blocks.items())
        if name.startswith(("features", "estimates"))
    }


def _moments(values: Any) -> list[float]:
    x = values[np.isfinite(values)]
    return [len(x), float(x.mean()), float(x.std())] if len(x) else [0]


def weights() -> dict[str, str]:
    """Return the SHA-256 of every shipped weight file."""
    files = sorted((ROOT / "physio/assets/weights").glob("*/weights.safetensors"))
    return {p.parent.name: sha256(p.read_bytes()).hexdigest() for p in files}


def compare(name: str, recording: Recording, file: SessionConfig) -> None:
    """Compare a recording's columns with the frozen ones."""
    golden = json.loads(GOLDEN.read_text("utf-8"))[name]
    today = summary(recording, file)
    assert {k: list(v) for k, v in today.items()} == {
        k: list(v) for k, v in golden.items()
    }
    for stream, columns in golden.items():
        for column, moments in columns.items():
            np.testing.assert_allclose(
                today[stream][column], moments, rtol=1e-8, atol=1e-9, err_msg=column
            )


def test_weights_are_those_shipped() -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))["weights"]
    assert weights() == golden


@pytest.mark.parametrize("name", SIMULATED)
def test_simulated_recordings(name: str, tmp_path: Path) -> None:
    compare(name, *simulated(name, tmp_path))


@pytest.mark.parametrize(
    "name", ["eegmat", pytest.param("S10", marks=pytest.mark.long)]
)
def test_measured_recordings(name: str, data: Path) -> None:
    if not (data / MEASURED[name]).exists():
        pytest.skip(f"no recording {MEASURED[name]} in {data}")
    compare(name, physio.read(data / MEASURED[name]), SessionConfig())


def _renew() -> None:
    from tempfile import TemporaryDirectory

    folder = Path(os.environ.get("PHYSIO_DATA", ROOT.parent / "shared" / "data"))
    golden: dict[str, Any] = {"weights": weights()}
    for name in SIMULATED:
        with TemporaryDirectory() as place:
            golden[name] = summary(*simulated(name, Path(place)))
    for name, path in MEASURED.items():
        golden[name] = summary(physio.read(folder / path), SessionConfig())
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    _renew()
