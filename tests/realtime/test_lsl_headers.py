"""A description and its codes mean the same from an outlet and from an XDF file."""

import time
from concurrent.futures import ThreadPoolExecutor
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


@pytest.mark.parametrize(
    ("source", "rows"), [(emotiv, (20, 40)), (unicorn, ()), (status, (20, 40))]
)
def test_an_outlet_and_a_file_mean_the_same(
    source: object, rows: tuple[int, ...], tmp_path: Path
) -> None:
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
    for at, row in zip(times, rows, strict=True):
        near = min(abs(b.times - at).min() for b in blocks)
        assert near < 1e-9
        found = next(b for b in blocks if abs(b.times - at).min() < 1e-9)
        assert found.start + int(abs(found.times - at).argmin()) == row


def test_a_unicorn_of_type_eeg_has_eight_electrodes() -> None:
    info = pylsl.StreamInfo("UnicornRecorderLSLStream", "EEG", 17, RATE, "float32", "u")
    items = live(info, np.zeros((ROWS, 17)), pylsl.local_clock())
    block = next(i for i in items if isinstance(i, Block))
    assert [c.kind for c in block.info.channels].count("eeg") == 8
    assert "ACC X" in block.info.names


def test_emotiv_has_five_electrodes_and_its_marker() -> None:
    info, data = emotiv()
    items = live(info, data, pylsl.local_clock())
    (first, *_) = [i for i in items if isinstance(i, Block)]
    electrodes = [c for c in first.info.channels if c.kind == "eeg"]
    assert electrodes == [Channel(n, "eeg", "uV") for n in EMOTIV[3:8]]
    labels = [x for i in items if isinstance(i, Events) for x in i.labels]
    assert labels == ["3", "7"]


Description = tuple[str, str, str]
"""Label, unit and type of a channel."""


def outlet(
    name: str, kind: str, rows: list[Description], rate: float, source: str, n: int = 0
) -> pylsl.StreamInfo:
    """Return a stream of ``n`` channels, or of as many as are described."""
    info = pylsl.StreamInfo(name, kind, n or len(rows), rate, "float32", source)
    if rows:
        channels = info.desc().append_child("channels")
        for label, unit, kind_of_channel in rows:
            row = channels.append_child("channel")
            row.append_child_value("label", label)
            row.append_child_value("unit", unit)
            row.append_child_value("type", kind_of_channel)
    return info


UNICORN = "UN-2019.05.51"
CAP = ["Fz", "C3", "Cz", "C4", "Pz", "PO7", "Oz", "PO8"]
AXES = [f"{sensor}.{axis}" for sensor in ("acc", "gyro") for axis in "xyz"]
MOTION = ["Timestamp", "Counter", "Interpolate", "Q0", "Q1", "Q2", "Q3",
          "ACCX", "ACCY", "ACCZ", "MAGX", "MAGY", "MAGZ"]  # fmt: skip
OUTLETS = {
    "unicorn": outlet(UNICORN, "Data", [], RATE, UNICORN, 17),
    "unicorn_eeg": outlet(f"{UNICORN}_EEG", "EEG", [], RATE, UNICORN, 8),
    "unicorn_acc": outlet(f"{UNICORN}_ACC", "ACC", [], RATE, UNICORN, 3),
    "unicorn_gyr": outlet(f"{UNICORN}_GYR", "GYR", [], RATE, UNICORN, 3),
    "unicorn_bat": outlet(f"{UNICORN}_BAT", "BAT", [], RATE, UNICORN, 1),
    "emotiv_motion": outlet(
        "EmotivDataStream-Motion", "Motion", [(x, "", "") for x in MOTION], 64, "e-2"
    ),
    "emotiv_quality": outlet(
        "EmotivDataStream-EEG-Quality", "EEG",
        [(x, "", "EEG") for x in ("Timestamp", "Overall", "AF3", "AF4")], 2, "e-3",
    ),
    "explore": outlet(
        "Explore_1438_ORN", "ORN",
        [(f"{s}{a}", u, "ORN") for s, u in
         (("acc", "mg"), ("gyro", "mdps"), ("mag", "mgauss")) for a in "XYZ"],
        20, "x-1",
    ),
    "explore_exg": outlet(
        "Explore_1438_ExG", "ExG", [(f"ch{i}", "uV", "ExG") for i in (1, 2)], 250, "x"
    ),
    "openmuse": outlet(
        "Muse_ACCGYRO", "Motion",
        [(f"{s}_{a}", "a.u.", "") for s in ("ACC", "GYRO") for a in "XYZ"], 52, "m-1",
    ),
    "openmuse_light": outlet(
        "Muse_OPTICS", "OPTICS",
        [(f"OPTICS_{x}", "a.u.", "") for x in ("LI_IR", "RI_IR")], 64, "m-2",
    ),
    "bitalino": outlet(
        "BITalino", "BioSignals",
        [("SEQ", "raw", "Biosignals"), ("A1_ECG", "mV", "Biosignals"),
         ("A3_EDA", "uS", "Biosignals")], 100, "b-1",
    ),
}  # fmt: skip
"""Outlets as the makers' programs describe them."""

