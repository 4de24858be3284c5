"""Example streams of each kind of sensor, with signals and disturbances."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason

_LOST: Final = MissingReason.NO_SIGNAL.nan


def _stream(name: str, rate: int, *channels: Channel) -> StreamInfo:
    return StreamInfo(f"example.{name}", Fraction(rate), channels)


EXAMPLES: Final = (
    _stream("eeg", 128, *(Channel(c, "eeg", "uV") for c in ("F3", "Cz", "F4"))),
    _stream("eeg", 250, *(Channel(c, "eeg", "uV") for c in ("F3", "F4"))),
    _stream("eda", 4, Channel("eda", "gsr", "uS")),
    _stream("bvp", 64, Channel("bvp", "bio", "1")),
    _stream("ecg", 250, Channel("ecg", "ecg", "mV")),
    _stream("resp", 25, Channel("resp", "resp", "1")),
    _stream("acc", 32, *(Channel(f"acc.{a}", "misc", "g") for a in "xyz")),
    _stream("temp", 4, Channel("temp", "temperature", "degC")),
    _stream(
        "estimates",
        4,
        *(
            Channel(f"{d}{e}")
            for e in ("", ".sd")
            for d in ("valence", "arousal", "dominance")
        ),
    ),
    _stream(
        "features",
        4,
        *(Channel(f"eda.{c}") for c in ("scr_rate", "window_start", "window_end")),
    ),
    _stream(
        "joined",
        4,
        *(Channel(c) for c in ("prv.template_sqi", "eda.stability")),
        *(Channel(c) for c in ("temperature.level", "motion.activity")),
    ),
)
"""A stream of each kind, as devices send them and an aligner joins them."""


@cache
def example_signal(info: StreamInfo) -> Array:
    """Return a signal such as a sensor of this kind gives, longer than any window.

    Parameters
    ----------
    info
        The stream; the kind of its first channel selects the signal.

    Returns
    -------
    ndarray, shape (n, channels)
        240 s, or 310 s of a pulse or an ECG, always the same.
    """
    seconds = 310 if info.channels[0].kind in {"ecg", "bio"} else 240
    rng = np.random.default_rng(len(info.channels))
    n, width = int(seconds * info.rate), len(info.channels)
    t = np.arange(n)[:, None] / float(info.rate)
    noise = rng.standard_normal((n, width))
    match info.channels[0].kind:
        case "eeg":
            return 20 * np.sin(2 * np.pi * 10 * t) + 10 * noise
        case "gsr":
            bumps = sum(
                np.clip(t - at, 0, None) * np.exp(-np.clip(t - at, 0, None) / 2)
                for at in range(5, seconds, 9)
            )
            return np.ascontiguousarray(3 + 0.4 * bumps + 0.002 * noise)
        case "bio":
            return 50 * np.sin(2 * np.pi * 1.2 * t) ** 3 + noise
        case "ecg":
            return np.exp(-(((t * 1.2) % 1 - 0.5) ** 2) / 4e-4) + 0.01 * noise
        case "resp":
            return np.sin(2 * np.pi * 0.25 * t) + 0.02 * noise
        case "temperature":
            return 33 + 0.1 * np.sin(t / 30) + 0.01 * noise
    if info.name.endswith("estimates"):
        walk = 0.3 * np.sin(t / 30 + np.arange(3)) + 0.05 * noise[:, :3]
        return np.stack([walk, np.full_like(walk, 0.4)], axis=2).reshape(n, 6)
    return 0.1 * noise + np.arange(width)


def _with_gap(x: Array, rate: float, seconds: float) -> Array:
    x[int(5 * rate) : int(5 * rate) + max(int(seconds * rate), 1)] = _LOST
    return x


def _with_losses(x: Array, proportion: float) -> Array:
    x[np.random.default_rng(5).random(len(x)) < proportion] = _LOST
    return x


def _now_and_then(x: Array, rate: float) -> npt.NDArray[np.bool_]:
    return np.random.default_rng(6).random(x.shape) < 0.5 / rate


DISTURBANCES: Final[Mapping[str, Callable[[Array, float], Array]]] = {
    "white noise": lambda x, _: np.random.default_rng(4).standard_normal(x.shape),
    "flat": lambda x, _: np.zeros_like(x),
    "railed": lambda x, _: np.full_like(x, 187_500.0),
    "hum": lambda x, rate: (
        np.sin(2 * np.pi * 50 * np.arange(len(x))[:, None] / rate) + 0 * x
    ),
    "disconnected": lambda x, _: np.full_like(x, _LOST),
    "a sample lost": lambda x, rate: _with_gap(x, rate, 0),
    "a second lost": lambda x, rate: _with_gap(x, rate, 1),
    "a minute lost": lambda x, rate: _with_gap(x, rate, 60),
    "1 % lost": lambda x, _: _with_losses(x, 0.01),
    "steps": lambda x, rate: x + np.cumsum(100 * _now_and_then(x, rate), axis=0),
    "spikes": lambda x, rate: x + 1e4 * _now_and_then(x, rate),
}
"""Functions of a signal and its rate (Hz) that return it with a disturbance."""
