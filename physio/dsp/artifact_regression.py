"""Online regression of eye and muscle artifacts out of EEG."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, StreamInfo
from physio.core.stage import Stage
from physio.dsp.jit import njit

FRONTAL: Final = ("fp1", "fp2", "fpz", "af7", "af8")
"""Electrodes that stand for the eyes where there is no EOG."""

_PRIOR: Final = 1e-4  # precision of the coefficients before the first sample (1/uV^2)
_LARGEST: Final = 1e8  # of the covariance: a reference that stays 0 adds nothing

Rows = npt.NDArray[np.intp]


class RegressionState(NamedTuple):
    """Coefficients and their covariance, changed in place."""

    weights: Array  # (references, electrodes)
    covariance: Array  # (references, references)
    references: Rows
    electrodes: Rows
    forget: Array  # (1,): weight of the past after one more sample


@dataclass(frozen=True)
class ArtifactRegression(Stage):
    """EEG less what a linear regression on reference channels explains.

    The coefficients are those of recursive least squares with exponential forgetting
    [1]_, so that they follow electrodes that dry or move. Each sample is corrected with
    the coefficients of the samples before it.

    Parameters
    ----------
    references
        Names of the reference channels; by default those of kind ``eog``, or, if there
        are none, the electrodes `FRONTAL` that the stream has.
    memory
        Time after which a sample counts 1/e (s).

    Notes
    -----
    High-pass the stream first, from about 0.5 Hz: offsets are not fitted. References
    pass unchanged. Frontal references also contain EEG of the frontal lobe, and what it
    shares with other electrodes is removed: compare results with and without. Where an
    electrode is missing, only it is not corrected or learned from; where a reference is
    missing, the output is missing (for its reason). No delay.

    ``y = x - w . u``, with ``u`` the references, and ``w`` changed by ``P u y /
    (forget + u . P u)``. Shape (n, channels) to (n, channels). Deviation from [1]_: one
    weight for each reference instead of a filter.

    References
    ----------
    .. [1] He, Wilson & Russell, Removal of ocular artifacts from electro-encephalogram
       by adaptive filtering, Medical and Biological Engineering and Computing 42, 2004.
    """

    references: tuple[str, ...] = ()
    memory: float = 30.0

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the same channels."""
        self.initial_state(info)
        return info

    def initial_state(self, info: StreamInfo) -> RegressionState:
        """Return coefficients of 0.

        Raises
        ------
        ValueError
            If there is no reference channel, or no electrode beside it.
        """
        if self.memory <= 0:
            raise ValueError(f"the memory must last more than 0 s: {self.memory:g}")
        if unknown := [n for n in self.references if n not in info.names]:
            raise ValueError(
                f"{info.name!r} has no channel {unknown[0]!r} to regress out; it has "
                f"{', '.join(info.names)}"
            )
        picks = [i for i, c in enumerate(info.channels) if c.name in self.references]
        picks = picks or [i for i, c in enumerate(info.channels) if c.kind == "eog"]
        picks = picks or [
            i
            for i, c in enumerate(info.channels)
            if c.name.lower().partition("-")[0] in FRONTAL
        ]
        eeg = [
            i for i, c in enumerate(info.channels) if c.kind == "eeg" and i not in picks
        ]
        if not picks or not eeg:
            raise ValueError(
                f"{info.name!r} has no channel of kind eog and no frontal electrode to "
                "regress out of others: name the references"
            )
        r = len(picks)
        return RegressionState(
            np.zeros((r, len(eeg))),
            np.eye(r) / _PRIOR,
            np.array(picks, np.intp),
            np.array(eeg, np.intp),
            np.array([np.exp(-1 / (self.memory * float(info.rate)))]),
        )

    def process(self, state: RegressionState, x: Array) -> Array:
        """Take in ``x``; return it corrected."""
        return np.asarray(_corrected(*state, x))


@njit(cache=True)
def _corrected(
    weights: Array,
    covariance: Array,
    references: Rows,
    electrodes: Rows,
    forgetting: Array,
    x: Array,
) -> Array:
    """Return corrected samples; weights and covariance are changed in place."""
    forget = forgetting[0]
    y = x.copy()
    r, count = len(references), len(electrodes)
    u, gain = np.empty(r), np.empty(r)
    for i in range(len(x)):
        gone = -1
        for a in range(r):
            u[a] = x[i, references[a]]
            if np.isnan(u[a]):
                gone = a
        if gone >= 0:
            for c in range(count):
                if not np.isnan(x[i, electrodes[c]]):
                    y[i, electrodes[c]] = u[gone]
            continue
        power = forget
        for a in range(r):
            gain[a] = 0.0
            for b in range(r):
                gain[a] += covariance[a, b] * u[b]
            power += u[a] * gain[a]
        for c in range(count):
            value = x[i, electrodes[c]]
            if np.isnan(value):
                continue
            for a in range(r):
                value -= weights[a, c] * u[a]
            y[i, electrodes[c]] = value
            for a in range(r):
                weights[a, c] += gain[a] / power * value
        for a in range(r):
            for b in range(a + 1):
                p = (covariance[a, b] - gain[a] * gain[b] / power) / forget
                if a == b and p > _LARGEST:
                    p = _LARGEST
                covariance[a, b] = p
                covariance[b, a] = p
    return y
