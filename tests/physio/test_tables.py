"""Tables of one's own, with a map, a known header, or speaking names."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import physio
from physio.cli import app
from physio.core.block import Channel
from physio.core.recording import Recording
from physio.datasets.open_recording import read
from physio.io.tables import from_table, map_path
from physio.io.tables.column_map import ColumnMap, ColumnSignal, read_map, to_toml
from physio.io.tables.column_proposal import propose, signal_kind, split_unit
from physio.io.tables.row_times import estimate_rate, read_times
from physio.io.tables.table_recording import beat_times
from physio.io.tables.text_table import read_text_table

RATE = 64
N = RATE * 20
T = np.arange(N) / RATE
EDA = 2.7 + 0.1 * np.sin(T / 3)
UNIX = 1_700_000_000


def own(rows: int = N) -> pd.DataFrame:
    """Return a table as people write it."""
    return pd.DataFrame(
        {
            "timestamp_ms": np.round(1000 * (UNIX + T)).astype(np.int64),
            "GSR_uS": np.round(EDA, 4),
            "PPG": np.round(100 * np.sin(2 * np.pi * 1.2 * T), 2),
            "ax": 0.03125 + 0 * T,
            "ay": -0.15625 + 0 * T,
            "az": 0.96875 + 0 * T,
            "skin_temp_C": 33 + 0 * T,
        }
    ).iloc[:rows]


def written(folder: Path, frame: pd.DataFrame, name: str = "x.csv", **how: str) -> Path:
    path = folder / name
    frame.to_csv(path, index=False, **how)
    return path


def check_own(found: Recording) -> None:
    (eda,) = found.streams["table.eda"]
    assert eda.info.rate == RATE
    assert eda.info.channels == (Channel("eda", "gsr", "uS"),)
    assert np.array_equal(eda.data[:, 0], np.round(EDA, 4))
    assert np.max(np.abs(eda.times - T)) < 0.001
    (acc,) = found.streams["table.acc"]
    assert acc.info.channels == tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")
    assert found.streams["table.temp"][0].info.channels[0].unit == "degC"
    assert float(found.metadata["begin_unix"]) == UNIX


@pytest.mark.parametrize(
    ("separator", "decimal"), [(",", "."), (";", ","), ("\t", "."), ("\t", ",")]
)
def test_a_table_with_speaking_names_needs_no_map(
    tmp_path: Path, separator: str, decimal: str
) -> None:
    check_own(read(written(tmp_path, own(), sep=separator, decimal=decimal)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_marks_quotes_comments_and_a_row_of_units(
    tmp_path: Path, encoding: str
) -> None:
    frame = own().rename(
        columns={"GSR_uS": "GSR", "skin_temp_C": "Temp", "timestamp_ms": "Time"}
    )
    units = ["ms", "\xb5S", "a.u.", "g", "g", "g", "\xb0C"]
    head = "# participant: p7\n" + ",".join(f'"{c}"' for c in frame) + "\r\n"
    text = head + ",".join(units) + "\r\n" + frame.to_csv(index=False, header=False)
    (tmp_path / "x.txt").write_bytes(text.encode(encoding))
    check_own(read(tmp_path / "x.txt"))


@pytest.mark.parametrize(
    ("unit", "times"),
    [
        ("s", UNIX + T),
        ("ms", np.round(1e3 * (UNIX + T))),
        ("us", np.round(1e6 * (UNIX + T))),
        ("ns", (np.int64(UNIX) * 10**9 + np.round(1e9 * T).astype(np.int64))),
        ("iso", pd.to_datetime(UNIX + T, unit="s", utc=True).astype(str)),
    ],
)
def test_times_in_every_unit_are_the_same(
    tmp_path: Path, unit: str, times: np.ndarray
) -> None:
    frame = own().drop(columns="timestamp_ms").assign(time=times)
    check_own(read(written(tmp_path, frame)))
    seconds = read_times(frame, ("time",)).seconds
    assert np.max(np.abs(seconds - T)) < 0.001
    assert read_times(frame, ("time",)).unit == unit


@pytest.mark.parametrize("style", ["%d.%m.%Y %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S:%f"])
def test_dates_of_a_zone_that_is_named(style: str) -> None:
    local = pd.to_datetime(UNIX + T, unit="s", utc=True).tz_convert("Europe/Berlin")
    frame = own().assign(timestamp_ms=local.strftime(style))
    columns = {
        "time": {"column": "timestamp_ms", "zone": "Europe/Berlin"},
        "signals": {"GSR_uS": {"kind": "eda", "unit": "uS"}},
    }
    found = from_table(frame, columns)
    assert float(found.metadata["begin_unix"]) == UNIX
    del columns["time"]["zone"]  # type: ignore[attr-defined]
    found = from_table(frame, columns)
    assert "begin_unix" not in found.metadata
    assert "state no zone" in found.metadata["warnings"]


def test_times_of_day_go_on_after_midnight() -> None:
    begin = pd.Timestamp("2024-01-01 23:59:55")
    texts = (begin + pd.to_timedelta(T, unit="s")).strftime("%H:%M:%S.%f")
    times = read_times(pd.DataFrame({"t": texts}), ("t",))
    assert np.max(np.abs(times.seconds - T)) < 1e-5
    two = pd.DataFrame({"Date": "2024-01-01", "Time": texts[:300]})
    assert read_times(two, ("Date", "Time")).seconds[-1] == pytest.approx(T[299])


def test_rows_without_times_have_the_rate_of_the_map() -> None:
    frame = pd.DataFrame({"a": EDA})
    columns = {"rate": 64, "name": "mine", "signals": {"a": "eda"}}
    (eda,) = from_table(frame, columns).streams["mine.eda"]
    assert (eda.info.rate, len(eda)) == (64, N)
    with pytest.raises(ValueError, match="must state the rate"):
        from_table(frame, {"signals": {"a": "eda"}})


def test_missing_rows_are_a_gap_and_repeated_ones_are_left_out(tmp_path: Path) -> None:
    frame = own()
    gap = pd.concat([frame[:300], frame[299:300], frame[400:]])
    found = read(written(tmp_path, gap))
    first, second = found.streams["table.eda"]
    assert (len(first), second.start, second.stop) == (300, 400, N)
    assert "1 repeated row is left out" in found.metadata["warnings"]


def test_values_that_are_no_numbers_are_missing_and_said(tmp_path: Path) -> None:
    frame = own().astype({"GSR_uS": object})
    frame.loc[5, "GSR_uS"] = "error"
    frame.loc[6, "GSR_uS"] = None
    found = read(written(tmp_path, frame))
    (eda,) = found.streams["table.eda"]
    assert np.flatnonzero(np.isnan(eda.data[:, 0])).tolist() == [5, 6]
    says = "1 value of GSR_uS missing: no number, such as 'error'"
    assert says in found.metadata["warnings"]


def test_rates_of_one_file_are_told_apart(tmp_path: Path) -> None:
    frame = own()
    frame.loc[frame.index % 16 != 3, "GSR_uS"] = np.nan  # 4 Hz, empty in between
    frame["skin_temp_C"] = np.repeat(np.round(33 + np.arange(N / 32) / 100, 2), 32)
    found = read(written(tmp_path, frame))
    (eda,), (temp,) = found.streams["table.eda"], found.streams["table.temp"]
    assert (eda.info.rate, len(eda)) == (4, N // 16)
    assert eda.times[0] == pytest.approx(3 / 64, abs=0.001)
    assert (temp.info.rate, len(temp)) == (2, N // 32)
    assert found.streams["table.ppg"][0].info.rate == 64


def test_units_and_factors_are_applied() -> None:
    frame = pd.DataFrame(
        {"t": T, "r": 1000 / EDA, "f": 91.4 + 0 * T, "z": 9.80665 + 0 * T, "c": 512}
    )
    columns = {
        "time": "t",
        "signals": {
            "r": {"kind": "eda", "unit": "kOhm"},
            "f": {"kind": "temp", "unit": "degF"},
            "z": {"kind": "acc.z", "unit": "m/s^2"},
            "c": {"kind": "ecg", "unit": "mV", "factor": 3 / 1024, "offset": -1.5},
        },
    }
    found = from_table(frame, columns)
    value = {n.partition(".")[2]: b[0].data[0, 0] for n, b in found.streams.items()}
    assert value["eda"] == pytest.approx(EDA[0])
    assert value["temp"] == pytest.approx(33.0)
    assert value["acc"] == pytest.approx(1.0)
    assert value["ecg"] == 0.0
    assert found.streams["table.ecg"][0].info.channels[0].unit == "uV"


def test_an_unknown_unit_is_said_and_never_scaled() -> None:
    frame = pd.DataFrame({"t": T, "a": EDA})
    columns = ColumnMap((ColumnSignal("a", "eda"),), ("t",))
    found = from_table(frame, columns)
    assert (
        "states no unit for eda: values are taken as uS" in found.metadata["warnings"]
    )


def test_markers_and_intervals_become_events(tmp_path: Path) -> None:
    frame = own().assign(Marker=0, RR=np.nan)
    frame.loc[100, "Marker"], frame.loc[200, "Marker"] = 7, 8
    frame.loc[[64, 128], "RR"] = [812, 820]
    found = read(written(tmp_path, frame))
    markers, beats = found.events["table.markers"], found.events["table.ibi"]
    assert (markers.labels, markers.times.round(3).tolist()) == (
        ("7", "8"),
        [1.562, 3.125],
    )
    assert beats.data[:, 0].tolist() == [0.812, 0.82]


def test_intervals_follow_each_other_unless_beats_were_lost() -> None:
    intervals = np.array([0.8, 0.81, 0.79, 0.8, 0.8])
    stamps = np.array([0.0, 1.0, 1.0, 2.0, 12.0])  # as an app receives them
    assert beat_times(stamps, intervals).tolist() == pytest.approx(
        [0.0, 0.81, 1.6, 2.4, 12.0]
    )
    exact = np.cumsum(intervals)
    assert beat_times(exact, intervals) is exact


def test_a_doubtful_table_is_refused_and_names_the_command(tmp_path: Path) -> None:
    frame = pd.DataFrame({"time": np.arange(200), "GSR": 300 + np.arange(200) % 7})
    path = written(tmp_path, frame)
    with pytest.raises(ValueError, match=f"`physio columns {path}` proposes a map"):
        read(path)
    assert len(propose(read_text_table(path)).doubts) == 2


def test_a_map_without_a_rate_is_not_used(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from physio.cli import app

    path = written(tmp_path, pd.DataFrame({"GSR_uS": EDA[:200]}))
    assert CliRunner().invoke(app, ["columns", str(path)]).exit_code == 0
    with pytest.raises(ValueError, match="must state the rate of the rows"):
        read(path)
    text = map_path(path).read_text().replace("# rate = 64", "rate = 4")
    map_path(path).write_text(text)
    assert read(path).streams["table.eda"][0].info.rate == 4


def test_the_map_beside_a_table_is_used(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": np.arange(200), "value": EDA[:200]})
    path = written(tmp_path, frame)
    map_path(path).write_text(
        'rate = 4\nname = "mine"\n[signals]\nvalue = { kind = "eda", unit = "uS" }\n'
    )
    (eda,) = read(path).streams["mine.eda"]
    assert (eda.info.rate, len(eda)) == (4, 200)
    other = tmp_path / "other.toml"
    other.write_text('rate = 8\n[signals]\nvalue = "eda"\n')
    assert read(path, columns=other).streams["table.eda"][0].info.rate == 8


def test_a_map_is_written_and_read_back(tmp_path: Path) -> None:
    columns = ColumnMap(
        (
            ColumnSignal("GSR (\xb5S)", "eda", "uS", factor=0.5, rate=4.0),
            ColumnSignal('a "b"', "acc.x", "g", name="acc.x"),
        ),
        ("Date", "Time"),
        "iso",
        "Europe/Berlin",
        name="mine",
        site="left wrist",
    )
    path = tmp_path / "m.toml"
    path.write_text(to_toml(columns, {"": "first\nsecond", "Date": "why"}), "utf-8")
    assert read_map(path) == columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate = 4", "must name at least one signal"),
        ('[signals]\na = "eda"', "must state the rate of the rows"),
        ('rate = 4\n[signals]\na = "sweat"', "is 'sweat'; it must be one of"),
        ('rat = 4\n[signals]\na = "eda"', "the unknown key 'rat'"),
        ('rate = 4\n[signals]\na = { unit = "uS" }', "signals.a must state its kind"),
        ('time = { column = "t", unit = "h" }\n[signals]\na = "eda"', "is 'h'; it"),
        ("rate = ", "Invalid value"),
    ],
)
def test_a_wrong_map_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_map(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_column_that_is_not_there_is_named() -> None:
    columns = {"time": "t", "signals": {"GSR": "eda"}}
    with pytest.raises(
        ValueError, match="there is no column 'GSR'; the table has t, x"
    ):
        from_table(pd.DataFrame({"t": T, "x": T}), columns)


@pytest.mark.parametrize(
    ("name", "kind", "unit"),
    [
        ("GSR_uS", "eda", "uS"),
        ("EDA (\xb5S)", "eda", "\xb5S"),
        ("Skin Conductance [uS]", "eda", "uS"),
        ("skin_temp_C", "temp", "degC"),
        ("BVP", "ppg", ""),
        ("ecg [uV]", "ecg", "uV"),
        ("Accel_LN_X", "acc.x", ""),
        ("accelerationY", "acc.y", ""),
        ("acc_z_g", "acc.z", "g"),
        ("gyro x [dps]", "gyro.x", "dps"),
        ("RR-interval [ms]", "rr", "ms"),
        ("HR [bpm]", "hr", "bpm"),
        ("Resp", "resp", ""),
        ("Fp1", "eeg", ""),
        ("EEG.AF3", "eeg", ""),
        ("Marker", "marker", ""),
        ("Battery", "", ""),
        ("response", "", ""),
        ("x", "", ""),
    ],
)
def test_names_state_kind_and_unit(name: str, kind: str, unit: str) -> None:
    assert signal_kind(name) == kind
    assert split_unit(name)[1] == unit


@pytest.mark.parametrize(
    "names", [("acc_x", "acc_y", "acc_z"), ("AccX", "AccY", "AccZ")]
)
def test_the_axis_z_is_no_value_computed_of_a_signal(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    rows = [f"{k / 32:.5f},0.0{k % 3},0.1,0.98{k % 2}" for k in range(320)]
    path = tmp_path / "wrist.csv"
    path.write_text("\n".join([f"time_s,{','.join(names)}", *rows]), "utf-8")
    (blocks,) = read(path).streams.values()
    assert blocks[0].info.names == ("acc.x", "acc.y", "acc.z")


@pytest.mark.parametrize("name", ["respr", "resp_rate", "EDA_mean", "thorax_max"])
def test_values_computed_of_signals_are_asked_for(tmp_path: Path, name: str) -> None:
    frame = own()[["timestamp_ms", "PPG"]].assign(**{name: 12.5 + 0 * T})
    path = written(tmp_path, frame)
    with pytest.raises(ValueError, match=f"{name} may be a signal .*physio columns"):
        read(path)
    map_path(path).write_text(
        f'time = "timestamp_ms"\n[signals]\nPPG = "ppg"\n{name} = "misc"\n'
    )
    assert set(read(path).streams) == {"table.ppg", "table.misc"}


def test_rows_of_several_participants_are_no_recording(tmp_path: Path) -> None:
    rows = pd.concat([own(300).assign(Participant=k) for k in (2, 3, 4, 5)])
    with pytest.raises(ValueError, match=r"holds 4 participants .*: 2, 3, 4, \.\.\."):
        read(written(tmp_path, rows))
    check_own(read(written(tmp_path, own().assign(Participant="p7"))))


@pytest.mark.parametrize("rate", [1, 4, 25, 51.2, 64, 130, 256, 1000])
def test_rates_are_measured_from_rounded_lossy_and_bunched_times(rate: float) -> None:
    n = int(max(60, 20 * rate))
    times = np.arange(n) / rate
    rng = np.random.default_rng(1)
    assert estimate_rate(np.round(times, 3)) == pytest.approx(rate)
    assert estimate_rate(times[rng.random(n) > 0.1]) == pytest.approx(rate, rel=0.01)
    bursts = (np.arange(n) // 4 + 1) * 4 / rate
    if rate > 20:
        assert estimate_rate(bursts) == pytest.approx(rate, rel=0.02)
    gap = np.where(np.arange(n) > n // 2, times + 50, times)
    assert estimate_rate(gap) == pytest.approx(rate)


def test_the_command_proposes_a_map_and_draws_the_signals(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from physio.cli import app

    path = written(tmp_path, own(300))
    done = CliRunner().invoke(app, ["columns", str(path)])
    assert done.exit_code == 0, done.output
    assert '"GSR_uS" = { kind = "eda", unit = "uS" }' in done.output
    assert read_map(map_path(path)).time == ("timestamp_ms",)
    assert (tmp_path / "x.columns.png").stat().st_size > 10_000
    before = map_path(path).read_text()
    assert CliRunner().invoke(app, ["columns", str(path)]).exit_code == 0
    assert map_path(path).read_text() == before


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_export_is_read_back_to_the_bit(tmp_path: Path, suffix: str) -> None:
    from physio.cli.recordings import _to_tables

    frame = own()
    gap = written(tmp_path, pd.concat([frame[:300], frame[400:]]))
    recording = read(gap, participant="p7")
    out = tmp_path / "out"
    out.mkdir()
    _to_tables(recording, out, suffix)
    found = read(out)
    assert found.infos == recording.infos
    assert found.metadata == recording.metadata
    for name, blocks in recording.streams.items():
        pairs = zip(blocks, found.streams[name], strict=True)
        for a, b in pairs:
            assert (a.start, a.t0) == (b.start, b.t0)
            assert np.array_equal(a.data, b.data, equal_nan=True)


def test_a_unit_of_time_in_doubt_is_a_question_in_the_map(tmp_path: Path) -> None:
    rows = "".join(f"{100 * i},{0.5 + i % 7 / 100}\n" for i in range(300))
    (tmp_path / "a.csv").write_text("t,GSR_uS\n" + rows, "utf-8")
    done = CliRunner().invoke(app, ["columns", str(tmp_path / "a.csv")])
    assert (done.exit_code, "in doubt: the unit of t" in done.output) == (0, True)
    text = (tmp_path / "a.columns.toml").read_text("utf-8")
    assert "# Is the unit of the times ms? Then remove the next #; else" in text
    assert '\n# time = { column = "t", unit = "ms" }\n' in text
    with pytest.raises(ValueError, match="without a column of times"):
        physio.read(tmp_path / "a.csv")
