"""Laws of a stage: independence of blocks, gaps, state, reset, settings."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import numpy as np
import tomli_w

from physio.config import build, describe
from physio.core.block import Array, Block, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Stage, StageRunner, apply
from physio.testing.example_streams import DISTURBANCES, example_signal
from physio.testing.violation import require, require_equal

CUTS: Final = "law 1 (the output does not depend on how the stream is cut into blocks)"
COUNT: Final = "law 2 (the number of outputs follows the schedule)"
GAPS: Final = "law 3 (lost samples are rows of NaN)"
MEMORY: Final = "law 3 (a NaN changes no output beyond the declared memory)"
INVENTED: Final = "law 3 (nothing is computed from missing samples)"
STATE: Final = "law 4 (a restored state gives the same future)"
RESET: Final = "law 5 (reset forgets the past)"
VALUE: Final = "law 6 (a stage is a value, equal after repr and TOML)"
OUTPUT: Final = "the law of the output stream"
FINITE: Final = "the law of disturbed signals"

_DISTURBED: Final = 75  # s of a disturbed signal
_BEGIN: Final = 1000.0  # s, time of the first sample
_NO_SIGNAL: Final = MissingReason.NO_SIGNAL.nan


@dataclass(frozen=True)
class StageLaws:
    """The laws of a stage on one input stream; each raises AssertionError.

    Parameters
    ----------
    stage
        The stage.
    info
        A stream that it accepts.
    signal
        Samples of the stream, shape (n, channels), longer than the stage remembers; by
        default an example of the kind of its channels.
    """

    stage: Stage
    info: StreamInfo
    signal: Array | None = None

    @property
    def samples(self) -> Array:
        """Samples of the stream, shape (n, channels)."""
        return example_signal(self.info) if self.signal is None else self.signal

    def block(self, n: int | None = None, start: int = 0) -> Block:
        """Return ``n`` samples from number ``start`` on, by default all that follow."""
        data = self.samples[start : None if n is None else start + n]
        return Block(self.info, start, _BEGIN, np.array(data, np.float64, order="C"))

    def cuts(self, n: int, cuts: Sequence[int]) -> None:
        """Law 1: ``n`` samples, cut before each of ``cuts``, give the same output."""
        whole = self.block(n)
        runner = StageRunner(self.stage, self.info)
        blocks = [runner.push(block) for block in whole.split(cuts)]
        expected = apply(self.stage, whole)
        self._same(self._joined(blocks, CUTS), expected, CUTS)
        self._require(blocks[0].start == 0, CUTS, "the first output is not number 0")
        times = {block.t0 for block in blocks} == {expected.t0}
        self._require(times, CUTS, "the time of the first output differs")

    def count(self, n: int) -> None:
        """Law 2: ``n`` samples give as many outputs as the schedule says."""
        out, schedule = apply(self.stage, self.block(n)), self.stage.schedule(self.info)
        expected = schedule.count(n)
        text = f"{n} samples give {len(out)} outputs, not {expected}"
        self._require(len(out) == expected, COUNT, text)
        rate = self.info.rate / schedule.step
        text = f"the rate of the output is {out.info.rate} Hz, not {rate} Hz"
        self._require(out.info.rate == rate, COUNT, text)
        due = all(schedule.due(k) < n for k in range(len(out)))
        due = due and schedule.due(len(out)) >= n
        text = f"outputs are due that {n} samples cannot give, or the reverse"
        self._require(due, COUNT, text)

    def gap(self, start: int, stop: int, n: int = 6000) -> None:
        """Law 3: losing samples ``start`` to ``stop`` of ``n`` equals rows of NaN."""
        size = min(len(self.samples), n)
        lost = np.array(self.samples[:size], np.float64, order="C")
        lost[start:stop] = _NO_SIGNAL
        runner = StageRunner(self.stage, self.info)
        parts = (self.block(start), self.block(size - stop, stop))
        blocks = [runner.push(part) for part in parts]
        if stop == size:
            return  # nothing came after the gap, so nobody knows of it yet
        expected = apply(self.stage, Block(self.info, 0, _BEGIN, lost))
        self._same(self._joined(blocks, GAPS), expected, GAPS)

    def single_nan(self, position: float) -> None:
        """Law 3: a NaN at a proportion of the signal changes no later output for good.

        A recursive filter forgets to 1e-3 of what went in within its stated settling
        time; everything else to the last bit.
        """
        whole = self.block()
        memory = self.stage.output_info(self.info).memory
        # Behind the hole there must be more than the stage remembers.
        room = len(whole) - int((memory + 5.0) * float(self.info.rate))
        hole = min(int(len(whole) * position), room)
        seconds = len(whole) / float(self.info.rate)
        text = f"a memory of {memory} s needs a signal longer than {seconds:g} s"
        self._require(hole >= 0, MEMORY, text)
        data = whole.data.copy()
        data[hole] = _NO_SIGNAL
        expected = apply(self.stage, whole)
        actual = apply(self.stage, Block(self.info, 0, _BEGIN, data))
        schedule = self.stage.schedule(self.info)
        due = np.array([schedule.due(k) for k in range(len(expected))])
        before = due < hole
        after = expected.times - whole.times[hole] > memory + 1e-9
        text = f"a memory of {memory} s leaves no output after the NaN"
        self._require(after.any(), MEMORY, text)
        names = expected.info.names
        require_equal(
            actual.data[before], expected.data[before], self.stage, MEMORY, names
        )
        spread = np.std(np.nan_to_num(expected.data), axis=0)
        error = np.abs(actual.data[after] - expected.data[after])
        same = np.isnan(actual.data[after]) == np.isnan(expected.data[after])
        close = np.nan_to_num(error) <= 1e-2 * np.maximum(spread, 1e-12)
        wrong = np.argwhere(~(same & close))
        text = ""
        if len(wrong):
            row, column = wrong[0].tolist()
            late = expected.times[after][row] - whole.times[hole]
            text = (
                f"{names[column]!r} differs {late:g} s after the NaN, but the declared "
                f"memory is {memory:g} s"
            )
        self._require(not len(wrong), MEMORY, text)

    def nothing_from_nothing(self) -> None:
        """Law 3: 20 s without a sample give no value."""
        n = int(20 * self.info.rate)
        nothing = np.full((n, len(self.info.channels)), _NO_SIGNAL)
        out = apply(self.stage, Block(self.info, 0, 0.0, nothing))
        for i, channel in enumerate(out.info.channels):
            if channel.kind != "stim" and not channel.name.endswith(".missing"):
                text = f"{channel.name!r} has values where every sample is missing"
                self._require(np.isnan(out.data[:, i]).all(), INVENTED, text)

    def state(self) -> None:
        """Law 4: a state that is set again gives the same outputs again."""
        first, rest = self.block().split([len(self.samples) // 3])
        runner = StageRunner(self.stage, self.info)
        runner.push(first)
        state = runner.state
        expected = runner.push(rest)
        runner.state = state
        actual = runner.push(rest)
        self._same(actual.data, expected, STATE)
        text = f"the output begins with number {actual.start}, not {expected.start}"
        self._require(actual.start == expected.start, STATE, text)

    def reset(self) -> None:
        """Law 5: after a reset the same signal gives the same output."""
        runner = StageRunner(self.stage, self.info)
        first = runner.push(self.block())
        runner.reset()
        self._same(runner.push(self.block()).data, first, RESET)

    def output(self) -> None:
        """Output channels have unique names, a memory and a delay; origin is kept."""
        out = self.stage.output_info(self.info)
        for channel in out.channels:
            text = (
                f"{channel.name!r} has a memory of {channel.memory} s and a delay of "
                f"{channel.delay} s: neither may be below 0"
            )
            self._require(channel.memory >= 0 and channel.delay >= 0, OUTPUT, text)
        text = (
            f"the origin is {out.origin}, but that of the input is {self.info.origin}"
        )
        self._require(out.origin == self.info.origin, OUTPUT, text)
        unique = len(set(out.names)) == len(out.names)
        self._require(unique, OUTPUT, "two channels have the same name")

    def disturbed(self, disturbance: str) -> None:
        """Output of a disturbed signal: never infinite, missing values with a reason.

        Parameters
        ----------
        disturbance
            One of `DISTURBANCES`.
        """
        rate = float(self.info.rate)
        x = np.array(self.samples[: int(_DISTURBED * rate)], np.float64)
        data = np.ascontiguousarray(DISTURBANCES[disturbance](x, rate))
        source = Block(self.info, 0, 0.0, data)
        out = apply(self.stage, source)
        where = f"of the signal {disturbance!r}"
        infinite = f"the output {where} is infinite"
        self._require(not np.isinf(out.data).any(), FINITE, infinite)
        expected = self.stage.schedule(self.info).count(len(source))
        text = f"the output {where} has {len(out)} rows, not {expected}"
        self._require(len(out) == expected, FINITE, text)
        if disturbance == "disconnected":
            for i, channel in enumerate(out.info.channels):
                if not channel.name.endswith((".missing", "condition")):
                    text = f"{channel.name!r} {where} has values"
                    self._require(np.isnan(out.data[:, i]).all(), FINITE, text)
        missing = np.isnan(out.data)
        events = out.info.channels[:1] and out.info.channels[0].kind == "event"
        if not events:  # where nothing happened a point stream has the plain NaN
            bits = out.data.view(np.uint64) & np.uint64(0x0007_FFFF_FFFF_FFFF)
            text = f"a missing value {where} carries no MissingReason"
            self._require(np.all(bits[missing] != 0), FINITE, text)
        same = np.all((missing_reason(out.data) != 0) == missing)
        self._require(same, FINITE, f"a value {where} has a reason and is a number")

    def all(self, seed: int = 0) -> None:
        """Check every law, with cuts and gaps drawn at random from ``seed``."""
        rng = np.random.default_rng(seed)
        check_value(self.stage)
        self.output()
        size = min(len(self.samples), 8000)
        for n in (0, 1, *rng.integers(2, size + 1, 5).tolist(), size):
            cuts = rng.integers(0, n + 1, int(rng.integers(0, 12))).tolist()
            self.cuts(n, [0, n, *cuts])
        self.cuts(min(size, 600), range(min(size, 600)))
        for n in (0, 1, *rng.integers(2, size + 1, 5).tolist()):
            self.count(n)
        size = min(len(self.samples), 6000)
        for start in (0, *rng.integers(1, size // 2, 5).tolist()):
            self.gap(start, int(rng.integers(start, size)))
        for position in (0.3, 0.5):
            self.single_nan(position)
        self.nothing_from_nothing()
        self.state()
        self.reset()
        for disturbance in DISTURBANCES:
            self.disturbed(disturbance)

    def _require(self, holds: object, law: str, difference: str) -> None:
        require(holds, self.stage, law, difference)

    def _same(self, actual: Array, expected: Block, law: str) -> None:
        require_equal(actual, expected.data, self.stage, law, expected.info.names)

    def _joined(self, blocks: Sequence[Block], law: str) -> Array:
        for a, b in pairwise(blocks):
            text = f"an output number {b.start} follows number {a.stop - 1}"
            self._require(a.stop == b.start, law, text)
        return np.concatenate([block.data for block in blocks])


def check_value(stage: Stage) -> None:
    """Law 6: a stage equals itself after repr and after TOML, and has a hash."""
    text = "its class must be a dataclass, and frozen: @dataclass(frozen=True)"
    frozen = is_dataclass(stage) and type(stage).__dataclass_params__.frozen
    require(frozen, stage, VALUE, text)
    classes = {type(part) for part in _settings_of(stage)}
    for cls in classes:
        text = f"{cls.__qualname__} must be defined at the top of a module"
        require("<locals>" not in cls.__qualname__, stage, VALUE, text)
    names: dict[str, Any] = {cls.__name__: cls for cls in classes}
    names |= {"Fraction": Fraction}
    try:
        again = eval(repr(stage), names)  # the text is the stage's own repr
    except Exception as error:  # whatever a repr can raise
        require(holds=False, subject=stage, law=VALUE, difference=f"its repr: {error}")
    require(again == stage, stage, VALUE, f"its repr gives {again!r}")
    settings: Any = stage
    same = hash(stage) == hash(replace(settings))
    require(same, stage, VALUE, "a copy with equal settings has another hash")
    packages = tuple(sorted({cls.__module__.split(".")[0] for cls in classes}))
    table = tomllib.loads(tomli_w.dumps(describe(stage)))
    again = build(table, "the stage", packages)
    require(again == stage, stage, VALUE, f"its TOML gives {again!r}")


def _settings_of(value: object) -> Iterator[object]:
    """Yield a dataclass and all dataclasses among its settings."""
    if is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in fields(value):
            yield from _settings_of(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _settings_of(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _settings_of(part)
