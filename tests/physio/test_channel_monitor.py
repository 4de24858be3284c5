"""The figures of each channel while a session runs: those of the check before it."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from devices.simulated import Headset
from physio.cli import app
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events
from physio.core.protocols import FastClock
from physio.online.engine import STATUS, PipelineConfig
from physio.online.session import Session
from physio.quality.channel_monitor import PERSISTENCE, ChannelMonitor, unfit
from physio.sinks.background import BackgroundSink
from physio.sinks.channel_status import FILE, ChannelStatusFile

EEG = StreamInfo(
    "headset.eeg", Fraction(250), tuple(Channel(c, "eeg", "uV") for c in ("F3", "Cz"))
)


def rhythm(seconds: int) -> Array:
    t = np.arange(250 * seconds)[:, None] / 250
    noise = np.random.default_rng(1).standard_normal((len(t), 2))
    return 12 * np.sin(2 * np.pi * 10 * t) + 2 * noise


def cut(x: Array, size: int = 40) -> Sequence[Block]:
    parts = range(0, len(x), size)
    return [Block(EEG, a, 0.0, x[a : a + size].copy()) for a in parts]


def test_a_channel_that_dies_and_comes_back_is_told_once_each() -> None:
    x = rhythm(40)
    x[250 * 10 : 250 * 22, 0] = 7.0
    conditions = ChannelMonitor([EEG])
    said = []
    for block in cut(x):
        _, news = conditions.push(block)
        said += [(block.complete_until, text) for text in news]
    assert [text for _, text in said] == [
        "headset.eeg: F3 is flat",
        "headset.eeg: F3 is fit again",
    ]
    # Flat once all of the last 4 s are, and told when that has lasted.
    assert said[0][0] == pytest.approx(14 + PERSISTENCE - 1, abs=1.2)
    figures = conditions.figures()["headset.eeg"]
    assert figures["F3"]["seconds"]["flat"] == pytest.approx(9, abs=1)
    assert figures["Cz"]["seconds"] == {"warming up": 4, "good": 36}
    assert (figures["F3"]["condition"], figures["F3"]["now"]) == ("good", "good")
    assert figures["Cz"]["range"] == pytest.approx(36, abs=4)


def test_a_channel_of_less_than_a_window_is_too_short_to_judge() -> None:
    conditions = ChannelMonitor([EEG])
    for block in cut(rhythm(2)):
        conditions.push(block)
    figures = conditions.figures()["headset.eeg"]
    assert figures["F3"]["condition"] == "too short"


def test_what_is_bad_from_the_start_is_told_and_what_is_good_is_not() -> None:
    x = rhythm(10)
    x[:, 1] = -187_500.0
    conditions = ChannelMonitor([EEG])
    said = [text for block in cut(x) for text in conditions.push(block)[1]]
    assert said == ["headset.eeg: Cz is railed"]
    assert unfit(conditions.figures(), "now") == ["headset.eeg Cz (railed)"]
    assert conditions.conditions("headset.eeg") == {"F3": "good", "Cz": "railed"}


def test_a_session_has_the_figures_that_a_check_has_afterwards(tmp_path: Path) -> None:
    clock = FastClock()
    device = Headset(name="headset", clock=clock, seed=3, seconds=12.0)
    sink = BackgroundSink(ChannelStatusFile(tmp_path), wait=True)
    afterwards = ChannelMonitor()
    with Session(PipelineConfig(), [device], [sink], clock) as session:
        afterwards.add_streams(h.info for h in session.health.values())
        for item in session:
            if isinstance(item, Block):
                afterwards.push(item)
    found = json.loads((tmp_path / FILE).read_text("utf-8"))
    assert found["streams"] == json.loads(json.dumps(afterwards.figures()))
    assert found["at"] > 9
    assert set(found["streams"]) == {"headset.eeg"}


def test_the_status_tells_of_an_electrode_that_fell_off(tmp_path: Path) -> None:
    class Torn(Headset):
        def read(self) -> Sequence[Block | Events]:
            items = super().read()
            return [self._torn(i) if isinstance(i, Block) else i for i in items]

        def _torn(self, block: Block) -> Block:
            data = block.data.copy()
            if block.info.name.endswith(".eeg"):
                data[:, 2] = 0.0
            return Block(block.info, block.start, block.t0, data)

    clock = FastClock()
    device = Torn(name="headset", clock=clock, seed=3, seconds=15.0)
    with Session(
        PipelineConfig(), [device], [ChannelStatusFile(tmp_path)], clock
    ) as session:
        told = [i.labels for i in session if i.info == STATUS]
    labels = [label for labels in told if labels for label in labels]
    assert "condition: headset.eeg: C3 is flat" in labels


def test_check_tells_what_the_channels_of_a_running_session_are(tmp_path: Path) -> None:
    x = rhythm(12)
    x[:, 0] = 3.0
    sink = ChannelStatusFile(tmp_path)
    with sink:
        sink.open_streams([EEG])
        for block in cut(x):
            sink.write(block)
        done = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert done.exit_code == 1
    assert "not fit: headset.eeg F3 (flat)" in done.output
    assert not list(tmp_path.glob("*.part"))


def test_a_full_disk_is_said_once_and_ends_nothing(tmp_path: Path) -> None:
    sink = ChannelStatusFile(tmp_path / "gone")
    with sink:
        sink.open_streams([EEG])
        for block in cut(rhythm(8)):
            sink.write(block)
        said = sink.notices()
    assert len([s for s in said if "is not written" in s]) == 1
