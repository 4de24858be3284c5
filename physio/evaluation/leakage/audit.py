"""Audit of a split for leakage, by samples, trials and participants on both sides."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from physio.datasets import feature_table
from physio.datasets.feature_table import LABEL
from physio.evaluation.folds import PAPER, Fold, Folds, Rows
from physio.evaluation.leakage import table_checks, time_confound
from physio.evaluation.row_index import RowIndex, Table, orders, overlapping
from physio.evaluation.splits import PROTOCOLS

_Groups = Mapping[str, tuple[str, tuple[str, ...]]]
_TRIAL: Final = ("dataset", "subject", "session", "trial", "segment")
_KEPT: Final = {
    "subjects": ("participants", ("dataset", "subject")),
    "sessions": ("sessions", ("dataset", "subject", "session")),
    "data sets": ("data sets", ("dataset",)),
    "trials": ("trials", _TRIAL),
}
"""Groups that a protocol keeps apart: name, and columns that identify them."""

_PROMISED: Final = {
    "orders": ("subjects",),
    "subjects and stimuli": ("subjects", "stimuli"),
    "nothing": ("trials", "subjects"),
}
"""Groups that are compared for promises that are not one of `_KEPT`."""

_NEEDED: Final = ("subject", "session", "trial", "support_start_sample", "end_sample")


class LeakageFinding(NamedTuple):
    """Finding of an audit.

    Parameters
    ----------
    kind
        ``shared samples``, ``time only`` ...: the list is in ``docs/splits.md``.
    fold
        Name of the fold; empty if the finding is about the table.
    leak
        True if the finding biases scores upwards; otherwise it is a remark to report
        with the scores.
    text
        Description, in a sentence.
    """

    kind: str
    fold: str
    leak: bool
    text: str


@dataclass(frozen=True, eq=False)
class Audit:
    """Findings on one split of one table.

    Parameters
    ----------
    protocol
        Name of the split.
    findings
        All findings, leaks first.
    time_only
        Score of a control model on elapsed time alone, None if it cannot be trained:
        see `physio.evaluation.leakage.time_confound.TimeConfound`.
    """

    protocol: str
    findings: tuple[LeakageFinding, ...]
    time_only: time_confound.TimeConfound | None = None

    @property
    def ok(self) -> bool:
        """True if the audit reports no leak."""
        return not any(f.leak for f in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as a JSON object."""
        return {
            "ok": self.ok,
            "protocol": self.protocol,
            "findings": [f._asdict() for f in self.findings],
            "time_only": None if self.time_only is None else self.time_only._asdict(),
        }

    def __str__(self) -> str:
        lines = [
            f"{'LEAK' if f.leak else 'note'}  {f.kind}"
            f"{f' ({f.fold})' if f.fold else ''}: {f.text}"
            for f in self.findings
        ]
        if self.time_only is not None:
            lines.append(str(self.time_only))
        verdict = "nothing leaks" if self.ok else "this split leaks"
        return "\n".join([*lines, f"{self.protocol}: {verdict}"])

    def check(self) -> "Audit":
        """Return this audit, or raise an error if the split leaks.

        Raises
        ------
        ValueError
            If there is a leak and the protocol's name does not begin with ``paper-``.
        """
        leaks = [f for f in self.findings if f.leak]
        if leaks and not self.protocol.startswith(PAPER):
            more = f", and {len(leaks) - 1} more" if len(leaks) > 1 else ""
            raise ValueError(
                f"the split {self.protocol!r} leaks and is refused: "
                f"{leaks[0].kind}: {leaks[0].text}{more}; only a protocol whose name "
                f"begins with {PAPER!r} may leak, to reproduce a paper"
            )
        return self


def audit(
    table: Table,
    folds: Folds,
    columns: Sequence[str] | None = None,
    *,
    time_only: bool = True,
) -> Audit:
    """Audit a split before it is used.

    Parameters
    ----------
    table
        The rows, as `physio.datasets.feature_table` describes them. Rows without a
        label are never scored; all rows of a fold are audited.
    folds
        The split.
    columns
        Features that the model reads; by default all of the table.
    time_only
        Whether to train the time-only model (some seconds).

    Raises
    ------
    ValueError
        If the folds belong to another table, their protocol is unknown, or the table
        lacks a column of ``columns``.
    """
    promise, apart = _promise(folds)
    index = RowIndex.of(table)
    table = index.table
    folds.of(table)
    names = list(feature_table.features(table) if columns is None else columns)
    if lacking := [c for c in (*names, LABEL) if c not in table.columns]:
        raise ValueError(
            f"the table has no column {lacking[0]!r}; it has {', '.join(table.columns)}"
        )
    findings: list[LeakageFinding] = []
    for fold in folds.folds:
        findings += _fold(index, fold, promise, apart)
    labelled = index.take(np.flatnonzero(table[LABEL].astype(str) != ""))
    findings += [
        LeakageFinding(kind, "", leak=True, text=text)
        for kind, text in table_checks.leaky_columns(labelled, names)
    ]
    findings += [
        LeakageFinding("made-up rows", fold.name, leak=True, text=text)
        for fold in folds.folds
        if (text := table_checks.duplicated_rows(table, names, fold))
    ]
    if text := table_checks.interpolated_rows(labelled.table, names):
        findings.append(LeakageFinding("made-up rows", "", leak=True, text=text))
    timed = (
        time_confound.time_confound(index, folds)
        if time_only and "start_s" in table
        else None
    )
    if timed is not None and timed.confounds:
        findings.append(LeakageFinding("time only", "", leak=False, text=timed.text))
    findings.sort(key=lambda f: not f.leak)
    return Audit(folds.protocol, tuple(findings), timed)