KINDS = {
    "unicorn": [("Fz", "eeg", "uV"), ("ACC X", "misc", "g"), ("GYR X", "misc", "deg/s"),
                ("Battery", "misc", "%"), ("Counter", "misc", "1"),
                ("Validation", "misc", "1")],
    "unicorn_eeg": [(name, "eeg", "uV") for name in CAP],
    "unicorn_acc": [(name, "misc", "g") for name in AXES[:3]],
    "unicorn_gyr": [(name, "misc", "deg/s") for name in AXES[3:]],
    "unicorn_bat": [("bat", "misc", "1")],
    "emotiv_motion": [("Q0", "misc", "1"), *((x, "misc", "g") for x in AXES[:3]),
                      ("MAGX", "misc", "1"), ("Timestamp", "misc", "1")],
    "emotiv_quality": [("AF3", "misc", "1"), ("AF4", "misc", "1")],
    "explore": [*((x, "misc", "g") for x in AXES[:3]),
                *((x, "misc", "deg/s") for x in AXES[3:])],
    "explore_exg": [("ch1", "eeg", "uV"), ("ch2", "eeg", "uV")],
    "openmuse": [*((x, "misc", "g") for x in AXES[:3]),
                 *((x, "misc", "deg/s") for x in AXES[3:])],
    "openmuse_light": [("OPTICS_LI_IR", "bio", "1"), ("OPTICS_RI_IR", "bio", "1")],
    "bitalino": [("A1_ECG", "ecg", "uV"), ("A3_EDA", "gsr", "uS")],
}  # fmt: skip
"""Channels that each outlet has, with kind and unit."""


@pytest.fixture(scope="module")
def senders() -> dict[str, pylsl.StreamOutlet]:
    return {key: pylsl.StreamOutlet(info) for key, info in OUTLETS.items()}


def first_block(key: str, sender: pylsl.StreamOutlet) -> Block:
    """Return what a device reads of ones."""
    info = OUTLETS[key]
    with Inlet(stream_name=info.name(), name="d", timeout=20.0) as inlet:
        assert sender.wait_for_consumers(10)
        for _ in range(4):
            sender.push_sample([1.0] * info.channel_count())
        end = time.monotonic() + 10
        while time.monotonic() < end:
            for item in inlet.read():
                if isinstance(item, Block) and len(item):
                    return item
            time.sleep(0.01)
    raise AssertionError(f"{key} sent nothing")


def test_outlets_of_devices_have_their_kinds_and_units(
    senders: dict[str, pylsl.StreamOutlet],
) -> None:
    with ThreadPoolExecutor(len(senders)) as pool:
        blocks = dict(
            zip(senders, pool.map(first_block, senders, senders.values()), strict=True)
        )
    channels = {key: set(block.info.channels) for key, block in blocks.items()}
    for key, expected in KINDS.items():
        assert {Channel(*c) for c in expected} <= channels[key], key
    names = blocks["explore"].info.names
    values = dict(zip(names, blocks["explore"].data[0], strict=True))
    assert (values["acc.x"], values["gyro.z"]) == pytest.approx((1e-3, 1e-3))
    names = blocks["bitalino"].info.names
    values = dict(zip(names, blocks["bitalino"].data[0], strict=True))
    assert (values["A1_ECG"], values["A3_EDA"]) == pytest.approx((1e3, 1))
