"""Protocols that split participants, trials and time, as scikit-learn splitters.

The ``groups`` of a splitter are the table itself, or its columns `PLACE` and ``label``:
``cross_val_score(model, X, y, groups=table, cv=LeaveSubjectsOut())``. The protocols
that divide participants also accept a list of participant codes.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import BaseCrossValidator, KFold

from physio.datasets.base import natural_sorted
from physio.datasets.feature_table import LABEL
from physio.evaluation.folds import Fold, Folds, Rows, fingerprint
from physio.evaluation.row_index import (
    RowIndex,
    Table,
    as_table,
    named,
    numbers,
    orders,
    overlapping,
    several,
)


class Protocol(BaseCrossValidator):
    """Protocol of a split; a frozen dataclass of settings.

    ``promise`` names the units that are never in both training and test rows: subjects,
    trials, sessions, data sets, orders, subjects and stimuli, or at least samples.
    """

    name: ClassVar[str]
    promise: ClassVar[str]

    @abstractmethod
    def folds(self, table: Table) -> Iterator[Fold]:
        """Yield the divisions of a table, without inner ones."""

    def inner(self) -> "Protocol":
        """Return the protocol of the inner folds of the training rows."""
        return self

    def split(
        self,
        X: Any = None,  # noqa: N803, ARG002 scikit-learn's names
        y: Any = None,
        groups: Any = None,
    ) -> Iterator[tuple[Rows, Rows]]:
        """Yield the indices of training rows and of test rows."""
        for fold in self.folds(as_table(groups, y)):
            yield fold.train, fold.test

    def get_n_splits(
        self,
        X: Any = None,  # noqa: N803, ARG002 scikit-learn's names
        y: Any = None,
        groups: Any = None,
    ) -> int:
        """Return the number of folds."""
        return sum(1 for _ in self.folds(as_table(groups, y)))


@dataclass(frozen=True)
class LeaveSubjectsOut(Protocol):
    """Train on some participants, test on ``n`` others; each is tested once.

    With ``n`` above 1, ``seed`` determines the random groups of held-out participants.
    """

    n: int = 1
    seed: int = 23

    name: ClassVar[str] = "leave-n-subjects-out"
    promise: ClassVar[str] = "subjects"

    def __post_init__(self) -> None:
        _at_least(1, n=self.n)

    def folds(self, table: Table) -> Iterator[Fold]:
        """Yield a fold for each participant, or each ``n`` of them."""
        codes = named(RowIndex.of(table).table, "subject")
        participants = several(codes, self.n + 1, "participants", self.name)
        drawn = participants
        if self.n > 1:
            drawn = np.random.default_rng(self.seed).permutation(participants).tolist()
        for i in range(0, len(drawn), self.n):
            out = sorted(drawn[i : i + self.n], key=participants.index)
            yield _fold("+".join(out), np.isin(codes, out))


@dataclass(frozen=True)
class Loso(LeaveSubjectsOut):
    """Leave-one-subject-out: test on each participant once, train on the others."""

    name: ClassVar[str] = "loso"

    def __post_init__(self) -> None:
        if self.n != 1:
            raise ValueError(f"loso leaves 1 subject out, not {self.n}")


@dataclass(frozen=True)
class LeaveOrderOut(Protocol):
    """Test on participants with one order of conditions, train on the other orders.

    A participant's order is the order of first occurrence of the labels in the table.
    Each order is tested once, with the participants of all other orders as the training
    set.
    """

    name: ClassVar[str] = "leave-order-out"
    promise: ClassVar[str] = "orders"

    def folds(self, table: Table) -> Iterator[Fold]:
        """Yield a fold for each order."""
        codes = orders(RowIndex.of(table).table)
        for order in several(codes, 2, "orders of conditions", self.name):
            yield _fold(order, codes == order)

    def inner(self) -> Protocol:
        """Leave participants out, because training participants may share one order."""
        return Loso()


@dataclass(frozen=True)
class TrialBlocked(Protocol):
    """Split within participants by whole trials.

    Each participant needs at least ``k`` trials of each class. Each fold tests one in
    ``k`` trials of each class, of every participant, assigned at random with ``seed``.
    Where trials are segments of one recording, training windows that share samples with
    test windows are excluded.
    """

    k: int = 5
    seed: int = 23

    name: ClassVar[str] = "trial-blocked"
    promise: ClassVar[str] = "trials"

    def __post_init__(self) -> None:
        _at_least(2, k=self.k)

    def folds(self, table: Table) -> Iterator[Fold]:
        """Yield ``k`` folds."""
        index = RowIndex.of(table)
        units, labels = index.segments, named(index.table, LABEL)
        subjects = named(index.table, "subject")
        dealt = np.zeros(len(units), np.intp)
        rng = np.random.default_rng(self.seed)
        for participant in natural_sorted(set(subjects)):
            for label in sorted(set(labels[subjects == participant]) - {""}):
                rows = (subjects == participant) & (labels == label)
                trials = natural_sorted(set(units[rows]))
                if len(trials) < self.k:
                    raise ValueError(
                        f"{self.name} with k = {self.k} needs as many trials of each "
                        f"class, but {participant} has {len(trials)} of "
                        f"{str(label)!r}; time-blocked divides within trials"
                    )
                for i, trial in enumerate(rng.permutation(trials)):
                    dealt[units == trial] = i % self.k
        for i in range(self.k):
            yield purged(index, _fold(f"{i + 1} of {self.k}", dealt == i))


@dataclass(frozen=True)
class TimeBlocked(Protocol):
    """Split within segments of a recording: early windows train, late windows test.

    The first ``share`` of the windows of each segment train and the others test.
    Training windows that share samples with test windows are excluded.
    """

    share: float = 0.5

    name: ClassVar[str] = "time-blocked"
    promise: ClassVar[str] = "samples"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share must be between 0 and 1, not {self.share}")

    def folds(self, table: Table) -> Iterator[Fold]:
        """Yield one fold, of all participants."""
        index = RowIndex.of(table)
        stop, units = numbers(index.table, "end_sample"), index.segments
        late = np.zeros(len(units), np.bool_)
        for unit in np.unique(units):
            rows = np.flatnonzero(units == unit)
            rows = rows[np.argsort(stop[rows], kind="stable")]
            late[rows[int(np.ceil(self.share * len(rows))) :]] = True
        fold = purged(index, _fold("late", late))
        if not len(fold.train) or not len(fold.test):
            verb = "test" if len(fold.train) else "train"
            raise ValueError(
                f"{self.name} leaves nothing to {verb} on: the parts of the "
                "recordings are shorter than what a window rests on; take shorter "
                "windows, or chains that remember less"
            )
        yield fold


@dataclass(frozen=True)
class SessionBlocked(Protocol):
    """Split within sessions by blocks of consecutive segments.

    The segments of each session, in order of time, are divided into ``k`` blocks, and
    each block is tested once. Training windows that share samples with test windows, or
    lie within ``lag`` s of them, are excluded.

    Parameters
    ----------
    k
        Number of blocks.
    lag
        Time by which a label may lag behind the signal (s).
    """

    k: int = 5
    lag: float = 0.0

    name: ClassVar[str] = "session-blocked"
    promise: ClassVar[str] = "trials"

    def __post_init__(self) -> None:
        _at_least(2, k=self.k)
        if not 0 <= self.lag < np.inf:
            raise ValueError(f"lag must be at least 0 s, not {self.lag}")

    def folds(self, table: Table) -> Iterator[Fold]:
        """Yield ``k`` folds, fewer where no session has as many segments."""
        index = RowIndex.of(table)
        sessions = index.ids("dataset", "subject", "session")
        begin = numbers(index.table, "start_s")
        labelled = numbers(index.table, "segment") >= 0
        block = np.full(len(begin), -1, np.intp)
        for session in np.unique(sessions):
            rows = labelled & (sessions == session)
            units = index.segments[rows]
            names, first = np.unique(units, return_inverse=True)
            starts = [begin[rows][first == i].min() for i in range(len(names))]
            order = np.empty(len(names), np.intp)
            order[np.argsort(starts, kind="stable")] = np.arange(len(names))
            count = min(self.k, len(names))
            block[rows] = order[first] * count // max(len(names), 1)
        several(block[labelled].astype(np.str_), 2, "segments in a session", self.name)
        wide = self._widened(index)
        for i in range(self.k):
            if (block == i).any():
                yield purged(wide, _fold(f"block {i + 1} of {self.k}", block == i))

    def _widened(self, index: RowIndex) -> RowIndex:
        """Return the table with windows that begin and end ``lag`` s later."""
        if not self.lag or not len(index.table):
            return index
        table = index.table
        first, stop = (numbers(table, k) for k in ("start_sample", "end_sample"))
        seconds = numbers(table, "end_s") - numbers(table, "start_s")
        rate = float(np.median((stop - first) / seconds))
        support = numbers(table, "support_start_sample")
        lag = int(np.ceil(self.lag * rate))
        return RowIndex(
            table.assign(end_sample=stop + lag, support_start_sample=support)
        )


@dataclass(frozen=True)
class CrossSession(Protocol):
    """Test on each session once, train on the participants' other sessions."""

    name: ClassVar[str] = "cross-session"
    promise: ClassVar[str] = "sessions"

    def folds(self, table: Table) -> Iterator[Fold]:
        """Yield a fold for each session."""
        codes = named(RowIndex.of(table).table, "session")
        for session in several(codes, 2, "sessions", self.name):
            yield _fold(session, codes == session)

    def inner(self) -> Protocol:
        """Leave participants out, because they may have only one training session."""
        return Loso()


