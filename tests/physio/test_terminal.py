"""The terminal view: what it counts, what it says, what keys do."""

import io
import os
import pty
import termios
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from rich.console import Console

from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.events import event_stream, single_event
from physio.core.missing import MissingReason
from physio.core.protocols import Device, FastClock
from physio.core.recording import stream_timeout
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig
from physio.online.session import Session
from physio.view.labels import LABELS, MEANING
from physio.view.stream_stats import EventLog, StreamStats
from physio.view.terminal.keyboard import QUIT, Keyboard, Keys
from physio.view.terminal.layout import status_line
from physio.view.terminal.live import Terminal
from physio.view.terminal.sparklines import bar, clock, number, spark

EEG = StreamInfo(
    "headset.eeg",
    Fraction(250),
    (Channel("Fz", "eeg", "uV"), Channel("Cz", "eeg", "uV")),
)
EDA = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
ESTIMATES = StreamInfo(
    "estimates",
    Fraction(4),
    tuple(
        Channel(f"{name}{end}")
        for name in ("valence", "arousal", "dominance")
        for end in ("", ".sd")
    ),
)
UNTRAINED = MissingReason.UNTRAINED.nan


def noise(info: StreamInfo, start: int, n: int, seed: int = 0) -> Block:
    data = np.random.default_rng(seed + start).normal(size=(n, len(info.channels)))
    return Block(info, start, 0.0, data)


def view(
    width: int = 80, height: int = 24, streams: tuple[StreamInfo, ...] = (EEG, EDA)
) -> Terminal:
    console = Console(
        file=io.StringIO(), force_terminal=True, width=width, height=height
    )
    return Terminal(streams, 0.0, "p07", console)


def shown(terminal: Terminal, *, height: int | None = None) -> list[str]:
    """Return what is on the screen, line by line, without colours."""
    console = terminal.console
    options = console.options.update(height=height)
    lines = console.render_lines(terminal.screen(), options, pad=False)
    return ["".join(part.text for part in line).rstrip() for line in lines]


def estimate(*row: float, at: float = 0.0, origin: Origin = Origin.MEASURED) -> Block:
    info = StreamInfo("estimates", ESTIMATES.rate, ESTIMATES.channels, origin)
    return Block(info, round(at * 4), 0.0, np.array([row]))


# The meter of a stream


def test_rate_is_that_of_the_blocks_that_came_however_coarse() -> None:
    meter = StreamStats(EEG)
    for second in range(8):
        meter.take(noise(EEG, 240 * second, 240), now=float(second))
    # 240 samples came with each second of the session: 240 Hz, not the nominal 250.
    assert meter.rate(8.0) == pytest.approx(240.0, rel=1e-12)


def test_rate_cannot_be_told_from_one_block_and_is_0_in_silence() -> None:
    meter = StreamStats(EDA)
    meter.take(noise(EDA, 0, 4), now=1.0)
    assert np.isnan(meter.rate(1.5))
    assert meter.rate(20.0) == 0.0


def test_losses_are_counted_within_the_last_minute_and_in_all() -> None:
    meter = StreamStats(EDA)
    meter.take(noise(EDA, 0, 10), now=0.0)
    assert meter.take(noise(EDA, 16, 4), now=10.0) == 6
    meter.take(noise(EDA, 20, 30), now=65.0)
    meter.drop_old(65.0)
    # Of the last 60 s are the 6 lost and the 4 + 30 that came: 6 of 40.
    assert meter.loss(65.0) == (6, pytest.approx(0.15, rel=1e-12))
    meter.drop_old(75.0)
    assert meter.loss(75.0) == (0, 0.0)
    assert meter.lost == 6


def test_quality_is_the_share_of_finite_values_of_channels_that_move() -> None:
    meter = StreamStats(EEG)
    data = np.random.default_rng(1).normal(size=(2000, 2))
    data[:500, 0] = np.nan
    data[:, 1] = 3.0
    meter.take(Block(EEG, 0, 0.0, data), now=8.0)
    share, flat = meter.quality()
    assert flat == ("Cz",)
    assert share == pytest.approx(1500 / 4000, rel=1e-12)


def test_what_may_stand_still_is_not_called_flat() -> None:
    meter = StreamStats(EDA)
    meter.take(Block(EDA, 0, 0.0, np.full((40, 1), 0.3)), now=10.0)
    assert meter.quality() == (1.0, ())


