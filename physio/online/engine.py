"""Engine: computation of features and estimates from items, live and offline."""

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
from physio.core.missing import MissingReason
from physio.core.recording import (
    MUTES,
    STREAM_REJECTED,
    STREAM_TIMEOUT,
    Recording,
    addressed,
    stream_timeout,
)
from physio.core.stage import Chain, Stage, StageRunner
from physio.online.chain_runner import ChainConfig, ChainRunner
from physio.online.interval_rows import LATE, IntervalRows, readable
from physio.online.rules import Rule, RuleRunner

STATUS = event_stream("session.status")
"""Status of the session: losses, late samples, failures, reason of the end."""


@dataclass(frozen=True)
class PipelineConfig:
    """The computation of a session.

    Parameters
    ----------
    chains
        Chains by name, which is the prefix of their columns. In a session of several
        participants, the key of a chain begins with the participant's code, so that
        keys are unique: ``"p1.eda"``, ``"p2.eda"``; see `key`.
    join
        Grid of ticks on which features are aligned.
    estimator
        Stage that computes estimates from features.
    stall_timeout
        Time without a sample after which a stream is declared silent (s).
    estimators
        Estimators by participant code, for participants with another estimator.
    rules
        Rules on the features and estimates of each participant.
    """

    chains: Mapping[str, ChainConfig] = field(default_factory=dict)
    join: TickGrid = TickGrid()
    estimator: Stage = Chain()
    stall_timeout: float = 1.0
    estimators: Mapping[str, Stage] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    @property
    def participants(self) -> tuple[str, ...]:
        """Codes of the participants of the chains; ``("",)`` without codes."""
        codes = (chain.participant for chain in self.chains.values())
        return tuple(dict.fromkeys(codes)) or ("",)

    def live(self) -> "PipelineConfig":
        """Return the computation of a live session, with slow models in workers."""
        estimators = {code: stage.live() for code, stage in self.estimators.items()}
        return replace(self, estimator=self.estimator.live(), estimators=estimators)

    @staticmethod
    def key(participant: str, chain: str) -> str:
        """Return the key of a participant's chain in `chains`."""
        return f"{participant}.{chain}" if participant else chain

    def of(self, participant: str) -> "PipelineConfig":
        """Return the computation for a participant; its keys omit the code."""
        chains = {
            key.removeprefix(self.key(participant, "")): replace(chain, participant="")
            for key, chain in self.chains.items()
            if chain.participant == participant
        }
        estimator = self.estimators.get(participant, self.estimator)
        return PipelineConfig(
            chains, self.join, estimator, self.stall_timeout, rules=self.rules
        )


def check_chains(plan: PipelineConfig, known: Mapping[str, StreamInfo]) -> None:
    """Check that each chain reads a stream of its participant.

    Parameters
    ----------
    plan
        The computation.
    known
        The streams that chains can read, by name.

    Raises
    ------
    ValueError
        If a chain reads a stream that no device sends, or that of another participant.
    """
    for key, chain in plan.chains.items():
        name = key.removeprefix(PipelineConfig.key(chain.participant, ""))
        for stream in chain.streams:
            if stream not in known:
                raise ValueError(
                    f"chains.{name} reads {stream!r}, but no device sends it; "
                    f"there is {', '.join(sorted(known)) or 'no stream at all'}"
                )
            worn_by = known[stream].participant
            if chain.participant and worn_by not in {"", chain.participant}:
                raise ValueError(
                    f"chain {key!r} is about {chain.participant!r}, but "
                    f"{stream!r} is worn by {worn_by!r}"
                )


