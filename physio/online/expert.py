"""An expert: trained weights that read some features, and a person's rest."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Info, Origin
from physio.core.reason import Reason, why
from physio.models import weights
from physio.models.rest import Rest, Resting, prepared
from physio.online.fusion import temper

_FEW: Final = 4
DIMENSIONS: Final = ("valence", "arousal", "dominance")

_HOPE: Final = (  # what is said of several reasons: the one that passes soonest
    Reason.WARMING_UP,
    Reason.TOO_SHORT,
    Reason.POOR_QUALITY,
    Reason.OUT_OF_DISTRIBUTION,
    Reason.NO_SIGNAL,
    Reason.DEMO_WEIGHTS,
    Reason.UNTRAINED,
)

_NOTHING: Final = Reason.NO_SIGNAL.nan
_UNTRAINED: Final = Reason.UNTRAINED.nan


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
    """

    weights: str
    reads: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What its columns begin with."""
        return self.weights.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True, eq=False)
class Mind:
    """An expert that knows where in a row its features are; never changes."""

    name: str
    model: weights.Model
    norm: Rest
    prior: Array  # mean and sd, shape (2, 3)
    origin: Origin
    at: npt.NDArray[np.int_]  # column of each feature; -1 where it is left out
    how: tuple[str, ...]
    supported: npt.NDArray[np.bool_]
    span: float
    length: float  # s, of a rest in training
    full: Array  # variance of the level after the rest of training, shape (f,)
    moves: npt.NDArray[np.bool_]  # which features tell of movement
    main: npt.NDArray[np.bool_]  # which are of the chain that the card names first

    @classmethod
    def of(cls, expert: Expert, info: Info) -> "Mind":
        """Return an expert's mind on the features of ``info``, or raise what lacks."""
        stored = weights.load(expert.weights)
        card = stored.card
        wanted = [name for name, _ in card.columns]
        chains = tuple(dict.fromkeys(name.partition(".")[0] for name in wanted))
        reads = expert.reads or chains
        if unknown := [chain for chain in reads if chain not in chains]:
            raise ValueError(
                f"the weights {expert.name!r} read {', '.join(chains)}, "
                f"not {', '.join(unknown)}"
            )
        needed = [name for name in wanted if name.partition(".")[0] in reads]
        if any(name not in info.names for name in needed):
            given = [n for n in info.names if not n.endswith((".from", ".to", ".why"))]
            raise ValueError(
                f"the weights {expert.name!r} want {_some(needed)}; given are "
                f"{_some(given)}"
            )
        at = [info.names.index(n) if n in needed else -1 for n in wanted]
        norm = Rest.restore(stored.part("rest"))
        return cls(
            expert.name,
            stored.model(),
            norm,
            np.stack([stored.arrays["prior.mean"], stored.arrays["prior.sd"]]),
            card.origin,
            np.array(at),
            tuple(how for _, how in card.columns),
            np.isin(DIMENSIONS, card.supports),
            max(info.channels[i].span for i in at if i >= 0),
            card.rest,
            norm.level(np.zeros(len(wanted)), norm.seconds)[1],
            np.array([name.startswith("motion.") for name in wanted]),
            np.array([name.startswith(f"{chains[0]}.") for name in wanted]),
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "Mind":
        return self

    def read(self, x: Array) -> Array:
        """Return the features in rows, each as the model reads it, shape (n, f)."""
        found = np.where(self.at >= 0, x[:, self.at], _NOTHING)
        return prepared(found, self.how)

    def touched(self, x: Array) -> npt.NDArray[np.bool_]:
        """Tell which cells of rows the answers rest on, shape (n, columns)."""
        used = np.zeros(x.shape[1], np.bool_)
        used[self.at[self.at >= 0]] = True
        return used & ~np.isnan(x)

    def answer(self, rest: Resting, x: Array, tick: float, length: float) -> Array:
        """Return mean and standard deviation of the ratings, shape (2, 3).

        Parameters
        ----------
        rest
            What was seen of the person's rest; while it lasts, ``x`` is added.
        x
            The features of a tick, as `read` gives them, shape (f,).
        tick, length
            How long a tick and a rest are (s).
        """
        if rest.past[0] < length:
            rest.see(x, tick)
        out = np.full((2, len(DIMENSIONS)), _UNTRAINED)
        if np.isnan(x).all() or self._only_moves(x):
            out[:, self.supported] = soonest(x if self.moves.all() else x[~self.moves])
            return out
        level, spread = self.norm.level(rest.total, rest.seconds)
        # What a rest leaves open of the level was there in training too.
        extra = np.maximum(spread - self.full, 0)
        mean, sd = self.model.predict(x - level, extra)
        if not self.model.heeds_spread:
            share = min(1.0, rest.past[0] / length)
            mean, sd = temper(mean, sd, self.prior[0], self.prior[1], share)
        out[:, self.supported] = mean[self.supported], sd[self.supported]
        return out

    def _only_moves(self, x: Array) -> bool:
        """Tell whether nothing but movement is there, though the main sensor is.

        Movement alone speaks for a person whose other sensors are lost. It says nothing
        while they warm up, or where they find no skin: the band may lie on a table.
        """
        if self.moves.all() or not np.isnan(x[~self.moves]).all():
            return False
        return bool(np.any(why(x[self.main]) != Reason.NO_SIGNAL))


def _some(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - _FEW
    told = ", ".join(names[:_FEW]) or "none"
    return f"{told} and {more} more" if more > 0 else told


def soonest(values: Array) -> float:
    """Return, of missing values, the NaN whose reason passes soonest."""
    codes = set(why(values).tolist())
    return next((r.nan for r in _HOPE if int(r) in codes), Reason.NO_SIGNAL.nan)
