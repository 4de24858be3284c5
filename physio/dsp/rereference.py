"""What electrodes are measured against."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import Stage

FEWEST: Final = 20
"""With fewer electrodes the average is not near 0, and no reference."""


class Against(NamedTuple):
    """Where the reference and what is measured against it are."""

    reference: npt.NDArray[np.intp]
    measured: npt.NDArray[np.intp]
    kept: npt.NDArray[np.intp]
    fewest: int  # of the reference that must be there


@dataclass(frozen=True)
class Rereference(Stage):
    """EEG against a named electrode, linked ones, or the average.

    Parameters
    ----------
    electrodes
        One name, or several whose mean is the reference (as linked mastoids: A1, A2);
        none at all for the average of all electrodes that are good at the time.

    Notes
    -----
    ``y = x - mean(reference)``. Named electrodes are not put out again; without one of
    them everything is missing. Of the average, missing electrodes (mask bad ones
    before) are left out; with fewer than 20 there is none (poor quality): the sum over
    the head is near 0 for dense and even coverage alone [1]_. Channels of other kinds
    than ``eeg`` pass unchanged. No delay.

    Shape (n, channels) to (n, channels but those named), in uV or what the input has.
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
            for c in (info.channels[i] for i in against.kept)
        ]
        name = "+".join(self.electrodes) or "average"
        return replace(info.with_channels(None, *channels), reference=name)

    def initial_state(self, info: StreamInfo) -> Against:
        """Return where the electrodes are."""
        eeg = [i for i, c in enumerate(info.channels) if c.kind == "eeg"]
        names = [info.channels[i].name for i in eeg]
        if lacking := [n for n in self.electrodes if n not in names]:
            raise ValueError(
                f"{info.name!r} has no electrode {', '.join(map(repr, lacking))} to "
                f"measure against; it has {', '.join(names) or 'none'}"
            )
        if not self.electrodes and len(eeg) < FEWEST:
            raise ValueError(
                f"an average reference needs at least {FEWEST} electrodes, and "
                f"{info.name!r} has {len(eeg)}: name one, or linked ones"
            )
        reference = [i for i, n in zip(eeg, names, strict=True) if n in self.electrodes]
        measured = [i for i in eeg if i not in reference]
        if not measured:
            raise ValueError(
                f"nothing of {info.name!r} is left to measure against "
                f"{', '.join(self.electrodes)}"
            )
        fewest = len(reference) if reference else FEWEST
        kept = [i for i in range(len(info.channels)) if i not in reference]
        return Against(
            np.array(reference or eeg), np.array(measured), np.array(kept), fewest
        )

    def process(self, state: Against, x: Array) -> Array:
        """Subtract the reference from each electrode."""
        total, n = np.zeros(len(x)), np.zeros(len(x))
        lost = np.full(len(x), MissingReason.POOR_QUALITY.nan)
        # One electrode after another, so that the sum does not depend on the cuts.
        for v in x[:, state.reference].T:
            gone = np.isnan(v)
            total += np.where(gone, 0.0, v)
            n += ~gone
            lost = np.where(gone & (state.fewest == len(state.reference)), v, lost)
        mean = np.where(n >= state.fewest, total / np.maximum(n, 1), lost)
        y = x.copy()
        for i in state.measured:
            there = np.where(np.isnan(mean), mean, x[:, i] - mean)
            y[:, i] = np.where(np.isnan(x[:, i]), x[:, i], there)
        return np.ascontiguousarray(y[:, state.kept])
