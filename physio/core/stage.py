"""Stages: causal operations on a stream that run on blocks of any size."""

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import Any, Final, NamedTuple, Self

import numpy as np

from physio.core.block import Array, Block, StreamInfo
from physio.core.events import Events
from physio.core.missing import MissingReason

State = Any  # a NamedTuple of arrays that `process` changes in place, or a tuple

_FILL: Final = 4096  # rows of a gap that are processed at once


class OutputSchedule(NamedTuple):
    """Schedule of outputs: output k is due with sample ``ceil(first + k * step)``."""

    first: Fraction = Fraction(0)
    step: Fraction = Fraction(1)

    def count(self, n: int) -> int:
        """Return the number of outputs due within the first ``n`` samples."""
        return max(0, (n - 1 - self.first) // self.step + 1) if n > 0 else 0

    def due(self, k: int) -> int:
        """Return the input sample with which output ``k`` is due."""
        return ceil(self.first + k * self.step)

    def then(self, later: "OutputSchedule") -> "OutputSchedule":
        """Return the schedule of a stage on ``later`` with input on this schedule."""
        if later.step.denominator != 1 and self != OutputSchedule():
            raise ValueError(
                f"a stage with a step of {later.step} samples cannot follow one with a "
                f"step of {self.step}: one of the two must be a whole number"
            )
        return OutputSchedule(
            self.first + self.step * later.first, self.step * later.step
        )


class Stage(ABC):
    """A causal operation on one stream, as a value.

    A subclass is a frozen dataclass of settings. It holds no samples: everything that
    it keeps from one call to the next is its state, held by a `StageRunner`.

    The laws: the output does not depend on how the stream is split into blocks. Lost
    samples are rows of NaN; a NaN changes no output that is later than it by more than
    the `Channel.memory` of that output. A NaN in the output carries its
    `MissingReason`.
    """

    @abstractmethod
    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the output stream; raise ValueError if ``info`` is no valid input."""

    def schedule(self, info: StreamInfo) -> OutputSchedule:  # noqa: ARG002
        """Return the schedule of outputs: by default, one with every input sample."""
        return OutputSchedule()

    @abstractmethod
    def initial_state(self, info: StreamInfo) -> State:
        """Return the state before the first sample."""

    @abstractmethod
    def process(self, state: State, x: Array) -> Array:
        """Process ``x``, shape (n, inputs); return the outputs, shape (m, outputs)."""

    def on_events(self, state: State, events: Events) -> None:  # noqa: B027
        """Process events, such as a rating; they take effect with the next sample."""

    def take_messages(self, state: State) -> list[tuple[str, str]]:  # noqa: ARG002
        """Return stream and label of each event of the session since the last call.

        An estimator reports failures and late answers by them.
        """
        return []

    def live(self) -> Self:
        """Return this stage for a live session; by default unchanged."""
        return self


@dataclass(frozen=True)
class Chain(Stage):
    """Stages in series.

    Parameters
    ----------
    stages
        The stages; none for a chain that returns its input.
    """

    stages: tuple[Stage, ...] = ()

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the output stream of the last stage."""
        for stage in self.stages:
            info = stage.output_info(info)
        return info

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Compose the schedules of the stages."""
        grid = OutputSchedule()
        for stage in self.stages:
            grid = grid.then(stage.schedule(info))
            info = stage.output_info(info)
        return grid

    def initial_state(self, info: StreamInfo) -> State:
        """Return a state for each stage."""
        states = []
        for stage in self.stages:
            states.append(stage.initial_state(info))
            info = stage.output_info(info)
        return tuple(states)

    def process(self, state: State, x: Array) -> Array:
        """Process ``x`` with one stage after the other."""
        for stage, stage_state in zip(self.stages, state, strict=True):
            x = read_only(stage.process(stage_state, x))
        return x

    def on_events(self, state: State, events: Events) -> None:
        """Pass the events to every stage."""
        for stage, stage_state in zip(self.stages, state, strict=True):
            stage.on_events(stage_state, events)


@dataclass(frozen=True)
class Fork(Stage):
    """Stages in parallel on one input, with outputs due at the same times.

    Parameters
    ----------
    stages
        The stages; their output channels follow one another.
    """

    stages: tuple[Stage, ...] = ()

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a stream with the channels of all stages."""
        if not self.stages:
            return info.with_channels(None)
        parts = [stage.output_info(info) for stage in self.stages]
        grids = {stage.schedule(info) for stage in self.stages}
        if len(grids) != 1:
            hops = ", ".join(f"every {float(g.step)} samples" for g in sorted(grids))
            raise ValueError(
                f"the branches of a fork on {info.name!r} have outputs at different "
                f"times ({hops}): give them the same step"
            )
        return info.with_channels(
            parts[0].rate, *(c for part in parts for c in part.channels)
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return the schedule that all stages share."""
        return self.stages[0].schedule(info) if self.stages else OutputSchedule()

    def initial_state(self, info: StreamInfo) -> State:
        """Return a state for each stage."""
        return tuple(stage.initial_state(info) for stage in self.stages)

    def process(self, state: State, x: Array) -> Array:
        """Process ``x`` with each stage."""
        pairs = zip(self.stages, state, strict=True)
        parts = [stage.process(stage_state, x) for stage, stage_state in pairs]
        return np.hstack(parts) if parts else np.empty((len(x), 0))

    def on_events(self, state: State, events: Events) -> None:
        """Pass the events to every stage."""
        for stage, stage_state in zip(self.stages, state, strict=True):
            stage.on_events(stage_state, events)


@dataclass(frozen=True)
class MaskBadSamples(Stage):
    """A signal whose bad samples are NaN (reason: poor quality).

    Parameters
    ----------
    signal
        Stage whose output is masked; an empty chain for the input itself.
    quality
        Stage that returns, with every input sample, 1 for a good and 0 for a bad sample
        of each channel, or NaN where the quality is unknown.
    """

    signal: Stage = Chain()
    quality: Stage = Chain()

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the signal's stream, with at least the memory of the quality stage."""
        out, mask = self.signal.output_info(info), self.quality.output_info(info)
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
        spans = (max(c.memory, mask.memory) for c in out.channels)
        pairs = zip(out.channels, spans, strict=True)
        return out.with_channels(None, *(replace(c, memory=span) for c, span in pairs))

    def initial_state(self, info: StreamInfo) -> State:
        """Return a state for each."""
        return self.signal.initial_state(info), self.quality.initial_state(info)

    def process(self, state: State, x: Array) -> Array:
        """Process ``x`` with both stages; mask the bad samples."""
        y = self.signal.process(state[0], x)
        bad = self.quality.process(state[1], x) == 0
        if not bad.any():
            return y
        return np.where(bad & ~np.isnan(y), MissingReason.POOR_QUALITY.nan, y)


class StageRunner:
    """A stage running on one stream; it alone holds state.

    A jump in `Block.start` is a gap: the stage gets as many rows of NaN (reason: no
    signal) as samples are missing.
    """

    _state: State
    _next: int  # the input sample expected
    _due: int  # the number of the output that comes next

    def __init__(self, stage: Stage, source: StreamInfo) -> None:
        self.stage = stage
        self.source = source
        self.info = stage.output_info(source)
        self._grid = stage.schedule(source)
        self._lead = float(self._grid.first / source.rate)
        width = len(source.channels)
        self._lost = np.full((_FILL, width), MissingReason.NO_SIGNAL.nan)
        self._lost.flags.writeable = False
        self._blank = stage.initial_state(source)  # designing filters again is slow
        self._compile()
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first sample."""
        self._state, self._next, self._due = deepcopy(self._blank), 0, 0

    def push(self, block: Block) -> Block:
        """Process the next block; return the outputs now due, possibly none."""
        if block.info is not self.source and block.info != self.source:
            raise ValueError(f"this stage runs on {self.source}, not on {block.info}")
        if block.start < self._next:
            raise ValueError(
                f"{self.source.name!r} went back: sample {block.start} came after "
                f"sample {self._next - 1}"
            )
        if not len(block):
            y = np.empty((0, len(self.info.channels)))
        elif block.start == self._next:
            y = self.stage.process(self._state, block.data)
        else:
            parts = self._gap(block.start - self._next)
            y = np.vstack([*parts, self.stage.process(self._state, block.data)])
        out = Block(self.info, self._due, block.t0 + self._lead, y)
        self._next = max(self._next, block.stop) if len(block) else self._next
        self._due = out.stop
        return out

    def on_events(self, events: Events) -> None:
        """Process events; they take effect with the next sample."""
        self.stage.on_events(self._state, events)

    def take_messages(self) -> list[tuple[str, str]]:
        """Return stream and label of each event of the stage since the last call."""
        return self.stage.take_messages(self._state)

    @property
    def state(self) -> State:
        """Copy of the state, also usable as a checkpoint."""
        return deepcopy((self._state, self._next, self._due))

    @state.setter
    def state(self, state: State) -> None:
        self._state, self._next, self._due = deepcopy(state)

    def _gap(self, n: int) -> list[Array]:
        sizes = [_FILL] * (n // _FILL) + [n % _FILL]
        return [self.stage.process(self._state, self._lost[:size]) for size in sizes]

    def _compile(self) -> None:
        """Process no samples, so that kernels are compiled before the first one."""
        y = self.stage.process(deepcopy(self._blank), self._lost[:0])
        if y.shape != (0, len(self.info.channels)):
            raise TypeError(
                f"{self.stage} announced {len(self.info.channels)} channels, but "
                f"processing no samples returned shape {y.shape}"
            )


def apply(stage: Stage, block: Block) -> Block:
    """Run ``stage`` over a whole recording at once."""
    return StageRunner(stage, block.info).push(block)


def read_only(y: Array) -> Array:
    """Return a read-only array in C order, for which kernels are compiled once."""
    y = np.ascontiguousarray(y)
    y.flags.writeable = False
    return y
