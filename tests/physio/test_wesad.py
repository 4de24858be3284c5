"""WESAD: the cut against the study's own, the questionnaires and their traps."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from physio.datasets.base import Affect, Trial
from physio.datasets.wesad import LABELS, Wesad
from physio.datasets.wesad import read as read_participant
from physio.datasets.wesad_questionnaires import CONDITIONS, conditions

PEOPLE = ("S2", "S3", "S4", "S5", "S6", "S7", "S9", "S10", "S13", "S14", "S15", "S17")
STRESS_FIRST = {"S2", "S3", "S6", "S9", "S14"}


@pytest.fixture(scope="module")
def wesad(data: Path) -> Wesad:
    return Wesad(data / "wesad")


def test_trials_are_participants_in_natural_order(wesad: Wesad) -> None:
    assert wesad.trials() == tuple(Trial(name) for name in PEOPLE)
    assert wesad.participants == PEOPLE


@pytest.mark.parametrize("subject", PEOPLE)
def test_the_cut_is_the_study_s_own_sample_for_sample(
    wesad: Wesad, subject: str
) -> None:
    found = wesad.participant(subject)
    with np.load(wesad.root / subject / f"{subject}_wrist.npz") as official:
        pairs = {"eda": "eda", "bvp": "bvp_64", "temp": "temp"}
        for stream, key in pairs.items():
            (block,) = found.streams[f"e4.{stream}"]
            assert np.array_equal(block.data[:, 0].astype(np.float32), official[key])
        # There, acceleration is in 1/64 g and the mean of 8 samples: eighths, exact.
        (acc,) = found.streams["e4.acc"]
        means = acc.data.reshape(-1, 8, 3).mean(axis=1) * 64
        assert np.array_equal(means.astype(np.float32), official["acc"])


@pytest.mark.parametrize("subject", PEOPLE)
def test_conditions_agree_with_the_study_s_labels(wesad: Wesad, subject: str) -> None:
    labels, parts = wesad.labels(subject), wesad.conditions(subject)
    assert {c.name for c in parts} == set(CONDITIONS)
    time = np.arange(len(labels)) / 4
    for part in parts:
        code = LABELS.index(part.name.split()[0])
        inside = (part.begin <= time) & (time < part.end)
        labelled = time[inside & (labels == code)]
        # The study left 10 s out at both ends, cut at samples of 4 Hz.
        assert abs(labelled[0] - part.begin - 10) <= 0.25
        assert abs(part.end - labelled[-1] - 10) <= 0.25
    known = np.isin(labels, range(1, 5))
    within = [(c.begin <= time) & (time < c.end) for c in parts]
    assert not np.any(known & ~np.any(within, axis=0))


def test_second_0_is_where_the_synchronised_span_begins(wesad: Wesad) -> None:
    found = wesad.participant("S10")
    epochs = {name: block.t0 for name, (block,) in found.streams.items()}
    # It begins at 1280.84375 s of this wristband's session, between two samples of EDA.
    late = -0.09375
    assert epochs == {"e4.eda": late, "e4.bvp": 0, "e4.acc": 0, "e4.temp": late}
    assert found.begin == 0
    assert abs(found.seconds - 91.6 * 60) <= 0.25
    assert float(found.metadata["begin_unix"]) == 1500966308 + 1280.84375


def test_a_recording_tells_whose_it_is_and_whom_to_cite(wesad: Wesad) -> None:
    found = wesad.participant("S10")
    assert found.metadata["participant"] == "S10"
    assert found.metadata["source"] == "WESAD, Empatica E4"
    assert "Schmidt" in found.metadata["citation"]
    assert found.metadata["licence"] == "CC BY 4.0"
    assert {info.participant for info in found.infos} == {"S10"}


def test_conditions_and_ratings_are_events(wesad: Wesad) -> None:
    events = wesad.participant("S10").events
    assert set(events) == {"study.conditions", "study.ratings"}
    what, rated = events["study.conditions"], events["study.ratings"]
    names = ("baseline", "amusement", "meditation 1", "stress", "meditation 2")
    assert what.labels == rated.labels == names
    # START 2.5, END 22.5 in the file; the span begins 87.25 s into the study's time.
    assert (what.times[0], what.data[0, 0]) == (170 - 87.25, 22 * 60 + 50 - 87.25)
    assert what.info.names == ("end",)
    assert np.array_equal(rated.times, what.data[:, 0])
    assert rated.info.names == ("valence", "arousal", "valence.sam", "arousal.sam")
    assert rated.data.tolist() == [
        [0.25, -0.75, 6, 2],
        [0.75, -0.75, 8, 2],
        [0.25, -1.0, 6, 1],
        [-0.5, 0.75, 3, 8],
        [0.25, -0.75, 6, 2],
    ]


def test_five_of_the_twelve_had_the_stress_test_first(wesad: Wesad) -> None:
    first = {name for name in PEOPLE if wesad.order(name) == "stress"}
    assert first == STRESS_FIRST
    assert wesad.order("S10") == "amusement"


def test_a_dropped_zero_is_put_back(wesad: Wesad) -> None:
    stress = wesad.conditions("S2")[1]
    # START 39.55, END 50.3: 50 min 30 s; the span begins at 131.5 s.
    assert stress[:3] == ("stress", 39 * 60 + 55 - 131.5, 50 * 60 + 30 - 131.5)


def test_whole_minutes_and_an_order_of_its_own(wesad: Wesad) -> None:
    parts = wesad.conditions("S14")
    names = ["baseline", "stress", "meditation 2", "amusement", "meditation 1"]
    assert [c.name for c in parts] == names
    assert parts[0][1:3] == (120 - 103.75, 22 * 60 - 103.75)


def test_stress_has_two_items_more(wesad: Wesad) -> None:
    for subject in PEOPLE:
        for part in wesad.conditions(subject):
            assert len(part.panas) == (26 if part.name == "stress" else 24)
            assert list(part.panas)[-1] == "sad"
            assert len(part.stai) == 6
    stress = wesad.conditions("S10")[3]
    last = {k: stress.panas[k] for k in ("happy", "angry", "irritated", "sad")}
    assert last == {"happy": 1, "angry": 2, "irritated": 3, "sad": 1}


def test_an_answer_not_given_is_nan(wesad: Wesad) -> None:
    missing = {
        (subject, part.name, item)
        for subject in PEOPLE
        for part in wesad.conditions(subject)
        for answers in (part.panas, part.stai, part.sam)
        for item, value in answers.items()
        if math.isnan(value)
    }
    assert missing == {("S5", "meditation 1", "nervous")}


def test_ratings_as_affect(wesad: Wesad) -> None:
    assert wesad.conditions("S10")[3].affect == Affect(-0.5, 0.75, None)


def test_a_participant_s_folder_by_its_path(wesad: Wesad) -> None:
    one, same = wesad.participant("S9"), read_participant(wesad.root / "S9")
    assert one.metadata == same.metadata
    assert len(one.streams["e4.bvp"][0]) == len(same.streams["e4.bvp"][0])


def test_a_participant_who_is_not_there(wesad: Wesad) -> None:
    says = f"{wesad.root} has no participant 'S12' (no file S12/S12_E4_Data.zip)"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(says)}$"):
        wesad.participant("S12")


def test_offsets_that_are_not_there_or_of_somebody_else(
    wesad: Wesad, tmp_path: Path
) -> None:
    (tmp_path / "S10").symlink_to(wesad.root / "S10")
    path = tmp_path / "e4_to_sync_offsets.json"
    says = (
        f"there is no file {path}: it holds the start of the synchronised span "
        "in each wristband session"
    )
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(says)}$"):
        Wesad(tmp_path).participant("S10")
    path.write_text(json.dumps({"S2": {}}))
    says = f"{path} has no number 'acc_off_s' for 'S10'"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        Wesad(tmp_path).participant("S10")
    path.write_text(json.dumps({"S10": {"acc_off_s": 3000, "n4": 21984}}))
    with pytest.raises(ValueError, match=r"json is of another recording$"):
        Wesad(tmp_path).participant("S10")


def test_folders_without_participants(tmp_path: Path) -> None:
    says = f"{tmp_path} is no WESAD folder: it has no S2/S2_E4_Data.zip or alike"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        Wesad(tmp_path).trials()
    says = f"there is no folder {tmp_path / 'wesad'}"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(says)}$"):
        Wesad(tmp_path / "wesad").trials()


TEXT = """# Subj;S0;;;;
# ORDER;Base;TSST;sRead;;;
# START;2;33.1;50.05;;;
# END;22.5;44.53;51;;;
;;;;
# PANAS;1;1;3;1;1;3;1;1;1;1;1;1;2;1;3;1;3;3;1;1;1;1;3;1;;
# PANAS;4;1;3;1;1;3;1;3;1;4;3;1;2;1;5;4;4;5;1;1;4;2;3;1;2;5
# STAI;1;1;2;3;1;2;;;
# STAI;1;3;2;1;1;1;;;
# DIM;5;2;;;
# DIM;1;9;;;
"""


def quest(path: Path, old: str = "", new: str = "") -> Path:
    assert old in TEXT
    path = path / "S0_quest.csv"
    path.write_text(TEXT.replace(old, new))
    return path


def test_a_small_questionnaire(tmp_path: Path) -> None:
    base, stress = conditions(quest(tmp_path), 60)
    assert base[:3] == ("baseline", 60, 21 * 60 + 50)
    assert stress[:3] == ("stress", 32 * 60 + 10, 43 * 60 + 53)
    assert stress.affect == Affect(-1, 1)
    assert stress.panas["sad"] == 5


FAULTS = [
    ("33.1", "33,1", "'33,1' is no time; 50.3 would be 50 min 30 s"),
    ("33.1", "33.75", "'33.75' is no time; 50.3 would be 50 min 30 s"),
    ("33.1", "33.105", "'33.105' is no time; 50.3 would be 50 min 30 s"),
    ("33.1;50.05", "", "2 conditions, but 1 times"),
    ("# DIM;1;9", "# DIM;1", "1 answers in a row of DIM; it must have 2"),
    (";5\n", "\n", "25 answers in a row of PANAS; it must have 26"),
    ("# DIM;5;2", "# DIM;5;x", "a row of DIM has an answer that is no number: 5, x"),
    ("# DIM;5;2;;;\n", "", "1 rows of DIM for 2 conditions"),
    (
        "TSST",
        "Stroop",
        "unknown condition 'Stroop'; known are Base, TSST, Fun, Medi 1, Medi 2, bRead, "
        "sRead, fRead",
    ),
]


@pytest.mark.parametrize(("old", "new", "says"), FAULTS)
def test_a_fault_in_a_questionnaire_is_told(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    path = quest(tmp_path, old, new)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}: {says}')}$"):
        list(conditions(path, 0))


def test_a_file_that_is_no_questionnaire(tmp_path: Path) -> None:
    path = tmp_path / "S0_quest.csv"
    path.write_text("hello\n")
    says = f"{path} is no WESAD questionnaire: it has no line 'DIM'"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        list(conditions(path, 0))
