"""Tables of an analysis as CSV, with a description of their columns."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pandas as pd

from physio.core.private_file import open_private, refuse_link
from physio.offline.analysis import Analysis
from physio.offline.event_responses import AFTER, BEFORE
from physio.offline.span_measures import DESCRIPTIONS
from physio.offline.whole_record import PROVENANCE

DESCRIPTION: Final = "analysis.json"
"""File with the columns, units, settings and notes of an analysis."""

TABLES: Final = ("beats", "scrs", "spans", "events")
"""Tables of an analysis, a CSV file each."""

_UNITS: Final = {
    "time": "s, session clock", "onset": "s, session clock", "peak": "s, session clock",
    "recovery": "s, session clock", "begin": "s, session clock",
    "end": "s, session clock", "interval": "s", "rise_time": "s",
    "half_recovery_time": "s", "latency": "s", "magnitude": "uS", "baseline": "uS",
    "heart_rate_before": "1/min", "heart_rate_change": "1/min",
    "value": "see the column unit",
}  # fmt: skip
_AMPLITUDES: Final = {
    "beats": "unit of the signal, filtered", "scrs": "uS", "events": "uS"
}  # fmt: skip
_MEANINGS: Final = {
    "source": "ecg, ppg (pulse wave) or intervals",
    "interval": "time since the beat before; after correction where corrected",
    "accepted": "whether the interval is used",
    "corrected": "whether the interval is that of a removed, inserted or moved beat",
    "confidence": "correlation of the wave with those of the beats around",
    "peak": "onset + rise_time, of the response to this burst alone",
    "recovery": "peak + half_recovery_time: half of the amplitude is left",
    "baseline": "conductance at the onset",
    "coverage": "share of the condition with a valid signal",
    "artifact": "share of the condition masked as artifact",
    "n": "number of beats, responses, breaths or values",
    "reason": "reason for a missing value",
    "responder": "1 with a response that began in the window, else 0",
    "latency": "of the first response; resolution 0.25 s",
    "amplitude": "of the response; in events that of the first, missing without any",
    "magnitude": "amplitude, or 0 without a response",
    "heart_rate_before": f"mean rate from {BEFORE[0]:g} to {BEFORE[1]:g} s",
    "heart_rate_change": f"mean rate from {AFTER[0]:g} to {AFTER[1]:g} s less that "
    "before",
    "edited": "whether it was placed by eye, or follows a beat that was",
    "edited_share": "share of the beats or responses of the condition edited by eye",
    "marked_share": "share of the condition marked as bad by eye",
    "exclusion": "reason of the rater who excluded the condition",
    "value_without_edits": "value without the edits by eye",
    "provenance": "values depend on later samples: no training data of live weights",
}


def analysis_paths(folder: Path) -> dict[str, Path]:
    """Return the files of an analysis in a folder, by table.

    Raises
    ------
    ValueError
        If one of them exists, or the folder is a file.
    OSError
        If the folder is a symbolic link.
    """
    refuse_link(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give the name of a new folder")
    paths = {name: folder / f"{name}.csv" for name in TABLES}
    paths["description"] = folder / DESCRIPTION
    if present := [p for p in paths.values() if p.exists() or p.is_symlink()]:
        raise ValueError(
            f"{present[0]} exists, and is not overwritten: give a new folder"
        )
    return paths


def write_analysis(
    analysis: Analysis,
    spans: pd.DataFrame,
    events: pd.DataFrame,
    folder: Path,
    about: Mapping[str, Any],
) -> list[Path]:
    """Write the tables of an analysis as CSV (RFC 4180), and their description.

    Parameters
    ----------
    analysis
        The analysis.
    spans, events
        Its tables of conditions and events.
    folder
        Folder of the files; created if missing. Files are never overwritten.
    about
        Further entries of the description, as the file that was analysed.

    Returns
    -------
    list of Path
        The files.

    Notes
    -----
    Each table has a column ``provenance`` with the same text in each row, so that it
    cannot get lost. Missing values are empty.
    """
    paths = analysis_paths(folder)
    folder.mkdir(parents=True, exist_ok=True)
    frames = dict(
        zip(TABLES, (analysis.beats, analysis.scrs, spans, events), strict=True)
    )
    description: dict[str, Any] = {
        **about,
        "provenance": PROVENANCE,
        "causal": False,
        "software": f"physio-affect {version('physio-affect')}",
        "participant": analysis.metadata.get("participant", ""),
        "begin": analysis.begin,
        "end": analysis.end,
        "settings": asdict(analysis.settings),
        "notes": list(analysis.notes),
        "edits": analysis.edits.sentence if analysis.edits else "",
        "measures": DESCRIPTIONS,
        "tables": {},
    }
    for name, frame in frames.items():
        labelled = frame.assign(provenance=PROVENANCE)
        with open_private(paths[name], "x") as file:
            file.write(
                labelled.to_csv(
                    index=False, lineterminator="\r\n", float_format="%.10g"
                )
            )
        description["tables"][f"{name}.csv"] = {
            column: _describe(name, column) for column in labelled.columns
        }
    with open_private(paths["description"], "x") as file:
        file.write(json.dumps(description, indent=1) + "\n")
    return list(paths.values())


def _describe(table: str, column: str) -> dict[str, str]:
    """Return unit and meaning of a column, as far as its name does not tell them."""
    unit = _AMPLITUDES[table] if column == "amplitude" else _UNITS.get(column, "")
    entry = {"unit": unit} if unit else {}
    if column in _MEANINGS:
        entry["description"] = _MEANINGS[column]
    return entry
