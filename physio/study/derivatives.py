"""All that is made of a study's recordings, in one folder that may be deleted."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from physio.core.block import Origin
from physio.datasets.wesad import Wesad
from physio.study import bids, write_up
from physio.study.design import Design
from physio.study.outcomes import answers, spans
from physio.study.study_folder import DERIVED, Study, whole
from physio.study.table import (
    Difference,
    RecordedSession,
    contrasts,
    flow,
    mixed,
    sessions,
    tidy,
    write,
)


def make(study: Study) -> tuple[Path, pd.DataFrame, list[Difference]]:
    """Make the table of a study and what goes with it, in ``derived``.

    ``table.csv`` and ``.parquet``, ``codebook.csv``, ``results.json`` (participant
    flow, planned contrasts, a mixed model for the first of them), ``methods.txt`` and
    ``contrasts.png``.
    """
    found = list(sessions(study, study.participants))
    table = tidy(found, study.design.exclusions)
    deviations = [li["why"] for li in study.log() if li["what"] == "deviation"]
    return (
        study.root / DERIVED,
        table,
        finish(
            study.root / DERIVED,
            table,
            study.design,
            flow(study, table),
            deviations,
            simulated=_simulated(found),
        ),
    )


def foreign(
    root: Path, plan: Path, out: Path
) -> tuple[Path, pd.DataFrame, list[Difference]]:
    """Make the table of a BIDS dataset, or of WESAD, as if it were such a study.

    Parameters
    ----------
    root
        The data set's folder.
    plan
        The study file: its contrasts and exclusions.
    out
        Where the table goes, a new folder.

    Raises
    ------
    ValueError
        If ``out`` holds something, or nothing can be read.
    """
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty: give a new folder to --out")
    design = Design.read(plan)
    described = (root / "dataset_description.json").is_file()
    found = list(bids.sessions(root) if described else _wesad(root))
    if not found:
        raise ValueError(f"{root} has no recording with conditions")
    table = tidy(found, design.exclusions)
    counted = {
        "planned": design.study.participants,
        "enrolled": len({s.participant for s in found}),
        "withdrew and were deleted": 0,
        "values": len(table),
        "values excluded": int((table["exclusion"] != "").sum()),
    }
    simulated = _simulated(found)
    return out, table, finish(out, table, design, counted, simulated=simulated)


def _wesad(root: Path) -> Iterator[RecordedSession]:
    """Yield WESAD's participants, their conditions and their answers."""
    data = Wesad(root)
    for trial in data.trials():
        recording = data.load(trial)
        own = spans(recording)
        yield RecordedSession(
            trial.subject, trial.subject, recording, own, answers(recording)
        )


def finish(
    folder: Path,
    table: pd.DataFrame,
    design: Design,
    counted: dict[str, int],
    deviations: Sequence[str] = (),
    *,
    simulated: bool,
) -> list[Difference]:
    """Write a table and what goes with it into ``folder``, all or nothing."""
    found = contrasts(table, design.contrasts)
    with whole(folder) as made:
        write(table, made)
        write_up.codebook(table).to_csv(made / "codebook.csv", index=False)
        text = write_up.results(
            found,
            flow=counted,
            models=_models(table, design),
            simulated=simulated,
            plan=design.hash,
        )
        (made / "results.json").write_text(text, "utf-8")
        said = write_up.methods(design, counted, deviations, simulated=simulated)
        (made / "methods.txt").write_text(said, "utf-8")
        write_up.draw(table, found, made / "contrasts.png", simulated=simulated)
        about = {"source": "physio study table", "plan": design.hash}
        (made / "provenance.json").write_text(json.dumps(about) + "\n", "utf-8")
    return found


def _models(table: pd.DataFrame, design: Design) -> list[Any]:
    """Return the mixed model of the first contrast's first measure, or why none."""
    if not design.contrasts:
        return []
    first = design.contrasts[0]
    try:
        return [mixed(table, first.outcomes[0], first.against)]
    except ValueError as error:
        return [{"measure": first.outcomes[0], "missing": str(error)}]


def _simulated(found: Sequence[RecordedSession]) -> bool:
    infos = (i for s in found for i in s.recording.infos)
    return any(i.origin is not Origin.MEASURED for i in infos)
