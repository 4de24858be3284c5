"""Simulated minutes of wristbands, with arousal that two sensors have in common."""

import numpy as np

from experiments.contrastive.minutes import CHANNELS, RATES, SECONDS, Minutes
from experiments.contrastive.probes import Labelled

PAIR = ("skin", "heart")


def wrists(people: int, seed: int, *, common: bool = True, each: int = 16) -> Labelled:
    """Return people whose arousal drives skin and heart, or one for each sensor.

    It is the height of a bump at a random place in both; noise is of one sensor. The
    first four minutes of a person are calm, the rest.
    """
    rng = np.random.default_rng(seed)
    n = people * each
    place = np.tile(np.arange(each), people)
    calm = place < 4
    arousal = {s: np.where(calm, 0, rng.uniform(0, 2, n)) for s in PAIR}
    if common:
        arousal["heart"] = arousal["skin"]
    signals = {}
    for sensor, rate in RATES.items():
        shape = (n, CHANNELS[sensor], SECONDS * rate)
        x = 0.3 * rng.normal(size=shape) + 0.3 * rng.normal(size=(n, 1, 1))
        if sensor in arousal:
            t = np.arange(SECONDS * rate) / rate
            at = rng.uniform(10, 50, (n, 1, 1))
            x += arousal[sensor][:, None, None] * np.exp(-(((t - at) / 6) ** 2))
        signals[sensor] = x.astype(np.float32)
    signals["motion"][:] = np.nan
    person = np.array([f"lab P{k:03}" for k in range(people)]).repeat(each)
    minutes = Minutes(np.full(n, "lab"), person, person, signals)
    y = (arousal["skin"] > 1).astype(int)
    return Labelled(minutes, y, calm, ~calm)
