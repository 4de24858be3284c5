"""Movement and skin temperature of a whole record."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from physio.core.block import Block, Channel
from physio.offline.whole_record import binned, whole_signal, whole_signals
from physio.quality.range_checks import TemperatureQuality

EPOCH: Final = 5.0
"""Length of an epoch of acceleration (s)."""

_STEP: Final = 1.0  # s


def analyze_movement(blocks: Sequence[Block], axes: Sequence[Channel]) -> pd.DataFrame:
    """Return the activity of epochs of 5 s: mean amplitude deviation (g) [1]_.

    ``activity`` is the mean absolute deviation of the magnitude of acceleration from
    its mean in the epoch; NaN where half of the samples are missing. The last epoch may
    be shorter.

    References
    ----------
    .. [1] Vaha-Ypya et al., A universal, accurate intensity-based classification of
       different physical activities using raw data of accelerometer, Clinical
       Physiology and Functional Imaging 35, 2015.
    """
    parts = whole_signals(blocks, axes)
    size = np.sqrt(np.sum([p.values**2 for p in parts], axis=0))
    signal = parts[0]._replace(values=size)
    means = binned(signal, EPOCH)
    index = np.floor((signal.time - signal.time[0]) / EPOCH + 1e-6).astype(int)
    deviation = np.abs(size - means.values[index])
    activity = binned(signal._replace(values=deviation), EPOCH)
    return pd.DataFrame(
        {"activity": activity.values, "artifact": activity.artifact},
        index=pd.Index(activity.time, name="time"),
    )


def analyze_temperature(blocks: Sequence[Block], channel: Channel) -> pd.DataFrame:
    """Return the skin temperature (degC) each second, without values of no skin."""
    signal = binned(whole_signal(blocks, channel, TemperatureQuality()), _STEP)
    return pd.DataFrame(
        {"temperature": signal.values, "artifact": signal.artifact},
        index=pd.Index(signal.time, name="time"),
    )
