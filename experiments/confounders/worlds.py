"""Simulated people whose label is caused by the body, by motion or by the clock."""

from typing import Final, Literal

import numpy as np
import pandas as pd

World = Literal["body", "body, confounded", "motion", "clock"]
WORLDS: Final[tuple[World, ...]] = ("body", "body, confounded", "motion", "clock")

FEATURES: Final = ("heart.rate", "eda.phasic_power", "eda.slope")
CONFOUNDERS: Final = ("motion.now", "motion.before", "clock")

_ROWS: Final = 60  # windows of 30 s
_AFFECT: Final = np.array([0.9, 0.8, 0.5])
_MOTION: Final = np.array([0.5, 0.3, 0.2])
_EXERTED: Final = np.array([0.9, 0.4, 0.1])
_CLOCK: Final = np.array([-0.6, 0.8, -0.3])


def person(number: int, world: World, seed: int, *, trained: bool) -> pd.DataFrame:
    """Return the windows of a person.

    Parameters
    ----------
    number, seed
        Number of the person, and seed of the population.
    world
        What the label follows: ``body``: true arousal, to which features answer;
        ``body, confounded``: the same, and people of the training move four times as
        often while they are aroused, those of the test do not; ``motion``, ``clock``:
        features answer to these alone, and so does the label.
    trained
        Whether the person trains.

    Returns
    -------
    DataFrame
        `FEATURES`, `CONFOUNDERS`, ``subject`` and ``y``.
    """
    rng = np.random.default_rng((seed, number, WORLDS.index(world), trained))
    aroused = _bouts(rng, 0.5)
    moving = _bouts(rng, 0.4)
    if trained and world == "body, confounded":
        moving = rng.random(_ROWS) < np.where(aroused, 0.8, 0.2)
    now = 1.5 * moving + rng.normal(0, 0.5, _ROWS)
    before = np.convolve(now, 0.7 ** np.arange(8) * 0.3)[:_ROWS]
    clock = np.linspace(0, 1, _ROWS)
    answers = _AFFECT * (1 + 0.5 * rng.normal(size=3)) * world.startswith("body")
    x = (
        aroused[:, None] * answers
        + now[:, None] * _MOTION
        + before[:, None] * _EXERTED
        + clock[:, None] * _CLOCK
        + rng.normal(0, 0.8, (_ROWS, 3))
    )
    y = {"motion": moving, "clock": clock > 0.5}.get(world, aroused)
    columns = [*x.T, now, before, clock]
    return pd.DataFrame(
        dict(zip((*FEATURES, *CONFOUNDERS), columns, strict=True))
    ).assign(subject=f"P{number}", y=np.asarray(y, np.intp))


def people(count: int, world: World, seed: int, *, trained: bool) -> pd.DataFrame:
    """Return the windows of some people of one kind."""
    parts = [person(k, world, seed, trained=trained) for k in range(count)]
    return pd.concat(parts, ignore_index=True)


def _bouts(rng: np.random.Generator, share: float) -> np.ndarray:
    """Return blocks of six windows, of which a share is active."""
    return np.repeat(rng.random(_ROWS // 6) < share, 6)
