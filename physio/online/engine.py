"""From what arrives to what is estimated: the one path, live and offline."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from physio.core.aligner import StreamAligner, TickGrid
from physio.core.block import Block, Origin, StreamInfo
from physio.core.events import (
    Events,
    Item,
    event_stream,
    events_from_grid,
    is_point,
    single_event,
)
from physio.core.recording import (
    MUTES,
    STREAM_REJECTED,
    STREAM_TIMEOUT,
    Recording,
    stream_timeout,
)
from physio.core.stage import Chain, Stage, StageRunner
from physio.quality.wear_detection import wear

STATUS = event_stream("session.status")
"""What befell the session: losses, late samples, failures, how it ended."""


@dataclass(frozen=True)
class ChainConfig:
    """Stages that read one stream, by the stream's name."""

    stream: str
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class PipelineConfig:
    """What is computed in a session.

    Parameters
    ----------
    chains
        What is computed from which stream, by name; the name begins the columns. In a
        session of several participants, the code of the one whose chain it is stands
        before it: ``"p1.skin"``, ``"p2.skin"``.
    join
        The grid of ticks on which features meet.
    estimator
        What turns features into estimates.
    patience
        After how many seconds without a sample a stream is declared silent.
    estimators
        What does so for participants who need another one, by their code.
    """

    chains: Mapping[str, ChainConfig] = field(default_factory=dict)
    join: TickGrid = TickGrid()
    estimator: Stage = Chain()
    stall_timeout: float = 1.0
    estimators: Mapping[str, Stage] = field(default_factory=dict)

    @property
    def participants(self) -> tuple[str, ...]:
        """The codes that stand before chains; ``("",)`` where none does."""
        codes = (chain.rpartition(".")[0] for chain in self.chains)
        return tuple(dict.fromkeys(codes)) or ("",)

    def of(self, participant: str) -> "PipelineConfig":
        """Return what is computed of one participant, chains without the code."""
        parts = ((*name.rpartition("."), r) for name, r in self.chains.items())
        chains = {chain: r for code, _, chain, r in parts if code == participant}
        estimator = self.estimators.get(participant, self.estimator)
        return PipelineConfig(chains, self.join, estimator, self.stall_timeout)


