"""BIDS data sets of others: sidecars, times, units, status, choice of a recording."""

import gzip
import json
import warnings
from pathlib import Path

import mne
import mne_bids
import numpy as np
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.datasets.base import Trial
from physio.datasets.bids import Bids
from physio.datasets.open_recording import read
from physio.io import xdf
from physio.io.bids.bids_export import ANSWERS, PEOPLE
from physio.io.bids.event_tables import HED
from test_export import eda_recording, told


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = text.encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def study(root: Path) -> Path:
    """Write two participants with two runs of physio, after the specification."""
    write(root / "dataset_description.json", '{"Name": "x", "BIDSVersion": "1.8.0"}')
    write(
        root / "participants.tsv",
        "participant_id\tage\tsex\nsub-01\t23\tF\nsub-02\tn/a\tM\n",
    )
    write(
        root / "phenotype" / "panas.tsv",
        "participant_id\tpositive\nsub-01\t31\nsub-02\tn/a\n",
    )
    # By the inheritance principle: the rate of all, the columns of one task.
    write(root / "physio.json", '{"SamplingFrequency": 10, "StartTime": 0}')
    write(
        root / "task-rest_physio.json",
        json.dumps({
            "StartTime": -2.5, "Columns": ["cardiac", "respiratory", "eda", "trigger"],
            "cardiac": {"Units": "mV"}, "eda": {"Units": "nS"},
        }),
    )  # fmt: skip
    write(
        root / "task-rest_events.json",
        json.dumps({"trial_type": {"HED": {"go": "Sensory-event"}}}),
    )
    for subject in ("01", "02"):
        for run in ("1", "2"):
            folder = root / f"sub-{subject}" / "beh"
            stem = f"sub-{subject}_task-rest_run-{run}"
            rows = [f"{i / 10}\t{i}\t{1000 + i}\t{i % 2}" for i in range(50)]
            rows[7] = "n/a\tn/a\t1007\t1"
            write(folder / f"{stem}_physio.tsv.gz", "\n".join(rows) + "\n")
            write(
                folder / f"{stem}_events.tsv",
                "onset\tduration\ttrial_type\tresponse_time\n"
                "3\tn/a\tgo\t0.4\nn/a\t1\tlost\t1\n1.5\t0.5\tn/a\tn/a\n",
            )
    return root


def test_sidecars_are_inherited_and_times_units_and_kinds_are_read(
    tmp_path: Path,
) -> None:
    recording = read(study(tmp_path), participant="01", task="rest_run-2")
    found = {
        b[0].info.name: (b[0].info.names, b[0].info.channels[0].unit)
        for b in recording.streams.values()
    }
    assert found == {
        "physio.ecg": (("cardiac",), "uV"), "physio.resp": (("respiratory",), "1"),
        "physio.gsr": (("eda",), "uS"), "physio.stim": (("trigger",), "1"),
    }  # fmt: skip
    (ecg,), (eda,) = recording.streams["physio.ecg"], recording.streams["physio.gsr"]
    assert (ecg.t0, float(ecg.info.rate), len(ecg)) == (-2.5, 10.0, 50)
    np.testing.assert_allclose(ecg.data[:3, 0], [0, 100, 200])
    np.testing.assert_allclose(eda.data[0], 1.0)
    assert missing_reason(ecg.data)[7] == MissingReason.NO_SIGNAL
    events = recording.events["bids.events"]
    assert (events.times.tolist(), events.labels) == ([1.5, 3.0], ("event", "go"))
    np.testing.assert_array_equal(events.data, [[0.5, np.nan], [np.nan, 0.4]])
    assert events.info.names == ("seconds", "response_time")
    about = recording.metadata
    assert json.loads(about[PEOPLE]) == {"age": "23", "sex": "F"}
    assert json.loads(about[ANSWERS]) == {"panas": {"positive": "31"}}
    assert json.loads(about[HED])["levels"]["trial_type"] == {"go": "Sensory-event"}
    assert "1 of 3 events left out: no onset" in about["warnings"]
    assert about["participant"] == "01"