@dataclass(frozen=True)
class CrossDataset(Protocol):
    """Test on each data set once, or on ``test`` alone; train on the others."""

    test: str = ""

    name: ClassVar[str] = "cross-dataset"
    promise: ClassVar[str] = "data sets"

    def folds(self, table: Table) -> Iterator[Fold]:
        """Yield a fold for each data set."""
        codes = named(RowIndex.of(table).table, "dataset")
        there = several(codes, 2, "data sets", self.name)
        if self.test and self.test not in there:
            raise ValueError(
                f"{self.name} would test {self.test!r}; the table has "
                f"{', '.join(there)}"
            )
        for dataset in [self.test] if self.test else there:
            yield _fold(dataset, codes == dataset)

    def inner(self) -> Protocol:
        """Leave participants out."""
        return Loso()


@dataclass(frozen=True)
class LeaveLaboratoryOut(CrossDataset):
    """Test on each laboratory once, or on ``test`` alone; train on the others.

    The column ``dataset`` names the laboratory. Inner folds leave a training laboratory
    out; there are none with a single one.
    """

    name: ClassVar[str] = "leave-laboratory-out"

    def inner(self) -> Protocol:
        """Leave a training laboratory out."""
        return LeaveLaboratoryOut()


@dataclass(frozen=True)
class LeaveParticipantAndStimulusOut(Protocol):
    """Test participants and stimuli of which neither occurs in the training rows.

    Participants and stimuli are each dealt into groups at random with ``seed``. Each
    fold tests one group of participants on one group of stimuli, and trains on the rows
    of the other participants and the other stimuli. Rows without a stimulus neither
    train nor test.

    Parameters
    ----------
    stimulus
        Column that names the stimulus of a row, as the film.
    participants, stimuli
        Number of groups of each; 0: each participant or stimulus by itself.
    seed
        Seed of the groups.
    """

    stimulus: str = "trial"
    participants: int = 5
    stimuli: int = 5
    seed: int = 23

    name: ClassVar[str] = "leave-participant-and-stimulus-out"
    promise: ClassVar[str] = "subjects and stimuli"

    def __post_init__(self) -> None:
        for name, value in (
            ("participants", self.participants),
            ("stimuli", self.stimuli),
        ):
            if value != 0:
                _at_least(2, **{name: value})

    def folds(self, table: Table) -> Iterator[Fold]:
        """Yield a fold for each group of participants and each group of stimuli."""
        index = RowIndex.of(table)
        people, stimuli = index.participants, named(index.table, self.stimulus)
        shown = stimuli != ""
        rng = np.random.default_rng(self.seed)
        groups = [
            _dealt(several(codes[shown], 2, noun, self.name), count, rng)
            for codes, noun, count in (
                (stimuli, f"stimuli in the column {self.stimulus!r}", self.stimuli),
                (people, "participants", self.participants),
            )
        ]
        for names in groups[1]:
            for films in groups[0]:
                person, film = np.isin(people, names), np.isin(stimuli, films)
                test = np.flatnonzero(person & film)
                if len(test):
                    train = np.flatnonzero(~person & ~film & shown)
                    yield Fold(f"{_joined(names)} x {_joined(films)}", train, test)

    def inner(self) -> Protocol:
        """Leave half of the participants and half of the stimuli out."""
        return replace(self, participants=2, stimuli=2)