class Engine:
    """A plan running on the streams of one session, for each participant by themselves.

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

    def __init__(
        self, plan: PipelineConfig, streams: Iterable[StreamInfo], begin: float
    ) -> None:
        known = {info.name: info for info in streams if info.rate}
        self.plan = plan
        self.parts = {
            participant: PersonPipeline(plan.of(participant), known, begin, participant)
            for participant in plan.participants
        }

    @property
    def outputs(self) -> tuple[StreamInfo, ...]:
        """The streams that are computed: features, estimates, detected events."""
        return tuple(info for part in self.parts.values() for info in part.outputs)

    @property
    def origin(self) -> Origin:
        """Where the features come from: the least trustworthy of them."""
        return Origin.worst(*(p.junction.info.origin for p in self.parts.values()))

    def push(self, item: Item) -> list[Item]:
        """Take in what arrived next; return what can now be said, in order."""
        return [out for part in self.parts.values() for out in part.push(item)]

    def again(self, begin: float) -> None:
        """Forget all that came; tick 0 is now at ``begin`` (s, session clock).

        Another recording of the same streams then costs its samples alone.
        """
        for part in self.parts.values():
            part.restart(begin)


class PersonPipeline:
    """What is computed of one participant: chains, a junction, an estimator.

    Parameters
    ----------
    plan
        What to compute, chains without the participant's code.
    known
        The regular streams that flow, by name.
    begin
        When tick 0 is (s, session clock).
    participant
        The code that tells what is computed from what is computed of others.

    Raises
    ------
    ValueError
        If a chain reads no stream that flows, or what another participant wears.
    """

    def __init__(
        self,
        plan: PipelineConfig,
        known: Mapping[str, StreamInfo],
        begin: float,
        participant: str = "",
    ) -> None:
        self.participant = participant
        self._end = f".{participant}" if participant else ""
        self._flows = {c: _flow(c, r, known) for c, r in plan.chains.items()}
        for chain, flow in self._flows.items():
            if participant and flow.info.participant not in {"", participant}:
                raise ValueError(
                    f"chain '{participant}.{chain}' is about {participant!r}, but "
                    f"{plan.chains[chain].stream!r} is worn by {flow.info.participant!r}"
                )
        self._every = dict(self._flows)
        self._infos = {c: replace(f.info, name=c) for c, f in self._flows.items()}
        joined = tuple(info for info in self._infos.values() if not is_point(info))
        self._join, self._joined = plan.join, joined
        self.junction = StreamAligner(plan.join, joined, begin)
        self.estimator = StageRunner(plan.estimator, self.junction.info)
        worn = wear(joined, {c: known[r.stream] for c, r in plan.chains.items()})
        self._wear = StageRunner(worn, self.junction.info)
        self._features = self._named(_beside(self.junction.info, self._wear.info))
        self._estimates = self._named(replace(self.estimator.info, name="estimates"))
        self._refused: set[str] = set()
        self._muted: set[str] = set()
        self._failed = False  # the estimator cannot go on
        self._readers = {
            name: [c for c, r in plan.chains.items() if r.stream == name]
            for name in known
        }

    def restart(self, begin: float) -> None:
        """Forget all that came; tick 0 is now at ``begin`` (s, session clock)."""
        self._flows = dict(self._every)
        for flow in (*self._flows.values(), self._wear, self.estimator):
            flow.reset()
        self.junction = StreamAligner(self._join, self._joined, begin)
        self._refused, self._muted, self._failed = set(), set(), False

    @property
    def outputs(self) -> tuple[StreamInfo, ...]:
        """The streams that are computed: features, estimates, detected events."""
        found = (
            info.with_channels(info.rate * 0, *info.channels[1:])
            for info in self._infos.values()
            if is_point(info)
        )
        return (self._features, self._estimates, *map(self._named, found))

    def push(self, item: Item) -> list[Item]:
        """Take in what arrived next; return what can now be said, in order."""
        if isinstance(item, Block):
            if item.info.name in self._muted and len(item):
                return self._silent(item.info.name, item.complete_until)
            refused = item.info.name in self._refused
            chains = () if refused else self._readers.get(item.info.name, ())
            return [out for chain in chains for out in self._chain(chain, item)]
        if item.info.name == MUTES:
            self._mute(item)
            return []
        if item.info.name not in {STREAM_TIMEOUT, STREAM_REJECTED}:
            # Only what participants tell the session: a device's events may say
            # anything.
            meant = (
                item.info.participant in {"", self.participant} or not self.participant
            )
            told = item.info.name.startswith("session.") and meant
            return list(self._hear(item)) if told and not self._failed else []
        times = item.times
        if item.info.name == STREAM_REJECTED:
            self._refused.update(item.labels)
            times = np.full(len(item), np.inf)
        silent = zip(item.labels, times.tolist(), strict=True)
        return [out for stream, at in silent for out in self._silent(stream, at)]

    def _named(self, info: StreamInfo) -> StreamInfo:
        """Return a computed stream under a name that says whose it is."""
        return replace(info, name=f"{info.name}{self._end}") if self._end else info

    def _silent(self, stream: str, until: float) -> list[Item]:
        """Count all that reads a stream as silent up to ``until`` (s)."""
        return [
            out
            for chain in self._readers.get(stream, ())
            if chain in self.junction.names
            for out in self._estimate(self.junction.advance(chain, until))
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
        if is_point(y.info):
            found = events_from_grid(Block(self._infos[chain], y.start, y.t0, y.data))
            yield replace(found, info=self._named(found.info)) if self._end else found
        elif len(y):
            y = Block(self._infos[chain], y.start, y.t0, y.data)
            yield from self._estimate(self.junction.push(y, block.complete_until))
        elif len(block):
            yield from self._estimate(
                self.junction.advance(chain, block.complete_until)
            )

    def _estimate(self, ticks: Block) -> Iterator[Item]:
        if not len(ticks):
            return
        data = np.hstack([ticks.data, self._wear.push(ticks).data])
        yield Block(self._features, ticks.start, ticks.t0, data)
        if self._failed:
            return
        try:
            y = self.estimator.push(ticks)
        except Exception as error:  # features and the recording go on
            yield self._give_up(ticks.complete_until, error)
        else:
            yield Block(self._estimates, y.start, y.t0, y.data)

    def _hear(self, item: Events) -> Iterator[Item]:
        """Have the estimator hear what a participant tells the session."""
        try:
            self.estimator.on_events(item)
        except Exception as error:  # as in `_estimate`
            yield self._give_up(item.complete_until, error)

    def _give_up(self, time: float, error: Exception) -> Events:
        """Give the estimator up, and say so."""
        self._failed = True
        what = f"the estimator{f' of {self.participant}' if self.participant else ''} stopped"
        return single_event(STATUS, time, f"{what}: {type(error).__name__}: {error}")

    def _stop(self, chain: str, block: Block, error: Exception) -> Iterator[Item]:
        """Give a chain up that cannot go on, and say so; the others do."""
        del self._flows[chain]
        whose = f"{self.participant}.{chain}" if self.participant else chain
        what = f"chain {whose} stopped: {type(error).__name__}: {error}"
        yield single_event(STATUS, block.complete_until, what)
        if chain in self.junction.names:
            yield from self._estimate(self.junction.advance(chain, np.inf))


class StallDetector:
    """Declares streams silent that have said nothing for ``patience`` s."""

    def __init__(
        self, streams: Iterable[StreamInfo], patience: float, begin: float
    ) -> None:
        self.patience = patience
        regular = [info for info in streams if info.rate]
        self._heard = {info.name: begin for info in regular}
        # A slow stream is not silent between two samples.
        self._patience = {
            info.name: max(patience, 1.5 / float(info.rate)) for info in regular
        }
        self._declared = dict.fromkeys(self._heard, -np.inf)

    def update(self, block: Block) -> bool:
        """Take note of a block; tell whether it came for a time declared silent."""
        if not len(block):
            return False
        name = block.info.name
        self._heard[name] = max(self._heard[name], block.complete_until)
        return bool(block.times[0] <= self._declared[name])

    def check(self, now: float, step: float) -> list[Events]:
        """Return the declarations due at ``now`` (s), at most one each ``step`` s."""
        due = []
        for name, heard in self._heard.items():
            until = now - self._patience[name]
            if until > heard and until >= self._declared[name] + step:
                self._declared[name] = until
                due.append(stream_timeout(name, until))
        return due


def run(
    recording: Recording,
    plan: PipelineConfig,
    told: Sequence[Events] = (),
    engine: Engine | None = None,
) -> Iterator[Item]:
    """Yield all that a session with this recording computes, in order.

    A recording that keeps its timeline is repeated bit for bit. Of any other, all
    samples count as having come in time, and a stream as silent where it has a gap.

    Parameters
    ----------
    recording, plan
        What came, and what to compute of it.
    told
        What participants tell the session beside, by time: each is heard before the
        first thing that came later.
    engine
        What computes, for those who want to see it afterwards; else a new one.
    """
    engine = engine or Engine(plan, recording.infos, recording.begin)
    waiting = deque(told)
    watch = StallDetector(recording.infos, plan.stall_timeout, recording.begin)
    step = 1 / float(plan.join.rate)
    for item in recording.arrivals(min(1.0, plan.stall_timeout)):
        while waiting and waiting[0].complete_until < item.complete_until:
            yield from engine.push(waiting.popleft())
        if not recording.timeline and isinstance(item, Block):
            watch.update(item)
            for declared in watch.check(item.complete_until, step):
                yield from engine.push(declared)
        yield from engine.push(item)


def _beside(info: StreamInfo, wear: StreamInfo) -> StreamInfo:
    """Return the stream of features: those of the chains, and how a band is worn."""
    told = (replace(c, name=f"wear.{c.name}") for c in wear.channels)
    return info.with_channels(None, *info.channels, *told)


def _flow(
    chain: str, reader: ChainConfig, known: Mapping[str, StreamInfo]
) -> StageRunner:
    if reader.stream not in known:
        raise ValueError(
            f"chains.{chain} reads {reader.stream!r}, but no device sends it; there is "
            f"{', '.join(sorted(known)) or 'no stream at all'}"
        )
    try:
        return StageRunner(Chain(reader.stages), known[reader.stream])
    except ValueError as error:
        raise ValueError(f"chains.{chain}: {error}") from error