def test_what_repeats_stays_one_line() -> None:
    log = EventLog()
    assert log.add(1.0, "late: 12 samples of band.acc")
    assert not log.add(2.0, "late: 7 samples of band.acc")
    assert log.lost(3.0, "headset.eeg", 1)
    assert not log.lost(4.0, "headset.eeg", 4)
    log.mark(5.0, "stress")
    log.mark(6.0, "stress")
    assert [(e.text, e.repetitions) for e in log.last(9)] == [
        ("late: 7 samples of band.acc", 2),
        ("headset.eeg lost 5 samples", 1),
        ("stress", 1),
        ("stress", 1),
    ]


# Numbers as characters


def test_bar_has_its_dot_its_error_bar_and_arrows_where_it_leaves_the_scale() -> None:
    assert bar(0.0, 0.5, 21, "red").plain == "─────━━━━━●━━━━━─────"
    assert bar(-0.8, 0.5, 21, "red").plain == "◀━●━━━━━──┼──────────"
    assert bar(0.0, 0.2, 21, "red", 1.0).plain == "────────━━●━━───────◇"


def test_numbers_are_written_with_their_error_or_not_at_all() -> None:
    assert number(0.234, 0.4) == "+0.23 ± 0.40"
    assert number(UNTRAINED, UNTRAINED) == "—"


def test_a_course_is_drawn_with_holes_where_it_is_missing() -> None:
    assert spark([-1.0, np.nan, 1.0], 3) == "▁ █"
    assert spark([], 4) == "    "


def test_durations_are_written_with_hours_only_if_there_are_any() -> None:
    assert clock(83.9) == "01:23"
    assert clock(3723.0) == "1:02:03"
    assert clock(float("nan")) == "00:00"


# What is on the screen


@pytest.mark.parametrize("width", [80, 120])
def test_labels_meanings_and_reasons_are_on_the_screen(width: int) -> None:
    terminal = view(width, streams=())
    simulated = StreamInfo(EEG.name, EEG.rate, EEG.channels, Origin.SIMULATED)
    terminal.take(noise(simulated, 0, 250))
    row = (0.25, 0.4, -0.5, 0.3, UNTRAINED, UNTRAINED)
    terminal.take(estimate(*row, origin=Origin.DEMO))
    terminal.show(1.0, [1.0, 1.0, 3.0])
    lines = shown(terminal, height=24)
    text = " ".join(" ".join(lines).split())
    assert lines[0].endswith("SIMULATED   DEMO WEIGHTS")
    for label in LABELS.values():
        assert f"{label.badge}: {label.meaning}" in text
    assert MEANING in text
    assert "+0.25 ± 0.40" in text
    assert "missing: untrained" in text
    # The median of 1, 1, 3 ms is 1; 99 of 100 are below 1 + 0.98 * (3 - 1).
    assert "computation 1.0 ms, p99 3.0 ms" in text
    assert max(map(len, lines)) <= width
    assert len(lines) <= 24


def test_measured_numbers_carry_no_label_but_still_say_what_they_are() -> None:
    terminal = view(120)
    terminal.take(noise(EEG, 0, 250))
    terminal.take(estimate(*(0.1, 0.4) * 3))
    terminal.show(1.0)
    text = "\n".join(shown(terminal))
    assert not any(label.badge in text for label in LABELS.values())
    assert MEANING in text


def test_a_reason_that_the_estimator_gives_beside_counts() -> None:
    names = ("valence", "valence.sd", "valence.missing")
    info = StreamInfo("estimates", Fraction(4), tuple(map(Channel, names)))
    terminal = view()
    row = np.array([[np.nan, np.nan, float(MissingReason.OUT_OF_DISTRIBUTION)]])
    terminal.take(Block(info, 0, 0.0, row))
    # The narrow screen has room for the reason alone.
    assert any("╌out of distribution╌" in line for line in shown(terminal))


def test_an_estimator_of_arousal_alone_is_shown_without_the_other_dimensions() -> None:
    names = ("arousal", "arousal.sd", "arousal.contribution.eda.scr_rate")
    info = StreamInfo("estimates", Fraction(4), tuple(map(Channel, names)))
    terminal = view(120)
    terminal.take(Block(info, 0, 0.0, np.array([[0.25, 0.4, 0.1]])))
    text = "\n".join(shown(terminal))
    assert "+0.25 ± 0.40" in text
    assert " contributions to arousal: eda.scr_rate +0.10" in text
    assert "Valence" not in text
    assert "Dominance" not in text
    assert "arousal +0.25 ± 0.40" in status_line(terminal.screen())
    assert "valence" not in status_line(terminal.screen())


