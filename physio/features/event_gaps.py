"""Gaps in a stream of events, distinguished from stretches without events."""

from typing import Final

import numpy as np

from physio.core.block import Array
from physio.dsp.jit import njit

_PLAIN: Final = np.array(np.nan).view(np.uint64) << np.uint64(1)
_SHIFT: Final = np.uint64(1)


@njit(cache=True)
def missing_reasons(x: Array) -> Array:
    """Return 0 for a row with data, else a NaN with the reason, shape (n, 1).

    A row of a point stream, shape (n, channels), without an event is NaN without a
    reason, and counts as data. A NaN with a reason stays.
    """
    y = np.empty((len(x), 1))
    for i in range(len(x)):
        y[i, 0] = x[i, 0]
    bits = y.view(np.uint64)
    for i in range(len(x)):
        if not np.isnan(y[i, 0]) or bits[i, 0] << _SHIFT == _PLAIN:
            y[i, 0] = 0.0
    return y
