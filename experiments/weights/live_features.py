"""Features, ratings and estimates of recordings, computed by the live engine."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from importlib.resources import files
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from physio import config
from physio.core.affect import DIMENSIONS
from physio.core.aligner import TickGrid
from physio.core.block import Block
from physio.core.recording import Recording
from physio.core.stage import StageRunner
from physio.inference.estimator import Estimator
from physio.inference.expert import Expert
from physio.offline.compute import feature_ticks
from physio.offline.extract import Windows
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig
from physio.training.participant_data import RatedSegment


def shipped_chain(name: str) -> tuple[Any, ...]:
    """Return the stages of a shipped chain, the default without a session file."""
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
    """Return the features of a recording as a live session computes them.

    Parameters
    ----------
    recording
        The signals.
    chains
        Stream of each shipped chain: ``{"eda": "e4.eda"}``; digits at the end of a
        name number chains of one kind, ``heart2``.
    rate
        Ticks a second (Hz).

    Returns
    -------
    Block
        Columns ``<chain>.<feature>``, up to the last tick that all streams reach.

    Raises
    ------
    ValueError
        If a chain does not exist, its stream is missing, or it fails.
    """
    for name, stream in chains.items():
        if stream not in recording.streams:
            raise ValueError(
                f"chains.{name} reads {stream!r}; the recording has "
                f"{', '.join(recording.streams)}"
            )
    configs = {
        name: ChainConfig(stream, shipped_chain(name.rstrip("0123456789")))
        for name, stream in chains.items()
    }
    # A stream that ends early ends the rows: it is not counted as stalled.
    plan = PipelineConfig(configs, TickGrid(rate), stall_timeout=inf)
    return _without_wear(feature_ticks(recording, plan))


def _without_wear(ticks: Block) -> Block:
    """Return ticks without the columns ``wear.*``, which are the last ones."""
    wear = [n for n in ticks.info.names if n.startswith("wear.")]
    columns = ticks.info.channels[: len(ticks.info.channels) - len(wear)]
    info = ticks.info.with_channels(None, *columns)
    data = np.ascontiguousarray(ticks.data[:, : len(columns)])
    return Block(info, ticks.start, ticks.t0, data)


def default_features(recording: Recording) -> Block:
    """Return the features of a recording by the default chains of its streams.

    Columns ``<chain>.<feature>``, up to the last tick that all streams reach, without
    those of the state of wear.

    Raises
    ------
    ValueError
        If no chain reads any of the streams.
    """
    plan = Windows(tables={}).file.plan(recording.inputs)
    return _without_wear(feature_ticks(recording, replace(plan, stall_timeout=inf)))


def run_estimator(rows: Block, name: str) -> Block:
    """Return the output of the live estimator, with stored weights, on features."""
    estimator = Estimator((Expert(name),))
    return StageRunner(estimator, rows.info).push(rows)


def rated_segments(recording: Recording, prefix: str) -> tuple[RatedSegment, ...]:
    """Return the conditions of a recording that have ratings.

    Parameters
    ----------
    recording
        Recording with the events ``<prefix>.conditions`` (labelled; their first column
        is the end or, if called ``seconds``, the duration) and ``<prefix>.ratings``.
    prefix
        Name of the device or of the study.
    """
    parts, reported = (
        recording.events[f"{prefix}.{k}"] for k in ("conditions", "ratings")
    )
    lasting = parts.info.names[0] == "seconds"
    columns = [
        reported.info.names.index(d) if d in reported.info.names else -1
        for d in DIMENSIONS
    ]
    units = []
    for name, begin, value in zip(
        parts.labels, parts.times, parts.data[:, 0], strict=True
    ):
        end = begin + value if lasting else value
        near = np.flatnonzero(np.abs(reported.times - end) < 1.0)
        if len(near):
            row = reported.data[near[0]]
            ratings = np.array([row[c] if c >= 0 else np.nan for c in columns])
            units.append(RatedSegment(name, float(begin), float(end), ratings))
    return tuple(units)