def test_a_stream_that_never_started_and_one_that_died_are_silent() -> None:
    terminal = view()
    for second in range(3):
        terminal.take(noise(EEG, 250 * second, 250))
        terminal.show(second + 1.0)
    for now in (10.0, 10.25):
        terminal.take(stream_timeout("band.eda", now - 1))
        terminal.take(stream_timeout("headset.eeg", now - 1))
        terminal.take(stream_timeout("chest.ecg", now - 1))
    terminal.show(10.5)
    lines = shown(terminal)
    rows = {line.split()[0]: line for line in lines if "SILENT" in line}
    assert set(rows) == {"band.eda", "headset.eeg", "chest.ecg"}
    assert "never" in rows["band.eda"]
    assert sum("is silent" in line for line in lines) == 3
    terminal.take(noise(EEG, 750, 2000))
    assert any("headset.eeg is back after 8.0 s" in line for line in shown(terminal))


def test_features_are_counted_by_chain_with_the_main_reason() -> None:
    names = (
        "eeg.de.Fz",
        "eeg.de.Cz",
        "eeg.window_start",
        "eeg.window_end",
        "eda.tonic",
        "eda.window_start",
    )
    info = StreamInfo("features", Fraction(4), tuple(map(Channel, names)))
    terminal = view()
    warming = MissingReason.WARMING_UP.nan
    row = np.array([[1.0, 2.0, 0.0, 0.0, warming, np.nan]])
    terminal.take(Block(info, 0, 0.0, row))
    wanted = " features  eeg 2 of 2, eda 0 of 1 (warming up)"
    assert wanted in shown(terminal)


def test_markers_and_what_befell_the_session_are_told() -> None:
    terminal = view()
    terminal.take(single_event(event_stream("session.markers"), 61.0, "stress begins"))
    terminal.take(
        single_event(event_stream("session.status"), 62.0, "chain skin stopped: no")
    )
    terminal.take(single_event(event_stream("band.beats"), 63.0))
    told = [line for line in shown(terminal) if line.startswith(" 01:")]
    assert told == [" 01:01  ◆ stress begins", " 01:02  chain skin stopped: no"]


def test_old_estimates_are_called_old() -> None:
    terminal = view()
    terminal.take(estimate(*(0.1, 0.4) * 3, at=1.0))
    terminal.show(2.0)
    assert not any("s old" in line for line in shown(terminal))
    terminal.show(9.0)
    assert " the newest estimate is 8 s old" in shown(terminal)


def test_the_truth_of_a_simulated_participant_is_a_diamond_and_no_stream() -> None:
    terminal = view(120)
    terminal.take(estimate(*(0.0, 0.2) * 3))
    info = StreamInfo(
        "body.truth", Fraction(4), (Channel("valence"), Channel("arousal"))
    )
    terminal.take(Block(info, 0, 0.0, np.array([[1.0, -1.0]])))
    lines = shown(terminal)
    assert sum(line.count("◇") for line in lines) == 3  # two bars, and what it is
    assert not any("body.truth" in line for line in lines)


def test_a_live_screen_is_redrawn_five_times_a_second_at_most() -> None:
    now = [0.0]
    terminal = view()
    terminal.tick = lambda: now[0]
    drawn = []
    with terminal:
        for step in range(100):  # 2 s of a loop that looks every 20 ms
            now[0] = step / 50
            before = len(terminal.console.file.getvalue())  # type: ignore[attr-defined]
            terminal.show(now[0])
            drawn.append(len(terminal.console.file.getvalue()) > before)  # type: ignore[attr-defined]
    assert sum(drawn) == 10