def test_tags_answers_and_ages_go_on_into_an_export(tmp_path: Path) -> None:
    root, out = study(tmp_path / "in"), tmp_path / "out"
    line = ["export", str(root), str(out), "--participant", "01", "--task"]
    done = CliRunner().invoke(app, [*line, "rest_run-1"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "sub-01\t23\tF" in (out / "participants.tsv").read_text()
    assert "sub-01\t31" in (out / "phenotype" / "panas.tsv").read_text()
    (sidecar,) = out.rglob("*_events.json")
    tags = json.loads(sidecar.read_text())["trial_type"]["HED"]
    assert tags["go"] == "Sensory-event"
    again = read(out)
    assert json.loads(again.metadata[PEOPLE]) == {"age": "23", "sex": "F"}
    before = read(root, participant="01", task="rest_run-1")
    for name, blocks in before.streams.items():
        assert again.streams[name][0].data.tobytes() == blocks[0].data.tobytes()


def test_one_of_several_recordings_is_chosen(tmp_path: Path) -> None:
    root = study(tmp_path)
    assert Bids(root).trials() == tuple(
        Trial(s, "", f"rest {r}") for s in ("01", "02") for r in ("1", "2")
    )
    with pytest.raises(ValueError, match="has 4 recordings") as several:
        read(root)
    assert "sub-01_task-rest_run-1" in str(several.value)
    assert "--participant" in str(several.value)
    with pytest.raises(ValueError, match="no recording of participant '07'") as none:
        read(root, participant="07")
    assert "it has sub-01_task-rest_run-1" in str(none.value)
    chosen = read(root, participant="sub-02", task="task-rest_run-1")
    assert chosen.metadata["participant"] == "02"
    one = read(root / "sub-02" / "beh" / "sub-02_task-rest_run-1_physio.tsv.gz")
    assert one.streams.keys() == chosen.streams.keys()
    assert one.events.keys() == chosen.events.keys()
    line = ["check", str(root), "--participant", "02", "--task", "rest_run-1"]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert "physio.gsr" in done.output


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("physio.json", "{}", "lacks 'SamplingFrequency', which BIDS requires"),
        ("physio.json", '{"SamplingFrequency": "fast"}', "must be a number of Hz"),
        ("physio.json", "[1]", "is no JSON object"),
        ("task-rest_physio.json", '{"Columns": ["a", "b"]}', "has 4 columns, and Col"),
        ("task-rest_physio.json", "{", "is no JSON"),
    ],
)
def test_a_sidecar_that_does_not_fit_is_named(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    write(study(tmp_path) / name, text)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "sub-01" / "beh" / "sub-01_task-rest_run-1_physio.tsv.gz")


def test_a_file_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    root = study(tmp_path)
    folder = root / "sub-01" / "beh"
    stem = "sub-01_task-rest_run-1_recording-eye"
    write(folder / f"{stem}_physio.tsv.gz", "1\tx\t3\t4\n")
    recording = read(root, participant="01", task="rest_run-1")
    assert "physio.ecg" in recording.streams
    assert "has a value that is no number" in recording.metadata["warnings"]
    assert f"{stem}_physio.tsv.gz" in recording.metadata["warnings"]


def test_motion_of_others_is_read(tmp_path: Path) -> None:
    write(tmp_path / "dataset_description.json", '{"Name": "x"}')
    folder = tmp_path / "sub-01" / "ses-a" / "motion"
    stem = "sub-01_ses-a_task-walk_tracksys-imu"
    write(folder / f"{stem}_motion.json", '{"SamplingFrequency": 50}')
    names = "\n".join(
        f"{kind.lower()}_{axis}\t{axis}\t{kind}\t{point}\t{unit}\t{status}"
        for kind, point, unit in (
            ("ACCEL", "wrist", "m/s^2"),
            ("GYRO", "wrist", "rad/s"),
        )
        for axis, status in (("x", "good"), ("y", "bad"), ("z", "good"))
    )
    head = "name\tcomponent\ttype\ttracked_point\tunits\tstatus\n"
    write(folder / f"{stem}_channels.tsv", head + names + "\n")
    rows = ["\t".join(str(i + k / 10) for k in range(6)) for i in range(100)]
    write(folder / f"{stem}_motion.tsv", "\n".join(rows) + "\n")
    recording = read(tmp_path, session="ses-a")
    assert list(recording.streams) == ["imu.acc.wrist", "imu.gyro.wrist"]
    (acc,) = recording.streams["imu.acc.wrist"]
    assert [c.unit for c in acc.info.channels] == ["m/s^2"] * 3
    reasons = missing_reason(acc.data)
    assert (reasons[:, 1] == MissingReason.MARKED_BAD).all()
    assert not reasons[:, [0, 2]].any()