def _promise(folds: Folds) -> tuple[str, _Groups]:
    """Return the promise of a protocol, and the groups that are compared for it."""
    if folds.protocol in PROTOCOLS or folds.paper:
        known = PROTOCOLS.get(folds.protocol)
        promise = "nothing" if known is None else known.promise
        stimulus = str(folds.settings.get("stimulus", "trial"))
        groups = {**_KEPT, "stimuli": ("stimuli", (stimulus,))}
        units = _PROMISED.get(promise, (promise,))
        return promise, {unit: groups[unit] for unit in units if unit in groups}
    raise ValueError(
        f"there is no protocol {folds.protocol!r}, so nothing to hold it to; it is "
        f"{', '.join(PROTOCOLS)}, or begins with {PAPER!r}"
    )


def _fold(
    index: RowIndex, fold: Fold, promise: str, apart: _Groups
) -> Iterator[LeakageFinding]:
    """Yield the findings on a fold and on its inner folds."""
    if lacking := [c for c in _NEEDED if c not in index.table.columns]:
        yield LeakageFinding(
            "unproved",
            fold.name,
            leak=True,
            text=f"the table has no column {lacking[0]!r}: which samples a row rests "
            "on is unknown, so it cannot be shown that none is on both sides",
        )
    else:
        yield from _shared(index, fold, promise, apart)
        yield from _calibrated(index, fold)
    yield from _inside(index, fold)
    yield from _single_class(index.table, fold)


def _shared(
    index: RowIndex, fold: Fold, promise: str, apart: _Groups
) -> Iterator[LeakageFinding]:
    """Yield findings on samples and groups in both training and test rows."""
    both = overlapping(index, fold.test, fold.train)
    if both:
        text = (
            f"{len(both)} of {len(fold.test)} test rows rest on samples that training "
            f"rows rest on too, as {_where(index.table, both[0])}"
        )
        yield LeakageFinding("shared samples", fold.name, leak=True, text=text)
    if promise == "orders":
        codes = orders(index.table)
        if same := sorted(set(codes[fold.train]) & set(codes[fold.test])):
            text = f"participants with the order {same[0]} both train and test"
            yield LeakageFinding("shared orders", fold.name, leak=True, text=text)
    for unit, (name, columns) in apart.items():
        codes = index.ids(*columns)
        same = sorted(set(codes[fold.train]) & set(codes[fold.test]))
        if same:
            text = (
                f"{len(same)} of {len(set(codes[fold.test]))} {name} that are tested "
                f"train too, as {_plain_code(same[0])}"
            )
            yield LeakageFinding(f"shared {unit}", fold.name, leak=True, text=text)


def _calibrated(index: RowIndex, fold: Fold) -> Iterator[LeakageFinding]:
    both = overlapping(index, fold.test, fold.calibration)
    if both:
        text = (
            f"{len(both)} test rows rest on samples by which the participant's "
            f"features were calibrated, as {_where(index.table, both[0])}"
        )
        yield LeakageFinding("calibration in the test", fold.name, leak=True, text=text)


def _inside(index: RowIndex, fold: Fold) -> Iterator[LeakageFinding]:
    """Yield findings on inner folds that contain test rows of the outer fold."""
    proved = set(_NEEDED) <= set(index.table.columns)
    for inner in fold.inner:
        used = np.concatenate([inner.train, inner.test])
        outside = len(np.setdiff1d(used, fold.train))
        if outside:
            text = (
                f"the inner fold {inner.name!r} uses {outside} rows that do not train: "
                "settings would be chosen by test rows"
            )
            yield LeakageFinding("chosen by the test", fold.name, leak=True, text=text)
        elif proved and (both := overlapping(index, inner.test, inner.train)):
            text = (
                f"in the inner fold {inner.name!r}, {len(both)} test rows share "
                "samples with training rows"
            )
            yield LeakageFinding(
                "shared samples inside", fold.name, leak=True, text=text
            )
            return  # one example is enough: other inner folds have the same protocol


def _single_class(table: pd.DataFrame, fold: Fold) -> Iterator[LeakageFinding]:
    labels = table[LABEL].astype(str).to_numpy()
    every = _classes(labels, np.concatenate([fold.train, fold.test]))
    if not every:  # the target is numeric
        return
    missing = sorted(every - _classes(labels, fold.train))
    if missing:
        text = f"nothing of {', '.join(missing)} is trained on"
        yield LeakageFinding("one-sided classes", fold.name, leak=False, text=text)
    if "subject" not in table.columns:
        return
    participants = table["subject"].astype(str).to_numpy()
    single = [
        participant
        for participant in sorted(set(participants[fold.test]))
        if len(_classes(labels, fold.test[participants[fold.test] == participant])) < 2
    ]
    if single:
        text = (
            f"of {', '.join(single)} only one class is tested: the participant's code "
            "determines the class, and scores of that participant mean nothing"
        )
        yield LeakageFinding("one-sided classes", fold.name, leak=False, text=text)


def _classes(labels: Any, rows: Rows) -> set[str]:
    return set(labels[rows].tolist()) - {""}


def _where(table: pd.DataFrame, row: int) -> str:
    place = table.iloc[row]
    name = " ".join(str(place[c]) for c in ("subject", "session", "trial") if place[c])
    begin, end = place["support_start_sample"], place["end_sample"]
    return f"row {row} ({name}, samples {begin} to {end})"


def _plain_code(code: str) -> str:
    return " ".join(part for part in code.split("\x1f") if part)
