"""What a page of the dashboard says, draws, refuses and understands; no browser."""

import json
import re
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bokeh.document import Document

from physio import config
from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.events import event_stream, single_event
from physio.core.missing import MissingReason
from physio.core.protocols import Command
from physio.core.recording import MARKERS, Recording, mute, stream_timeout
from physio.io import xdf
from physio.models import model_card
from physio.view.dashboard import Dashboard, html
from physio.view.dashboard.codec import Decoder, Encoder
from physio.view.dashboard.commands import is_forbidden, parse_command
from physio.view.dashboard.document import ViewerPage
from physio.view.dashboard.evidence import (
    change_reasons,
    contributions,
    interval_coverage,
    support_seconds,
)
from physio.view.dashboard.figures.power_by_band import mean_power
from physio.view.dashboard.figures.ring_buffer import RingBuffer, envelopes
from physio.view.dashboard.figures.signals import SignalFigure, _scale_value
from physio.view.dashboard.figures.theme import DARK, LIGHT, plain_text
from physio.view.dashboard.figures.topomap import TopomapFigure
from physio.view.dashboard.figures.vad import (
    VadHistory,
    ValenceArousalPlane,
    missing_text,
    withheld_reason,
)
from physio.view.dashboard.server import VIEWERS, DashboardServer
from physio.view.dashboard.session_state import SessionState, state_of_recording
from physio.view.dashboard.strip import first_view, strip_json
from physio.view.web.access import ServerAddress

EEG = StreamInfo(
    "head.eeg", Fraction(64), (Channel("Fz", "eeg", "uV"), Channel("Cz", "eeg", "uV"))
)
EDA = StreamInfo(
    "band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),), participant="p1"
)
NAMES = tuple(
    f"{d}{end}" for d in ("valence", "arousal", "dominance") for end in ("", ".sd")
)
ESTIMATES = StreamInfo(
    "estimates",
    Fraction(4),
    tuple(
        map(
            Channel,
            (
                *NAMES,
                "support.window_start",
                "support.window_end",
                "arousal.contribution.eda.scr_rate",
            ),
        )
    ),
)
WRIST = {"estimator": {"experts": [{"weights": "wrist"}]}}


def session_state(config: dict[str, Any] = WRIST) -> SessionState:
    state = SessionState(tick=lambda: 100.0)
    state.update({"begin": 0.0, "config": config, "clock": [100.0, 100.0, 1.0]})
    state.add_stream(EEG)
    state.add_stream(EDA)
    return state


def block(info: StreamInfo, start: int, data: Any) -> Block:
    rows = np.array(data, np.float64).reshape(-1, len(info.channels))
    return Block(info, start, 0.0, rows)


def estimated(state: SessionState, seconds: int, rest: float = 0.0) -> None:
    """Put in estimates of ``seconds`` until 100 s; dominance is untrained."""
    state.update(
        {"config": {"estimator": {**WRIST["estimator"], "baseline_seconds": rest}}}
    )
    n = 4 * seconds
    rows = np.tile(
        [0.2, 0.3, -0.4, 0.3, *2 * [MissingReason.UNTRAINED.nan], 40, 100, 0.1], n
    )
    state.take(block(ESTIMATES, 401 - n, rows), 100.0)


@pytest.mark.parametrize("item", [
    block(EEG, 17, np.arange(8.0)),
    single_event(event_stream("session.ratings", Channel("valence")), 3.5, "sam", 0.25),
    stream_timeout("band.eda", 7.25),
])  # fmt: skip
def test_what_is_sent_arrives_as_it_was(item: Any) -> None:
    packer, unpacker = Encoder(), Decoder()
    messages = packer.item(item, 8.0)
    assert len(messages) == 2  # the stream is described once
    assert len(packer.item(item, 8.0)) == 1
    info, _ = unpacker.read(messages[0])
    assert info == item.info
    found, at = unpacker.read(messages[1])
    assert at == 8.0
    np.testing.assert_array_equal(found.data, item.data)
    np.testing.assert_array_equal(found.times, item.times)
    if isinstance(item, Block):
        assert (found.start, found.t0) == (item.start, item.t0)
    else:
        assert (found.complete_until, found.labels) == (
            item.complete_until,
            item.labels,
        )


def test_a_track_keeps_the_newest_and_what_was_lost_is_missing() -> None:
    track = RingBuffer(EDA, 20.0)
    for start in range(0, 400, 10):
        if start != 350:
            track.take(block(EDA, start, np.arange(start, start + 10.0)))
    times, data = track.window(80.0, 101.0)
    np.testing.assert_array_equal(times, np.arange(320, 400) / 4)
    want = np.arange(320.0, 400.0)
    want[30:40] = np.nan
    np.testing.assert_array_equal(data[:, 0], want)
    assert len(track) <= 81


