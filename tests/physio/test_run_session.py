"""What a session leaves when a part of it fails."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from physio.cli.run_session import RunOptions, run_session
from physio.core.block import Block, Channel, StreamInfo
from physio.core.protocols import FastClock, View
from physio.io import xdf
from physio.online.engine import StallDetector
from physio.online.session_config import SessionConfig

FILE = SessionConfig({"sinks": {"recording": {"use": "physio.sinks.xdf:Xdf"}}})


class Broken(View):
    """A view that cannot draw its fifth item."""

    def __init__(self, states: list[str], folder: Path) -> None:
        self.taken, self.states, self.folder = 0, states, folder

    def take(self, *_: Any) -> None:
        self.taken += 1
        about = json.loads((self.folder / "session.json").read_text("utf-8"))
        self.states.append(about["state"])
        if self.taken == 5:
            raise RuntimeError("no such colour")

    def due(self) -> bool:
        return False

    def show(self, *_: Any) -> None: ...
    def tell(self, line: str) -> None: ...


def test_a_view_that_fails_is_named_and_the_recording_goes_on(tmp_path: Path) -> None:
    from devices.simulated import Wristband

    states: list[str] = []

    @contextmanager
    def view(_: Any) -> Iterator[Any]:
        yield Broken(states, tmp_path)

    clock = FastClock(1000.0)
    band = Wristband(name="band", clock=clock, seconds=10.0, ground_truth=False)
    outcome = run_session(
        FILE.recording_only(),
        [band],
        clock,
        tmp_path,
        RunOptions(view=view, poll=0.1),
    )
    assert outcome.figures["faults"] == [
        "the view stopped: RuntimeError: no such colour"
    ]
    assert outcome.status == 1
    got = xdf.read(tmp_path / "recording.xdf")
    assert sum(map(len, got.streams["band.bvp"])) >= 630
    assert states == ["running"] * 5
    about = json.loads((tmp_path / "session.json").read_text("utf-8"))
    assert (about["state"], about["ended"]) == (
        "completed", "completed: every device had ended"
    )  # fmt: skip


def test_a_slow_stream_is_not_silent_between_two_samples() -> None:
    info = StreamInfo("room.temp", Fraction(1), (Channel("t", "temperature", "degC"),))
    watch = StallDetector([info], 0.9, 100.0)
    for k in range(5):
        watch.update(Block(info, k, 100.0, np.ones((1, 1))))
        assert watch.check(100.0 + k + 0.99, 0.25) == []
    (silent,) = watch.check(105.8, 0.25)
    assert silent.labels == ("room.temp",)
