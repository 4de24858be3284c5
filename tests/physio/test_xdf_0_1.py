"""Recordings of version 0.1: streams and events are read under today's names."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.events import event_stream, single_event
from physio.core.recording import (
    MARKERS,
    STREAM_REJECTED,
    STREAM_TIMEOUT,
    Arrival,
    Recording,
    stream_rejected,
    stream_timeout,
)
from physio.io.xdf import header, read, write
from physio.online.session_config import recorded

EDA = StreamInfo(
    "band.eda",
    Fraction(4),
    (Channel("eda", "gsr", "uS", 0.5, 12.0),),
    Origin.SIMULATED,
    "p07",
    "left wrist",
    "ventral, dry electrodes",
)
OLD_NAMES = {STREAM_TIMEOUT: "session.silence", STREAM_REJECTED: "session.refusal"}


def old_description(info: StreamInfo) -> dict[str, Any]:
    """Return a stream's description as version 0.1 wrote it."""
    return {
        "name": OLD_NAMES.get(info.name, info.name),
        "rate": str(info.rate),
        "origin": str(info.origin),
        "person": info.participant,
        "site": info.site,
        "placement": info.placement,
        "reference": info.reference,
        "channels": [
            {
                "name": c.name,
                "kind": c.kind,
                "unit": c.unit,
                "delay": c.delay,
                "span": c.memory,
            }
            for c in info.channels
        ],
    }


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a recording whose headers are those of version 0.1."""
    timeout, rejected = (
        stream_timeout("band.eda", 3.0),
        stream_rejected("band.eda", 4.0),
    )
    marker = single_event(event_stream(MARKERS), 2.0, "rest")
    events = {e.info.name: e for e in (timeout, rejected, marker)}
    block = Block(EDA, 0, 1.0, np.arange(4.0)[:, None])
    timeline = (
        Arrival(EDA.name, 0, 4, 1.0),
        *(Arrival(name, 0, 1, e.complete_until) for name, e in events.items()),
    )
    config = {
        "session": {"rate": "4", "patience": 0.9},
        "chains": {"skin": {"use": "physio.features.skin:SkinConductance"}},
    }
    about = {"person": "p07", "begin": "1.0", "config": json.dumps(config)}
    recording = Recording({EDA.name: (block,)}, events, timeline, about)
    monkeypatch.setattr(header, "to_dict", old_description)
    write(tmp_path / "old.xdf", recording)
    return tmp_path / "old.xdf"


def test_streams_and_events_are_read(old: Path) -> None:
    assert b"session.silence" in old.read_bytes()
    recording = read(old)
    (block,) = recording.streams[EDA.name]
    assert block.info == EDA
    np.testing.assert_array_equal(block.data[:, 0], np.arange(4.0))
    assert recording.metadata["participant"] == "p07"
    assert "person" not in recording.metadata
    assert set(recording.events) == {STREAM_TIMEOUT, STREAM_REJECTED, MARKERS}
    assert recording.events[STREAM_TIMEOUT].labels == ("band.eda",)
    names = [arrival.stream for arrival in recording.timeline]
    assert names == [EDA.name, STREAM_TIMEOUT, STREAM_REJECTED, MARKERS]
    assert {info.name for info in recording.inputs} == {EDA.name, *recording.events}


def test_stored_chains_are_refused_in_one_sentence(old: Path) -> None:
    with pytest.raises(ValueError, match=r"version 0\.1.*--config") as refused:
        recorded(read(old))
    assert ". " not in str(refused.value)
