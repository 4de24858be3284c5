"""A chain that runs on one stream, or on several streams joined at one rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from physio.core.aligner import StreamAligner, TickGrid
from physio.core.block import Block, StreamInfo
from physio.core.stage import Chain, Stage, StageRunner


@dataclass(frozen=True)
class ChainConfig:
    """Chain of stages that process one stream, or several joined streams.

    Parameters
    ----------
    stream
        Name of the stream.
    stages
        The stages, in order.
    participant
        Code of the participant who is measured, in a session of several.
    joined
        Names of further streams whose channels follow those of ``stream``: the newest
        sample of each at ``rate``, missing if it is older than a second.
    rate
        Sampling rate of the joined streams (Hz).
    """

    stream: str
    stages: tuple[Stage, ...] = ()
    participant: str = ""
    joined: tuple[str, ...] = ()
    rate: float = 32.0

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of all streams that the chain reads."""
        return (self.stream, *self.joined)

    def input_info(self, known: Mapping[str, StreamInfo]) -> StreamInfo:
        """Return the stream that the first stage reads.

        Raises
        ------
        ValueError
            If two joined channels have the same name, or the rate is not above 0.
        """
        first = known[self.stream]
        if not self.joined:
            return first
        channels = [c for name in self.streams for c in known[name].channels]
        names = [c.name for c in channels]
        if double := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"{', '.join(self.streams)} cannot be joined: several have a channel "
                f"{', '.join(sorted(double))}; select or rename channels"
            )
        if not self.rate > 0:
            raise ValueError(f"joined streams need a rate above 0 Hz: {self.rate:g}")
        return first.with_channels(Fraction(str(self.rate)), *channels)


class ChainRunner:
    """A running chain.

    Parameters
    ----------
    chain
        The chain.
    known
        The regular streams of the devices, by name.
    begin
        Time of the first row of joined streams (s, session clock).
    """

    def __init__(
        self, chain: ChainConfig, known: Mapping[str, StreamInfo], begin: float
    ) -> None:
        self._source = chain.input_info(known)
        self._runner = StageRunner(Chain(chain.stages), self._source)
        self.info = self._runner.info
        self._infos = tuple(known[name] for name in chain.streams)
        self._grid = TickGrid(self._source.rate)
        self.reset(begin)

    def reset(self, begin: float) -> None:
        """Forget all samples; the first row of joined streams is at ``begin`` (s)."""
        self._runner.reset()
        self._until = {info.name: -np.inf for info in self._infos}
        self._aligner = None
        if len(self._infos) > 1:
            self._aligner = StreamAligner(self._grid, self._infos, begin)
            columns = self._aligner.info.names
            ends = (".window_start", ".window_end")
            self._columns = [i for i, n in enumerate(columns) if not n.endswith(ends)]

    @property
    def complete_until(self) -> float:
        """Time up to which all streams are complete (s, session clock)."""
        return min(self._until.values())

    def push(self, block: Block) -> Block:
        """Process a block of one of the streams; return the outputs now due."""
        self._complete(block.info.name, block.complete_until if len(block) else -np.inf)
        if self._aligner is None:
            return self._runner.push(block)
        return self._run(self._aligner.push(block))

    def advance(self, stream: str, until: float) -> Block | None:
        """Count a stream as silent up to ``until`` (s); return the outputs now due.

        None for a chain on one stream, which has no output without a sample.
        """
        self._complete(stream, until)
        if self._aligner is None:
            return None
        return self._run(self._aligner.advance(stream, until))

    def _complete(self, stream: str, until: float) -> None:
        self._until[stream] = max(self._until[stream], until)

    def _run(self, rows: Block) -> Block:
        """Process rows of the joined streams."""
        data = np.ascontiguousarray(rows.data[:, self._columns])
        return self._runner.push(Block(self._source, rows.start, rows.t0, data))
