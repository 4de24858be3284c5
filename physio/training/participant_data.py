"""Features of whole recordings, made by the very stages that run live."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio import config
from physio.core.affect import DIMENSIONS
from physio.core.aligner import StreamAligner, TickGrid
from physio.core.block import Array, Block
from physio.core.recording import Recording
from physio.core.stage import Chain, Stage, StageRunner

_ESTIMATOR: Final = "physio.inference.estimator:Estimator"


class RatedSegment(NamedTuple):
    """A stretch of time for which a participant gave one set of ratings.

    ``begin`` and ``end`` in s on the session clock; ``ratings`` are valence, arousal
    and dominance on [-1, 1], NaN where there is none, shape (3,).
    """

    name: str
    begin: float
    end: float
    ratings: Array


@dataclass(frozen=True, eq=False)
class Participant:
    """What is known of one participant: features at each tick, and what they rated."""

    code: str
    rows: Block
    units: tuple[RatedSegment, ...]

    def features(self, names: tuple[str, ...]) -> Array:
        """Return columns of the features, shape (n, f)."""
        return np.stack([self.rows.column(name) for name in names], axis=1)

    def within(self, unit: RatedSegment, settle: float) -> npt.NDArray[np.bool_]:
        """Tell which ticks are in a unit, its first ``settle`` s left out."""
        times = self.rows.times
        return (times >= unit.begin + settle) & (times < unit.end)


def shipped_chain(name: str) -> tuple[Any, ...]:
    """Return the stages that read a kind of signal where no session file says how."""
    path = Path(str(files("physio.assets") / "chains.toml"))
    tables = config.read(path)
    if name not in tables:
        raise ValueError(
            f"there is no chain {name!r}; {path.name} has {', '.join(tables)}"
        )
    stages: tuple[Any, ...] = config.build(tables[name]["stages"], f"chains.{name}")
    return stages


def features(
    recording: Recording, chains: Mapping[str, str], rate: Fraction = Fraction(4)
) -> Block:
    """Return the features of a recording as a live session would have made them.

    Parameters
    ----------
    recording
        The signals.
    chains
        Which stream each shipped chain reads: ``{"skin": "e4.eda"}``; digits at the end
        of a name count chains of one kind, ``heart2``.
    rate
        Ticks a second (Hz).
    """
    flows = {}
    for name, stream in chains.items():
        if stream not in recording.streams:
            raise ValueError(
                f"chains.{name} reads {stream!r}; the recording has "
                f"{', '.join(recording.streams)}"
            )
        info = recording.streams[stream][0].info
        flows[name] = StageRunner(Chain(shipped_chain(name.rstrip("0123456789"))), info)
    infos = tuple(replace(flow.info, name=name) for name, flow in flows.items())
    junction = StreamAligner(TickGrid(rate), infos, recording.begin)
    ticks = []
    for info, (name, stream) in zip(infos, chains.items(), strict=True):
        for block in (b for b in recording.streams[stream] if len(b)):
            y = flows[name].push(block)
            own = Block(info, y.start, y.t0, y.data)
            ticks.append(junction.push(own, block.complete_until))
    full = [t for t in ticks if len(t)]
    data = np.concatenate([t.data for t in full]) if full else ticks[-1].data.copy()
    return Block(junction.info, 0, recording.begin, np.ascontiguousarray(data))


def run(rows: Block, name: str) -> Block:
    """Run the live estimator, with stored weights, on features: its output."""
    table = {"use": _ESTIMATOR, "experts": [{"weights": name}]}
    estimator: Stage = config.build(table, "estimator")
    return StageRunner(estimator, rows.info).push(rows)


def rated(recording: Recording, front: str) -> tuple[RatedSegment, ...]:
    """Return the units of a recording: its conditions, each with what was rated.

    Parameters
    ----------
    recording
        With the events ``<front>.conditions`` (labelled, in their first column the end
        or, called ``seconds``, the length) and ``<front>.ratings``.
    front
        Name of the device or the study.
    """
    parts, said = (recording.events[f"{front}.{k}"] for k in ("conditions", "ratings"))
    lasting = parts.info.names[0] == "seconds"
    columns = [
        said.info.names.index(d) if d in said.info.names else -1 for d in DIMENSIONS
    ]
    units = []
    for name, begin, value in zip(
        parts.labels, parts.times, parts.data[:, 0], strict=True
    ):
        end = begin + value if lasting else value
        near = np.flatnonzero(np.abs(said.times - end) < 1.0)
        if len(near):
            row = said.data[near[0]]
            ratings = np.array([row[c] if c >= 0 else np.nan for c in columns])
            units.append(RatedSegment(name, float(begin), float(end), ratings))
    return tuple(units)
