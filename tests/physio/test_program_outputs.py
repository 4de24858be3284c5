"""OSC, a function and a serial port receive rows, events and firings of rules."""

import json
import math
import os
import re
import select
import socket
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import single_event
from physio.core.missing import MissingReason
from physio.core.recording import RULES
from physio.inference.self_report import RATINGS
from physio.online.rules import STREAM
from physio.online.session_config import SINKS, SessionConfig
from physio.sinks.background import BackgroundSink
from physio.sinks.callback import Callback
from physio.sinks.osc import Osc
from physio.sinks.program_messages import description, messages, to_json
from physio.sinks.ttl import Ttl
from physio.testing import check_sink

WARMING = MissingReason.WARMING_UP.nan
NAMES = ("arousal", "arousal.sd", "arousal.missing", "arousal.ci80", "a/b #1")
ESTIMATES = StreamInfo("estimates", Fraction(4), tuple(map(Channel, NAMES)))
ROWS = np.array([[0.25, 0.5, 0.0, 0.7, 1.0], [WARMING, math.nan, 2.0, math.nan, 1.0]])
FEATURES = StreamInfo("features", Fraction(4), (Channel("eda.tonic", "misc", "uS"),))


def rows() -> Block:
    return Block(ESTIMATES, 0, 100.0, ROWS.copy())


def sinks(**tables: dict[str, Any]) -> list[Any]:
    return SessionConfig({"sinks": tables}, "s.toml").sinks({})


def received(udp: socket.socket) -> list[tuple[str, list[Any]]]:
    """Return address and values of every message that has come."""
    udp.settimeout(0.3)
    found: list[tuple[str, list[Any]]] = []
    try:
        while True:
            datagram = udp.recv(65536)
            assert len(datagram) <= 1400
            found += [(m.address, m.params) for m in OscBundle(datagram)]
    except TimeoutError:
        return found


def test_a_message_has_values_units_and_reasons() -> None:
    first, second = messages(rows())
    assert first["values"] == {"arousal": 0.25, "arousal.sd": 0.5, "arousal.ci80": 0.7,
                               "a/b #1": 1.0}  # fmt: skip
    assert first["missing"] == {}
    assert second["missing"] == {"arousal": "warming up"}
    assert json.loads(to_json(second))["values"]["arousal"] is None
    assert description(FEATURES)["columns"][0]["unit"] == "uS"
    (rating,) = messages(single_event(RATINGS, 5.0, "sam", 0.5, math.nan, -0.5))
    assert json.loads(to_json(rating))["values"] == {
        "valence": 0.5, "arousal": None, "dominance": -0.5,
    }  # fmt: skip
    raw = StreamInfo("wrist.eda", Fraction(4), (Channel("eda"),))
    assert list(messages(Block(raw, 0, 0.0, np.ones((4, 1))))) == []


def test_osc_sends_rows_and_events() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
        (sink,) = sinks(osc={"port": port})
        with sink:
            sink.write(rows())
            sink.write(Block(FEATURES, 0, 100.0, np.ones((1, 1))))
            sink.write(single_event(STREAM, 101.0, "up", 7.0))
            sink.write(single_event(RATINGS, 102.0, "sam", 0.5, math.nan, -0.5))
        found = received(udp)
    at = "/physio/estimates"
    assert found[:6] == [
        (f"{at}/unit", ["arousal", "1"]),
        (f"{at}/unit", ["arousal.sd", "1"]),
        (f"{at}/time", [0.0]),
        (f"{at}/arousal.missing", ["ok"]),
        (f"{at}/arousal", [0.25]),
        (f"{at}/arousal.sd", [0.5]),
    ]
    assert found[6:8] == [
        (f"{at}/time", [0.25]),
        (f"{at}/arousal.missing", ["warming up"]),
    ]
    assert found[8:] == [
        ("/physio/session.rules", ["up", 7.0, 1.0]),
        ("/physio/session.ratings", ["sam", 0.5, "missing", -0.5, 2.0]),
    ]


def test_the_time_of_osc_begins_at_the_first_message() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        with Osc(port=udp.getsockname()[1]) as sink:
            sink.write(single_event(STREAM, 0.0, "up", 7.0))
            sink.write(single_event(STREAM, 98.0, "up", 7.0))
            sink.write(rows())
        found = received(udp)
    assert [v[-1] for at, v in found if at == "/physio/session.rules"] == [0.0, 98.0]
    times = [v for at, v in found if at == "/physio/estimates/time"]
    assert times == [[100.0], [100.25]]
    assert ("/physio/estimates/unit", ["arousal", "1"]) in found


