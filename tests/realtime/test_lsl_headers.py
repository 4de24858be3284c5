"""A description and its codes mean the same from an outlet and from an XDF file."""

import time
from pathlib import Path

import numpy as np
import pylsl
import pytest

from devices.lsl import Inlet
from physio.core.block import Array, Block, Channel
from physio.core.events import Events, Item
from physio.core.recording import Recording
from physio.io.xdf import read
from physio.io.xdf.chunks import MAGIC, Tag, chunk, numbers

EMOTIV = ("Timestamp", "Counter", "Interpolate", "AF3", "T7", "Pz", "T8", "AF4",
          "HardwareMarker")  # fmt: skip
ROWS = 60
RATE = 200


def emotiv() -> tuple[pylsl.StreamInfo, Array]:
    """Return a stream whose helper columns claim to be EEG, as Emotiv's do."""
    info = pylsl.StreamInfo("EmotivDataStream-EEG", "EEG", 9, RATE, "double64", "e-1")
    rows = info.desc().append_child("channels")
    for label in EMOTIV:
        row = rows.append_child("channel")
        row.append_child_value("label", label)
        row.append_child_value("unit", "microvolts" if label[0] in "ATP" else "")
        row.append_child_value("type", "EEG")
    data = np.full((ROWS, 9), 4200.0)
    data[:, 8] = 0
    data[[20, 21, 40], 8] = [3, 3, 7]
    return info, data


def unicorn() -> tuple[pylsl.StreamInfo, Array]:
    """Return a stream without a description, as g.tec's recorder sends it."""
    name = "UnicornRecorderLSLStream"
    return (
        pylsl.StreamInfo(name, "Data", 17, RATE, "double64", "u-1"),
        np.arange(ROWS * 17.0).reshape(ROWS, 17),
    )


def status() -> tuple[pylsl.StreamInfo, Array]:
    """Return BioSemi's status word beside an electrode and a reference, in volts."""
    info = pylsl.StreamInfo("BioSemi", "EEG", 2, RATE, "double64", "b-1")
    rows = info.desc().append_child("channels")
    for label, kind, unit in (("A1", "EEG", "volts"), ("Status", "", "")):
        row = rows.append_child("channel")
        row.append_child_value("label", label)
        row.append_child_value("type", kind)
        row.append_child_value("unit", unit)
    info.desc().append_child("reference").append_child_value("label", "CMS/DRL")
    data = np.full((ROWS, 2), 1e-5)
    data[:, 1] = 0xFF0000
    data[[20, 21, 40], 1] += [10, 10, 20]
    return info, data


def live(info: pylsl.StreamInfo, data: Array, begin: float) -> list[Item]:
    """Send samples over the network of this machine; return what a device reads."""
    outlet = pylsl.StreamOutlet(info)
    items: list[Item] = []
    with Inlet(stream_name=info.name(), name="d", timeout=20.0) as inlet:
        infos = inlet.streams
        assert outlet.wait_for_consumers(10)
        for i, row in enumerate(data):
            outlet.push_sample(row.tolist(), begin + i / RATE)
        end = time.monotonic() + 15
        while time.monotonic() < end and _length(items) < len(data):
            items += inlet.read()
            time.sleep(0.02)
        assert {i.info.name for i in items} <= {i.name for i in infos}
    return items


def _length(items: list[Item]) -> int:
    return sum(len(i) for i in items if isinstance(i, Block))


def from_file(path: Path, info: pylsl.StreamInfo, data: Array) -> Recording:
    stamps = 100.0 + np.arange(len(data)) / RATE
    parts = [chunk(Tag.FILE_HEADER, b"<info><version>1.0</version></info>")]
    parts += [chunk(Tag.STREAM_HEADER, info.as_xml().encode(), 1)]
    path.write_bytes(MAGIC + b"".join([*parts, numbers(1, stamps, data)]))
    return read(path)


@pytest.mark.parametrize("source", [emotiv, unicorn, status])
def test_an_outlet_and_a_file_mean_the_same(source: object, tmp_path: Path) -> None:
    info, data = source()  # type: ignore[operator]
    items = live(info, data, pylsl.local_clock())
    blocks = [i for i in items if isinstance(i, Block)]
    codes = [i for i in items if isinstance(i, Events)]
    recording = from_file(tmp_path / "a.xdf", info, data)
    ((block,),) = recording.streams.values()
    assert blocks[0].info.channels == block.info.channels
    assert blocks[0].info.reference == block.info.reference
    np.testing.assert_array_equal(np.vstack([b.data for b in blocks]), block.data)
    labels = [label for events in codes for label in events.labels]
    from_events = [label for e in recording.events.values() for label in e.labels]
    assert labels == from_events
    times = np.concatenate([[0.0], *(e.times for e in codes)])[1:]
    for at, row in zip(times, (20, 40), strict=False):
        near = min(abs(b.times - at).min() for b in blocks)
        assert near < 1e-9
        found = next(b for b in blocks if abs(b.times - at).min() < 1e-9)
        assert found.start + int(abs(found.times - at).argmin()) == row


def test_emotiv_has_five_electrodes_and_its_marker() -> None:
    info, data = emotiv()
    items = live(info, data, pylsl.local_clock())
    (first, *_) = [i for i in items if isinstance(i, Block)]
    electrodes = [c for c in first.info.channels if c.kind == "eeg"]
    assert electrodes == [Channel(n, "eeg", "uV") for n in EMOTIV[3:8]]
    labels = [x for i in items if isinstance(i, Events) for x in i.labels]
    assert labels == ["3", "7"]