@dataclass(frozen=True)
class HeldOutParticipants(Protocol):
    """Test the named participants once, train on all others.

    Parameters
    ----------
    test
        Names of the participants: ``"S10"``, or ``"WESAD S10"`` where data sets share
        a name.
    by
        Protocol of the inner folds, which divides the training rows.
    """

    test: tuple[str, ...]
    by: str = "loso"

    name: ClassVar[str] = "held-out-participants"
    promise: ClassVar[str] = "subjects"

    def __post_init__(self) -> None:
        object.__setattr__(self, "test", tuple(self.test))
        if not self.test:
            raise ValueError(f"{self.name} needs the names of participants in test")

    def folds(self, table: Table) -> Iterator[Fold]:
        """Yield one fold."""
        index = RowIndex.of(table)
        full = np.array([_joined([c]) for c in index.participants], np.str_)
        short = named(index.table, "subject")
        known = {*full.tolist(), *short.tolist()}
        if unknown := [name for name in self.test if name not in known]:
            raise ValueError(
                f"{self.name} would test {unknown[0]!r}; the table has "
                f"{', '.join(natural_sorted(set(full.tolist())))}"
            )
        out = np.isin(full, self.test) | np.isin(short, self.test)
        if out.all():
            raise ValueError(
                f"{self.name} leaves nobody to train on: name fewer participants to "
                "test"
            )
        yield _fold("held out", out)

    def inner(self) -> Protocol:
        """Divide the training rows by ``by``."""
        return protocol(self.by)


