"""No stream falls out silently: each is in the final table, or named with a reason.

The laws hold over all readers, data sets and simulated devices, and over generated
faults: a stream that is constant, all missing, without samples, dead before the end,
unread or outside its physical range is named by `check`, `replay` and `report`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_seeds import OPTIONS, SEEDS
from typer.testing import CliRunner

import physio
from miniatures import MINIATURES
from physio.cli import app
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.recording import Recording
from physio.datasets import open_recording
from physio.io import xdf
from physio.online.session_config import SessionConfig
from physio.online.session_table import recording_rows
from physio.quality.stream_summary import StreamSummary

SECONDS = 20.0
UNITS = {
    "eeg": "uV", "gsr": "uS", "bio": "1", "ecg": "mV", "resp": "1",
    "misc": "g", "temperature": "degC",
}  # fmt: skip
LEVELS = {"gsr": 3.0, "temperature": 33.0, "misc": 0.57, "eeg": 0.0}
SPREADS = {"eeg": 10.0, "ecg": 0.3, "bio": 20.0}


def e4(root: Path) -> Path:
    root.mkdir()
    for name, rate, values in (
        ("EDA", 4, "0.5"),
        ("BVP", 64, "1.5"),
        ("TEMP", 4, "33"),
    ):
        lines = "\n".join([values] * int(rate * SECONDS))
        (root / f"{name}.csv").write_text(f"1500000000.0\n{rate}.0\n{lines}\n")
    return root


def openbci(root: Path) -> Path:
    head = (
        "%OpenBCI Raw EXG Data\n%Number of channels = 4\n%Sample Rate = 200 Hz\n"
        "%Board = OpenBCI_GUI$BoardGanglionBLE\n"
        "Sample Index, EXG Channel 0, EXG Channel 1, EXG Channel 2, EXG Channel 3, "
        "Accel Channel 0, Accel Channel 1, Accel Channel 2, Timestamp, "
        "Marker Channel, Timestamp (Formatted)\n"
    )
    rows = (
        f"{i % 256}, {i % 7}.5, -2.0, 3.0, 4.0, 0.0, 0.5, 1.0, "
        f"{1600000000 + i / 200}, 0, 2020-09-13 12:26:40.000\n"
        for i in range(1000)
    )
    path = root.with_suffix(".txt")
    path.write_text(head + "".join(rows))
    return path


def respiban(root: Path) -> Path:
    about = {"00:07": {"sensor": ["ECG", "EDA"], "sampling rate": 700}}
    head = "# OpenSignals Text File Format"
    lines = [head, f"# {json.dumps(about)}", "# EndOfHeader"]
    lines += [f"{i % 65536}\t0\t{32768 + i % 50}\t{2000 + i % 9}" for i in range(1400)]
    path = root.with_suffix(".txt")
    path.write_text("\n".join(lines) + "\n")
    return path


def own_xdf(root: Path) -> Path:
    path = root.with_suffix(".xdf")
    xdf.write(path, Recording({"band.eda": blocks("gsr", lost=(40, 60))}))
    return path


FILES: dict[str, Callable[[Path], Path]] = {
    "e4": e4, "openbci": openbci, "respiban": respiban, "xdf": own_xdf,
}  # fmt: skip


def signal(kind: str, rate: float = 32.0, seconds: float = SECONDS) -> Array:
    """Return a signal such as a sensor on a body gives."""
    t = np.arange(int(seconds * rate)) / rate
    rng = np.random.default_rng(4)
    spread = SPREADS.get(kind, 0.02)
    wave = spread * (np.sin(2 * np.pi * t) + 0.1 * rng.normal(size=len(t)))
    return LEVELS.get(kind, 0.0) + wave


def blocks(
    kind: str,
    values: Array | None = None,
    name: str = "band.eda",
    unit: str | None = None,
    lost: tuple[int, int] | None = None,
) -> tuple[Block, ...]:
    """Return a stream of one channel, with the samples ``lost`` missing."""
    unit = UNITS[kind] if unit is None else unit
    info = StreamInfo(name, Fraction(32), (Channel("ch", kind, unit),))
    x = (signal(kind) if values is None else values)[:, None]
    if lost is None:
        return (Block(info, 0, 0.0, x),)
    begin, end = lost
    return Block(info, 0, 0.0, x[:begin]), Block(info, end, 0.0, x[end:])


def rows_of(recording: Recording) -> dict[str, dict[str, Any]]:
    """Return the entries of the table by stream, with the default chains."""
    file = SessionConfig()
    config = json.dumps(file.resolved(file.plan(recording.inputs)))
    about = {**recording.metadata, "config": config}
    return {r["name"]: r for r in recording_rows(replace(recording, metadata=about))}


def all_streams_are_in(rows: Mapping[str, Mapping[str, Any]], read: Recording) -> None:
    """Raise AssertionError unless each stream is in the table, sample by sample."""
    inputs = [i for i in read.inputs if not i.name.startswith("session.")]
    assert set(rows) >= {info.name for info in inputs}
    for info in (i for i in inputs if i.rate):
        row, parts = rows[info.name], read.streams[info.name]
        assert row["samples"] == sum(map(len, parts))
        expected = max((b.stop for b in parts if len(b)), default=0)
        assert row["samples"] + row["lost"] == expected
        assert row["computed"] or row["notes"], f"{info.name} is not explained"
        assert [c["name"] for c in row["channels"]] == list(info.names)


@pytest.mark.parametrize("kind", FILES)
def test_every_stream_of_a_file_is_in_the_table(kind: str, tmp_path: Path) -> None:
    read = open_recording.read(FILES[kind](tmp_path / "recording"))
    assert read.streams
    all_streams_are_in(rows_of(read), read)


@pytest.mark.parametrize(
    ("reader", "seed"), [(m, s) for m, seeds in SEEDS.items() for s in seeds]
)
def test_every_stream_of_every_format_is_in_the_table(
    reader: str, seed: Callable[[Path], Path], tmp_path: Path
) -> None:
    try:
        path = seed(tmp_path)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    read = open_recording.read(path, **OPTIONS.get(reader, {}))
    assert read.streams or read.events
    all_streams_are_in(rows_of(read), read)


@pytest.mark.parametrize("name", MINIATURES)
def test_every_stream_of_a_data_set_is_in_the_table(name: str, tmp_path: Path) -> None:
    from physio.datasets.library import dataset_classes

    cls = next(c for c in dataset_classes().values() if c.__name__ == name)
    MINIATURES[name](tmp_path / name)
    dataset = cls(tmp_path / name)
    read = dataset.load(dataset.trials()[0])
    all_streams_are_in(rows_of(read), read)


@pytest.mark.parametrize("device", ["Headset", "Wristband", "Chest"])
def test_every_stream_of_a_device_is_in_the_table(device: str, tmp_path: Path) -> None:
    import devices.simulated
    from physio.cli.run_session import run_session
    from physio.core.protocols import FastClock

    clock = FastClock()
    source = getattr(devices.simulated, device)(clock=clock, seconds=3.0)
    file = SessionConfig({"sinks": {"recording": {"use": "physio.sinks.xdf:Xdf"}}})
    outcome = run_session(file, [source], clock, tmp_path)
    rows = {row["name"]: row for row in outcome.figures["streams"]}
    assert set(rows) == {info.name for info in source.streams}
    written = physio.read(tmp_path / "recording.xdf")
    for name, parts in written.streams.items():
        if name in rows:
            assert rows[name]["samples"] == sum(map(len, parts)) > 0
            assert rows[name]["computed"] or rows[name]["notes"]


FAULTS: dict[str, tuple[str, Array | None, str | None, str]] = {
    "flat.eda": ("gsr", np.full(640, 5.0), None, "ch: constant, 5 uS"),
    "lost.temp": ("temperature", np.full(640, MissingReason.NO_SIGNAL.nan), None,
                  "ch: all values are missing"),
    "dry.eda": ("gsr", signal("gsr") / 1000, None, "below 0.05 uS: dry skin"),
    "volts.eeg": ("eeg", signal("eeg") * 1e-6, None, "below 0.2 uV: no electrode"),
    "loose.eeg": ("eeg", signal("eeg") * 100, None, "above 500 uV: a loose electrode"),
    "kelvin.temp": ("temperature", signal("temperature") + 273, None, "above 45 degC"),
    "ms2.acc": ("misc", signal("misc") * 9.81, None, "above 4 g: another unit"),
    "none.ppg": ("bio", np.empty(0), None, "no sample arrived"),
    "dead.resp": ("resp", signal("resp")[:320], None, "no sample in the last 10 s"),
    "ohm.eda": ("gsr", 1000 / signal("gsr"), "kOhm", "gsr is read in uS"),
}  # fmt: skip


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording with a healthy stream among faulty ones."""
    streams = {"good.ppg": blocks("bio", name="good.ppg")}
    for name, (kind, values, unit, _) in FAULTS.items():
        streams[name] = blocks(kind, values, name, unit)
    path = tmp_path_factory.mktemp("faulty") / "faulty.xdf"
    xdf.write(path, Recording(streams))
    return path


