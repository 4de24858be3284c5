"""Features and estimates of a recording, computed by the engine of live sessions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from physio.core.block import Block
from physio.core.events import Events, Item
from physio.core.recording import Recording, computed, stream_timeout
from physio.online import session_config
from physio.online.engine import STATUS, Engine, PipelineConfig, run
from physio.online.interval_rows import has_intervals
from physio.online.session_config import SessionConfig


def compute_features(
    recording: Recording,
    config: Path | str | None = None,
    *,
    participant: str = "",
    trust: tuple[str, ...] = (),
) -> Block:
    """Return the features of a recording, one row per tick.

    Parameters
    ----------
    recording
        The recording.
    config
        Session file (TOML) that defines the chains; by default the chains stored in the
        recording, or else the default chains of its streams.
    participant
        Code of the participant, in a recording of several.
    trust
        Packages, beside this library, that the configuration may name.

    Returns
    -------
    Block
        Columns ``<chain>.<feature>``, missing values NaN, and ``<chain>.window_start``,
        ``<chain>.window_end``: times of the first and the last sample that a row uses.

    Raises
    ------
    ValueError
        If the recording has no data that a chain reads, or too little of it; or if it
        has several participants and ``participant`` is none of them.
    """
    file = _config(recording, config, trust)
    recording = file.channels.correct(recording)
    plan = file.plan(recording.inputs)
    return _computed(recording, plan, "features", participant)


def estimate(
    recording: Recording,
    config: Path | str | None = None,
    *,
    demo_weights: bool = False,
    participant: str = "",
    trust: tuple[str, ...] = (),
) -> Block:
    """Return the estimates of a recording, one row per tick.

    Parameters
    ----------
    recording
        The recording.
    config
        Session file (TOML) that defines the chains and the estimator; by default those
        stored in the recording, or else the default ones of its streams.
    demo_weights
        Whether weights trained on simulated participants may be used on measured input.
    participant
        Code of the participant, in a recording of several.
    trust
        Packages, beside this library, that the configuration may name.

    Returns
    -------
    Block
        ``valence``, ``arousal`` and ``dominance`` in [-1, 1], each with ``.sd`` and
        ``.missing``; see `physio.inference.estimator.Estimator`.

    Raises
    ------
    ValueError
        As of `compute_features`.
    """
    file = _config(recording, config, trust)
    recording = file.channels.correct(recording)
    plan = file.plan(recording.inputs, demo_weights=demo_weights)
    return _computed(recording, plan, "estimates", participant)


def feature_ticks(
    recording: Recording, plan: PipelineConfig, engine: Engine | None = None
) -> Block:
    """Return the features of a recording at each tick, as a session computes them.

    Parameters
    ----------
    recording
        The recording, of one participant.
    plan
        The computation.
    engine
        Engine of the same plan for recordings of the same streams, which is restarted;
        by default a new one.

    Raises
    ------
    ValueError
        If a chain fails, or there are no features.

    Notes
    -----
    A recording without losses and without a timeline is passed to the engine stream by
    stream. The output of the engine depends neither on block boundaries nor on the
    order of arrival of the streams.
    """
    if engine is None:
        engine = Engine(plan, recording.infos, recording.begin)
    else:
        engine.restart(recording.begin)
    if engine.notices:
        raise ValueError("; ".join(engine.notices))
    whole = all(len(blocks) == 1 for blocks in recording.streams.values())
    if recording.timeline or not whole:
        items = list(run(recording, plan, engine=engine))
    else:
        items = _stream_by_stream(recording, engine)
    for item in items:
        if isinstance(item, Events) and item.info.name == STATUS.name:
            raise ValueError("; ".join(item.labels))
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == "features"]
    if not blocks:
        names = ", ".join(recording.streams) or "nothing"
        raise ValueError(f"no chain reads any of its streams ({names}), or too little")
    data = np.concatenate([b.data for b in blocks])
    return Block(blocks[0].info, blocks[0].start, blocks[0].t0, data)


def _stream_by_stream(recording: Recording, engine: Engine) -> list[Item]:
    """Return all output for a recording with one block per stream."""
    intervals = [e for e in recording.events.values() if has_intervals(e.info)]
    items = [i for e in intervals for i in engine.push(e)]
    items += [i for (b,) in recording.streams.values() for i in engine.push(b)]
    until = recording.end - engine.plan.stall_timeout
    for name, (block,) in recording.streams.items():
        if not len(block) or block.complete_until < until:
            items += engine.push(stream_timeout(name, until))
    return items


def _config(
    recording: Recording, config: Path | str | None, trust: tuple[str, ...]
) -> SessionConfig:
    """Return the given session file, or that of the recording, or the default one."""
    if config is not None:
        return session_config.read(Path(config), trust)
    file = session_config.recorded(recording, trust)
    return SessionConfig(trust=trust) if file is None else file


def computed_blocks(
    recording: Recording, plan: PipelineConfig, events: Sequence[Events] = ()
) -> dict[str, Block]:
    """Return features and estimates of a recording of one participant, by their names.

    Parameters
    ----------
    recording
        The recording.
    plan
        The computation.
    events
        Further events of the session, as markers of a baseline, in order of time.

    Raises
    ------
    ValueError
        If the engine refuses the plan, or nothing is computed.
    """
    engine = Engine(plan, recording.infos, recording.begin)
    parts: dict[str, list[Block]] = {}
    for item in run(recording, plan, events, engine):
        if isinstance(item, Block) and computed(item.info.name):
            parts.setdefault(item.info.name, []).append(item)
    if not parts:
        names = ", ".join(info.name for info in recording.inputs) or "nothing"
        raise ValueError("; ".join(engine.notices) or f"no chain reads {names}")
    return {
        name: Block(b[0].info, b[0].start, b[0].t0, np.concatenate([x.data for x in b]))
        for name, b in parts.items()
    }


def _computed(
    recording: Recording, plan: PipelineConfig, kind: str, participant: str
) -> Block:
    """Return the features or the estimates of a participant as one block."""
    if plan.participants != ("",) and participant not in plan.participants:
        codes = ", ".join(plan.participants)
        raise ValueError(
            f"this recording is of several participants: say whose, of {codes}"
        )
    name = f"{kind}.{participant}" if plan.participants != ("",) else kind
    engine = Engine(plan, recording.infos, recording.begin)
    items = run(recording, plan, engine=engine)
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == name]
    if not blocks and engine.notices:
        raise ValueError("; ".join(engine.notices))
    if not blocks:
        names = ", ".join(info.name for info in recording.inputs) or "nothing"
        raise ValueError(
            f"this recording of {recording.seconds:.1f} s gives no {kind}: no chain "
            f"reads any of its streams ({names}), or they are empty"
        )
    data = np.concatenate([b.data for b in blocks])
    return Block(blocks[0].info, blocks[0].start, blocks[0].t0, data)