def test_osc_sends_chosen_columns_in_small_datagrams() -> None:
    names = tuple(f"band {i}" for i in range(200))
    many = StreamInfo("features", Fraction(4), tuple(map(Channel, names)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
        chosen = {"port": port, "columns": ["*b #1"], "prefix": "/lab/one"}
        first, second = sinks(
            osc=chosen, more={"use": "osc", "port": port, "streams": ["features"]}
        )
        with first, second:
            first.write(rows())
            second.write(Block(many, 0, 100.0, np.ones((1, 200))))
        found = received(udp)
    assert found[0] == ("/lab/one/estimates/unit", ["a/b #1", "1"])
    assert found[2] == ("/lab/one/estimates/a_b__1", [1.0])
    assert ("/physio/features/band_199", [1.0]) in found


def test_osc_without_a_receiver_goes_on() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
    check_sink(Osc(port=port))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"host": "localhost"}, "'localhost' is no IP address"),
        ({"host": "192.0.2.7"}, "add unencrypted = true if everybody"),
        ({"port": 0}, "port is a number from 1 to 65535"),
        ({"prefix": "physio"}, "must be like '/physio'"),
        ({"streams": ["eeg"]}, "streams are features or estimates, not 'eeg'"),
        ({"gain": 1}, "Osc has no setting 'gain'"),
    ],
)
def test_a_wrong_setting_of_osc_is_refused(
    settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        sinks(osc=settings)
    sinks(osc={"host": "192.0.2.7", "unencrypted": True})


def test_a_function_is_called() -> None:
    taken: list[dict[str, Any]] = []
    sink = BackgroundSink(Callback(taken.append))
    with sink:
        sink.write(rows())
        sink.write(Block(FEATURES, 0, 100.0, np.ones((1, 1))))
        sink.write(single_event(STREAM, 101.0, "up", 7.0))
    assert [m["type"] for m in taken] == ["row", "row", "event"]
    assert math.isnan(taken[1]["values"]["arousal"])
    check_sink(Callback(taken.append, streams=("estimates", "features")))


def test_a_function_named_by_a_file_needs_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_calls.py").write_text("rows = []\ntake = rows.append\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    tables = {"sinks": {"callback": {"call": "my_calls:take"}}}
    (sink,) = SessionConfig(tables, "s.toml").sinks({})
    with pytest.raises(ValueError, match="--trust my_calls would allow it"):
        sink.__enter__()
    (sink,) = SessionConfig(tables, "s.toml", ("my_calls",)).sinks({})
    with sink:
        sink.write(rows())
    assert len(sys.modules["my_calls"].rows) == 2
    del sys.modules["my_calls"]


def test_a_slow_or_broken_function_costs_the_session_nothing() -> None:
    free = threading.Event()
    slow = Callback(lambda _: free.wait(30))
    slow.grace = 0.2
    sink = BackgroundSink(slow, capacity=4)
    begun = time.monotonic()
    with sink:
        for _ in range(50):
            sink.write(rows())
        assert sink.notices() == ["Callback is too slow: items are dropped and counted"]
        assert sink.notices() == []
        sink.end("completed")
    assert time.monotonic() - begun < 3
    free.set()
    assert sink.dropped >= 45
    assert list(sink.faults()) == ["Callback stopped: it did not end within 0.2 s"]

    def broken(_: object) -> None:
        raise KeyError("no such key")

    sink = BackgroundSink(Callback(broken))
    with sink:
        sink.write(rows())
        deadline = time.monotonic() + 5
        while not (notices := sink.notices()):
            assert time.monotonic() < deadline
        assert notices == ["Callback stopped: 'no such key'; the session continues"]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pty")
def test_codes_of_rules_reach_a_serial_port() -> None:
    box, port = os.openpty()
    try:
        (sink,) = sinks(ttl={"port": os.ttyname(port), "pulse": 0.005})
        with sink:
            sink.write(rows())
            sink.write(single_event(STREAM, 1.0, "up", 7.0))
            sink.write(single_event(STREAM, 2.0, "no code", 0.0))
            sink.write(single_event(STREAM, 3.0, "down", 255.0))
            codes = b""
            while len(codes) < 4:
                assert select.select([box], [], [], 5)[0], codes
                codes += os.read(box, 100)
        assert codes == b"\x07\x00\xff\x00"
    finally:
        os.close(box)
        os.close(port)
    with pytest.raises(ValueError, match="'/dev/none' of the TTL output cannot be"):
        Ttl("/dev/none").__enter__()


def test_short_names_are_sinks() -> None:
    assert STREAM.name == RULES
    for name, use in SINKS.items():
        module, _, cls = use.partition(":")
        assert re.fullmatch(r"physio\.(sinks|view)\.\w+", module), name
        assert hasattr(__import__(module, fromlist=[cls]), cls)
    with pytest.raises(
        ValueError, match=r"sinks\.x needs a key 'use'.*or one of .*osc"
    ):
        sinks(x={})
