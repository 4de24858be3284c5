"""Newest samples of a signal, from the rows that a chain passes on at every tick."""

from typing import Final, NamedTuple, Self

import numpy as np

from physio.core.block import Array
from physio.core.missing import MissingReason, missing_reason
from physio.models.base import WindowSpec

_SHARE: Final = 0.9  # proportion of a channel's samples that must be present


class WindowBuffer(NamedTuple):
    """Window of the newest samples; changed in place.

    Parameters
    ----------
    samples
        The samples, oldest first, shape (channels, n); NaN where missing.
    newest
        Number of the newest row of samples, shape (1,); -1 before the first.
    """

    samples: Array
    newest: Array

    @classmethod
    def empty(cls, spec: WindowSpec) -> Self:
        """Return a window without any sample."""
        shape = len(spec.channels), spec.samples
        return cls(np.full(shape, MissingReason.WARMING_UP.nan), np.full(1, -1.0))

    def append(self, row: Array) -> None:
        """Add a row of `physio.features.newest_samples.NewestSamples`.

        A row that comes twice, because the clocks of the stream and the ticks differ,
        is added once; rows that are skipped, or lost, leave their samples missing.
        """
        channels, size = self.samples.shape
        fresh = row[:-1].reshape(channels, -1)
        step, newest = fresh.shape[1], self.newest[0]
        if np.isnan(row[-1]):  # a tick without a row, or a row that was lost
            if newest < 0:
                return
            number = newest + 1
        else:
            number = row[-1]
        rows = int(min(number - newest, size // step + 1)) if newest >= 0 else 1
        if rows < 1:
            return
        if rows > 1:
            self._shift(np.full((channels, (rows - 1) * step), _LOST))
        self._shift(fresh)
        self.newest[0] = number

    def whole(self) -> Array | float:
        """Return the window with short gaps interpolated, or the NaN of a reason."""
        present = ~np.isnan(self.samples)
        if present.all():
            return self.samples.copy()
        poor = (present.mean(axis=1) < _SHARE) | ~present[:, -1]
        if poor.any():
            newest = self.samples[poor, -1]
            reasons = missing_reason(self.samples[poor])
            if (reasons == MissingReason.WARMING_UP).any():
                return MissingReason.WARMING_UP.nan
            if np.isnan(newest).any():
                return float(newest[np.isnan(newest)][0])
            return MissingReason.TOO_SHORT.nan
        window, at = self.samples.copy(), np.arange(self.samples.shape[1])
        for k in np.flatnonzero(~present.all(axis=1)):
            mask = present[k]
            window[k] = np.interp(at, at[mask], self.samples[k, mask])
        return window

    def _shift(self, fresh: Array) -> None:
        """Add samples at the end."""
        size, step = self.samples.shape[1], fresh.shape[1]
        if step < size:
            self.samples[:, :-step] = self.samples[:, step:]
            self.samples[:, -step:] = fresh
        else:
            self.samples[:] = fresh[:, -size:]


_LOST: Final = MissingReason.NO_SIGNAL.nan