@dataclass(frozen=True)
class PaperWindowKFold(Protocol):
    """K-fold split of shuffled windows, as used by RBTransformer's authors.

    The split leaks: overlapping windows, which share most of their samples, occur in
    both training and test rows. It is for reproduction only.
    """

    k: int = 5
    seed: int = 23

    name: ClassVar[str] = "paper-window-kfold"
    promise: ClassVar[str] = "nothing"

    def __post_init__(self) -> None:
        _at_least(2, k=self.k)

    def folds(self, table: Table) -> Iterator[Fold]:
        """Yield ``k`` folds, as `sklearn.model_selection.KFold` shuffles them."""
        dealt = KFold(self.k, shuffle=True, random_state=self.seed)
        for i, (train, test) in enumerate(
            dealt.split(np.zeros(len(RowIndex.of(table).table)))
        ):
            yield Fold(f"{i + 1} of {self.k}", train, test)


@dataclass(frozen=True)
class PaperRowKFold(PaperWindowKFold):
    """K-fold split of shuffled rows, the presumed protocol of the PINN's paper.

    The split leaks: every participant and condition occurs in both training and test
    rows. It is for reproduction only.
    """

    name: ClassVar[str] = "paper-row-kfold"


PROTOCOLS: Final[dict[str, type[Protocol]]] = {
    cls.name: cls
    for cls in (
        Loso,
        LeaveSubjectsOut,
        LeaveOrderOut,
        TrialBlocked,
        TimeBlocked,
        SessionBlocked,
        CrossSession,
        CrossDataset,
        LeaveLaboratoryOut,
        LeaveParticipantAndStimulusOut,
        HeldOutParticipants,
        PaperWindowKFold,
        PaperRowKFold,
    )
}


def protocol(name: str, **settings: Any) -> Protocol:
    """Return a protocol by its name.

    Raises
    ------
    ValueError
        If there is no protocol of that name, or it lacks one of the settings.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"there is no protocol {name!r}; it is {', '.join(PROTOCOLS)}")
    try:
        return PROTOCOLS[name](**settings)
    except TypeError as error:
        raise ValueError(f"protocol {name}: {error}") from None


def divide(table: Table, by: Protocol, *, inner: bool = True) -> Folds:
    """Return all folds of a table, deterministically.

    If the training rows are too few for another split, there are no inner folds.
    """
    index = RowIndex.of(table)
    folds = []
    for fold in by.folds(index):
        inner_folds: tuple[Fold, ...] = ()
        if inner:
            inner_folds = _inner(index.take(fold.train), fold.train, by.inner())
        folds.append(replace(fold, inner=inner_folds))
    mark, n = fingerprint(index.table), len(index.table)
    return Folds(by.name, tuple(folds), asdict(by), mark, n)


def purged(table: Table, fold: Fold) -> Fold:
    """Remove training rows that share samples with test rows from a fold."""
    both = overlapping(table, fold.train, fold.test)
    return replace(fold, train=np.setdiff1d(fold.train, both))


def _inner(table: RowIndex, rows: Rows, by: Protocol) -> tuple[Fold, ...]:
    try:
        folds = list(by.folds(table))
    except ValueError:  # a single remaining participant or trial
        return ()
    return tuple(Fold(f.name, rows[f.train], rows[f.test]) for f in folds)


def _fold(name: str, test: npt.NDArray[np.bool_]) -> Fold:
    return Fold(name, np.flatnonzero(~test), np.flatnonzero(test))


def _dealt(names: list[str], count: int, rng: np.random.Generator) -> list[list[str]]:
    """Return names in groups dealt at random; each by itself if ``count`` is 0."""
    if not 0 < count < len(names):
        return [[name] for name in names]
    drawn = rng.permutation(names).tolist()
    return [sorted(drawn[i::count], key=names.index) for i in range(count)]


def _joined(codes: list[str]) -> str:
    return "+".join(" ".join(p for p in c.split("\x1f") if p) for c in codes)


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
