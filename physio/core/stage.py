"""Causal operations on a stream: described once, run on blocks of any size."""

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Array, Block, Info
from physio.core.events import Events
from physio.core.missing import Reason

State = Any  # a NamedTuple of arrays that `step` changes in place, or a tuple of such

_FILL: Final = 4096  # rows of a gap that are made at once


class Grid(NamedTuple):
    """When outputs are due: output k with input sample ``ceil(first + k * hop)``."""

    first: Fraction = Fraction(0)
    hop: Fraction = Fraction(1)

    def count(self, n: int) -> int:
        """Return how many outputs are due within the first ``n`` samples."""
        return max(0, (n - 1 - self.first) // self.hop + 1) if n > 0 else 0

    def due(self, k: int) -> int:
        """Return the input sample with which output ``k`` is due."""
        return ceil(self.first + k * self.hop)

    def then(self, later: "Grid") -> "Grid":
        """Return the grid of a stage on ``later``, fed by a stage on this one."""
        if later.hop.denominator != 1 and self != Grid():
            raise ValueError(
                f"a stage that answers every {later.hop} samples cannot follow "
                f"one that answers every {self.hop}: give one of them a whole number"
            )
        return Grid(self.first + self.hop * later.first, self.hop * later.hop)


class Stage(ABC):
    """A causal operation on one stream, as a value.

    A subclass is a frozen dataclass of settings. It holds no samples: what it must
    remember from one call to the next is its state, which a `Flow` keeps.

    The laws: however a stream is cut into blocks, what comes out is the same. Lost
    samples come in as rows of NaN; one NaN changes no output that lies further behind
    it than the ``span`` of the output's channels. A NaN that goes out carries its
    `Reason`.
    """

    @abstractmethod
    def output(self, info: Info) -> Info:
        """Return the stream that comes out, or raise why ``info`` cannot come in."""

    def grid(self, info: Info) -> Grid:  # noqa: ARG002
        """Return when outputs are due: by default, one with every input sample."""
        return Grid()

    @abstractmethod
    def begin(self, info: Info) -> State:
        """Return the state before the first sample."""

    @abstractmethod
    def step(self, state: State, x: Array) -> Array:
        """Take in ``x``, shape (n, inputs); return all now due, shape (m, outputs)."""

    def hear(self, state: State, events: Events) -> None:  # noqa: B027
        """Take in events, say a rating; they count from the next sample on."""


@dataclass(frozen=True)
class Chain(Stage):
    """Stages one after another."""

    stages: tuple[Stage, ...] = ()

    def output(self, info: Info) -> Info:
        """Fold ``info`` through the stages."""
        for stage in self.stages:
            info = stage.output(info)
        return info

    def grid(self, info: Info) -> Grid:
        """Compose the grids of the stages."""
        grid = Grid()
        for stage in self.stages:
            grid = grid.then(stage.grid(info))
            info = stage.output(info)
        return grid

    def begin(self, info: Info) -> State:
        """Return a state for each stage."""
        states = []
        for stage in self.stages:
            states.append(stage.begin(info))
            info = stage.output(info)
        return tuple(states)

    def step(self, state: State, x: Array) -> Array:
        """Pass ``x`` through the stages."""
        for stage, own in zip(self.stages, state, strict=True):
            x = sealed(stage.step(own, x))
        return x

    def hear(self, state: State, events: Events) -> None:
        """Tell every stage."""
        for stage, own in zip(self.stages, state, strict=True):
            stage.hear(own, events)


@dataclass(frozen=True)
class Fork(Stage):
    """Several results of one input, side by side; all are due at the same times."""

    stages: tuple[Stage, ...] = ()

    def output(self, info: Info) -> Info:
        """Set the channels of all stages side by side."""
        if not self.stages:
            return info.at(None)
        parts = [stage.output(info) for stage in self.stages]
        grids = {stage.grid(info) for stage in self.stages}
        if len(grids) != 1:
            hops = ", ".join(f"every {float(g.hop)} samples" for g in sorted(grids))
            raise ValueError(
                f"the branches of a fork on {info.name!r} answer at different times "
                f"({hops}): give them one hop"
            )
        return info.at(parts[0].rate, *(c for part in parts for c in part.channels))

    def grid(self, info: Info) -> Grid:
        """Return the grid that all stages share."""
        return self.stages[0].grid(info) if self.stages else Grid()

    def begin(self, info: Info) -> State:
        """Return a state for each stage."""
        return tuple(stage.begin(info) for stage in self.stages)

    def step(self, state: State, x: Array) -> Array:
        """Pass ``x`` through each stage."""
        pairs = zip(self.stages, state, strict=True)
        parts = [stage.step(own, x) for stage, own in pairs]
        return np.hstack(parts) if parts else np.empty((len(x), 0))

    def hear(self, state: State, events: Events) -> None:
        """Tell every stage."""
        for stage, own in zip(self.stages, state, strict=True):
            stage.hear(own, events)


@dataclass(frozen=True)
class Masked(Stage):
    """A signal with its bad samples missing: NaN (why: poor quality).

    Parameters
    ----------
    signal
        What is masked; no stages at all for the input itself.
    quality
        A stage that gives 1 for a good and 0 for a bad sample of each channel of its
        input, or NaN where there is nothing to judge; one with every input sample.
    """

    signal: Stage = Chain()
    quality: Stage = Chain()

    def output(self, info: Info) -> Info:
        """Return the signal's stream; its values also rest on the quality's span."""
        out, mask = self.signal.output(info), self.quality.output(info)
        if out.rate != info.rate or mask.rate != info.rate:
            raise ValueError(
                f"a mask on {info.name!r} needs a value with every input sample, not "
                f"{out.rate} and {mask.rate} a second of {info.rate}"
            )
        if len(mask.channels) != len(out.channels):
            raise ValueError(
                f"a mask on {info.name!r} has {len(mask.channels)} channels for "
                f"{len(out.channels)}"
            )
        spans = (max(c.span, mask.span) for c in out.channels)
        pairs = zip(out.channels, spans, strict=True)
        return out.at(None, *(replace(c, span=span) for c, span in pairs))

    def begin(self, info: Info) -> State:
        """Return a state for each."""
        return self.signal.begin(info), self.quality.begin(info)

    def step(self, state: State, x: Array) -> Array:
        """Pass ``x`` through both; leave out what is bad."""
        y = self.signal.step(state[0], x)
        bad = self.quality.step(state[1], x) == 0
        if not bad.any():
            return y
        return np.where(bad & ~np.isnan(y), Reason.POOR_QUALITY.nan, y)


class Flow:
    """A stage running on one stream: the only thing in the signal chain that changes.

    A jump in `Block.start` is a gap: the stage gets as many rows of NaN (why: no
    signal) as there are samples missing.
    """

    _state: State
    _next: int  # the input sample expected
    _due: int  # the number of the output that comes next

    def __init__(self, stage: Stage, source: Info) -> None:
        self.stage = stage
        self.source = source
        self.info = stage.output(source)
        self._grid = stage.grid(source)
        self._lead = float(self._grid.first / source.rate)
        width = len(source.channels)
        self._lost = np.full((_FILL, width), Reason.NO_SIGNAL.nan)
        self._lost.flags.writeable = False
        self._blank = stage.begin(source)  # designing filters again is dear
        self._compile()
        self.reset()

    def reset(self) -> None:
        """Forget every sample."""
        self._state, self._next, self._due = deepcopy(self._blank), 0, 0

    def push(self, block: Block) -> Block:
        """Take in the next block; return the outputs now due, perhaps none."""
        if block.info is not self.source and block.info != self.source:
            raise ValueError(f"this flow reads {self.source}, not {block.info}")
        if block.start < self._next:
            raise ValueError(
                f"{self.source.name!r} went back: sample {block.start} came after "
                f"sample {self._next - 1}"
            )
        if not len(block):
            y = np.empty((0, len(self.info.channels)))
        elif block.start == self._next:
            y = self.stage.step(self._state, block.data)
        else:
            parts = self._gap(block.start - self._next)
            y = np.vstack([*parts, self.stage.step(self._state, block.data)])
        out = Block(self.info, self._due, block.epoch + self._lead, y)
        self._next = max(self._next, block.stop) if len(block) else self._next
        self._due = out.stop
        return out

    def hear(self, events: Events) -> None:
        """Take in events; they count from the next sample on."""
        self.stage.hear(self._state, events)

    @property
    def state(self) -> State:
        """All that a flow remembers; a copy, so also a checkpoint."""
        return deepcopy((self._state, self._next, self._due))

    @state.setter
    def state(self, state: State) -> None:
        self._state, self._next, self._due = deepcopy(state)

    def _gap(self, n: int) -> list[Array]:
        sizes = [_FILL] * (n // _FILL) + [n % _FILL]
        return [self.stage.step(self._state, self._lost[:size]) for size in sizes]

    def _compile(self) -> None:
        """Step over no samples, so that the first one does not wait for a compiler."""
        y = self.stage.step(deepcopy(self._blank), self._lost[:0])
        if y.shape != (0, len(self.info.channels)):
            raise TypeError(
                f"{self.stage} promised {len(self.info.channels)} channels, but a step "
                f"over no samples returned shape {y.shape}"
            )


def apply(stage: Stage, block: Block) -> Block:
    """Run ``stage`` over a whole recording at once."""
    return Flow(stage, block.info).push(block)


def sealed(y: Array) -> Array:
    """Return an array of the one layout that kernels are compiled for."""
    y = np.ascontiguousarray(y)
    y.flags.writeable = False
    return y
