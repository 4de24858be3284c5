"""A whole session on real streams: LSL outlets of another process, and a board."""

import time
from pathlib import Path

import numpy as np
import pytest
import pyxdf

from devices.board import Board
from devices.lsl import Inlet
from physio.core.block import Block
from physio.core.events import Item
from physio.core.protocols import WallClock
from physio.online.session import Session
from physio.online.session_config import SessionConfig
from physio.sinks.xdf import Xdf
from test_lsl_live import sending

RATES = {"headset.eeg": 250, "band.eda": 4, "board.eeg": 250}


@pytest.mark.parametrize("seconds", [8.0, pytest.param(60.0, marks=pytest.mark.long)])
def test_nothing_is_lost_and_the_file_has_it_all(
    tmp_path: Path, seconds: float
) -> None:
    clock = WallClock()
    prefix = f"session{seconds:.0f}"
    devices = [
        Inlet(source_id=f"{prefix}-EEG", name="headset", clock=clock),
        Inlet(source_id=f"{prefix}-GSR", name="band", clock=clock),
        Inlet(source_id=f"{prefix}-Markers", name="stimuli", clock=clock),
        Board(name="board", streams_used=("eeg",), clock=clock),
    ]
    items: list[Item] = []
    with sending(prefix):
        session = Session(
            SessionConfig().plan, devices, [Xdf(tmp_path)], clock, seconds=seconds
        )
        with session:
            items.extend(session)
    assert session.ended == "completed: the time was up"
    assert session.faults == []
    for name, rate in RATES.items():
        health = session.health[name]
        assert health.lost == 0, name
        assert health.samples >= rate * (seconds - 2), name
    estimates = [i for i in items if i.info.name == "estimates"]
    rows = sum(map(len, estimates))
    # Ticks wait for the newest sample of the slowest stream, one each 0.25 s.
    # They begin with the first device that is open, before the last one is.
    lasted = session.health["board.eeg"].received - session.begin
    assert 4 * (seconds - 2) <= rows <= 4 * lasted + 1
    times = np.concatenate([e.times for e in estimates if isinstance(e, Block)])
    np.testing.assert_allclose(np.diff(times), 0.25, rtol=0, atol=1e-9)

    streams, _ = pyxdf.load_xdf(str(tmp_path / "recording.xdf"))
    found = {s["info"]["name"][0]: s for s in streams}
    for name in RATES:
        assert len(found[name]["time_stamps"]) == session.health[name].samples
    counted = found["headset.eeg"]["time_series"][:, 0]
    np.testing.assert_array_equal(np.diff(counted), 1)
    markers = found["stimuli.markers"]
    at = markers["time_stamps"]
    grid = found["headset.eeg"]["time_stamps"]
    inside = (at > grid[0]) & (at < grid[-1])
    # The sender marks the EEG samples whose number is a multiple of 250.
    nearest = [counted[np.abs(grid - t).argmin()] for t in at[inside]]
    assert len(nearest) >= seconds - 4
    np.testing.assert_array_equal(np.mod(nearest, 250), 0)


def test_the_loop_never_waits_long(tmp_path: Path) -> None:
    clock = WallClock()
    board = Board(name="board", clock=clock)
    longest, last = 0.0, time.monotonic()
    session = Session(
        SessionConfig().plan, [board], [Xdf(tmp_path)], clock, seconds=5.0
    )
    with session:
        last = time.monotonic()
        for item in session:
            if isinstance(item, Block) and item.info.name == "board.eeg":
                longest = max(longest, time.monotonic() - last)
                last = time.monotonic()
    # Polls are 20 ms apart; a machine with other work may take a while longer.
    assert longest < 0.5
    assert session.health["board.eeg"].lost == 0
