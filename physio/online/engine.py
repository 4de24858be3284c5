"""From what arrives to what is estimated: the one path, live and offline."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from physio.core.block import Block, Info
from physio.core.events import Events, happening, is_point, marks, points
from physio.core.join import Join, Junction
from physio.core.recording import (
    MUTES,
    REFUSAL,
    SILENCE,
    Item,
    Recording,
    silence,
)
from physio.core.stage import Chain, Flow, Stage

STATUS = marks("session.status")
"""What befell the session: losses, late samples, failures, how it ended."""


@dataclass(frozen=True)
class Reader:
    """Stages that read one stream, by the stream's name."""

    stream: str
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is computed in a session.

    Parameters
    ----------
    chains
        What is computed from which stream, by name; the name begins the columns.
    join
        The grid of ticks on which features meet.
    estimator
        What turns features into estimates.
    patience
        After how many seconds without a sample a stream is declared silent.
    """

    chains: Mapping[str, Reader] = field(default_factory=dict)
    join: Join = Join()
    estimator: Stage = Chain()
    patience: float = 1.0


class Engine:
    """A plan running on the streams of one session.

    What comes out depends on the items that go in and their order alone: no clock, no
    thread, no chance. So the same items, read from a file, give the same numbers.

    Parameters
    ----------
    plan
        What to compute.
    streams
        What flows.
    begin
        When tick 0 is (s, session clock).
    """

    def __init__(self, plan: Plan, streams: Iterable[Info], begin: float) -> None:
        known = {info.name: info for info in streams if info.rate}
        self.plan = plan
        self._flows = {c: _flow(c, r, known) for c, r in plan.chains.items()}
        self._infos = {
            chain: replace(flow.info, name=chain) for chain, flow in self._flows.items()
        }
        joined = tuple(info for info in self._infos.values() if not is_point(info))
        self.junction = Junction(plan.join, joined, begin)
        self.estimator = Flow(plan.estimator, self.junction.info)
        self._refused: set[str] = set()
        self._muted: set[str] = set()
        self._readers = {
            name: [c for c, r in plan.chains.items() if r.stream == name]
            for name in known
        }

    @property
    def outputs(self) -> tuple[Info, ...]:
        """The streams that are computed: features, estimates, detected events."""
        found = (
            info.at(info.rate * 0, *info.channels[1:])
            for info in self._infos.values()
            if is_point(info)
        )
        return (self.junction.info, self._estimates, *found)

    def push(self, item: Item) -> list[Item]:
        """Take in what arrived next; return what can now be said, in order."""
        if isinstance(item, Block):
            if item.info.name in self._muted and len(item):
                return self._silent(item.info.name, item.until)
            refused = item.info.name in self._refused
            chains = () if refused else self._readers.get(item.info.name, ())
            return [out for chain in chains for out in self._chain(chain, item)]
        if item.info.name == MUTES:
            self._mute(item)
            return []
        if item.info.name not in {SILENCE, REFUSAL}:
            # Only what people tell the session: a device's events may say anything.
            if item.info.name.startswith("session."):
                self.estimator.hear(item)
            return []
        times = item.times
        if item.info.name == REFUSAL:
            self._refused.update(item.labels)
            times = np.full(len(item), np.inf)
        silent = zip(item.labels, times.tolist(), strict=True)
        return [out for stream, at in silent for out in self._silent(stream, at)]

    @property
    def _estimates(self) -> Info:
        return replace(self.estimator.info, name="estimates")

    def _silent(self, stream: str, until: float) -> list[Item]:
        """Count all that reads a stream as silent up to ``until`` (s)."""
        return [
            out
            for chain in self._readers.get(stream, ())
            if chain in self.junction.names
            for out in self._estimate(self.junction.silent(chain, until))
        ]

    def _mute(self, events: Events) -> None:
        """Leave streams out, or take them in again: the gap is then as any other."""
        for stream, on in zip(events.labels, events.data[:, 0].tolist(), strict=True):
            (self._muted.add if on else self._muted.discard)(stream)

    def _chain(self, chain: str, block: Block) -> Iterator[Item]:
        flow = self._flows.get(chain)
        if flow is None:
            return
        try:
            y = flow.push(block)
        except Exception as error:  # one chain's bug must not end the session
            yield from self._stop(chain, block, error)
            return
        y = Block(self._infos[chain], y.start, y.epoch, y.data)
        if is_point(y.info):
            yield points(y)
        else:
            until = block.until if len(block) else None
            yield from self._estimate(self.junction.push(y, until))

    def _estimate(self, ticks: Block) -> Iterator[Item]:
        if len(ticks):
            y = self.estimator.push(ticks)
            yield ticks
            yield Block(self._estimates, y.start, y.epoch, y.data)

    def _stop(self, chain: str, block: Block, error: Exception) -> Iterator[Item]:
        """Give a chain up that cannot go on, and say so; the others do."""
        del self._flows[chain]
        what = f"chain {chain} stopped: {type(error).__name__}: {error}"
        yield happening(STATUS, block.until, what)
        if chain in self.junction.names:
            yield from self._estimate(self.junction.silent(chain, np.inf))


class Watch:
    """Declares streams silent that have said nothing for ``patience`` s."""

    def __init__(self, streams: Iterable[Info], patience: float, begin: float) -> None:
        self.patience = patience
        self._heard = {info.name: begin for info in streams if info.rate}
        self._declared = dict.fromkeys(self._heard, -np.inf)

    def saw(self, block: Block) -> bool:
        """Take note of a block; tell whether it came for a time declared silent."""
        if not len(block):
            return False
        name = block.info.name
        self._heard[name] = max(self._heard[name], block.until)
        return bool(block.times[0] <= self._declared[name])

    def check(self, now: float, step: float) -> list[Events]:
        """Return the declarations due at ``now`` (s), at most one each ``step`` s."""
        due = []
        for name, heard in self._heard.items():
            until = now - self.patience
            if until > heard and until >= self._declared[name] + step:
                self._declared[name] = until
                due.append(silence(name, until))
        return due


def run(recording: Recording, plan: Plan) -> Iterator[Item]:
    """Yield all that a session with this recording computes, in order.

    A recording that keeps its timeline is repeated bit for bit. Of any other, all
    samples count as having come in time, and a stream as silent where it has a gap.
    """
    engine = Engine(plan, recording.infos, recording.begin)
    watch = Watch(recording.infos, plan.patience, recording.begin)
    step = 1 / float(plan.join.rate)
    for item in recording.arrivals(min(1.0, plan.patience)):
        if not recording.timeline and isinstance(item, Block):
            watch.saw(item)
            for declared in watch.check(item.until, step):
                yield from engine.push(declared)
        yield from engine.push(item)


def _flow(chain: str, reader: Reader, known: Mapping[str, Info]) -> Flow:
    if reader.stream not in known:
        raise ValueError(
            f"chains.{chain} reads {reader.stream!r}, but no device sends it; there is "
            f"{', '.join(sorted(known)) or 'no stream at all'}"
        )
    try:
        return Flow(Chain(reader.stages), known[reader.stream])
    except ValueError as error:
        raise ValueError(f"chains.{chain}: {error}") from error
