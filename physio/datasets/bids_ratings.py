"""BIDS data sets with ratings: in events, behaviour, participants or phenotype."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.core.block import Channel
from physio.core.events import Events, event_stream
from physio.core.recording import Recording
from physio.datasets.base import Trial
from physio.datasets.bids import Bids
from physio.io.bids.entities import BidsFile, beside
from physio.io.bids.sidecars import Row, read_json, read_number, read_table

TESTED_WITH: Final = "folders assembled for the tests, one for each place of ratings"
"""Tests behind this reader, for the page of supported formats."""

RATED: Final = ("valence", "arousal", "dominance", "liking", "stress")
"""Names of columns that are ratings, also with a prefix: ``self_valence``."""

CONDITIONS: Final = "study.conditions"
RATINGS: Final = "study.ratings"

_KEYS: Final = ("trial_type", "stimulus", "stim_file", "condition", "label", "value")
"""Columns that name an event, in the order in which they are looked for."""


class RatingScale(NamedTuple):
    """Ends of the scale of a rating."""

    low: float
    high: float


class Segment(NamedTuple):
    """Part of a recording with a name, from begin to end (s), and its ratings."""

    name: str
    begin: float
    end: float
    answers: Mapping[str, float]


@dataclass(frozen=True)
class BidsRatings:
    """The recordings of a BIDS folder, with ratings as labels of the events.

    Ratings are columns named valence, arousal, dominance, liking or stress, with or
    without a prefix. They are looked for, in this order, in the recording's
    ``events.tsv`` (rows with a duration), in ``beh/*_beh.tsv`` of the same participant
    and session (joined by a column that names the event in both), and in
    ``participants.tsv`` and ``phenotype/*.tsv`` (one rating for the whole recording).

    Parameters
    ----------
    root
        The folder with ``dataset_description.json``.
    scales
        Ends of the scale of each rating; by default those that the JSON file of the
        table states, as ``Levels`` or as ``Minimum`` and ``Maximum``.
    columns
        Column of each rating, ``{"stress": "Q7"}``; by default the columns named as
        above.

    Notes
    -----
    A rating whose scale is not stated is refused, because a guess would shift all
    labels; the message names the file to which to add it.
    """

    root: Path
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

    name: ClassVar[str] = "BIDS with ratings"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    @property
    def citation(self) -> str:
        """Reference that the folder asks to cite."""
        return self._bids.citation

    @property
    def licence(self) -> str:
        """Licence of the folder, or "not stated"."""
        return self._bids.licence

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each recording."""
        return self._bids.trials()

    def load(self, trial: Trial) -> Recording:
        """Return the recording of a trial, with conditions and ratings as events.

        Events ``study.conditions`` and ``study.ratings``: each rating on [-1, 1] by its
        name, and as given by its name and ``.sam``.

        Raises
        ------
        FileNotFoundError
            If there is no such folder or trial.
        ValueError
            If a file is damaged, there are no ratings, or a scale is not stated.
        """
        recording = self._bids.load(trial)
        segments, scales = self._segments(trial, recording)
        events = {k: _as_given(e) for k, e in recording.events.items()}
        events |= rated_events(segments, scales, trial.subject, recording.end)
        return replace(recording, events=events)

    def _rated(self, rows: Sequence[Row]) -> dict[str, str]:
        """Return the columns of ratings of a table, by rating."""
        if not self.columns:
            return _ratings(rows)
        known = rows[0] if rows else ()
        return {name: c for name, c in self.columns.items() if c in known}

    @property
    def _bids(self) -> Bids:
        return Bids(self.root)

    def _segments(
        self, trial: Trial, recording: Recording
    ) -> tuple[list[Segment], dict[str, RatingScale]]:
        """Return the rated parts of a recording, and the scale of each rating."""
        path = self._events(trial)
        rows = _timed(read_table(path)) if path is not None else []
        if path is not None and (columns := self._rated(rows)):
            scales = self._scales(path, columns)
            return [_segment(row, columns, row) for row in rows], scales
        behaviour = self._behaviour(trial)
        if behaviour is not None and rows:
            return self._joined(behaviour, rows)
        whole = self._whole(trial)
        if whole is None:
            wanted = ", ".join(self.columns.values() or RATED)
            raise ValueError(
                f"{self.root} has no ratings of {' '.join(filter(None, trial))}: no "
                f"column {wanted} in events.tsv (rows with a duration), beh.tsv, "
                "participants.tsv or phenotype"
            )
        table, row, columns = whole
        name = trial.trial or trial.subject
        answers = {k: read_number(row[c]) for k, c in columns.items()}
        segment = Segment(name, recording.begin, recording.end, answers)
        return [segment], self._scales(table, columns)

    def _joined(
        self, path: Path, rows: Sequence[Row]
    ) -> tuple[list[Segment], dict[str, RatingScale]]:
        """Return the events with the ratings of a table of behaviour."""
        answers = read_table(path)
        columns = self._rated(answers)
        by = joining_columns(rows, answers)
        if by is None:
            raise ValueError(
                f"{path} and the events have no column in common that names each rated "
                "event: add the stimulus to both"
            )
        of_event, of_answer = by
        given: dict[str, Row] = {}
        for answer in answers:
            if answer[of_answer] in given:
                raise ValueError(f"{path} rates {answer[of_answer]!r} twice")
            given[answer[of_answer]] = answer
        rated = [row for row in rows if row[of_event] in given]
        return (
            [_segment(row, columns, given[row[of_event]]) for row in rated],
            self._scales(path, columns),
        )

    def _events(self, trial: Trial) -> Path | None:
        """Return the nearest table of events of a recording."""
        for file in self._bids.files_of(trial):
            if file.suffix in ("eeg", "physio"):
                paths = beside(file, self.root, "events", ".tsv")
                return paths[-1] if paths else None
        return None

    def _behaviour(self, trial: Trial) -> Path | None:
        """Return the table of behaviour of a recording, if there is one with ratings.

        Raises
        ------
        ValueError
            If there are several.
        """
        folder = self.root / f"sub-{trial.subject}"
        folder = folder / f"ses-{trial.session}" if trial.session else folder
        task = trial.trial.partition(" ")[0]
        paths = [
            p
            for p in sorted((folder / "beh").glob("*_beh.tsv"))
            if (file := BidsFile.of(p)) and file.entities.get("task", task) == task
        ] or sorted((folder / "beh").glob("*_beh.tsv"))
        paths = [p for p in paths if self._rated(read_table(p))]
        if len(paths) > 1:
            raise ValueError(
                f"{folder / 'beh'} has several tables of ratings, {paths[0].name} and "
                f"{paths[1].name}: name the task in each"
            )
        return paths[0] if paths else None

    def _whole(self, trial: Trial) -> tuple[Path, Row, dict[str, str]] | None:
        """Return table, row and columns of the ratings of a whole recording."""
        tables = [self.root / "participants.tsv"]
        tables += sorted((self.root / "phenotype").glob("*.tsv"))
        for path in (p for p in tables if p.is_file()):
            rows = [
                row
                for row in read_table(path)
                if row.get("participant_id", "").removeprefix("sub-") == trial.subject
                and row.get("session_id", f"ses-{trial.session}").removeprefix("ses-")
                == trial.session
            ]
            columns = self._rated(rows)
            if not columns:
                continue
            if len(rows) > 1 and any(row != rows[0] for row in rows):
                raise ValueError(f"{path} has several rows of {trial.subject}")
            return path, rows[0], columns
        return None

    def _scales(
        self, table: Path, columns: Mapping[str, str]
    ) -> dict[str, RatingScale]:
        """Return the scale of each rating in a table.

        Raises
        ------
        ValueError
            If one is not stated.
        """
        described = self._described(table)
        scales = {}
        for name, column in columns.items():
            ends = self.scales.get(name) or stated_scale(described.get(column))
            if ends is None:
                raise ValueError(
                    f'{table}: the scale of {column!r} is not stated: add "{column}": '
                    '{"Minimum": 1, "Maximum": 9} to its .json'
                )
            scales[name] = RatingScale(*ends)
        return scales

    def _described(self, table: Path) -> dict[str, Any]:
        """Return the description of a table's columns, the nearest file first."""
        file = BidsFile.of(table)
        paths = []
        if file is not None:
            paths = beside(file, self.root, file.suffix, ".json")
        elif table.with_suffix(".json").is_file():
            paths = [table.with_suffix(".json")]
        described: dict[str, Any] = {}
        for path in paths:
            described |= read_json(path)
        return described


def stated_scale(described: Any) -> tuple[float, float] | None:
    """Return the ends of a scale from the description of a column, if it states them.

    ``Levels`` with numbers as keys, ``Minimum`` and ``Maximum``, or ``Range``.
    """
    if not isinstance(described, Mapping):
        return None
    for pair in (
        (described.get("Minimum"), described.get("Maximum")),
        described.get("Range"),
        described.get("Levels"),
    ):
        values = _numbers(pair)
        if len(values) > 1 and min(values) < max(values):
            return min(values), max(values)
    return None


def joining_columns(
    rows: Sequence[Row], answers: Sequence[Row]
) -> tuple[str, str] | None:
    """Return the columns of events and answers that name the same things.

    At least half of the answers must have an event; of several pairs of columns, the
    one with most, then one of the same name.

    Raises
    ------
    ValueError
        If pairs of other names have as many and assign other answers to the events.
    """
    pairs: list[tuple[int, bool, str, str]] = []
    for column in rows[0]:
        named = {row[column] for row in rows if row.get(column)}
        for other in answers[0]:
            texts = [row[other] for row in answers if row.get(other)]
            if len(set(texts)) != len(texts):
                continue
            common = len(named & set(texts))
            pairs.append((common, column == other, column, other))
    best = max((p[:2] for p in pairs), default=(0, False))
    if not best[0] or 2 * best[0] < len(answers):
        return None
    equal = [p[2:] for p in pairs if p[:2] == best]
    assigned = [_assigned(rows, answers, *pair) for pair in equal]
    for pair, given in zip(equal[1:], assigned[1:], strict=True):
        if given != assigned[0]:
            raise ValueError(
                f"the events {equal[0][0]!r} with the ratings {equal[0][1]!r}, and "
                f"{pair[0]!r} with {pair[1]!r}, assign other ratings to the events: "
                "name the column that both share alike"
            )
    return equal[0]


def _assigned(
    rows: Sequence[Row], answers: Sequence[Row], column: str, other: str
) -> list[int]:
    """Return the answer of each event, -1 for none."""
    places = {row[other]: i for i, row in enumerate(answers) if row.get(other)}
    return [places.get(row.get(column, ""), -1) for row in rows]


def rated_events(
    segments: Sequence[Segment],
    scales: Mapping[str, RatingScale],
    participant: str,
    until: float,
) -> dict[str, Events]:
    """Return the parts of a recording and their ratings as events.

    Raises
    ------
    ValueError
        If a rating is outside of its scale.
    """
    ordered = sorted(segments, key=lambda s: s.begin)
    names = tuple(s.name for s in ordered)
    for segment in ordered:
        for key, value in segment.answers.items():
            if not np.isnan(value) and not scales[key].low <= value <= scales[key].high:
                raise ValueError(
                    f"the {key} of {segment.name!r}, {value:g}, is outside of "
                    f"{scales[key].low:g} to {scales[key].high:g}"
                )
    conditions = event_stream(CONDITIONS, Channel("end", "misc", "s"))
    conditions = replace(conditions, participant=participant)
    begins = np.array([s.begin for s in ordered])
    ends = np.array([min(s.end, until) for s in ordered])
    given = np.array([[s.answers[k] for k in scales] for s in ordered], np.float64)
    given = given.reshape(len(ordered), len(scales))
    low = np.array([s.low for s in scales.values()])
    high = np.array([s.high for s in scales.values()])
    scaled = (given - (low + high) / 2) / ((high - low) / 2)
    channels = [Channel(c) for c in (*scales, *(f"{c}.sam" for c in scales))]
    rated = replace(event_stream(RATINGS, *channels), participant=participant)
    return {
        CONDITIONS: Events(conditions, until, begins, ends[:, None].copy(), names),
        RATINGS: Events(rated, until, ends, np.hstack([scaled, given]), names),
    }


def _as_given(events: Events) -> Events:
    """Return events whose columns of ratings are named as those off the scale."""
    channels = tuple(
        replace(c, name=f"{c.name}.sam") if c.name in DIMENSIONS else c
        for c in events.info.channels
    )
    return replace(events, info=replace(events.info, channels=channels))


def _numbers(values: Any) -> list[float]:
    numbers = []
    for value in values or () if isinstance(values, Sequence | Mapping) else ():
        try:
            numbers.append(float(value))
        except (TypeError, ValueError):
            continue
    return [n for n in numbers if np.isfinite(n)]


def _ratings(rows: Sequence[Row]) -> dict[str, str]:
    """Return the columns of ratings, with a number in some row, by rating."""
    columns: dict[str, str] = {}
    for column in rows[0] if rows else ():
        words = column.lower().replace("-", "_").replace(".", "_").split("_")
        name = next((r for r in RATED if r in words), None)
        if name is None or name in columns or words[-1] == "report":
            continue  # by a parent or an observer: "stress_arousal_parent_report"
        if any(np.isfinite(read_number(row.get(column, ""))) for row in rows):
            columns[name] = column
    return columns


def _timed(rows: Sequence[Row]) -> list[Row]:
    """Return the events with a begin and a duration."""
    return [
        row
        for row in rows
        if np.isfinite(read_number(row.get("onset", "")))
        and read_number(row.get("duration", "")) > 0
    ]


def _segment(row: Row, columns: Mapping[str, str], answers: Row) -> Segment:
    begin = read_number(row["onset"])
    names = [row[k] for k in _KEYS if row.get(k) and row[k] != "n/a"]
    return Segment(
        names[0] if names else "event",
        begin,
        begin + read_number(row["duration"]),
        {k: read_number(answers.get(c, "")) for k, c in columns.items()},
    )
