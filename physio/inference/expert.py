"""An expert: trained weights that read some features, and a participant's rest."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Origin, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.inference.calibration import ExpertBaseline
from physio.inference.feature_history import FeatureHistory
from physio.inference.montage_adaptation import adapt_to_montage, read
from physio.models import model_card
from physio.models.baseline import BaselineAccumulator, BaselinePrior, transform
from physio.models.fusion import shrink_to_prior

_FEW: Final = 4
DIMENSIONS: Final = ("valence", "arousal", "dominance")

_HOPE: Final = (  # what is said of several reasons: the one that passes soonest
    MissingReason.WARMING_UP,
    MissingReason.TOO_SHORT,
    MissingReason.POOR_QUALITY,
    MissingReason.OUT_OF_DISTRIBUTION,
    MissingReason.NO_SIGNAL,
    MissingReason.DEMO_WEIGHTS,
    MissingReason.UNTRAINED,
)

LEVELS: Final = (0.5, 0.8, 0.95)
"""Of the intervals that are told."""

GAUSSIAN: Final = np.array([0.67449, 1.28155, 1.95996])
"""Half of each, of a normal distribution, in standard deviations."""

_NOTHING: Final = MissingReason.NO_SIGNAL.nan
_UNTRAINED: Final = MissingReason.UNTRAINED.nan


@dataclass(frozen=True)
class Expert:
    """Trained weights, and what they read.

    Parameters
    ----------
    weights
        Name of shipped weights, or the path of a folder; its last part is the name of
        the expert.
    reads
        The chains they read, by the names that the weights' card gives them; by
        default all of the card's. The features of a chain left out count as missing.
    fused
        Whether it has a part in the estimate; else it is seen in its own columns alone,
        and for what it foretells.
    """

    weights: str
    features: tuple[str, ...] = ()
    in_fusion: bool = True

    @property
    def name(self) -> str:
        """What its columns begin with."""
        return self.weights.rstrip("/").rpartition("/")[2]


class ExpertState(NamedTuple):
    """What an expert remembers of a participant; changed in place.

    Parameters
    ----------
    rest
        What was seen of the participant's rest.
    debt
        How many seconds are still missing of the window that each feature rests on,
        after it was lost; then of the slowest window of each sensor, after it was. -1
        before it was there at all. Shape (f + chains,).
    over
        Whether the rest was ended before its time, shape (1,).
    past
        The features of the last ticks, where the model answers from them; see
        `FeatureHistory`.
    """

    rest: BaselineAccumulator
    debt: Array
    over: npt.NDArray[np.bool_]
    past: FeatureHistory | None = None

    @classmethod
    def nothing(cls, mind: "BoundExpert", tick: float) -> "ExpertState":
        """Return what is remembered of a participant not met before."""
        features, chains = len(mind.at), len(mind.slowest)
        debt = np.full(features + chains, -1.0)
        past = None
        if hasattr(mind.model, "track"):
            config = mind.model.config
            past = FeatureHistory.none(config.moments, config.every, tick, features)
        return cls(
            BaselineAccumulator.none(features), debt, np.zeros(1, np.bool_), past
        )

    def begin(self) -> None:
        """Begin a new rest."""
        self.rest.forget()
        self.over[0] = False

    def end(self) -> None:
        """End the rest before its time."""
        self.over[0] = True

    def own(self, mind: "BoundExpert") -> ExpertBaseline:
        """Return the rest as a calibration holds it."""
        total, seconds = (tuple(v.tolist()) for v in self.rest[:2])
        past = float(self.rest.past[0])
        return ExpertBaseline(
            mind.name, mind.sha256, mind.columns, total, seconds, past
        )

    def restore(self, own: ExpertBaseline) -> None:
        """Take over the rest of a calibration."""
        self.rest.total[:], self.rest.seconds[:] = own.total, own.seconds
        self.rest.past[:], self.over[:] = own.past, True


class Prediction(NamedTuple):
    """What an expert says at one tick.

    ``mean`` and ``sd``, shape (3,); ``parts``, by how much each feature moved the mean
    away from the prior's, shape (3, f), 0 where the model cannot tell.
    """

    mean: Array
    sd: Array
    parts: Array


@dataclass(frozen=True, eq=False)
class BoundExpert:
    """An expert that knows where in a row its features are; never changes."""

    name: str
    model: Any  # a weights.Model, that may `explain` and tell its `surprise`
    norm: BaselinePrior
    prior: Array  # mean and sd, shape (2, 3)
    origin: Origin
    at: npt.NDArray[np.int_]  # column of each feature; -1 where it is left out
    how: tuple[str, ...]
    supported: npt.NDArray[np.bool_]
    span: float
    spans: Array  # s, of the window of each feature
    chain: npt.NDArray[np.int_]  # which sensor each feature is of
    slowest: Array  # s, of the slowest window of each sensor
    limit: float  # of surprise: beyond it the moment is like nothing seen in training
    participant: (
        Array  # covariance of what makes a participant rate otherwise, shape (3, p, p)
    )
    widths: Array  # halves of intervals in standard deviations, shape (3, levels)
    columns: tuple[str, ...]  # the features
    sha256: str  # of the weights
    groups: tuple[str, ...]  # of features that are told of together
    group: npt.NDArray[np.int_]  # which each feature belongs to
    length: float  # s, of a rest in training
    full: Array  # variance of the level after the rest of training, shape (f,)
    moves: npt.NDArray[np.bool_]  # which features tell of movement
    main: npt.NDArray[np.bool_]  # which are of the chain that the card names first
    in_fusion: bool  # whether it has a part in the estimate

    @classmethod
    def bind(cls, expert: Expert, info: StreamInfo) -> "BoundExpert":
        """Return an expert's mind on the features of ``info``, or raise what lacks."""
        stored = model_card.load(expert.weights)
        card = stored.card
        columns = read(card, info.names)
        wanted = [name for name, _ in columns]
        chains = tuple(dict.fromkeys(name.partition(".")[0] for name in wanted))
        reads = expert.features or chains
        if unknown := [chain for chain in reads if chain not in chains]:
            raise ValueError(
                f"the weights {expert.name!r} read {', '.join(chains)}, "
                f"not {', '.join(unknown)}"
            )
        needed = [name for name in wanted if name.partition(".")[0] in reads]
        if any(name not in info.names for name in needed):
            given = [
                n
                for n in info.names
                if not n.endswith((".window_start", ".window_end", ".missing"))
            ]
            raise ValueError(
                f"the weights {expert.name!r} want {_some(needed)}; given are "
                f"{_some(given)}"
            )
        at = [info.names.index(n) if n in needed else -1 for n in wanted]
        _, model, norm = adapt_to_montage(stored, info.names)
        grouped = [_group(n) for n in wanted]
        groups = tuple(dict.fromkeys(grouped))
        spans = np.array([info.channels[i].memory if i >= 0 else 0.0 for i in at])
        chain = np.array([chains.index(n.partition(".")[0]) for n in wanted])
        limit = stored.arrays.get("density.limit", np.array([np.inf]))
        return cls(
            expert.name,
            model,
            norm,
            np.stack([stored.arrays["prior.mean"], stored.arrays["prior.sd"]]),
            card.origin,
            np.array(at),
            tuple(how for _, how in columns),
            np.isin(DIMENSIONS, card.supports),
            max(info.channels[i].memory for i in at if i >= 0),
            spans,
            chain,
            np.array([spans[chain == k].max() for k in range(len(chains))]),
            float(limit[0]) if hasattr(model, "surprise") else np.inf,
            stored.arrays.get("participant.cov", np.zeros((len(DIMENSIONS), 1, 1))),
            stored.arrays.get("interval.widths", np.tile(GAUSSIAN, (3, 1))),
            tuple(wanted),
            card.sha256,
            groups,
            np.array([groups.index(g) for g in grouped]),
            card.baseline,
            norm.level(np.zeros(len(wanted)), norm.seconds)[1],
            np.array([name.startswith("motion.") for name in wanted]),
            np.array([name.startswith(f"{chains[0]}.") for name in wanted]),
            expert.in_fusion,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "BoundExpert":
        return self

    def read(self, x: Array) -> Array:
        """Return the features in rows, each as the model reads it, shape (n, f)."""
        found = np.where(self.at >= 0, x[:, self.at], _NOTHING)
        return transform(found, self.how)

    def touched(self, x: Array) -> npt.NDArray[np.bool_]:
        """Tell which cells of rows the answers rest on, shape (n, columns)."""
        used = np.zeros(x.shape[1], np.bool_)
        used[self.at[self.at >= 0]] = True
        return used & ~np.isnan(x)

    def answer(
        self, seen: ExpertState, x: Array, tick: float, length: float
    ) -> Prediction:
        """Return what is said of a moment.

        Parameters
        ----------
        seen
            What is remembered of the participant; ``x`` is added to it.
        x
            The features of a tick, as `read` gives them, shape (f,).
        tick, length
            How long a tick and a rest are (s).
        """
        rest = seen.rest
        if rest.past[0] < length and not seen.over[0]:
            rest.see(x, tick)
        fill = self._refill(seen.debt, x, tick)
        said = np.full((2, len(DIMENSIONS)), _UNTRAINED)
        parts = np.zeros((len(DIMENSIONS), len(x)))
        if seen.past is not None:
            return self._tracked(seen.past, x, fill)
        if np.isnan(x).all() or self._only_moves(x):
            said[:, self.supported] = primary_reason(
                x if self.moves.all() else x[~self.moves]
            )
            return Prediction(said[0], said[1], parts)
        level, spread = self.norm.level(rest.total, rest.seconds)
        # What a rest leaves open of the level was there in training too.
        extra = np.maximum(spread - self.full, 0)
        z = x - level
        if self.limit < np.inf and self.model.surprise(z, extra) > self.limit:
            said[:, self.supported] = MissingReason.OUT_OF_DISTRIBUTION.nan
            return Prediction(said[0], said[1], parts)
        mean, sd, parts = self._explained(z, extra, rest, length)
        filling = ~np.isnan(x) & (fill < 1)
        if filling.any():
            old = self._without(np.where(filling, _NOTHING, z), extra, rest, length)
            mean, sd, parts = _tempered((mean, sd, parts), old, fill[filling].min())
        said[:, self.supported] = mean[self.supported], sd[self.supported]
        return Prediction(said[0], said[1], parts)

    def _tracked(self, past: FeatureHistory, x: Array, fill: Array) -> Prediction:
        """Return what a model says that answers from the last minutes."""
        said = np.full((2, len(DIMENSIONS)), _UNTRAINED)
        parts = np.zeros((len(DIMENSIONS), len(x)))
        # A moment unlike all that was seen is not remembered either.
        odd = self.limit < np.inf and self.model.surprise(x, x) > self.limit
        past.see(np.where(odd, _NOTHING, x), fill < 1)
        if odd or np.isnan(x).all():
            why_not = (
                MissingReason.OUT_OF_DISTRIBUTION.nan if odd else primary_reason(x)
            )
            said[:, self.supported] = why_not
            return Prediction(said[0], said[1], parts)
        mean, sd, parts = self.model.track(past.moments())
        filling = ~np.isnan(x) & (fill < 1)
        if filling.any():
            old = self.model.track(past.moments(filling))
            mean, sd, parts = _tempered((mean, sd, parts), old, fill[filling].min())
        said[:, self.supported] = mean[self.supported], sd[self.supported]
        return Prediction(said[0], said[1], parts)

    def grouped(self, parts: Array) -> Array:
        """Return what each group of features adds, shape (3, groups)."""
        out = np.zeros((len(DIMENSIONS), len(self.groups)))
        np.add.at(out.T, self.group, parts.T)
        return out

    def _explained(
        self, z: Array, extra: Array, rest: BaselineAccumulator, length: float
    ) -> tuple[Array, Array, Array]:
        """Return mean, sd and what moved the mean, as far as the rest is over."""
        if hasattr(self.model, "explain"):
            mean, sd, parts = self.model.explain(z, extra)
        else:
            mean, sd = self.model.predict(z, extra)
            parts = np.zeros((len(DIMENSIONS), len(z)))
        if self.model.uses_baseline_uncertainty:
            return mean, sd, parts
        share = min(1.0, rest.past[0] / length)
        now, wide = shrink_to_prior(mean, sd, self.prior[0], self.prior[1], share)
        step = mean - self.prior[0]
        part = np.divide(now - self.prior[0], step, out=np.ones(3), where=step != 0)
        return now, wide, part[:, None] * parts

    def _without(
        self, z: Array, extra: Array, rest: BaselineAccumulator, length: float
    ) -> tuple[Array, Array, Array]:
        """Return what is said without the features whose windows fill again."""
        mean, sd, parts = self._explained(z, extra, rest, length)
        missing = np.isnan(mean)
        mean = np.where(missing, self.prior[0], mean)
        return mean, np.where(missing, self.prior[1], sd), parts

    def _refill(self, debt: Array, x: Array, tick: float) -> Array:
        """Return the share of each feature's window that is there again, shape (f,).

        After a loss, a window has only what came since: as much as was missing of it
        must come before it counts as full, and till then the answer gains of what the
        feature adds no more than that share. Where a whole sensor was gone, that holds
        for the slowest window on it. A feature that was not there yet has none to make
        up for: it says itself when it has enough.
        """
        f = len(x)
        here = ~np.isnan(x)
        any_here = np.zeros(len(self.slowest), np.bool_)
        np.logical_or.at(any_here, self.chain, here)
        gone = np.ones(len(self.slowest), np.bool_)
        np.logical_and.at(
            gone, self.chain, missing_reason(x) == MissingReason.NO_SIGNAL
        )
        spans = np.concatenate([self.spans, self.slowest])
        back, lost = np.concatenate([here, any_here]), np.concatenate([~here, gone])
        debt[back] = np.maximum(debt[back] - tick, 0.0)
        lost &= debt >= 0
        debt[lost] = np.minimum(debt[lost] + tick, spans[lost])
        share = 1 - np.maximum(debt, 0.0) / np.maximum(spans, tick)
        return np.asarray(np.minimum(share[:f], share[f:][self.chain]))

    def _only_moves(self, x: Array) -> bool:
        """Tell whether nothing but movement is there, though the main sensor is.

        Movement alone speaks for a participant whose other sensors are lost. It says
        nothing while they warm up, or where they find no skin: the band may lie on a
        table.
        """
        if self.moves.all() or not np.isnan(x[~self.moves]).all():
            return False
        return bool(np.any(missing_reason(x[self.main]) != MissingReason.NO_SIGNAL))


def _tempered(
    new: tuple[Array, Array, Array], old: tuple[Array, Array, Array], share: float
) -> tuple[Array, Array, Array]:
    """Return the share of what a new answer adds to an old one: mean, sd and parts."""
    now, wide = shrink_to_prior(new[0], new[1], old[0], old[1], float(share))
    step = new[0] - old[0]
    part = np.divide(now - old[0], step, out=np.ones(3), where=step != 0)
    return now, wide, old[2] + part[:, None] * (new[2] - old[2])


def _group(column: str) -> str:
    """Return under which name a feature is told of: electrodes of a band together."""
    parts = column.split(".")
    return ".".join(parts[:3] if len(parts) > 3 else parts)


def _some(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - _FEW
    told = ", ".join(names[:_FEW]) or "none"
    return f"{told} and {more} more" if more > 0 else told


def primary_reason(values: Array) -> float:
    """Return, of missing values, the NaN whose reason passes soonest."""
    codes = set(missing_reason(values).tolist())
    return next((r.nan for r in _HOPE if int(r) in codes), MissingReason.NO_SIGNAL.nan)
