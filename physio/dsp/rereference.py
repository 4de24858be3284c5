"""EEG references: a named electrode, linked electrodes, or the average."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import Stage

MIN_AVERAGE: Final = 20
"""Least number of electrodes for an average reference, whose mean is near 0."""


class ReferenceColumns(NamedTuple):
    """Columns of the reference and of the electrodes measured against it."""

    reference: npt.NDArray[np.intp]
    measured: npt.NDArray[np.intp]
    output: npt.NDArray[np.intp]
    min_count: int  # electrodes of the reference that must be present


@dataclass(frozen=True)
class Rereference(Stage):
    """EEG re-referenced to a named electrode, linked electrodes, or the average.

    Parameters
    ----------
    electrodes
        One name, or several whose mean is the reference (such as linked mastoids: A1,
        A2); empty for the average of all electrodes that are valid at the time.

    Notes
    -----
    ``y = x - mean(reference)``. Named electrodes are not in the output; where one of
    them is missing, all output is missing. The average excludes missing electrodes
    (mask bad ones first); with fewer than 20 electrodes the output is missing (poor
    quality), because the sum over the head is near 0 only for dense and even coverage
    [1]_. Channels of other kinds than ``eeg`` pass unchanged. No delay.

    Shape (n, channels) to (n, channels but those named), in the unit of the input (uV).
    There is no deviation from the formula.

    References
    ----------
    .. [1] Junghoefer et al., The polar average reference effect: a bias in estimating
       the head surface integral in EEG recording, Clinical Neurophysiology 110, 1999.
    """

    electrodes: tuple[str, ...] = ("Cz",)

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the same electrodes, against another reference."""
        against = self.initial_state(info)
        span = max(info.channels[i].memory for i in against.reference)
        channels = [
            replace(c, memory=max(c.memory, span)) if c.kind == "eeg" else c
            for c in (info.channels[i] for i in against.output)
        ]
        name = "+".join(self.electrodes) or "average"
        return replace(info.with_channels(None, *channels), reference=name)

    def initial_state(self, info: StreamInfo) -> ReferenceColumns:
        """Return the columns of the electrodes."""
        eeg = [i for i, c in enumerate(info.channels) if c.kind == "eeg"]
        names = [info.channels[i].name for i in eeg]
        if missing := [n for n in self.electrodes if n not in names]:
            raise ValueError(
                f"{info.name!r} has no electrode {', '.join(map(repr, missing))} to "
                f"measure against; it has {', '.join(names) or 'none'}"
            )
        if not self.electrodes and len(eeg) < MIN_AVERAGE:
            raise ValueError(
                f"an average reference needs at least {MIN_AVERAGE} electrodes, and "
                f"{info.name!r} has {len(eeg)}: name one, or linked ones"
            )
        reference = [i for i, n in zip(eeg, names, strict=True) if n in self.electrodes]
        measured = [i for i in eeg if i not in reference]
        if not measured:
            raise ValueError(
                f"no electrode of {info.name!r} remains to be measured against "
                f"{', '.join(self.electrodes)}"
            )
        fewest = len(reference) if reference else MIN_AVERAGE
        output = [i for i in range(len(info.channels)) if i not in reference]
        return ReferenceColumns(
            np.array(reference or eeg), np.array(measured), np.array(output), fewest
        )

    def process(self, state: ReferenceColumns, x: Array) -> Array:
        """Subtract the reference from each electrode."""
        total, n = np.zeros(len(x)), np.zeros(len(x))
        lost = np.full(len(x), MissingReason.POOR_QUALITY.nan)
        # One electrode after another, so that the sum does not depend on the blocks.
        for v in x[:, state.reference].T:
            gone = np.isnan(v)
            total += np.where(gone, 0.0, v)
            n += ~gone
            lost = np.where(gone & (state.min_count == len(state.reference)), v, lost)
        mean = np.where(n >= state.min_count, total / np.maximum(n, 1), lost)
        y = x.copy()
        for i in state.measured:
            there = np.where(np.isnan(mean), mean, x[:, i] - mean)
            y[:, i] = np.where(np.isnan(x[:, i]), x[:, i], there)
        return np.ascontiguousarray(y[:, state.output])