class Engine:
    """Computation of a session on its streams, separately for each participant.

    The output depends only on the items and their order, not on clocks, threads or
    random numbers. The same items, read from a file, therefore give the same numbers.

    A chain or an estimator that raises an error is stopped, and all others continue.
    The error is reported in a status event or, if it does not start, in `notices`.

    Parameters
    ----------
    plan
        The computation.
    streams
        The streams of the devices.
    begin
        Time of tick 0 (s, session clock).

    Raises
    ------
    ValueError
        If a chain reads a stream that no device sends, or that of another participant.
    """

    def __init__(
        self, plan: PipelineConfig, streams: Iterable[StreamInfo], begin: float
    ) -> None:
        streams = tuple(streams)
        known = readable(streams)
        check_chains(plan, known)
        self.plan = plan
        self.pipelines = {
            participant: PersonPipeline(plan.of(participant), known, begin, participant)
            for participant in plan.participants
        }

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences on the chains and estimators that did not start."""
        return tuple(n for part in self.pipelines.values() for n in part.notices)

    @property
    def outputs(self) -> tuple[StreamInfo, ...]:
        """The computed streams: features, estimates, detected events."""
        return tuple(info for part in self.pipelines.values() for info in part.outputs)

    @property
    def origin(self) -> Origin:
        """Origin of the features: the least trustworthy of them."""
        return Origin.worst(*(p.aligner.info.origin for p in self.pipelines.values()))

    def push(self, item: Item) -> list[Item]:
        """Take in the next item; return what can now be computed, in order."""
        return [out for part in self.pipelines.values() for out in part.push(item)]

    def restart(self, begin: float) -> None:
        """Forget all items; tick 0 is now at ``begin`` (s, session clock).

        Another recording of the same streams then needs no new compilation.
        """
        for part in self.pipelines.values():
            part.restart(begin)


class PersonPipeline:
    """The computation for one participant: chains, an aligner, an estimator.

    Parameters
    ----------
    plan
        The computation, with chains without the participant's code.
    known
        The streams that chains can read, by name.
    begin
        Time of tick 0 (s, session clock).
    participant
        Code of the participant, in a session of several.
    """

    def __init__(
        self,
        plan: PipelineConfig,
        known: Mapping[str, StreamInfo],
        begin: float,
        participant: str = "",
    ) -> None:
        from physio.quality.wear_detection import wear_stage  # loads compiled kernels

        self.participant = participant
        self.notices: list[str] = []
        """Sentences on the chains and the estimator, if they did not start."""
        self._all_chains = self._start_chains(plan, known, begin)
        self._chains = dict(self._all_chains)
        self._infos = {c: replace(r.info, name=c) for c, r in self._chains.items()}
        inputs = tuple(info for info in self._infos.values() if not is_point(info))
        self._join, self._inputs = plan.join, inputs
        self.aligner = StreamAligner(plan.join, inputs, begin)
        sources = {c: known[plan.chains[c].stream] for c in self._chains}
        self._wear = StageRunner(wear_stage(inputs, sources), self.aligner.info)
        self._wear_failed = False
        features = _with_wear(self.aligner.info, self._wear.info)
        self._features = addressed(features, participant)
        self.estimator = self._start_estimator(plan.estimator)
        """The running estimator; None if it did not start."""
        computed = () if self.estimator is None else (self._estimates,)
        self._rules = RuleRunner(plan.rules, (*computed, self._features), participant)
        self.notices += self._rules.notices
        self._rejected: set[str] = set()
        self._muted: set[str] = set()
        self._failed = self.estimator is None  # the estimator was stopped
        self._readers = {
            name: [c for c in self._chains if name in plan.chains[c].streams]
            for name in known
        }
        read = (i for i in known.values() if is_point(i) and self._readers[i.name])
        self._rows = {info.name: IntervalRows(info, begin) for info in read}

    def restart(self, begin: float) -> None:
        """Forget all items; tick 0 is now at ``begin`` (s, session clock)."""
        self._chains = dict(self._all_chains)
        for runner in self._chains.values():
            runner.reset(begin)
        self._wear.reset()
        if self.estimator is not None:
            self.estimator.reset()
        self._rules.restart()
        self.aligner = StreamAligner(self._join, self._inputs, begin)
        self._rows = {n: IntervalRows(r.info, begin) for n, r in self._rows.items()}
        self._rejected, self._muted, self._wear_failed = set(), set(), False
        self._failed = self.estimator is None

    @property
    def outputs(self) -> tuple[StreamInfo, ...]:
        """The computed streams: features, estimates, detected events."""
        points = (
            info.with_channels(info.rate * 0, *info.channels[1:])
            for info in self._infos.values()
            if is_point(info)
        )
        estimates = () if self.estimator is None else (self._estimates,)
        events = (addressed(info, self.participant) for info in points)
        rules = (self._rules.info,) if self._rules.is_active else ()
        return (self._features, *estimates, *events, *rules)

    def push(self, item: Item) -> list[Item]:
        """Take in the next item; return what can now be computed, in order."""
        out = self._push(item)
        if self._rows:
            out = [*out, *self._follow()]
        return [*out, *(fired for x in out for fired in self._rules.push(x))]

    def _push(self, item: Item) -> list[Item]:
        if isinstance(item, Block):
            return self._push_block(item)
        name = item.info.name
        if name in self._rows:
            if name not in self._muted:
                self._rows[name].add(item)
            return []
        if name == MUTES:
            self._mute(item)
            return []
        if name == STREAM_TIMEOUT:
            times = item.times.tolist()
        elif name == STREAM_REJECTED:
            self._rejected.update(item.labels)
            times = [np.inf] * len(item)
        else:
            return list(self._push_events(item))
        silent = zip(item.labels, times, strict=True)
        return [out for stream, at in silent for out in self._set_silent(stream, at)]

    def _start_chains(
        self, plan: PipelineConfig, known: Mapping[str, StreamInfo], begin: float
    ) -> dict[str, ChainRunner]:
        """Return the running chains by name; omit chains that do not start."""
        runners: dict[str, ChainRunner] = {}
        for name, chain in plan.chains.items():
            try:
                runners[name] = ChainRunner(chain, known, begin)
            except Exception as error:  # the other chains continue without it
                self.notices.append(
                    f"chain {self._label(name)} did not start: {_description(error)}"
                )
        return runners

    def _start_estimator(self, stage: Stage) -> StageRunner | None:
        """Return the running estimator, or None if it does not start."""
        try:
            runner = StageRunner(stage, self.aligner.info)
        except Exception as error:  # features and the recording continue without it
            self.notices.append(
                f"{self._estimator_label} did not start: {_description(error)}"
            )
            return None
        estimates = replace(runner.info, name="estimates")
        self._estimates = addressed(estimates, self.participant)
        return runner

    def _label(self, chain: str) -> str:
        return PipelineConfig.key(self.participant, chain)

    @property
    def _estimator_label(self) -> str:
        return f"the estimator{f' of {self.participant}' if self.participant else ''}"

    def _push_block(self, block: Block) -> list[Item]:
        name = block.info.name
        if name in self._muted and len(block):
            return self._set_silent(name, block.complete_until)
        chains = () if name in self._rejected else self._readers.get(name, ())
        return [out for chain in chains for out in self._run_chain(chain, block)]

    def _follow(self) -> Iterator[Item]:
        """Advance chains on intervals to where all others are complete.

        They never wait for an interval, as a device sends none while it is uncertain.
        Without other chains, they advance with the newest interval of any of them.
        """
        followers = {c for name in self._rows for c in self._readers[name]}
        others = [c for c in self._chains if c in self.aligner.names - followers]
        reach = self.aligner.complete_until(others)
        if np.isinf(reach) and reach > 0:
            reach = max(rows.newest for rows in self._rows.values())
        for name, rows in self._rows.items():
            try:
                block = rows.take(max(reach, rows.newest + LATE))
            except ValueError as error:
                for chain in [c for c in self._readers[name] if c in self._chains]:
                    yield from self._stop_chain(chain, rows.begin, error)
                continue
            for chain in self._readers[name] if len(block) else ():
                yield from self._run_chain(chain, block)

    def _set_silent(self, stream: str, until: float) -> list[Item]:
        """Count all chains that read a stream as silent up to ``until`` (s)."""
        return [
            out
            for chain in self._readers.get(stream, ())
            if chain in self.aligner.names
            for out in self._silence_chain(chain, stream, until)
        ]

    def _mute(self, events: Events) -> None:
        """Exclude or include streams; an exclusion is treated like any other gap."""
        for stream, on in zip(events.labels, events.data[:, 0].tolist(), strict=True):
            (self._muted.add if on else self._muted.discard)(stream)

    def _silence_chain(self, chain: str, stream: str, until: float) -> Iterator[Item]:
        runner = self._chains.get(chain)
        if runner is None:
            return
        try:
            y = runner.advance(stream, until)
        except Exception as error:  # as in `_run_chain`
            yield from self._stop_chain(chain, until, error)
            return
        if y is None:
            ticks = self.aligner.advance(chain, until)
        else:
            out = Block(self._infos[chain], y.start, y.t0, y.data)
            ticks = self.aligner.push(out, runner.complete_until)
        yield from self._estimate(ticks)

    def _run_chain(self, chain: str, block: Block) -> Iterator[Item]:
        runner = self._chains.get(chain)
        if runner is None:
            return
        try:
            y = runner.push(block)
            out = Block(self._infos[chain], y.start, y.t0, y.data)
            events = events_from_grid(out) if is_point(y.info) else None
        except Exception as error:  # one chain's bug must not end the session
            yield from self._stop_chain(chain, block.complete_until, error)
            return
        if events is not None:
            yield replace(events, info=addressed(events.info, self.participant))
        elif len(y):
            yield from self._estimate(self.aligner.push(out, runner.complete_until))
        elif len(block):
            until = runner.complete_until
            yield from self._estimate(self.aligner.advance(chain, until))

    def _estimate(self, ticks: Block) -> Iterator[Item]:
        if not len(ticks):
            return
        shape = len(ticks), len(self._wear.info.channels)
        worn = np.full(shape, MissingReason.NO_SIGNAL.nan)
        if not self._wear_failed:
            try:
                worn = self._wear.push(ticks).data
            except Exception as error:  # the features of the chains continue
                self._wear_failed = True
                text = f"wear detection stopped: {_description(error)}"
                yield single_event(STATUS, ticks.complete_until, text)
        data = np.hstack([ticks.data, worn])
        yield Block(self._features, ticks.start, ticks.t0, data)
        if self._failed or self.estimator is None:
            return
        try:
            y = self.estimator.push(ticks)
        except Exception as error:  # features and the recording continue
            yield self._stop_estimator(ticks.complete_until, error)
        else:
            yield Block(self._estimates, y.start, y.t0, y.data)
            for name, label in self.estimator.take_messages():
                yield self._message(name, ticks.complete_until, label)

    def _message(self, name: str, time: float, label: str) -> Events:
        """Return an event of the estimator: a failure, or a late answer."""
        if name == STATUS.name:
            of = f" of {self.participant}" if self.participant else ""
            return single_event(STATUS, time, f"{label}{of}")
        info = addressed(event_stream(name), self.participant)
        return single_event(info, time, label)

    def _push_events(self, events: Events) -> Iterator[Item]:
        """Pass relevant events of the session to the estimator.

        Events of devices are excluded, because their labels may be any text.
        """
        about = events.info.participant
        concerned = not self.participant or about in {"", self.participant}
        from_session = events.info.name.startswith("session.")
        if self._failed or self.estimator is None or not (from_session and concerned):
            return
        try:
            self.estimator.on_events(events)
        except Exception as error:  # as in `_estimate`
            yield self._stop_estimator(events.complete_until, error)

    def _stop_estimator(self, time: float, error: Exception) -> Events:
        """Stop the estimator; return the event that reports it."""
        self._failed = True
        text = f"{self._estimator_label} stopped: {_description(error)}"
        return single_event(STATUS, time, text)

    def _stop_chain(self, chain: str, time: float, error: Exception) -> Iterator[Item]:
        """Stop a chain; yield the event that reports it, and the items released."""
        del self._chains[chain]
        text = f"chain {self._label(chain)} stopped: {_description(error)}"
        yield single_event(STATUS, time, text)
        if chain in self.aligner.names:
            yield from self._estimate(self.aligner.advance(chain, np.inf))


class StallDetector:
    """Detector that declares a stream silent after ``timeout`` s without a sample.

    Parameters
    ----------
    streams
        The streams; event streams are ignored.
    timeout
        Time without a sample (s); for slow streams at least 1.5 sampling intervals.
    begin
        Beginning of the session, or of each stream by name (s, session clock).
    """

    def __init__(
        self,
        streams: Iterable[StreamInfo],
        timeout: float,
        begin: float | Mapping[str, float],
    ) -> None:
        regular = [info for info in streams if info.rate]
        self._newest = {
            info.name: begin if isinstance(begin, float | int) else begin[info.name]
            for info in regular
        }
        self._timeouts = {
            info.name: max(timeout, 1.5 / float(info.rate)) for info in regular
        }
        self._declared = dict.fromkeys(self._newest, -np.inf)
        self._begin = min(self._newest.values(), default=0.0)

    def update(self, block: Block) -> bool:
        """Register a block; return whether its time was already declared silent."""
        if not len(block):
            return False
        name = block.info.name
        self._newest[name] = max(self._newest[name], block.complete_until)
        return bool(block.times[0] <= self._declared[name])

    def check(self, now: float, step: float) -> list[Events]:
        """Return the declarations due at ``now`` (s), at most one each ``step`` s.

        They are at multiples of ``step`` since the beginning, so that they do not
        depend on the times of the calls.
        """
        due = []
        for name, newest in self._newest.items():
            passed = now - self._timeouts[name] - self._begin
            until = self._begin + np.floor(passed / step) * step
            if until > newest and until > self._declared[name]:
                self._declared[name] = until
                due.append(stream_timeout(name, until))
        return due


def run(
    recording: Recording,
    plan: PipelineConfig,
    events: Sequence[Events] = (),
    engine: Engine | None = None,
) -> Iterator[Item]:
    """Yield all items that a session with this recording computes, in order.

    A recording with a timeline is reproduced bit for bit. Without a timeline, all
    samples are assumed to have arrived in time, and a stream to be silent in its gaps.

    Parameters
    ----------
    recording, plan
        The items, and the computation.
    events
        Further events of the session, in order of time; each is inserted before the
        first later item.
    engine
        Engine, for callers that need its state afterwards; by default a new one.
    """
    engine = engine or Engine(plan, recording.infos, recording.begin)
    for notice in engine.notices:
        yield single_event(STATUS, recording.begin, notice)
    for misses in recording.misses:
        yield from engine.push(misses)
    waiting = deque(events)
    watch = StallDetector(recording.infos, plan.stall_timeout, recording.begin)
    step = 1 / float(plan.join.rate)
    for item in recording.arrivals(min(1.0, plan.stall_timeout)):
        while waiting and waiting[0].complete_until < item.complete_until:
            yield from engine.push(waiting.popleft())
        if not recording.timeline and isinstance(item, Block):
            watch.update(item)
            for timeout in watch.check(item.complete_until, step):
                yield from engine.push(timeout)
        yield from engine.push(item)


def _with_wear(info: StreamInfo, wear: StreamInfo) -> StreamInfo:
    """Return the stream of features of the chains and of wear detection."""
    channels = (replace(c, name=f"wear.{c.name}") for c in wear.channels)
    return info.with_channels(None, *info.channels, *channels)


def _description(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