def test_without_a_terminal_there_are_plain_lines_with_the_labels_first() -> None:
    now = [0.0]
    file = io.StringIO()
    console = Console(file=file, force_terminal=False, width=80)
    simulated = StreamInfo(EEG.name, EEG.rate, EEG.channels, Origin.SIMULATED)
    with Terminal((), 0.0, "p07", console, lambda: now[0]) as terminal:
        for second in range(21):
            now[0] = float(second)
            terminal.take(noise(simulated, 250 * second, 250))
            terminal.take(estimate(*(0.1, 0.4) * 2, UNTRAINED, UNTRAINED))
            terminal.show(now[0])
        assert terminal.commands() == []
    lines = file.getvalue().splitlines()
    label = LABELS[Origin.SIMULATED]
    assert lines[0] == f"{label.badge}: {label.meaning}"
    state = (
        "valence +0.10 ± 0.40 | arousal +0.10 ± 0.40 | dominance missing (untrained) | "
        "headset.eeg 250.0 Hz, 0 lost"
    )
    # One line each 10 s, and the state in which it ended.
    assert lines[1:] == [f"00:10 | {state}", f"00:20 | {state}", f"00:20 | {state}"]
    assert "\x1b" not in file.getvalue()


class TenSeconds(Device):
    """A device with one stream that sends ten seconds of it and then nothing."""

    def __init__(self, clock: FastClock) -> None:
        self.clock, self.sent = clock, 0

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        return (EDA,)

    def read(self) -> list[Block]:
        due = min(40, int(self.clock.now() * 4) + 1)
        block = noise(EDA, self.sent, due - self.sent)
        self.sent = due
        return [block] if len(block) else []


def test_all_that_a_session_yields_can_be_shown() -> None:
    clock = FastClock()
    plan = PipelineConfig({"eda": ChainConfig("band.eda")})
    terminal, marked = view(100, 30), False
    with Session(plan, [TenSeconds(clock)], clock=clock, seconds=15.0) as session:
        for item in session:
            terminal.take(item)
            terminal.show(clock.now(), [1e3 * s for s in session.compute])
            if clock.now() > 5 and not marked:
                session.mark("five")
                marked = True
    text = "\n".join(shown(terminal))
    assert "SILENT" in text
    assert "◆ five" in text
    assert "eda 0 of 1 (no signal)" in text


# Keys


def test_digits_are_markers_and_q_is_a_wish_to_end() -> None:
    assert Keys().press("1x9q0") == ["1", "9", QUIT]


def test_a_label_is_typed_and_set_with_enter() -> None:
    keys = Keys()
    assert keys.press("mstress 1q") == []
    assert keys.entry == "stress 1q"
    assert keys.press("\x7f\n") == ["stress 1"]
    assert keys.press("2") == ["2"]


def test_escape_drops_a_label_and_an_empty_one_is_none() -> None:
    assert Keys().press("mabc\x1b3m  \n") == ["3"]


def test_a_typed_quit_is_a_label_not_a_wish() -> None:
    assert Keys().press("mquit\n") == ['"quit"']


def test_what_is_being_typed_is_on_the_screen() -> None:
    terminal = view()
    terminal.show(0.0)
    screen = terminal.screen()
    screen.entry = "stress be"
    console = terminal.console
    lines = console.render_lines(screen, console.options, pad=False)
    last = "".join(part.text for part in lines[-1])
    assert last == " marker: stress be▏   Enter: set, Escape: cancel"


@pytest.fixture
def terminals() -> Iterator[tuple[int, int]]:
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_keys_come_at_once_and_the_terminal_is_left_as_it_was(
    terminals: tuple[int, int],
) -> None:
    ours, theirs = terminals
    before = termios.tcgetattr(theirs)
    with os.fdopen(os.dup(theirs)) as source, Keyboard(source) as keyboard:
        assert keyboard.listening
        assert keyboard.read() == []
        os.write(ours, b"1mcal")
        typed = _soon(keyboard)
        os.write(ours, "ibré\n".encode())
        typed += _soon(keyboard)
        assert typed == ["1", "calibré"]
        assert termios.tcgetattr(theirs)[3] & termios.ECHO == 0
    assert termios.tcgetattr(theirs) == before
    assert not keyboard.listening


def _soon(keyboard: Keyboard) -> list[str]:
    """Return what was pressed; a terminal hands it over within the same system call."""
    import select

    select.select([keyboard._file], [], [], 5.0)
    return keyboard.read()


def test_nothing_is_read_from_what_is_no_terminal() -> None:
    source = io.StringIO("12q")
    with Keyboard(source) as keyboard:
        assert not keyboard.listening
        assert keyboard.read() == []
    assert source.read() == "12q"
