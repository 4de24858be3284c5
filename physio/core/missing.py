"""Missing values: a NaN whose payload encodes the reason."""

from collections.abc import Collection
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

_QUIET: Final = 0x7FF8_0000_0000_0000
_SHIFT: Final = 44  # high in the payload, so that the reason survives float32


class MissingReason(IntEnum):
    """Reason for which a value is missing.

    The reason is stored in the payload of the NaN, as R distinguishes its ``NA`` from
    its ``NaN``; `missing_reason` reads it. A NaN without a reason, as a device may send
    it, reads as `NO_SIGNAL`.
    """

    OK = 0
    NO_SIGNAL = 1
    WARMING_UP = 2
    POOR_QUALITY = 3
    TOO_SHORT = 4
    OUT_OF_DISTRIBUTION = 5
    UNTRAINED = 6
    DEMO_WEIGHTS = 7
    MARKED_BAD = 8
    ARTIFACT = 9
    LATE = 10
    FAILED = 11

    @property
    def nan(self) -> float:
        """The NaN that carries this reason."""
        return _NANS[self]

    @property
    def words(self) -> str:
        """The reason in words, as ``"warming up"``."""
        return self.name.lower().replace("_", " ")


def _missing(reason: MissingReason) -> float:
    bits = np.array(_QUIET | int(reason) << _SHIFT, np.uint64)
    return float(bits.view(np.float64))


_NANS: Final = tuple(_missing(reason) for reason in MissingReason)


def missing_reason(values: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Return the `MissingReason` of each value, 0 where it is a number.

    Parameters
    ----------
    values
        Numbers of any shape (float64).

    Returns
    -------
    ndarray of int8, same shape
    """
    x = np.ascontiguousarray(values, np.float64)
    code = (x.view(np.uint64) >> np.uint64(_SHIFT)) & np.uint64(0x7F)
    code = np.where(code == 0, int(MissingReason.NO_SIGNAL), code)
    return np.where(np.isnan(x), code, 0).astype(np.int8)


def has_reason(name: str, names: Collection[str]) -> bool:
    """Return whether a table has a ``.missing`` column beside the column ``name``.

    The reason of an estimate holds for all its columns: ``arousal.missing`` for
    ``arousal.sd``, ``arousal.ci80`` and ``arousal.contribution.heart.rate`` too. The
    columns ``.window_start`` and ``.window_end`` have none.

    Parameters
    ----------
    name
        A column.
    names
        All columns of its table.
    """
    if name.endswith((".missing", ".window_start", ".window_end")):
        return False
    parts = name.split(".")
    return not any(".".join(parts[:k]) in names for k in range(1, len(parts)))
