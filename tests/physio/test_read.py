"""Any recording by its path, and what is said of paths that lead to none."""

import shutil
from pathlib import Path

import pytest

import miniatures
from physio.datasets.open_recording import LISTED, read

RECORDINGS = [
    ("empatica_e4/session61min", None, "Empatica E4", "e4.eda"),
    ("stress_predict/raw/S01.zip", None, "Empatica E4", "e4.bvp"),
    ("wesad/S10/S10_E4_Data.zip", None, "Empatica E4", "e4.bvp"),
    ("wesad/S10", None, "WESAD, Empatica E4", "e4.temp"),
    (
        "openbci/brainflow_cyton_playback_30s.csv",
        "cyton",
        "BrainFlow file, cyton",
        "cyton.eeg",
    ),
    (
        "openbci/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt",
        None,
        "OpenBCI GUI, cyton",
        "cyton.acc",
    ),
]


@pytest.mark.parametrize(("path", "board", "source", "stream"), RECORDINGS)
def test_what_a_path_leads_to_is_recognised(
    data: Path, path: str, board: str | None, source: str, stream: str
) -> None:
    found = read(data / path, board=board)
    assert found.metadata["source"] == source
    assert stream in found.streams


@pytest.mark.parametrize("folder", ["", "session"])
def test_xdf_by_itself_or_in_a_session_s_folder(
    data: Path, tmp_path: Path, folder: str
) -> None:
    path = data / "xdf" / "minimal.xdf"
    if folder:
        shutil.copy(path, tmp_path / "any.xdf")
        path = tmp_path
    assert read(path).streams


def test_the_participant_is_who_the_recording_says_or_who_is_told(data: Path) -> None:
    zipped = data / "wesad" / "S10" / "S10_E4_Data.zip"
    assert read(zipped, participant="p07").metadata["participant"] == "p07"
    assert read(zipped.parent, participant="p07").metadata["participant"] == "S10"


def fails(path: Path, says: str, **options: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as told:
        read(path, **options)
    assert str(told.value) == says


def test_nothing_there(tmp_path: Path) -> None:
    fails(tmp_path / "x.zip", f"there is no file or folder {tmp_path / 'x.zip'}")


def test_a_folder_that_is_no_recording(tmp_path: Path) -> None:
    fails(
        tmp_path,
        f"{tmp_path} holds no recording: {LISTED}",
    )


def test_a_folder_of_several_files(tmp_path: Path) -> None:
    for name in ("b.edf", "a.edf", "README"):
        (tmp_path / name).touch()
    example = tmp_path / "a.edf"
    text = f"{tmp_path} holds no single recording: give one of its files, as {example}"
    fails(tmp_path, text)


def test_a_folder_of_several_participants(data: Path) -> None:
    path = data / "wesad"
    fails(
        path,
        f"{path} (WESAD) holds 12 recordings: give the participant, one of S2, S3, S4, "
        "S5, S6, S7 and 6 more",
    )


def test_a_recording_of_a_published_data_set(tmp_path: Path) -> None:
    """A participant and a trial of a data set are read without another step."""
    root = tmp_path / "sam40"
    miniatures.sam40(root)
    recording = read(root, participant="21", task="Stroop 1")
    assert recording.metadata["participant"] == "21"
    assert list(recording.streams) == ["emotiv.eeg"]
    assert recording.events["study.ratings"].data[0, 0] == pytest.approx(1 / 3)
    for options, message in (
        ({}, r"holds 6 recordings: give the participant, one of 3, 21$"),
        ({"participant": "3"}, r"3 recordings: give the task, one of Arithmetic 1, Re"),
        ({"participant": "4"}, r"\(SAM 40\) has no participant '4'; it has 3, 21"),
        ({"participant": "3", "task": "Stroop 2"}, r"has no task 'Stroop 2'; it has A"),
        ({"participant": "3", "session": "1"}, r"has no session '1'; it has none"),
    ):
        with pytest.raises(ValueError, match=message):
            read(root, **options)
    miniatures.seed(tmp_path / "seed")
    films = read(tmp_path / "seed", session="2", task="3")
    assert films.metadata["participant"] == "1"
    with pytest.raises(ValueError, match="give the session, one of 1, 2"):
        read(tmp_path / "seed")


def test_one_file_of_an_export(data: Path) -> None:
    path = data / "empatica_e4" / "session61min" / "EDA.csv"
    fails(
        path, f"{path} is one file of an Empatica E4 export: give the folder it is in"
    )


def test_a_table_with_a_header_is_not_taken_for_brainflow(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time\tvalue\n1\t2\n", "utf-8")
    fails(path, without_signals(path))


def without_signals(path: Path) -> str:
    return (
        f"{path} is a table, but no column is named like a signal; `physio columns "
        f"{path}` proposes a map of its columns; correct it"
    )


def test_brainflow_without_its_board(data: Path) -> None:
    path = data / "openbci" / "brainflow_cyton_playback_30s.csv"
    fails(
        path,
        f"{path} does not state the meaning of its columns: give the board that it "
        "was recorded with, as in --board cyton",
    )


@pytest.mark.parametrize("content", [b"", b"Dear reader,\n", b"\0\1\2", b"{}\n"])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.docx"
    path.write_bytes(content)
    fails(path, f"the format of {path} is not recognized: {LISTED}")


@pytest.mark.parametrize("name", ["table.csv", "a.bin", "a"])
def test_a_table_of_no_signals_names_the_command(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("a, b\n1, 2\n")
    fails(path, without_signals(path))


def test_a_zip_that_is_no_zip(tmp_path: Path) -> None:
    path = tmp_path / "e4.zip"
    path.write_text("PK, but no more")
    fails(
        path,
        f"{path} is no zip file that can be read: File is not a zip file; download it "
        "again",
    )
