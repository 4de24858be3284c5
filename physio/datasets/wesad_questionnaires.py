"""Questionnaires of WESAD: PANAS, STAI, SSSQ and self-assessment manikins."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from physio.core.input_file import existing_file
from physio.datasets.base import Affect

CONDITIONS: Final = ("baseline", "stress", "amusement", "meditation 1", "meditation 2")
_NAMES: Final = {
    "Base": "baseline",
    "TSST": "stress",
    "Fun": "amusement",
    "Medi 1": "meditation 1",
    "Medi 2": "meditation 2",
}
_READING: Final = ("bRead", "sRead", "fRead")
_PANAS: Final = (
    *("active", "distressed", "interested", "inspired", "annoyed", "strong"),
    *("guilty", "scared", "hostile", "excited", "proud", "irritable", "enthusiastic"),
    *("ashamed", "alert", "nervous", "determined", "attentive", "jittery", "afraid"),
    *("stressed", "frustrated", "happy", "sad"),
)
_PANAS_STRESS: Final = (*_PANAS[:-1], "angry", "irritated", _PANAS[-1])
_STAI: Final = ("at ease", "nervous", "jittery", "relaxed", "worried", "pleasant")
_SSSQ: Final = (
    *("committed", "wanted to succeed", "motivated", "reflected about myself"),
    *("worried what others think", "concerned about my impression"),
)
_SSSQ_PANAS: Final = ("annoyed", "angry", "irritated")
SAM: Final = ("valence", "arousal")
_TIMES: Final = ("START", "END")


class QuestionnaireCondition(NamedTuple):
    """A condition of the protocol, and the questionnaires after it.

    Parameters
    ----------
    name
        One of `CONDITIONS`.
    begin, end
        Start and end (s, session clock).
    sam
        Self-assessment manikins as answered, ``valence`` and ``arousal``, 1 to 9.
    panas
        Positive and negative affect schedule by item, 1 to 5: 24 items, and after
        stress ``angry`` and ``irritated`` too; NaN where no answer was given.
    stai
        State anxiety (STAI) by item, 1 to 4.
    sssq
        Short stress state questionnaire by item, 1 to 5, three of its nine items
        taken from ``panas``; after stress alone, else empty.
    """

    name: str
    begin: float
    end: float
    sam: Mapping[str, float]
    panas: Mapping[str, float]
    stai: Mapping[str, float]
    sssq: Mapping[str, float] = {}

    @property
    def affect(self) -> Affect:
        """The manikins on [-1, 1]; dominance was not rated."""
        return Affect.rated(1, 9, self.sam["valence"], self.sam["arousal"])


def conditions(path: Path, begin: float) -> Iterator[QuestionnaireCondition]:
    """Yield the conditions of a questionnaire file, in the order of this participant.

    Parameters
    ----------
    path
        The file, ``S2_quest.csv``.
    begin
        Second 0 of the session clock on the clock of the study (s).

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing or damaged; the message states the expected content.

    Notes
    -----
    Times are minutes.seconds without a trailing zero: ``50.3`` is 50:30, and ``61`` is
    61:00. The three readings between conditions are ignored.
    """
    rows = _rows(path)
    order = rows["ORDER"][0]
    wrong = [name for name in order if name not in (*_NAMES, *_READING)]
    if wrong:
        raise ValueError(
            f"{path}: unknown condition {wrong[0]!r}; known are "
            f"{', '.join((*_NAMES, *_READING))}"
        )
    asked = [name for name in order if name in _NAMES]
    for kind in ("PANAS", "STAI", "DIM"):
        if len(rows[kind]) != len(asked):
            raise ValueError(
                f"{path}: {len(rows[kind])} rows of {kind} for {len(asked)} conditions"
            )
    for i, short in enumerate(asked):
        at = order.index(short)
        start, stop = (_seconds(path, _at(path, rows[k][0], at)) for k in _TIMES)
        items = _PANAS_STRESS if short == "TSST" else _PANAS
        panas = _answers(path, "PANAS", rows["PANAS"][i], items)
        yield QuestionnaireCondition(
            _NAMES[short],
            start - begin,
            stop - begin,
            _answers(path, "DIM", rows["DIM"][i], SAM),
            panas,
            _answers(path, "STAI", rows["STAI"][i], _STAI),
            _stress(path, rows, panas) if short == "TSST" else {},
        )


def _stress(
    path: Path, rows: Mapping[str, list[list[str]]], panas: Mapping[str, float]
) -> dict[str, float]:
    """Return the nine answers on stress (SSSQ), if the file has them."""
    if "SSSQ" not in rows:
        return {}
    asked = _answers(path, "SSSQ", rows["SSSQ"][0], _SSSQ)
    return {**asked, **{item: panas[item] for item in _SSSQ_PANAS}}


def _rows(path: Path) -> dict[str, list[list[str]]]:
    """Return the rows of each kind, without the empty fields at their ends."""
    existing_file(path)
    rows: dict[str, list[list[str]]] = {}
    for line in path.read_text("utf-8", "replace").splitlines():
        kind, *fields = line.rstrip("; \t").split(";")
        rows.setdefault(kind.lstrip("# "), []).append([f.strip() for f in fields])
    missing = {"ORDER", *_TIMES, "PANAS", "STAI", "DIM"} - set(rows)
    if missing:
        raise ValueError(
            f"{path} is no WESAD questionnaire: it has no line {sorted(missing)[0]!r}"
        )
    return rows


def _at(path: Path, fields: list[str], i: int) -> str:
    if i >= len(fields):
        raise ValueError(f"{path}: {i + 1} conditions, but {len(fields)} times")
    return fields[i]


def _seconds(path: Path, text: str) -> float:
    """Return a time (s) from minutes.seconds: ``50.3`` is 50:30, a zero was dropped."""
    minutes, _, seconds = text.partition(".")
    seconds = seconds.ljust(2, "0")
    whole = minutes.isdecimal() and seconds.isdecimal() and len(seconds) == 2
    if not whole or int(seconds) > 59:
        raise ValueError(f"{path}: {text!r} is no time; 50.3 would be 50 min 30 s")
    return 60.0 * int(minutes) + int(seconds)


def _answers(
    path: Path, kind: str, fields: list[str], items: tuple[str, ...]
) -> dict[str, float]:
    """Return an answer for each item; NaN where the participant gave none."""
    if len(fields) != len(items):
        raise ValueError(
            f"{path}: {len(fields)} answers in a row of {kind}; it must have "
            f"{len(items)}"
        )
    try:
        return {
            i: float(f) if f else np.nan for i, f in zip(items, fields, strict=True)
        }
    except ValueError:
        raise ValueError(
            f"{path}: a row of {kind} has an answer that is no number: "
            f"{', '.join(fields)}"
        ) from None
