"""What participants who watch a session want of it, and what becomes of that."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.protocols import Command, FastClock, Sink
from physio.core.recording import MARKERS, MUTES, RATINGS
from physio.io import xdf
from physio.online.engine import run
from physio.online.session import Session
from physio.sinks.xdf import Xdf
from test_engine import EDA, EEG, PLAN, Script, columns, go, session, steady


@dataclass
class Watcher(Sink):
    """A sink whose participants want something, each at its time."""

    clock: FastClock
    wants: list[Command]
    taken: list[Item] = field(default_factory=list)
    replies: list[Command] = field(default_factory=list)

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        pass

    def write(self, item: Item) -> None:
        self.taken.append(item)

    def end(self, how: str) -> None:
        self.how = how

    def commands(self) -> list[Command]:
        due = [w for w in self.wants if w.time <= self.clock.now()]
        self.wants = [w for w in self.wants if w not in due]
        return due

    def reply(self, command: Command, refusal: str) -> None:
        assert not refusal or command.kind != "mark"
        self.replies.append(command)


def watched(
    wants: list[Command], seconds: int = 8, folder: Path | None = None
) -> Session:
    clock = FastClock()
    script = sorted(steady(EDA, seconds) + steady(EEG, seconds), key=lambda p: p[0])
    device = Script((EDA, EEG), script, clock)
    sinks: list = [Watcher(clock, wants)]
    if folder is not None:
        sinks.append(Xdf(folder, {"begin": "0.0"}, wait=True))
    return Session(PLAN, [device], sinks, clock, poll=0.1)


def found(items: list, name: str) -> list:
    return [i for i in items if i.info.name == name]


def test_a_marker_is_where_it_was_wished_not_where_it_was_heard() -> None:
    wants = [Command("mark", 1.04, "film"), Command("mark", 1.01, "earlier")]
    live = watched(wants)
    watcher = live._sinks[0]
    assert isinstance(watcher, Watcher)
    first, second = found(go(live), MARKERS)
    assert (first.labels, first.times.tolist()) == (("film",), [1.04])
    assert (second.labels, second.times.tolist()) == (("earlier",), [1.04])  # they rise
    assert [command.time for command in watcher.replies] == [1.04, 1.04]


def test_a_rating_is_an_event_and_one_off_the_scale_is_refused_in_words() -> None:
    wants = [
        Command("rate", 2.0, "SAM", (0.5, -0.25, np.nan)),
        Command("rate", 3.0, "", (1.5, 0.0, 0.0)),
        Command("rate", 3.0, "", (np.nan, np.nan, np.nan)),
        Command("mute", 3.0, "band.nothing"),
    ]
    items = go(watched(wants))
    (rating,) = found(items, RATINGS)
    np.testing.assert_array_equal(rating.data, [[0.5, -0.25, np.nan]])
    assert rating.labels == ("SAM",)
    told = [label for i in found(items, "session.status") for label in i.labels]
    assert "refused: a rating lies from -1 to 1, not at 1.5" in told
    assert (
        "refused: a rating has valence, arousal and dominance, one of them at least, "
        "not [nan, nan, nan]"
    ) in told
    assert (
        "refused: cannot mute 'band.nothing': the streams are band.eda, head.eeg"
    ) in told


def test_a_wish_to_stop_ends_the_session() -> None:
    live = watched([Command("stop", 3.0, "stopped on the dashboard")], seconds=60)
    go(live)
    assert live.ended == "completed: stopped on the dashboard"


def test_a_muted_stream_is_missing_until_it_is_heard_again_and_others_go_on() -> None:
    wants = [Command("mute", 2.0, "band.eda"), Command("unmute", 5.0, "band.eda")]
    items = go(watched(wants))
    skin, eeg = columns(items, "eda.eda"), columns(items, "eeg.Fz")
    assert len(skin) == len(eeg) > 28
    assert not np.isnan(eeg).any()
    times = np.arange(len(skin)) / 4
    missing = times[np.isnan(skin)]
    # The last sample taken in is at 1.75 s and holds for 1 s; at 5 s others come.
    assert 2.75 < missing.min() <= 3.0
    assert 4.75 <= missing.max() < 5.25


def test_a_recording_repeats_what_was_muted_bit_for_bit(tmp_path: Path) -> None:
    wants = [
        Command("mute", 2.0, "band.eda"),
        Command("unmute", 5.0, "band.eda"),
        Command("rate", 6.0, "", (0.1, 0.2, 0.3)),
    ]
    items = go(watched(wants, folder=tmp_path))
    recording = xdf.read(tmp_path / "recording.xdf")
    assert {MUTES, RATINGS} <= {info.name for info in recording.inputs}
    again = list(run(recording, PLAN))
    for name in ("eda.eda", "eeg.Fz"):
        np.testing.assert_array_equal(columns(again, name), columns(items, name))


def test_without_wishes_nothing_changes() -> None:
    plain, seen = go(session(steady(EDA, 8) + steady(EEG, 8))), go(watched([]))
    for name in ("eda.eda", "eeg.Fz"):
        np.testing.assert_array_equal(columns(plain, name), columns(seen, name))