@pytest.fixture(scope="module")
def eeg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set that mne-bids wrote, with a bad channel and a bad span."""
    root = tmp_path_factory.mktemp("mne")
    rng = np.random.default_rng(1)
    info = mne.create_info(["Fz", "Cz", "skin"], 100.0, ["eeg", "eeg", "gsr"])
    data = rng.normal(0, 2e-5, (3, 1000))
    data[2] = 5e-6
    raw = mne.io.RawArray(data, info, verbose="error")
    raw.info["bads"] = ["Cz"]
    raw.set_annotations(mne.Annotations([2, 5], [1, 1], ["film", "BAD_blink"]))
    path = mne_bids.BIDSPath("01", task="film", root=root, datatype="eeg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no line frequency, no dates
        mne_bids.write_raw_bids(
            raw, path, format="BrainVision", allow_preload=True, verbose="error"
        )
    return root


def test_status_types_and_bad_spans_of_mne_bids_count(eeg: Path) -> None:
    for path in (eeg, next(eeg.rglob("*.vhdr"))):
        recording = read(path)
        (block,), (skin,) = recording.streams["eeg.eeg"], recording.streams["eeg.gsr"]
        assert block.info.names == ("Fz", "Cz")
        assert skin.info.channels[0].unit == "uS"
        assert np.nanmedian(skin.data) == pytest.approx(5.0, rel=1e-3)
        reasons = missing_reason(block.data)
        assert (reasons[:, 1] == MissingReason.MARKED_BAD).all()
        assert (np.flatnonzero(reasons[:, 0]) == np.arange(500, 600)).all()
        assert recording.events["bids.events"].labels == ("film", "BAD_blink")
        assert "Cz as bad" in recording.metadata["warnings"]


def test_mne_bids_reads_our_export(tmp_path: Path, eeg: Path) -> None:
    recording = read(eeg)
    xdf.write(tmp_path / "a.xdf", recording)
    for chosen in ("BrainVision", "EEGLAB", "EDF"):
        out = tmp_path / chosen
        line = ["export", str(tmp_path / "a.xdf"), str(out), "--eeg-format", chosen]
        assert CliRunner().invoke(app, line, catch_exceptions=False).exit_code == 0
        path = mne_bids.BIDSPath("01", task="rest", root=out, datatype="eeg")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the positions that are unknown
            raw = mne_bids.read_raw_bids(path, verbose="error")
        assert raw.info["bads"] == ["Cz"]
        assert "film" in raw.annotations.description
        want = recording.streams["eeg.eeg"][0].data[:400, 0]
        got = 1e6 * raw.get_data("Fz", stop=400)[0]
        np.testing.assert_allclose(got, want, rtol=0, atol=0.01)


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def exported(tmp_path: Path) -> tuple[Recording, Path]:
    markers = told("session.markers", (110.0, "begin film"), (120.0, "end film"))
    recording = eda_recording("p1", markers=markers)
    xdf.write(tmp_path / "a.xdf", recording)
    line = ["export", str(tmp_path / "a.xdf"), str(tmp_path / "out")]
    assert CliRunner().invoke(app, line, catch_exceptions=False).exit_code == 0
    return recording, tmp_path / "out"


def test_what_is_changed_by_hand_in_an_export_counts(tmp_path: Path) -> None:
    _, out = exported(tmp_path)
    (sidecar,) = out.rglob("*_physio.json")
    changed(sidecar, '"SamplingFrequency": 4.0', '"SamplingFrequency": 8.0')
    (table,) = out.rglob("*_events.tsv")
    changed(table, "end film", "end of film")
    rows = table.read_text("utf-8").splitlines()
    table.write_text("\n".join([*rows, "30\t0\tcough\tn/a"]) + "\n", "utf-8")
    got = read(out)
    (blocks,) = got.streams.values()
    assert (blocks[0].info.rate, blocks[0].t0) == (8, 100.5)
    events = got.events["bids.events"]
    assert events.labels == ("begin film", "end of film", "cough")
    assert events.times.tolist() == [110.0, 120.0, 130.5]


def test_a_table_with_fewer_rows_than_its_description_is_named(tmp_path: Path) -> None:
    _, out = exported(tmp_path)
    (table,) = out.rglob("*_physio.tsv.gz")
    rows = gzip.decompress(table.read_bytes()).splitlines(keepends=True)
    table.write_bytes(gzip.compress(b"".join(rows[:-1])))
    with pytest.raises(ValueError, match="has 399 rows; its description has 400"):
        read(table)


def test_features_are_extracted_of_a_choice(tmp_path: Path) -> None:
    from physio.datasets import feature_table

    root = study(tmp_path / "in")
    line = ["extract", "bids", str(root), str(tmp_path / "t"), "--window", "2",
            "--step", "1", "--participant", "01", "--task", "rest_run-1"]  # fmt: skip
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "baseline: none is subtracted; features are absolute" in done.output
    table = feature_table.read(tmp_path / "t")
    assert set(table["subject"]) == {"01"}
    assert set(table["trial"]) == {"rest 1"}
