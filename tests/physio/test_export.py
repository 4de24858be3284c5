"""Recordings handed on: what others' programs find, and what nobody must."""

import gzip
import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import mne_bids
import numpy as np
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.events import Events, event_stream, single_event
from physio.core.missing import MissingReason
from physio.core.recording import Recording
from physio.datasets.open_recording import read
from physio.io import xdf
from physio.io.anonymize import anonymize
from physio.view.convert import to_mne

SECRETS = (
    "Erika",
    "SN-8841",
    "00:07:80:ab:cd:ef",
    "labhost3",
    "jdoe",
    "/home/jdoe/study",
    "2026-03-14",
    "20260314",
    "14.03.26",
    "1773480000",
    "19871224",
)
UNIX = 1773480000.0  # 2026-03-14


def recording() -> Recording:
    """Return a recording in which every text is an identifier."""
    rng = np.random.default_rng(2)
    eeg = StreamInfo(
        "sn_8841.eeg",
        Fraction(250),
        tuple(Channel(n, "eeg", "uV") for n in ("F3", "F4", "Cz")),
        participant="Erika",
        site="SN-8841 cap",
        placement="/home/jdoe/study",
        reference="jdoe",
    )
    eda = StreamInfo(
        "labhost3.eda", Fraction(4), (Channel("eda", "gsr", "uS"),), participant="Erika"
    )
    made = StreamInfo(
        "estimates", Fraction(1), (Channel("arousal"),), participant="Erika"
    )
    wrist = StreamInfo(
        "labhost3.status",
        Fraction(4),
        (
            Channel("Erika's wrist", "bio", "Erika's own unit"),
            Channel("clock", "misc", "1"),
        ),
        participant="Erika",
    )
    stamps = UNIX + np.arange(1000) / 250
    dates = np.column_stack((np.arange(36.0), UNIX + np.arange(36.0)))
    streams = {
        "sn_8841.eeg": (
            Block(eeg, 0, UNIX, rng.normal(0, 20, (1000, 3)), stamps),
            Block(eeg, 1250, UNIX, rng.normal(0, 20, (1000, 3)), stamps + 5.0),
        ),
        "labhost3.eda": (Block(eda, 0, UNIX + 0.1, rng.normal(3, 0.1, (36, 1))),),
        "labhost3.status": (Block(wrist, 0, UNIX, dates),),
        "estimates": (Block(made, 0, UNIX, rng.normal(0, 0.1, (9, 1))),),
    }
    markers = event_stream("session.markers")
    told = Events(
        markers,
        UNIX + 3.0,
        UNIX + np.array([1.0, 2.0, 3.0]),
        np.empty((3, 0)),
        ("film", "Erika coughs", "film"),
    )
    born = event_stream(
        "jdoe.answers",
        Channel("born jdoe", "misc", "1"),
        Channel("code", "misc", "SN-8841"),
        Channel("rr", "misc", "ms"),
    )
    answers = Events(
        born,
        UNIX + 3.0,
        UNIX + np.array([1.0, 2.0, 3.0]),
        np.array([[19871224.0, 7, 812.5], [19871225, 255, 799], [19871224, 8, 1e9]]),
        ("Erika", "b", "c"),
    )
    status = single_event(
        event_stream("session.status"), UNIX, "labhost3 on /home/jdoe/study"
    )
    about = {
        "begin": repr(UNIX),
        "begin_unix": repr(UNIX),
        "began": "2026-03-14T09:20:00",
        "participant": "Erika",
        "config": json.dumps({"serial": "SN-8841", "mac": "00:07:80:ab:cd:ef"}),
        "source": "/home/jdoe/study/20260314",
    }
    events = {"session.markers": told, "session.status": status}
    return Recording(streams, {**events, "jdoe.answers": answers}, (), about)