@pytest.mark.parametrize("seed", range(3))
def test_an_envelope_loses_no_spike_and_depends_on_no_cut(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times, data = np.arange(5000) / 512, rng.normal(size=(5000, 2))
    data[1000:1400] = np.nan
    at, out = envelopes(times, data, 0.05)
    low, high = out[0::2], out[1::2]
    assert np.nanmax(out) == np.nanmax(data)
    assert np.nanmin(out) == np.nanmin(data)
    gone = np.isnan(low[:, 0])
    np.testing.assert_array_equal(gone, np.isnan(high[:, 0]))
    assert 0.6 < gone.sum() * 0.05 < 400 / 512  # bins with nothing in them are gaps
    cut = np.searchsorted(times, 5.0)  # on the edge of a bin
    parts = [envelopes(t, d, 0.05) for t, d in
             ((times[:cut], data[:cut]), (times[cut:], data[cut:]))]  # fmt: skip
    np.testing.assert_array_equal(np.concatenate([p[0] for p in parts]), at)
    np.testing.assert_array_equal(np.concatenate([p[1] for p in parts]), out)


def test_streamed_signals_are_those_drawn_at_once() -> None:
    """The same window, grown 50 ms at a time and drawn whole."""
    rng = np.random.default_rng(1)
    data = rng.normal(0, 20, (64 * 30, 2))
    now = [0.0]
    state = SessionState(tick=lambda: now[0])
    state.update({"begin": 0.0, "clock": [0.0, 0.0, 1.0]})
    state.add_stream(EEG)
    grown = SignalFigure(LIGHT, ("head.eeg",), filters={"EEG": "as recorded"})
    done, came = 0, []
    for step in range(1, 400):
        now[0] = 0.05 * step
        stop = int(now[0] * 64)
        state.take(block(EEG, done, data[done:stop]), now[0])
        done = stop
        came += pieces(grown.update(state))
    whole = SignalFigure(LIGHT, ("head.eeg",), filters={"EEG": "as recorded"})
    ((times, values),) = pieces(whole.update(state, whole=True))
    n = len(times) - 4
    at, drawn = (np.concatenate(part) for part in zip(*came, strict=True))
    np.testing.assert_allclose(at[-n:], times[-n:], rtol=0, atol=1e-9)
    # Rows are placed by the median of what was seen when they were laid.
    shift = np.median(drawn[-n:] - values[-n:], axis=0)
    np.testing.assert_allclose(drawn[-n:] - shift, values[-n:], rtol=0, atol=1e-5)


def pieces(sent: Any) -> list[tuple[Any, Any]]:
    """Return the times and values that a browser hears of."""
    found, rest = [], sent[4:]
    while len(rest):
        n, m = rest[:2].astype(int)
        times, values = rest[2 + m :][:n], rest[2 + m + n :][: n * m]
        found.append((times, values.reshape(n, m)))
        rest = rest[2 + m + n + n * m :]
    return found


def test_a_line_is_not_drawn_over_what_was_not_seen() -> None:
    now = [0.0]
    state = SessionState(tick=lambda: now[0])
    state.update({"begin": 0.0, "clock": [0.0, 0.0, 1.0]})
    state.add_stream(EEG)
    view = SignalFigure(LIGHT, ("head.eeg",), filters={"EEG": "as recorded"})
    for start in (0, 64 * 30):
        now[0] = (start + 64) / 64
        state.take(block(EEG, start, np.ones((64, 2))), now[0])
        ((_, values),) = pieces(view.update(state))
    assert np.isnan(values[0]).all()
    assert np.isfinite(values[-1]).all()


def test_what_is_kept_of_a_stream_does_not_grow() -> None:
    state = session_state()
    for k in range(400):
        state.take(block(EEG, 64 * k, np.ones((64, 2))), k + 1.0)
    meter = state.sources["head.eeg"].stats
    assert len(meter._arrivals) == 60
    assert len(meter._qualities) == 10
    assert meter.samples == 64 * 400


def test_gaps_and_dead_streams_are_hatched_and_named() -> None:
    state = session_state()
    state.take(block(EEG, 64 * 92, np.ones((64 * 3, 2))), 95.0)
    state.take(block(EEG, 64 * 96, np.ones((64 * 2, 2))), 98.0)
    view = SignalFigure(LIGHT, ("head.eeg",))
    view.update(state)
    view.update_states(state)
    labels = view.row_labels.data
    assert labels["name"] == ["✕ Fz", "✕ Cz"]
    assert labels["state"] == ["lost"] * 2
    gaps = view.gaps.data
    np.testing.assert_allclose(gaps["l"][:2], [95, 98], rtol=0, atol=0.05)
    np.testing.assert_allclose(gaps["r"][:2], [96, 100], rtol=0, atol=0.05)
    assert "LOST: head.eeg" in html.badges(state)


def test_before_the_baseline_is_over_nothing_is_said_of_affect() -> None:
    state = session_state()
    estimated(state, 30, rest=60.0)
    assert withheld_reason(state) == "baseline: 30 s remaining"
    assert "+0.20" not in html.estimates(state)
    plane, course = ValenceArousalPlane(LIGHT), VadHistory(LIGHT, "valence")
    plane.update(state)
    course.update(state)
    assert len(plane._now.data["x"]) == 0
    assert np.isnan(course._line.data["y"]).all()
    estimated(state := session_state(), 70, rest=60.0)
    assert withheld_reason(state) == ""
    assert "+0.20 ± 0.30" in html.estimates(state)
    state.take(single_event(event_stream(MARKERS), 99.0, "baseline start"), 99.0)
    assert withheld_reason(state) == "baseline: 59 s remaining"
    state.take(single_event(event_stream(MARKERS), 99.5, "baseline end"), 99.5)
    assert withheld_reason(state) == ""


def test_what_no_data_supports_is_refused_in_words() -> None:
    state = session_state()
    estimated(state, 30, rest=5.0)
    assert missing_text(state, "dominance") == "no estimate: untrained"
    assert "ABSTAINING: dominance" in html.badges(state)
    assert "No training data for dominance" in html.estimate_basis(state)
    course = VadHistory(LIGHT, "dominance")
    course.update(state)
    assert np.isnan(course._line.data["y"]).all()
    assert course._none.data["l"]


def test_an_estimator_of_arousal_alone_is_shown_as_such() -> None:
    names = ("arousal", "arousal.sd", "support.window_start", "support.window_end")
    info = StreamInfo("estimates", Fraction(4), tuple(map(Channel, names)))
    state = session_state({"estimator": {"baseline_seconds": 5.0}})
    state.add_stream(info)
    assert "ABSTAINING" in html.badges(state)  # there is no estimate yet
    state.take(block(info, 281, np.tile([0.25, 0.3, 40, 100], (120, 1))), 100.0)
    assert "+0.25 ± 0.30" in html.estimates(state)
    assert "valence" not in html.estimates(state)
    assert "ABSTAINING" not in html.badges(state)
    assert missing_text(state, "valence") == "not estimated"
    plane, arousal = ValenceArousalPlane(LIGHT), VadHistory(LIGHT, "arousal")
    valence = VadHistory(LIGHT, "valence")
    for figure in (plane, arousal, valence):
        figure.update(state)
    assert plane._message.text == "valence: not estimated"
    assert valence._message.text == "not estimated"
    assert not arousal._message.visible
    assert np.isfinite(arousal._line.data["y"]).any()
    page = ViewerPage(Document(), state)
    page.open()
    assert "+0.25 ± 0.30" in page._shown_texts["estimates"]


def test_intervals_come_with_their_coverage_or_not_at_all() -> None:
    state = session_state()
    estimated(state, 30, rest=5.0)
    figures = model_card.load("wrist").card.figures
    assert (
        interval_coverage(state, "arousal")[80]
        == figures["wrist: arousal coverage of 80%"]
    )
    plane = ValenceArousalPlane(LIGHT)
    plane.update(state)
    assert len(plane._ellipses.data["x"]) == 2
    assert (
        "Coverage of 80 % intervals in held-out participants: V"
        in html.estimate_basis(state)
    )
    state.update({"config": {"estimator": {"baseline_seconds": 5.0}}})
    plane.update(state)
    assert len(plane._ellipses.data["x"]) == 0
    course = VadHistory(LIGHT, "arousal")
    course.update(state)
    assert len(course._bands.data["x"]) == 0


def test_an_estimate_says_what_it_rests_on() -> None:
    state = session_state()
    estimated(state, 30, rest=5.0)
    assert support_seconds(state) == 60.0
    assert "Based on the last <b>60 s</b>" in html.estimate_basis(state)
    assert contributions(state, "arousal") == {"eda": pytest.approx(0.1)}
    assert "eda +0.10" in html.estimates(state)


def test_a_change_of_an_estimate_has_reasons() -> None:
    state = session_state()
    estimated(state, 80, rest=5.0)
    assert change_reasons(state, "arousal") == {}
    assert "changed in the last" not in html.estimates(state)
    later = [0.2, 0.3, 0.1, 0.3, *2 * [MissingReason.UNTRAINED.nan], 40, 100, 0.55]
    state.take(block(ESTIMATES, 401, np.tile(later, 4)), 101.0)
    state.update({"clock": [101.25, 100.0, 1.0]})
    assert change_reasons(state, "arousal") == {"eda": pytest.approx(0.45)}
    assert "changed in the last 60 s by eda +0.45" in html.estimates(state)


def test_old_estimates_are_called_old() -> None:
    state = session_state()
    estimated(state, 30, rest=5.0)
    assert "s old" not in html.estimates(state)
    state.update({"clock": [107.0, 100.0, 1.0]})
    assert "The newest estimate is 7 s old." in html.estimates(state)


def test_demo_weights_lie_on_hatching() -> None:
    state = session_state()
    info = StreamInfo("estimates", Fraction(4), ESTIMATES.channels, Origin.DEMO)
    state.take(block(info, 390, np.tile(0.1, 9 * 10)), 100.0)
    plane, course = ValenceArousalPlane(DARK), VadHistory(DARK, "valence")
    plane.update(state)
    course.update(state)
    assert plane._hatch.visible
    assert course._hatch.visible
    assert "DEMO WEIGHTS" in html.badges(state)


@pytest.mark.parametrize(("names", "mapped"), [
    (("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"), False),
    (("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7",
      "P3", "Pz", "P4"), True),
])  # fmt: skip
def test_few_electrodes_are_dots_and_never_interpolated(
    names: tuple[str, ...], mapped: bool
) -> None:
    channels = tuple(Channel(f"eeg.de.alpha.{n}") for n in names)
    info = StreamInfo("features", Fraction(4), channels)
    state = session_state()
    state.take(block(info, 400, np.arange(float(len(names)))), 100.0)
    scalp = TopomapFigure(LIGHT)
    scalp.update(state)
    assert bool(scalp._maps.data["image"]) is mapped
    assert len(scalp._dots.data["x"]) == len(names)
    if mapped:
        image = scalp._maps.data["image"][0]
        assert np.nanmin(image) >= 0
        assert np.nanmax(image) <= 1


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)


EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def test_a_strangers_text_is_never_markup() -> None:
    state = session_state()
    state.add_stream(
        StreamInfo(f"{EVIL}.eeg", Fraction(4), (Channel(EVIL, "eeg", "uV"),))
    )
    state.update({"participant": EVIL, "recorded_at": EVIL, "ended": EVIL})
    state.take(single_event(event_stream(MARKERS), 99.0, EVIL), 99.0)
    state.take(single_event(event_stream("session.status"), 99.0, EVIL), 99.0)
    state.take(mute(f"{EVIL}.eeg", 99.0, on=True), 99.0)
    parts = [
        html.badges(state), html.session_status(state), html.estimates(state),
        html.estimate_basis(state), html.streams(state, controls=True),
        html.event_log(state), html.latency(state, [1.0]), html.baseline(state),
        html.feature_sparklines(state),
    ]  # fmt: skip
    tags = Tags()
    for part in parts:
        tags.feed(part)
    assert not {"script", "img", "svg"} & set(tags.seen)
    assert "&lt;script&gt;" in "".join(parts)


def test_a_label_starts_no_formula_and_no_second_line() -> None:
    assert plain_text("a$$x$$\n\\[b") == "a$ $x$ $ \\ [b"
    assert len(plain_text("x" * 500)) == 40


