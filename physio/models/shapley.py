"""Shapley values of groups of features, exact; spread over ticks where slow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import factorial
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from physio.core.affect import DIMENSIONS
from physio.core.block import Array

MOST: Final = 8
"""Largest number of groups: their 256 subsets are evaluated one by one."""

Mask = npt.NDArray[np.bool_]


def shapley(value: Callable[[Mask], Array], groups: int) -> Array:
    """Return the Shapley value of each group, shape (d, groups).

    Parameters
    ----------
    value
        Value of a subset of the groups, given as a mask of shape (groups,), shape (d,).
    groups
        Number of groups, at most 8.

    Notes
    -----
    The values of all ``2 ** groups`` subsets are used (Shapley 1953), so that nothing
    is drawn at random. They add up to the value of all groups less that of none.
    """
    masks = subsets(groups)
    values = np.stack([value(m) for m in masks])
    return np.asarray((weights(groups) @ values).T)


@lru_cache
def subsets(groups: int) -> Mask:
    """Return the masks of all subsets, the empty one first, shape (2^g, g)."""
    if not 0 < groups <= MOST:
        raise ValueError(
            f"Shapley values need 1 to {MOST} groups of features, not {groups}: merge "
            "groups"
        )
    return np.array((np.arange(2**groups)[:, None] >> np.arange(groups)) & 1, np.bool_)


@lru_cache
def weights(groups: int) -> Array:
    """Return the weight of each subset's value for each group, shape (g, 2^g)."""
    masks = subsets(groups)
    size = masks.sum(axis=1)
    ways = factorial(groups)
    share = np.array(
        [factorial(k) * factorial(groups - 1 - k) / ways for k in range(groups)]
    )
    inside = share[np.maximum(size - 1, 0)]
    outside = -share[np.minimum(size, groups - 1)]
    return np.where(masks, inside[:, None], outside[:, None]).T


class ReasonsProgress(NamedTuple):
    """Evaluation of the subsets of one moment, continued over ticks; in place.

    ``z`` and ``spread`` of that moment, shape (2, f); ``values`` of the subsets, shape
    (2^g, 3); ``next``, the subset that is due, shape (1,); ``parts``, the last complete
    contributions, shape (3, f).
    """

    moment: Array
    values: Array
    next: npt.NDArray[np.int_]
    parts: Array


@dataclass(frozen=True, eq=False)
class GroupReasons:
    """Contributions of groups of features to the mean of any model.

    Features outside a subset are missing, or at ``background`` for a model that does
    not accept missing features.

    Parameters
    ----------
    index
        Group of each feature, from 0, shape (f,); at most 8 groups.
    per_tick
        Subsets evaluated in a tick. With fewer than all, contributions are those of the
        last moment whose subsets were all evaluated.
    background
        Replacement of features, shape (f,); None: missing.
    """

    index: npt.NDArray[np.int_]
    per_tick: int = 2**MOST
    background: Array | None = None

    @property
    def groups(self) -> int:
        """Number of groups."""
        return int(self.index.max()) + 1

    def initial_state(self) -> ReasonsProgress:
        """Return the state before any moment."""
        f, d = len(self.index), len(DIMENSIONS)
        subset_count = len(subsets(self.groups))
        return ReasonsProgress(
            np.zeros((2, f)),
            np.zeros((subset_count, d)),
            np.zeros(1, np.int_),
            np.zeros((d, f)),
        )

    def step(
        self,
        state: ReasonsProgress,
        predict: Callable[[Array, Array], tuple[Array, Array]],
        moment: tuple[Array, Array],
        prior: Array,
    ) -> Array:
        """Return contributions, shape (3, f), after this tick's evaluations.

        The contribution of a group stands at its first feature.

        Parameters
        ----------
        state
            State, changed in place.
        predict, moment
            `physio.models.base.Model.predict` and its arguments at this tick.
        prior
            Value of a subset for which the model has no answer, shape (3,).
        """
        masks = subsets(self.groups)
        if state.next[0] == 0:
            state.moment[0], state.moment[1] = moment
        stop = min(int(state.next[0]) + self.per_tick, len(masks))
        for k in range(int(state.next[0]), stop):
            absent = ~masks[k][self.index]
            fill = np.nan if self.background is None else self.background
            x = np.where(absent, fill, state.moment[0])
            state.values[k] = predict(x, state.moment[1])[0]
        state.next[0] = stop % len(masks)
        if state.next[0] == 0:
            known = np.where(np.isnan(state.values), prior, state.values)
            parts = np.nan_to_num(weights(self.groups) @ known)
            state.parts[:] = 0.0
            for g in range(self.groups):
                state.parts[:, int(np.argmax(self.index == g))] = parts[g]
        return state.parts.copy()

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of weights, ``reasons.*``."""
        out = {
            "reasons.index": self.index.astype(np.float64),
            "reasons.per_tick": np.array([float(self.per_tick)]),
        }
        if self.background is not None:
            out["reasons.background"] = self.background
        return out

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Self | None:
        """Return the reasons of weights; None if they have none."""
        if "reasons.index" not in arrays:
            return None
        index = np.asarray(arrays["reasons.index"]).astype(np.int_)
        per_tick = int(arrays["reasons.per_tick"][0])
        return cls(index, per_tick, arrays.get("reasons.background"))
