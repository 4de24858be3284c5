"""Export of a study to BIDS, and sessions read from a BIDS dataset."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from physio.core.recording import MARKERS, RATINGS, Recording, base_name
from physio.datasets.bids import Bids
from physio.datasets.open_recording import read
from physio.io.bids import bids_export
from physio.io.bids.event_tables import NAME
from physio.offline.conditions import recorded_conditions
from physio.offline.edits_file import BY_DEFAULT, EditsChoice, edits_of
from physio.study.contrasts import RecordedSession
from physio.study.outcomes import last_runs, questionnaire_scores
from physio.study.questionnaires import Questionnaire
from physio.study.study_folder import Study

TASK: Final = "study"


def export(study: Study, root: Path, choice: EditsChoice = BY_DEFAULT) -> int:
    """Write all sessions of a study into one BIDS dataset; return their number.

    The chosen edits by eye are written as derivatives.

    Raises
    ------
    ValueError
        If ``root`` is not empty: nothing is overwritten.
    """
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"{root} is not empty: give a new folder")
    count = 0
    for code in study.participants:
        for number, folder in enumerate(study.sessions(code), 1):
            recording = read(folder / "recording.xdf")
            edits, _ = edits_of(folder, recording.begin, choice)
            bids_export.export(
                recording, root, session=f"{number:02d}", task=TASK,
                answers=answers(recording, study.design.scored), edits=edits,
            )  # fmt: skip
            count += 1
    return count


def answers(
    recording: Recording, known: Mapping[str, Questionnaire] | None = None
) -> dict[str, dict[str, float]]:
    """Return a participant's answers by instrument and measure, for ``phenotype/``.

    The scores of each questionnaire by condition, ``stress_positive``, and the mean of
    the ratings given during the session. Scores by another rater are named so:
    ``stress_positive_parent_report``.
    """
    instruments: dict[str, dict[str, float]] = {}
    for condition, scores in questionnaire_scores(recording, known).items():
        for measure, outcome in scores.items():
            name, _, scale = measure.partition(".")
            named = f"{condition}_{scale}"
            if (
                outcome.report != "self-report"
            ):  # no reader may take it for the person's
                named += f"_{outcome.report}"
            column = re.sub(r"\W+", "_", named).strip("_")
            instruments.setdefault(name, {})[column] = outcome.value
    for name, events in recording.events.items():
        if base_name(name) != RATINGS or not len(events):
            continue
        ratings = instruments.setdefault("ratings", {"n": float(len(events))})
        for channel, column in zip(events.info.names, events.data.T, strict=True):
            if not np.isnan(column).all():
                ratings[f"{channel}_mean"] = float(np.nanmean(column))
    return instruments


def read_sessions(
    root: Path, known: Mapping[str, Questionnaire], choice: EditsChoice = BY_DEFAULT
) -> Iterator[RecordedSession]:
    """Yield the sessions of a BIDS dataset, with the scores of known questionnaires.

    Raises
    ------
    FileNotFoundError
        If ``root`` is not a BIDS dataset.
    ValueError
        If a recording cannot be read.
    """
    dataset = Bids(root)
    for trial in dataset.trials():
        recording = _with_markers(dataset.load(trial))
        name = "-".join(filter(None, trial[:2]))
        segments = last_runs(recording, recorded_conditions(recording))
        scores = questionnaire_scores(recording, known)
        task, _, run = trial.trial.partition(" ")
        entities = f"sub-{trial.subject}_ses-{trial.session}_task-{task}"
        entities += f"_run-{run}" if run else ""
        edits, _ = edits_of(root, recording.begin, choice, entities)
        yield RecordedSession(trial.subject, name, recording, segments, scores, edits)


def _with_markers(recording: Recording) -> Recording:
    """Return a recording whose ``events.tsv`` of others stands for its markers."""
    events = dict(recording.events)
    if MARKERS in events or NAME not in events:
        return recording
    info = replace(events[NAME].info, name=MARKERS)
    events[MARKERS] = replace(events.pop(NAME), info=info)
    return replace(recording, events=events)