@pytest.mark.parametrize("command", ["check", "replay", "report"])
def test_each_fault_is_named_by_each_command(
    command: str, faulty: Path, tmp_path: Path
) -> None:
    out = {
        "check": ["--json", str(tmp_path / "c.json")],
        "replay": ["--fast", "--out", str(tmp_path / "s")],
        "report": ["--out", str(tmp_path / "r.html")],
    }[command]
    done = CliRunner().invoke(app, [command, str(faulty), *out])
    assert done.exit_code == (1 if command == "check" else 0), done.output
    page = (tmp_path / "r.html").read_text() if command == "report" else done.output
    for name, (_, _, _, text) in FAULTS.items():
        assert re.search(f"{re.escape(name)}: .*{re.escape(text)}", page), name
    assert "good.ppg: " not in page
    if command == "check":
        assert "every channel is fit" not in page
        rows = json.loads((tmp_path / "c.json").read_text())["streams"]
        healthy = next(r for r in rows if r["name"] == "good.ppg")
        assert healthy["computed"][0]["seconds"] > 15  # however silent the others are
        assert {r["name"] for r in rows if r["faults"] or r["notes"]} == set(FAULTS)


def test_check_calls_no_stream_fit_that_yields_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(6).normal(0, 10, 1280)
    pulse = blocks("bio", noise, "noise.ppg")
    info = StreamInfo("counts.ppg", Fraction(32), (Channel("ppg", "bio", "counts"),))
    t = np.arange(1280) / 32
    beats = 5e4 + 300 * np.exp(-(((t % 0.85) - 0.3) ** 2) / 0.01)[:, None]
    streams = {"noise.ppg": pulse, "counts.ppg": (Block(info, 0, 0.0, beats),)}
    xdf.write(tmp_path / "a.xdf", Recording(streams))
    done = CliRunner().invoke(app, ["check", str(tmp_path / "a.xdf")])
    assert done.exit_code == 1
    assert re.search(r"not fit: noise\.ppg: heart2? has no value: .* poor", done.output)
    assert "counts.ppg: " not in done.output
    xdf.write(tmp_path / "b.xdf", Recording({"counts.ppg": streams["counts.ppg"]}))
    done = CliRunner().invoke(app, ["check", str(tmp_path / "b.xdf")])
    assert (done.exit_code, "every channel is fit" in done.output) == (0, True)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(UNITS)),
    st.sampled_from(["constant", "missing", "none", "dead", "healthy"]),
    st.lists(st.integers(0, 640), max_size=6),
)
def test_a_fault_is_named_however_the_stream_is_cut(
    kind: str, fault: str, cuts: list[int]
) -> None:
    x = signal(kind)
    x = {
        "constant": np.full(640, x[0]), "missing": np.full(640, np.nan),
        "none": x[:0], "dead": x[:200], "healthy": x,
    }[fault]  # fmt: skip
    (block,) = blocks(kind, x)
    whole, parts = StreamSummary(block.info), StreamSummary(block.info)
    whole.push(block)
    for part in block.split(sorted(c for c in cuts if c <= len(block))):
        parts.push(part)
    faults = whole.faults(SECONDS)
    assert bool(faults) == (fault != "healthy")
    assert (parts.faults(SECONDS), parts.to_dict()) == (faults, whole.to_dict())