def source(tmp_path: Path) -> Path:
    path = tmp_path / "sub-Erika_2026-03-14.xdf"
    xdf.write(path, recording())
    return path


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def all_bytes(folder: Path) -> dict[str, bytes]:
    """Return each file's name and bytes, also as they are when unpacked."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        raw = str(path.relative_to(folder)).encode() + b"\n" + path.read_bytes()
        if path.suffix == ".gz":
            raw += gzip.decompress(path.read_bytes())
            assert path.read_bytes()[4:8] == bytes(4)  # no time of writing
        if path.suffix == ".parquet":
            from pyarrow import parquet

            file = parquet.ParquetFile(path)
            raw += (
                repr(file.schema_arrow.metadata).encode() + repr(file.metadata).encode()
            )
            raw += file.read().to_pandas().to_csv().encode()
        found[path.name] = raw
    return found


@pytest.mark.parametrize("kind", ["bids", "parquet", "csv", "edf"])
def test_nothing_says_who_where_or_when(tmp_path: Path, kind: str) -> None:
    path, out = source(tmp_path), tmp_path / "out"
    whole = path.read_bytes()
    own = (os.environ.get("USER", ""), os.uname().nodename, str(tmp_path))
    secrets = [s for s in (*SECRETS, *own) if len(s) > 3]
    assert sum(s.encode() in whole for s in SECRETS) > 6  # the search finds them
    run("export", path, out, "--format", kind, "--anonymise")
    files = all_bytes(out)
    assert len(files) >= 2
    for name, raw in files.items():
        for secret in secrets:
            assert secret.lower().encode() not in raw.lower(), (name, secret)
            wide = secret.lower().encode("utf-16-le")
            assert wide not in raw.lower(), (name, secret)


def test_no_number_is_a_date_after_anonymising() -> None:
    got = anonymize(recording())
    assert got.metadata == {"begin": "0.0"}
    assert set(got.streams) == {
        "device1.eeg", "device2.eda", "device2.pulse", "estimates",
    }  # fmt: skip
    assert got.events["session.markers"].labels == ("event 1", "event 2", "event 1")
    for blocks in got.streams.values():
        for block in blocks:
            assert block.stamps is None
            # UNIX has 2.4e-7 s between two numbers.
            assert -1e-6 <= block.times[0] < 10.0
            assert (block.info.participant, block.info.site) == ("anon1", "")
    before = recording().streams["sn_8841.eeg"][1]
    assert got.streams["device1.eeg"][1].data.tobytes() == before.data.tobytes()


def test_free_text_and_numbers_that_identify_are_replaced() -> None:
    got = anonymize(recording())
    (status,) = got.streams["device2.pulse"]
    assert status.info.names == ("pulse1", "channel1")
    assert [c.unit for c in status.info.channels] == ["1", "1"]
    np.testing.assert_array_equal(status.data, np.arange(36.0)[:, None] + [0, 0])
    answers = got.events["device3.events"]
    assert answers.info.names == ("channel2", "code", "rr")
    assert [c.unit for c in answers.info.channels] == ["1", "1", "ms"]
    np.testing.assert_array_equal(answers.data, [[1, 7, 1], [2, 255, 2], [1, 8, 3]])


USUAL = ("Fp1", "AFF5h", "TPP10h", "Cz", "FCCz", "B32", "E128", "acc.x", "ppg.green",
         "EEG Fp1-Ref", "ch 12", "GYRO_Z", "EXG 0", "eda", "valence.sam",
         "resp2")  # fmt: skip
UNUSUAL = ("Erika", "Liz", "Fritz", "jdoe", "eeg 20260314", "SN8841", "EEG of Erika",
           "a b c d x", "Cz (Erika)", "", "x" * 300, "\N{EYE}")  # fmt: skip


@pytest.mark.parametrize("name", [*USUAL, *UNUSUAL])
def test_names_of_the_field_stay(name: str) -> None:
    info = StreamInfo("d.eeg", Fraction(4), (Channel(name, "eeg", "uV"),))
    features = StreamInfo("features", Fraction(1), (Channel(f"eeg.de.alpha.{name}"),))
    streams = {
        "features": (Block(features, 0, 0.0, np.ones((9, 1))),),
        "d.eeg": (Block(info, 0, 0.0, np.ones((9, 1))),),
    }
    got = anonymize(Recording(streams))
    want = name if name in USUAL else "eeg1"
    features_name, device = got.streams
    assert features_name == "features"
    assert got.streams[device][0].info.names == (want,)
    if name:
        assert got.streams["features"][0].info.names == (f"eeg.de.alpha.{want}",)


@pytest.mark.parametrize("kind", ["bids", "csv"])
@pytest.mark.parametrize("second", ["plain", "anonymous"])
def test_plain_and_anonymous_exports_do_not_mix(
    kind: str, second: str, tmp_path: Path
) -> None:
    path, out = source(tmp_path), tmp_path / "out"
    anonymise = {"plain": [], "anonymous": ["--anonymise"]}
    first = "plain" if second == "anonymous" else "anonymous"
    command = ["export", path, out, "--format", kind]
    run(*command, *anonymise[first])
    before = all_bytes(out)
    with pytest.raises(ValueError, match=r"give a new folder$") as error:
        run(*command, *anonymise[second])
    held = "files that are not" if second == "anonymous" else "anonymised files"
    assert str(error.value).startswith(f"{out} holds {held}")
    assert all_bytes(out) == before


def test_labels_may_be_kept() -> None:
    got = anonymize(recording(), keep_labels=True)
    assert got.events["session.markers"].labels[0] == "film"


@pytest.mark.parametrize("eeg_format", ["BrainVision", "EDF"])
def test_a_bids_dataset_holds_the_same_numbers(tmp_path: Path, eeg_format: str) -> None:
    path, out = source(tmp_path), tmp_path / "bids"
    run("export", path, out, "--task", "films", "--eeg-format", eeg_format)
    found = mne_bids.BIDSPath(
        root=out, subject="Erika", task="films", datatype="eeg", suffix="eeg"
    )
    raw = mne_bids.read_raw_bids(found, verbose="error")
    first = recording().streams["sn_8841.eeg"][0].data
    got = 1e6 * raw.get_data(stop=1000).T
    # BrainVision has 32-bit floats; EDF 2**16 steps over 160 uV, and half a step.
    loose = {"BrainVision": 2e-5, "EDF": 160 / 2**16}[eeg_format]
    np.testing.assert_allclose(got, first, rtol=0, atol=loose)
    lost = raw.get_data(start=1000, stop=1250)
    assert np.isnan(lost).all() or np.abs(1e6 * lost).max() < loose
    assert np.isnan(lost).all() == (eeg_format == "BrainVision")
    descriptions = list(raw.annotations.description)
    assert "film" in descriptions
    assert "BAD_ACQ_SKIP" in descriptions
    stem = (
        out / "sub-Erika" / "eeg" / "sub-Erika_task-films_recording-labhost3eda_physio"
    )
    table = json.loads(stem.with_suffix(".json").read_text())
    assert (table["SamplingFrequency"], table["Columns"]) == (4.0, ["eda"])
    # Session times of 1.8e9 s have 2.4e-7 s between two numbers.
    assert table["StartTime"] == pytest.approx(0.1, rel=0, abs=1e-6)
    rows = gzip.decompress(Path(f"{stem}.tsv.gz").read_bytes()).decode().split()
    eda = recording().streams["labhost3.eda"][0].data[:, 0]
    assert list(map(float, rows)) == eda.tolist()
    xdfs = list((out / "sourcedata").rglob("*.xdf"))
    assert [x.read_bytes() for x in xdfs] == [path.read_bytes()]


def eda_recording(participant: str = "", **events: Events) -> Recording:
    info = StreamInfo(
        "band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),), participant=participant
    )
    x = np.random.default_rng(1).normal(3, 0.1, (400, 1))
    about = {"begin": "100.0", "began": "2026-03-14T09:20:00+00:00"}
    named = {e.info.name: e for e in events.values()}
    return Recording({"band.eda": (Block(info, 0, 100.5, x),)}, named, (), about)


def told(name: str, *rows: tuple[float, str], **more: object) -> Events:
    info = replace(event_stream(name), **more)  # type: ignore[arg-type]
    times = np.array([t for t, _ in rows])
    return Events(
        info, 200.0, times, np.empty((len(rows), 0)), tuple(t for _, t in rows)
    )


@pytest.mark.parametrize("with_eeg", [True, False])
def test_three_people_in_one_dataset_are_three(tmp_path: Path, with_eeg: bool) -> None:
    path, out = tmp_path / "a.xdf", tmp_path / "bids"
    xdf.write(path, recording() if with_eeg else eda_recording())
    for person in ("01", "02", "03"):
        run("export", path, out, "--participant", person)
    run("export", path, out, "--participant", "03", "--session", "2")
    people = (out / "participants.tsv").read_text("utf-8-sig").splitlines()
    assert [line.split("\t")[0] for line in people[1:]] == [
        "sub-01",
        "sub-02",
        "sub-03",
    ]
    scans = sorted(p.name for p in out.rglob("*_scans.tsv"))
    assert scans == ["sub-01_scans.tsv", "sub-02_scans.tsv", "sub-03_scans.tsv",
                     "sub-03_ses-2_scans.tsv"]  # fmt: skip
    header, row = (
        next(out.rglob("sub-02_scans.tsv")).read_text("utf-8-sig").splitlines()[:2]
    )
    assert header.split("\t")[:2] == ["filename", "acq_time"]
    name, date = row.split("\t")[:2]
    assert (out / "sub-02" / name).is_file()
    assert date.startswith("2026-03-14T")
    assert len(list((out / "sourcedata").rglob("*.xdf"))) == 4
    before = all_bytes(out)
    for arguments in (("--participant", "02"), ("--participant", "0-2")):
        done = CliRunner().invoke(app, ["export", str(path), str(out), *arguments])
        assert isinstance(done.exception, ValueError)
        assert "has sub-02_task-rest already" in str(done.exception)
        assert "nothing is overwritten" in str(done.exception)
    assert all_bytes(out) == before


def test_tables_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.xdf"
    xdf.write(path, eda_recording())
    for kind in ("csv", "parquet"):
        run("export", path, tmp_path / "out", "--format", kind)
        done = CliRunner().invoke(
            app, ["export", str(path), str(tmp_path / "out"), "--format", kind]
        )
        assert "is not overwritten: give a new folder" in str(done.exception)


def test_events_have_durations_and_hold_no_simulated_truth(tmp_path: Path) -> None:
    events = {
        "markers": told(
            "session.markers", (110.0, "begin film"), (115.0, "cough"),
            (130.0, "end film"), (140.0, "task_start"), (150.0, "rest start"),
            (160.0, "rest over"), (170.0, "start"),
        ),
        "conditions": told(
            "band.conditions", (105.0, "baseline"), (120.0, "stress"),
            origin=Origin.SIMULATED,
        ),
        "beats": told(
            "band.beats", (111.0, "beat"), origin=Origin.SIMULATED
        ),
    }  # fmt: skip
    path, out = tmp_path / "a.xdf", tmp_path / "bids"
    xdf.write(path, eda_recording("p1", **events))
    run("export", path, out)
    (table,) = out.rglob("*_events.tsv")
    rows = [line.split("\t") for line in table.read_text("utf-8").splitlines()[1:]]
    end = 100.5 + 399 / 4
    assert {text: float(length) for _, length, text, _ in rows} == pytest.approx({
        "begin film": 20, "cough": 0, "end film": 0, "task_start": 10,
        "rest start": 10, "rest over": 0, "start": end - 170, "baseline": 15,
        "stress": end - 120,
    })  # fmt: skip
    about = json.loads(table.with_suffix(".json").read_text("utf-8"))
    assert about["duration"]["Description"].startswith("Until the end")
    raw = to_mne(eda_recording(**events))
    lengths = dict(
        zip(raw.annotations.description, raw.annotations.duration, strict=True)
    )
    assert lengths["begin film"] == pytest.approx(20)


@pytest.mark.parametrize(
    ("about", "date"),
    [
        ({"begin_unix": repr(UNIX)}, "2026-03-14T09:20:00+00:00"),
        ({"began": "2026-03-14T10:20:00+01:00"}, "2026-03-14T10:20:00+01:00"),
        ({"began": "yesterday"}, None),
        ({"begin_unix": "1e99"}, None),
        ({}, None),
    ],
)
def test_the_date_is_that_of_the_recording(
    about: dict[str, str], date: str | None
) -> None:
    found = replace(eda_recording(), metadata=about).date
    assert (found and found.isoformat()) == date


def test_a_replay_and_a_report_have_the_date_of_the_recording(tmp_path: Path) -> None:
    path, out = tmp_path / "a.xdf", tmp_path / "s"
    xdf.write(path, eda_recording())
    run("replay", path, "--fast", "--out", out)
    began = json.loads((out / "session.json").read_text("utf-8"))["began"]
    assert began == "2026-03-14T09:20:00.000+00:00"
    assert xdf.read(out / "recording.xdf").metadata["began"] == began
    run("report", out, "--out", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "Recorded on 2026-03-14 at 09:20 (UTC)." in page


def test_tables_hold_the_same_numbers(tmp_path: Path) -> None:
    import pandas as pd

    path = source(tmp_path)
    run("export", path, tmp_path / "p", "--format", "parquet")
    run("export", path, tmp_path / "c", "--format", "csv")
    eeg = pd.read_parquet(tmp_path / "p" / "sn_8841.eeg.parquet")
    assert eeg["F3"].notna().sum() == 2000
    text = pd.read_csv(
        tmp_path / "c" / "labhost3.eda.csv", float_precision="round_trip"
    )
    want = recording().streams["labhost3.eda"][0].data[:, 0]
    assert text["eda"].tolist() == want.tolist()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_with_estimates_are_read_back(tmp_path: Path, kind: str) -> None:
    info = StreamInfo(
        "estimates", Fraction(4), (Channel("arousal"), Channel("arousal.missing")),
        participant="p1",
    )  # fmt: skip
    reasons = (MissingReason.WARMING_UP, MissingReason.POOR_QUALITY)
    rows = np.array([[r.nan, float(r)] for r in reasons] + [[0.25, 0.0]])
    before = eda_recording("p1")
    streams = {**before.streams, "estimates": (Block(info, 0, 100.0, rows),)}
    path = tmp_path / "a.xdf"
    xdf.write(path, replace(before, streams=streams))
    run("export", path, tmp_path / "out", "--format", kind)
    (got,) = read(tmp_path / "out").streams["estimates"]
    np.testing.assert_array_equal(got.data, rows)


def test_anonymous_conditions_keep_their_durations(tmp_path: Path) -> None:
    events = told(
        "band.conditions", (105.0, "baseline"), (120.0, "stress"),
        origin=Origin.SIMULATED,
    )  # fmt: skip
    path, out = tmp_path / "a.xdf", tmp_path / "bids"
    xdf.write(path, eda_recording("p1", conditions=events))
    run("export", path, out, "--anonymise")
    (file,) = out.rglob("*_events.tsv")
    first = file.read_text().splitlines()[1].split("\t")
    assert (float(first[1]), first[2]) == (15, "event 1")


def test_markers_after_the_eeg_are_events_too(tmp_path: Path) -> None:
    late = told("psychopy.markers", (UNIX - 1, "film"), (UNIX + 60, "break"))
    path = tmp_path / "a.xdf"
    xdf.write(path, replace(recording(), events={late.info.name: late}))
    run("export", path, tmp_path / "bids")
    (table,) = (tmp_path / "bids").rglob("*_events.tsv")
    rows = [line.split("\t")[:3] for line in table.read_text().splitlines()[1:]]
    assert ["-1.0", "0", "film"] in rows
    assert ["60.0", "0", "break"] in rows


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot export as") as error:
        run("export", source(tmp_path), tmp_path / "out", "--format", "xls")
    assert str(error.value) == (
        "cannot export as 'xls': formats are bids, parquet, csv, edf"
    )


def test_a_cut_recording_is_repaired_from_the_command_line(tmp_path: Path) -> None:
    path = source(tmp_path)
    path.write_bytes(path.read_bytes()[:-5000])
    said = run("repair", path, "--json", tmp_path / "a.json")
    assert "is written" in said
    figures = json.loads((tmp_path / "a.json").read_text())
    assert figures["ended"] == "interrupted"
    assert xdf.read(figures["path"]).streams


def test_a_reference_stays_unless_it_is_free_text() -> None:
    channels = (
        Channel("Fp1-LE", "eeg", "uV", reference="LE"),
        Channel("Cz", "eeg", "uV", reference="Anna Muster"),
    )
    for stated, reference in (("M2", "M2"), ("Anna Muster", "")):
        info = StreamInfo("amp.eeg", Fraction(4), channels, reference=stated)
        block = Block(info, 0, 0.0, np.zeros((8, 2)))
        got = anonymize(Recording({"amp.eeg": (block,)}))
        ((only,),) = got.streams.values()
        assert only.info.reference == reference
        assert [c.reference for c in only.info.channels] == ["LE", ""]
        assert only.info.names == ("Fp1-LE", "Cz")


def test_an_edf_export_counts_the_events_that_it_leaves_out(tmp_path: Path) -> None:
    info = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
    block = Block(info, 0, 10.0, np.linspace(1, 2, 80)[:, None])
    markers = Events(
        event_stream("stim.markers"), 50.0, np.array([2.0, 12.0, 50.0]),
        np.empty((3, 0)), ("early", "in", "late"),
    )  # fmt: skip
    codes = Events(
        event_stream("stim.codes", Channel("value")), 11.0, np.array([11.0]),
        np.ones((1, 1)), (),
    )  # fmt: skip
    events = {"stim.markers": markers, "stim.codes": codes}
    xdf.write(tmp_path / "a.xdf", Recording({"band.eda": (block,)}, events))
    line = ["export", str(tmp_path / "a.xdf"), str(tmp_path / "out"), "--format", "edf"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    sentence = (
        "band.eda: 3 events are left out: 2 outside its samples, 1 without a label"
    )
    assert sentence in done.output