def message(**sent: Any) -> dict[str, list[str]]:
    return {"command": [json.dumps(sent)]}


def test_a_command_has_the_time_at_which_it_was_sent() -> None:
    command = parse_command(
        message(kind="mark", label=" film ", at=999.8), session_state(), wall=1000.0
    )
    assert command is not None
    assert command.label == "film"
    assert command.command.time == pytest.approx(99.8)
    late = parse_command(
        message(kind="mark", label="film", at=10.0), session_state(), wall=1000.0
    )
    assert late is not None
    assert late.command.time == 100.0  # a clock that is so far off is not believed


@pytest.mark.parametrize("sent", [
    None, [], "x", 5, {}, {"command": []}, {"command": ["x", "y"]}, {"command": [5]},
    {"command": ["no json"]}, {"command": ["[1]"]}, {"command": ["[" * 3000]},
    {"command": [json.dumps({"kind": "mark", "label": "x" * 5000})]},
    message(kind="mark", label=5), message(kind="mark", label="x" * 201),
    message(kind=5), message(kind="erase", label="all"),
    message(kind="view", label="filter", value=5), message(kind="view", label="filter"),
    message(kind="rate"), message(kind="rate", values=[1]),
])  # fmt: skip
def test_messages_without_the_form_of_a_command_are_ignored(sent: Any) -> None:
    assert parse_command(sent, session_state(), wall=1000.0) is None


