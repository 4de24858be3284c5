"""What weights tell beside affect: skin conductance ahead, and the condition."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.inference.expert import BoundExpert
from physio.models.baseline import BaselineAccumulator

RATE: Final = 4
"""Ticks a second at which a trace is remembered (Hz)."""

FORECAST: Final = "forecast."
"""What columns of skin conductance ahead begin with: ``forecast.5s``."""

CONDITION: Final = "condition."
"""What the columns of a condition's probability begin with: ``condition.stress``."""

ENDS: Final = ("", ".low", ".high")


class EdaHistory(NamedTuple):
    """The last minute of skin conductance (uS); changed in place."""

    trace: Array  # oldest first

    def see(self, value: float) -> None:
        """Take in the value of a tick."""
        self.trace[:-1] = self.trace[1:]
        self.trace[-1] = value


@dataclass(frozen=True, eq=False)
class Forecaster:
    """An expert that foretells, and where in a row its trace is; never changes.

    Parameters
    ----------
    expert
        Which of the estimator's it is.
    mind
        What it reads.
    at
        The column of skin conductance.
    channels
        Its columns: for each horizon what is expected (uS), and from where to where
        four of five come to lie; then the probability of each condition. That of a
        forecast for 5 s ahead has a delay of -5 s.
    """

    expert: int
    mind: BoundExpert
    at: int
    channels: tuple[Channel, ...]

    @classmethod
    def bind(cls, minds: tuple[BoundExpert, ...], info: StreamInfo) -> Self | None:
        """Return the one expert that foretells, or None; raise what it lacks."""
        able = [k for k, m in enumerate(minds) if hasattr(m.model, "foretell")]
        if not able:
            return None
        if len(able) > 1:
            names = " and ".join(repr(minds[k].name) for k in able)
            raise ValueError(f"{names} both foretell skin conductance: ask one of them")
        mind = minds[able[0]]
        if info.rate != RATE:
            raise ValueError(
                f"the weights {mind.name!r} remember {RATE} ticks a second, not "
                f"{info.rate}: give [session] rate = {RATE}"
            )
        config = mind.model.config
        found = [
            i
            for i, name in enumerate(info.names)
            if name.startswith(f"{config.trace}.")
            and not name.endswith((".window_start", ".window_end"))
        ]
        if len(found) != 1:
            raise ValueError(
                f"the weights {mind.name!r} want a chain {config.trace!r} that gives "
                f"skin conductance itself in one column, not in {len(found)}"
            )
        source = info.channels[found[0]]
        span = source.memory + config.samples / RATE
        told = [
            Channel(
                f"{FORECAST}{h:g}s{end}", "misc", "uS", source.delay - h, memory=span
            )
            for h in config.horizons
            for end in ENDS
        ]
        told += [Channel(f"{CONDITION}{c}", memory=mind.span) for c in config.classes]
        return cls(able[0], mind, found[0], tuple(told))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Forecaster":
        return self

    def begin(self) -> EdaHistory:
        """Return an empty memory."""
        empty = np.full(self.mind.model.config.samples, MissingReason.WARMING_UP.nan)
        return EdaHistory(empty)

    def predict(
        self,
        past: EdaHistory,
        row: Array,
        own: Array,
        rest: BaselineAccumulator,
        share: float,
    ) -> Array:
        """Return what is foretold at a tick, shape (channels,).

        Parameters
        ----------
        past
            What is remembered; the tick is added to it.
        row
            The features of the tick.
        own
            Those of the expert, as `BoundExpert.read` gives them.
        rest, share
            What is known of the participant's rest, and how much of it is over. Till
            then all conditions are nearly as likely.
        """
        past.see(row[self.at])
        level, _ = self.mind.norm.level(rest.total, rest.seconds)
        said = self.mind.model.foretell(own - level, past.trace)
        ahead = np.stack([said.middle, said.low, said.high], axis=1).ravel()
        odds = share * said.odds + (1 - share) / len(said.odds)
        return np.concatenate([ahead, odds])
