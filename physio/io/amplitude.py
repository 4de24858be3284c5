"""Unit of EEG that a description does not state, as its amplitude suggests."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from physio.core.block import Array

_RANGES: Final = (("V", 1e-6, 3e-4), ("mV", 1e-3, 0.3), ("uV", 1.0, 300.0))
"""Standard deviations within a second that EEG has in each unit; larger numbers can be
counts of a converter."""


def unit_note_by_amplitude(
    stream: str, names: Sequence[str], data: Array, rate: float, read_as: str
) -> str:
    """Return a sentence on the unit that EEG without a unit has by its amplitude.

    The values are not changed. The amplitude is the median, over seconds and channels,
    of the standard deviation within a second.

    Parameters
    ----------
    stream, names
        Name of the stream, and its channels without a unit.
    data
        Their samples, shape (n, channels).
    rate
        Sampling rate (Hz).
    read_as
        Unit in which the values are read; ``"1"`` for none.

    Returns
    -------
    str
        Empty if no unit, or more than one, explains the amplitude.
    """
    second = max(int(rate), 1)
    n = len(data) // second
    if not n or not data.shape[1]:
        return ""
    windows = data[: n * second].reshape(n, second, -1)
    complete = ~np.isnan(windows).any(axis=1)
    if not complete.any():
        return ""
    sd = float(np.median(windows.std(axis=1)[complete]))
    units = [unit for unit, low, high in _RANGES if low <= sd <= high]
    if not units or units == [read_as]:
        return ""
    (unit,) = units
    listed = ", ".join(names[:4])
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return (
        f"the amplitude of {listed}{more} in {stream} (sd {sd:.3g} within a second) is "
        f"that of EEG in {unit}: if so, state this unit in a table [channels]"
    )