def test_who_may_want_what() -> None:
    rate = parse_command(
        message(kind="rate", values={"valence": "0.5"}), session_state(), wall=0.0
    )
    stop = parse_command(message(kind="stop"), session_state(), wall=0.0)
    assert rate is not None
    assert stop is not None
    np.testing.assert_array_equal(rate.command.values, [0.5, np.nan, np.nan])
    assert [is_forbidden(rate, r) for r in ("control", "participant", "look")] == [
        False,
        False,
        True,
    ]
    assert [is_forbidden(stop, r) for r in ("control", "participant", "look")] == [
        False,
        True,
        True,
    ]
    assert is_forbidden(stop, "nobody")


def test_a_page_that_shows_nothing_is_sent_nothing() -> None:
    """Three frames are sent ahead; then the page must have seen one."""
    state = session_state()
    state.take(block(EEG, 64 * 95, np.ones((64 * 5, 2))), 100.0)
    page = ViewerPage(Document(), state)
    page.open()
    for _ in range(20):
        page.tick()
    assert page.dropped == 17
    frame = page.beat.data["v"][0]
    page.ack.data = {"v": [frame, 40.0]}
    page.tick()
    assert page.beat.data["v"][0] == frame + 1


def test_a_page_that_comes_late_still_hears_every_word() -> None:
    state = session_state()
    state.take(block(EEG, 64 * 95, np.ones((64 * 5, 2))), 100.0)
    page = ViewerPage(Document(), state)
    page.open()
    first = set(page.outbox.data["id"])
    page._update_texts(state)
    assert {"badges", "streams"} <= first == set(page.outbox.data["id"])
    page.ack.data = {"v": [1.0, 40.0]}
    state.log.add(99.0, "news")
    page._update_texts(state)
    assert "log" in page.outbox.data["id"]
    assert "badges" not in page.outbox.data["id"]


def test_commands_are_limited_and_observers_send_none() -> None:
    heard: list[Command] = []
    page = ViewerPage(Document(), session_state(), "control", heard.append)
    page.open()
    for i in range(100):
        page.inbox.data = message(kind="mark", label=f"m{i}")
    assert len(heard) == 80
    watcher = ViewerPage(Document(), session_state(), "look", None)
    watcher.open()
    watcher.inbox.data = message(kind="mark", label="forged")
    assert len(heard) == 80


def test_eight_may_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("physio.view.dashboard.server.VIEWERS", 1)
    board = DashboardServer(session_state(), lambda _: None)
    first, second = Document(), Document()
    board.open_page(first, "look")
    board.open_page(second, "look")
    assert first.roots
    assert not second.roots
    assert "already has" in second.template.render()
    assert VIEWERS == 8


