"""Results of a study, computed from its recordings, in a folder that may be deleted."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from physio.core.block import Origin
from physio.datasets.wesad import Wesad
from physio.offline.conditions import recorded_conditions
from physio.offline.edits_file import BY_DEFAULT, EditsChoice
from physio.study import bids, write_up
from physio.study.contrasts import (
    ContrastEstimate,
    RecordedSession,
    estimate_contrasts,
    mixed_model,
    participant_flow,
    read_sessions,
    study_table,
    value_counts,
    write_table,
)
from physio.study.design import Design
from physio.study.methods_text import StudyRecord, methods_text, study_record
from physio.study.outcomes import questionnaire_scores
from physio.study.stimulus_table import stimulus_table
from physio.study.study_folder import DERIVED, Study, replace_folder

EDITS: Final = "edits"
"""Key of ``provenance.json`` with a sentence on the edits by eye of each session."""


def compute_results(
    study: Study, choice: EditsChoice = BY_DEFAULT
) -> tuple[Path, pd.DataFrame, list[ContrastEstimate]]:
    """Compute the results of a study and write them into ``derived``.

    ``table.csv`` and ``.parquet``, ``table_wide.csv``, ``table_coverage.csv``,
    ``codebook.csv``, ``results.json`` (participant
    flow, planned contrasts, a mixed model for the first of them), ``methods.txt`` and
    ``contrasts.png``; ``stimuli.csv`` if stimuli were presented.
    """
    recorded = list(read_sessions(study, study.participants, choice))
    table = _table(recorded, study.design)
    deviations = [li["why"] for li in study.log() if li["event"] == "deviation"]
    return (
        study.root / DERIVED,
        table,
        write_results(
            study.root / DERIVED,
            table,
            study.design,
            participant_flow(study, table),
            study_record(
                recorded,
                simulated=_simulated(recorded),
                orders={c: study.orders[n] for c, n in study.participants.items()},
                frozen=study.frozen["frozen"],
                deviations=deviations,
            ),
            stimulus_table(recorded),
        ),
    )


def compute_results_of_dataset(
    root: Path, plan: Path, out: Path, choice: EditsChoice = BY_DEFAULT
) -> tuple[Path, pd.DataFrame, list[ContrastEstimate]]:
    """Compute the results of a BIDS dataset, or of WESAD, under a study plan.

    Parameters
    ----------
    root
        Folder of the data set.
    plan
        Study file with contrasts and exclusions.
    out
        New folder for the results.
    choice
        Choice of the edits by eye.

    Raises
    ------
    ValueError
        If ``out`` is not empty, or no recording has conditions.
    """
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty: give a new folder to --out")
    design = Design.read(plan)
    described = (root / "dataset_description.json").is_file()
    recorded = list(
        bids.read_sessions(root, design.scored, choice) if described else _wesad(root)
    )
    if not recorded:
        raise ValueError(f"{root} has no recording with conditions")
    table = _table(recorded, design)
    flow = {
        "planned": design.study.participants,
        "enrolled": len({s.participant for s in recorded}),
        "withdrew and were deleted": 0,
        **value_counts(table),
    }
    record = study_record(recorded, simulated=_simulated(recorded))
    shown = stimulus_table(recorded)
    return out, table, write_results(out, table, design, flow, record, shown)


def _wesad(root: Path) -> Iterator[RecordedSession]:
    """Yield the sessions of WESAD's participants."""
    data = Wesad(root)
    for trial in data.trials():
        recording = data.load(trial)
        segments = recorded_conditions(recording)
        yield RecordedSession(
            trial.subject,
            trial.subject,
            recording,
            segments,
            questionnaire_scores(recording),
        )


def write_results(
    folder: Path,
    table: pd.DataFrame,
    design: Design,
    flow: dict[str, int],
    record: StudyRecord,
    stimuli: pd.DataFrame,
) -> list[ContrastEstimate]:
    """Write table, codebook, results, methods and plot, all or nothing.

    ``stimuli.csv`` is written if stimuli were presented.
    """
    contrasts = estimate_contrasts(table, design.contrasts)
    with replace_folder(folder) as new:
        write_table(table, new)
        if len(stimuli):
            stimuli.to_csv(new / "stimuli.csv", index=False)
        write_up.codebook(table, design.scored).to_csv(
            new / "codebook.csv", index=False
        )
        text = write_up.results_json(
            contrasts,
            flow=flow,
            models=_models(table, design),
            simulated=record.simulated,
            plan=design.hash,
        )
        (new / "results.json").write_text(text, "utf-8")
        methods = methods_text(design, flow, table, contrasts, record)
        (new / "methods.txt").write_text(methods, "utf-8")
        write_up.plot_contrasts(
            table, contrasts, new / "contrasts.png", simulated=record.simulated
        )
        about = {
            "source": "physio study table", "plan": design.hash,
            EDITS: list(record.edits),
        }  # fmt: skip
        (new / "provenance.json").write_text(json.dumps(about) + "\n", "utf-8")
    return contrasts


def _table(recorded: Sequence[RecordedSession], design: Design) -> pd.DataFrame:
    return study_table(recorded, design.exclusions, design.study.baseline)


def _models(table: pd.DataFrame, design: Design) -> list[Any]:
    """Return the mixed model of the first planned outcome, or the reason for none."""
    if not design.contrasts:
        return []
    first = design.contrasts[0]
    try:
        return [mixed_model(table, first.outcomes[0], first.against)]
    except ValueError as error:
        return [{"outcome": first.outcomes[0], "missing": str(error)}]


def _simulated(recorded: Sequence[RecordedSession]) -> bool:
    infos = (i for s in recorded for i in s.recording.infos)
    return any(i.origin is not Origin.MEASURED for i in infos)
