"""What a live session would compute, of a recording."""

from pathlib import Path

import numpy as np

from physio.core.block import Block
from physio.core.recording import Recording
from physio.online import session_config
from physio.online.engine import run
from physio.online.session_config import SessionConfig


def features(
    recording: Recording, config: Path | str | None = None, *, participant: str = ""
) -> Block:
    """Return the features of a recording, a row each tick.

    Parameters
    ----------
    recording
        What to read.
    config
        A session file (TOML) whose chains are taken; by default those that the
        recording itself carries, or else those that suit its streams.
    participant
        Whose, in a recording of several participants.

    Returns
    -------
    Block
        Columns ``<chain>.<feature>``, missing values NaN, and ``<chain>.window_start``,
        ``<chain>.window_end``: from when to when the samples came that a row rests on.

    Raises
    ------
    ValueError
        If the recording has nothing that a chain reads, or too little of it; or if it
        is of several participants and ``participant`` is none of them.
    """
    return _computed(recording, config, "features", participant, demo_weights=False)


def estimate(
    recording: Recording,
    config: Path | str | None = None,
    *,
    demo_weights: bool = False,
    participant: str = "",
) -> Block:
    """Return the estimates of a recording, a row each tick.

    Parameters
    ----------
    recording
        What to read.
    config
        A session file (TOML) whose chains and estimator are taken; by default those
        that the recording itself carries, or else those that suit its streams.
    demo_weights
        Whether weights trained on simulated participants may answer on measured input.
    participant
        Whose, in a recording of several participants.

    Returns
    -------
    Block
        ``valence``, ``arousal`` and ``dominance`` in [-1, 1], each with ``.sd`` and
        ``.missing``; see `physio.inference.estimator.Estimator`.

    Raises
    ------
    ValueError
        As `features`.
    """
    return _computed(
        recording, config, "estimates", participant, demo_weights=demo_weights
    )


def _computed(
    recording: Recording,
    config: Path | str | None,
    what: str,
    participant: str,
    *,
    demo_weights: bool,
) -> Block:
    if config is not None:
        file = session_config.read(Path(config))
    else:
        file = session_config.recorded(recording) or SessionConfig()
    made = file.plan(recording.inputs, demo_weights=demo_weights)
    if made.participants != ("",) and participant not in made.participants:
        codes = ", ".join(made.participants)
        raise ValueError(
            f"this recording is of several participants: say whose, of {codes}"
        )
    name = f"{what}.{participant}" if made.participants != ("",) else what
    items = run(recording, made)
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == name]
    if not blocks:
        names = ", ".join(info.name for info in recording.inputs) or "nothing"
        raise ValueError(
            f"no {what} can be had of this recording of {recording.seconds:.1f} s: no "
            f"chain reads any of its streams ({names}) or they are empty"
        )
    data = np.concatenate([b.data for b in blocks])
    return Block(blocks[0].info, blocks[0].start, blocks[0].t0, data)