@pytest.mark.parametrize(("settings", "message"), [
    ({"address": "192.168.1.5"}, (
        "serving the page on 192.168.1.5, outside loopback, needs a token and a "
        "certificate and key for TLS")),
    ({"address": "192.168.1.5", "token": "t" * 32}, (
        "serving the page on 192.168.1.5, outside loopback, needs a token and a "
        "certificate and key for TLS")),
    ({"address": "0.0.0.0", "token": "t" * 32, "certificate": "c", "key": "k"}, (
        "the page cannot be served on all interfaces (0.0.0.0): give one "
        "address")),
    ({"token": "short"}, (
        "the page's token has 5 characters: use at least 32, or omit it to get a "
        "random one")),
    ({"certificate": "c"}, "TLS needs both a certificate and its key"),
    ({"address": "here"}, "'here' is not an IP address: use numbers, as in 127.0.0.1"),
    ({"port": 70000}, "port must be between 0 and 65535, not 70000"),
])  # fmt: skip
def test_refuses_to_be_served_elsewhere(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Dashboard(**settings)


def test_elsewhere_with_token_and_tls_is_one_exact_host() -> None:
    place = ServerAddress("192.168.1.5", 8443, "t" * 32, "c.pem", "k.pem")
    assert place.hosts(8443) == {"192.168.1.5:8443"}
    assert place.scheme == "https"
    assert ServerAddress().hosts(8000) == {"127.0.0.1:8000", "localhost:8000"}


def test_nothing_waits_for_a_dashboard_that_does_not_answer(tmp_path: Path) -> None:
    """Its process is stopped: what does not fit is dropped and counted, at once."""
    import os
    import signal
    import time

    board = Dashboard(tmp_path, {}, capacity=50)
    big = block(EEG, 0, np.zeros((5000, 2)))
    with board:
        os.kill(board.process_id, signal.SIGSTOP)
        board.open_streams([EEG])
        began = time.thread_time()
        for _ in range(500):
            board.write(big)
        took = time.thread_time() - began
        os.kill(board.process_id, signal.SIGCONT)
        board._server.process.kill()
    assert board.dropped > 300
    assert took < 0.1


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Return a simulated minute, with what was computed of it."""
    from physio.cli.run_session import RunOptions, run_session
    from physio.core.protocols import FastClock
    from physio.online.session_config import SessionConfig

    folder = tmp_path_factory.mktemp("session")
    path = Path(config.__file__).parent / "assets" / "demo.toml"
    tables = dict(config.read(path))
    del tables["devices"]["headset"]
    tables["devices"]["band"].update(seconds=60.0, ground_truth=True)
    tables["estimator"]["experts"] = [{"weights": "wrist-demo"}]
    clock = FastClock()
    file = SessionConfig(tables)
    options = RunOptions(seconds=60, poll=0.5)
    run_session(file, file.devices(clock), clock, folder, options)
    return xdf.read(folder / "recording.xdf")


def test_a_recording_is_looked_at_where_the_slider_is(recording: Recording) -> None:
    whole = state_of_recording(recording)
    page = ViewerPage(Document(), whole, at=recording.begin + 20)
    page.open()
    skin = page.figures.eda
    assert max(skin._raw.data["t"]) <= recording.begin + 20
    page.inbox.data = message(kind="view", label="at", value="50")
    page.tick()
    assert whole.now == recording.begin + 50
    assert recording.begin + 49.5 < max(skin._raw.data["t"]) <= recording.begin + 50
    row = whole.estimates
    assert row is not None
    assert f"{row.last('arousal', whole.now):+.2f}" in page._shown_texts["estimates"]
    for nonsense in ("nan", "x", "1e999", ""):
        page.inbox.data = message(kind="view", label="at", value=nonsense)
        page.tick()
        assert recording.begin <= whole.now <= recording.end
    assert "<button" not in page._shown_texts["streams"]


def test_two_participants_are_shown_side_by_side() -> None:
    sent: list[Command] = []
    state = session_state({"estimator": {**WRIST["estimator"], "baseline_seconds": 5}})
    for k, code in enumerate(("p2", "p3")):
        info = replace(ESTIMATES, name=f"estimates.{code}", participant=code)
        skin = replace(EDA, name=f"{code}.eda", participant=code)
        state.take(block(info, 361, 40 * [*6 * [0.2 + 0.3 * k], 40, 100, 0.1]), 100.0)
        state.take(block(skin, 361, 40 * [1.0 + k]), 100.0)
    page = ViewerPage(Document(), state, "control", sent.append, at=100.0)
    page.open()
    page.tick()
    assert "left-estimates" not in page._shown_texts
    page.inbox.data = message(kind="view", label="participant", value="")
    page.tick()  # a recording that stands is drawn again
    columns = page.figures.sides.columns
    for side, value in (("left", "+0.20"), ("right", "+0.50")):
        assert value in page._shown_texts[f"{side}-estimates"]
        assert f"{side}-eda" in page._shown_texts["panels"].split()
    means = [set(c.eda._raw.data["y"]) for c in columns.values()]
    assert means == [{1.0}, {2.0}]  # each column has its own participant's
    axes = {id(c.heart.root.x_range) for c in columns.values()}
    assert len(axes) == 1
    page.inbox.data = message(kind="view", label="addressee", value="p3")
    page.inbox.data = message(kind="rate", label="", values={"valence": 0.5})
    assert [command.participant for command in sent] == ["p3"]
    for wrong in ("p1", "<b>"):
        page.inbox.data = message(kind="view", label="right", value=wrong)
    assert [c.code for c in columns.values()] == ["p2", "p3"]
    page.inbox.data = message(kind="view", label="participant", value="p3")
    page.tick()
    assert "signals" in page._shown_texts["panels"].split()


def test_a_notebook_shows_the_same_views(recording: Recording) -> None:
    from physio.view import notebook

    shown = notebook.show(recording)
    slider = shown[0]
    slider.value = 40.0
    text = str([pane.object for pane in shown.select() if hasattr(pane, "object")])
    assert "SIMULATED" in text
    assert "wrist-demo" in text


def test_a_notebook_follows_a_session_and_keeps_nobody_waiting() -> None:
    from physio.core.protocols import FastClock
    from physio.view import notebook

    clock = FastClock(100.0)
    sink = notebook.NotebookSink({"begin": "0.0"}, clock)
    with sink:
        sink.open_streams([EEG])
        for start in range(0, 64 * 10, 64):
            sink.write(block(EEG, 64 * 90 + start, np.ones((64, 2))))
        sink.take()
        assert sink.session.sources["head.eeg"].stats.samples == 640
        for _ in range(30_000):
            sink.write(stream_timeout("head.eeg", 100.0))
        assert len(sink._pending) == 20_000
        sink.end("completed")
    assert sink.session.ended == "completed"


def test_scales_and_filters_fit_the_kind_of_signal() -> None:
    state = session_state()
    t = np.arange(0, 20 * 4) / 4
    state.take(block(EDA, 320, 2.0 + 0.2 * np.sin(t)), 100.0)
    state.take(block(EEG, 64 * 80, np.ones((64 * 20, 2))), 100.0)
    signals = SignalFigure(LIGHT, ("head.eeg", "band.eda"))
    signals.update(state)
    labels = signals.row_labels.data
    assert labels["name"] == ["Fz", "Cz", "eda \xb5S"]
    assert labels["scale"] == ["100 \xb5V", "100 \xb5V", "0.2 \xb5S"]
    assert [len(ticks) for ticks in labels["ticks"]] == [0, 0, 2]
    assert [row.filter_name for row in signals._rows] == [
        "1 to 40 Hz", "1 to 40 Hz", "as recorded",
    ]  # fmt: skip
    for at, text in labels["ticks"][2]:
        middle, size = signals._rows[2][-2:]
        assert middle + at * size == pytest.approx(float(text))
    signals.set_height("EDA", 1.0)
    signals.set_filter("EEG", "as recorded")
    signals.update(state)
    assert signals.row_labels.data["scale"][2] == "1 \xb5S"
    assert signals._rows[0].middle == 1.0


@pytest.mark.parametrize("size", [0.026, 0.1, 1.0, 1.3, 100.0, 260.0, 7e-5])
def test_a_scale_bar_has_a_round_value_and_fits_its_row(size: float) -> None:
    value = _scale_value(size)
    assert 0.2 * size < value <= size
    digit = value / 10 ** np.floor(np.log10(value) + 1e-9)
    assert min(abs(digit - d) for d in (1, 2, 5)) < 1e-6


def test_masked_spans_beats_and_responses_are_marked_on_the_signal() -> None:
    pulse = StreamInfo("band.bvp", Fraction(64), (Channel("bvp", "bio", "1"),))
    state = SessionState(tick=lambda: 40.0)
    chains = {"heart": {"stream": "band.bvp"}}
    state.update(
        {"begin": 0.0, "clock": [40.0, 40.0, 1.0], "config": {"chains": chains}}
    )
    state.add_stream(pulse)
    t = np.arange(0, 40 * 64) / 64
    wave = np.exp(-((((t * 1.25) % 1.0) - 0.3) ** 2) / 0.01)
    state.take(block(pulse, 0, 20 * wave), 40.0)
    columns = (Channel("heart.rate", "misc", "1/min", delay=2.0),)
    rates = np.full(160, 75.0)
    rates[140:148] = MissingReason.ARTIFACT.nan  # 35 to 37 s, of the signal at 33 to 35
    state.take(block(StreamInfo("features", Fraction(4), columns), 0, rates), 40.0)
    signals = SignalFigure(LIGHT, ("band.bvp",))
    signals.update(state)
    signals.update_states(state)
    spans = signals.gaps.data
    ((first, last),) = [
        (a, b)
        for a, b, kind in zip(spans["l"], spans["r"], spans["kind"], strict=True)
        if kind == "masked"
    ]
    assert (first, last) == pytest.approx((32.75, 35.0), abs=0.3)
    beats = np.array(signals.points.data["t"])
    assert signals.points.data["kind"] == ["beat"] * len(beats)
    assert len(beats) >= 9
    np.testing.assert_allclose(np.diff(beats), 0.8, rtol=0, atol=0.05)


def test_ages_and_delays_are_never_negative() -> None:
    state = session_state()
    state.take(block(EEG, 64 * 99, np.ones((64, 2))), 99.9)  # its clock is ahead
    state.update({"clock": [99.5, 100.0, 1.0]})
    assert "-" not in re.sub(r"<[^>]*>", "", html.latency(state, [12.0]))
    assert "-0" not in html.streams(state, controls=False)


def test_the_means_by_condition_are_those_of_its_time() -> None:
    state = session_state()
    estimated(state, 100, rest=15.0)
    columns = event_stream("head.conditions", Channel("seconds", "misc", "s"))
    for at, name in ((0.0, "quiet"), (20.0, "film"), (50.0, "rest")):
        state.take(single_event(columns, at, name, 15.0), at)
    spans = [(0.0, 15.0), (20.0, 35.0), (50.0, 65.0)]
    assert [(c.begin, c.end) for c in state.conditions] == spans
    text = re.sub(r"<[^>]*>", " ", html.condition_summary(state))
    assert re.search(r"quiet\s+15\s+none\s+none", text)  # before the baseline's end
    assert re.search(r"film\s+15\s+\+0.20\s+-0.40", text)


def test_estimates_are_withheld_until_the_end_of_each_baseline() -> None:
    state = session_state()
    estimated(state, 100, rest=15.0)
    times = np.arange(0.0, 100.0)
    assert list(times[state.before_baseline_end(times)]) == list(range(16))
    markers = event_stream(MARKERS)
    for at, label in ((40.0, "start"), (50.0, "end"), (80.0, "start")):
        state.take(single_event(markers, at, f"baseline {label}"), at)
    withheld = [*range(16), *range(40, 50), *range(80, 95)]
    assert list(times[state.before_baseline_end(times)]) == withheld


def test_power_of_a_band_is_that_of_its_entropy() -> None:
    power = np.array([[4.0, 16.0], [1.0, np.nan]])
    entropy = np.log2(2 * np.pi * np.e * power) / 2  # bit
    np.testing.assert_allclose(mean_power(entropy), [10.0, 0.0], rtol=0, atol=1e-9)


def test_a_recording_opens_where_there_are_estimates(recording: Recording) -> None:
    whole = state_of_recording(recording)
    at = first_view(whole)
    whole.at = at
    assert recording.begin < at <= recording.end
    assert withheld_reason(whole) == ""
    data = json.loads(strip_json(whole))
    assert data["seconds"] == pytest.approx(recording.seconds, abs=1.0)
    assert data["conditions"][0][0] == "baseline"
    lane = data["lanes"][0]
    assert [line["name"] for line in lane][:2] == ["valence", "arousal"]
    end = sum(whole.baseline_period()) - whole.begin
    for line in lane:
        assert line["hatch"] == "DEMO WEIGHTS"
        assert min(t for t, y in zip(line["t"], line["y"], strict=True) if y) >= end
    assert "estimates of demonstration weights" in html.condition_summary(whole)
    assert "<" not in strip_json(whole)


def test_the_estimators_own_intervals_are_drawn() -> None:
    columns = ("valence", "valence.sd", "valence.ci50", "valence.ci80")
    info = StreamInfo("estimates", Fraction(4), tuple(map(Channel, columns)))
    state = session_state()
    state.update(
        {"config": {"estimator": {**WRIST["estimator"], "baseline_seconds": 5}}}
    )
    state.take(block(info, 281, np.tile([0.0, 0.3, 0.1, 0.25], (120, 1))), 100.0)
    course = VadHistory(LIGHT, "valence")
    course.update(state)
    heights = [float(np.max(y)) for y in course._bands.data["y"]]
    assert heights == pytest.approx([0.25, 0.1])


def test_a_slow_page_hears_each_text_that_changes() -> None:
    """Texts are updated twice a cycle; a frame that comes late holds both."""
    state = session_state()
    state.take(block(EEG, 64 * 95, np.ones((64 * 5, 2))), 100.0)
    page = ViewerPage(Document(), state)
    page.open()
    page.ack.data = {"v": [1.0, 40.0]}
    page._update_texts(state)
    clock = iter(range(100, 200))
    state.tick = lambda: float(next(clock))  # the time in the texts moves on, too
    state.take(mute("head.eeg", 100.0, on=True), 100.0)
    page.draw()
    assert "badges" in page.outbox.data["id"]
