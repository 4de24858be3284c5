"""Template-matching signal quality index (SQI) of heart beats."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from physio.core.block import Array, Channel, StreamInfo
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.jit import njit
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.cardiac.heart_rate import check_beats
from physio.features.event_gaps import missing_reasons

_MEAN: Final = STATISTICS.index("mean")


@dataclass(frozen=True)
class BeatTemplateSQI(Stage):
    """Mean template correlation of recent beats, 0 to 1; follows `BeatDetection`.

    ``template_sqi`` (1) is the mean of the beats' ``confidence``: the sum over the
    beats detected in the last ``window`` s, divided by their number. It is 0 for data
    without any beat.

    Parameters
    ----------
    window
        Length of the window (s): a whole number of steps.
    step
        Time from one output to the next (s).
    min_valid
        Proportion of the window's samples that must be present.

    Notes
    -----
    The quality index of [1]_, which averages the correlation of each wave with the mean
    wave over 10 s and accepts a pulse wave from 0.86 on, an ECG from 0.66. Deviations:
    the mean wave is that of the last five beats, heart rates and gaps are not tested,
    and the output is the index, not a decision. The delay is that of the beats and half
    of ``window``.

    Shape (n, 4 or more) to (m, 1).

    References
    ----------
    .. [1] Orphanidou et al., Signal-quality indices for the electrocardiogram and
       photoplethysmogram, IEEE Journal of Biomedical and Health Informatics 19, 2015.
    """

    window: float = 10.0
    step: float = 0.25
    min_valid: float = 0.5

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``template_sqi``."""
        purpose = "the template SQI is read from beats, with their confidence"
        check_beats(info, purpose, "interval", "confidence")
        self.initial_state(info)
        source = info.channels[0]
        delay, span = source.delay + self.window / 2, source.memory + self.window
        rate = info.rate / self.schedule(info).step
        return info.with_channels(
            rate, Channel("template_sqi", "quality", "1", delay, span)
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> Panes:
        """Return an empty window on beats and their confidence."""
        return panes(info, (self.window,), self.step, self.min_valid, columns=2)

    def process(self, state: Panes, x: Array) -> Array:
        """Take in rows of a point stream; return the outputs now due."""
        means = slide(*state, read_only(_confidence_rows(x, missing_reasons(x))))[
            :, 0, _MEAN
        ]
        if not len(means):
            return np.empty((0, 1))
        n, none = means[:, :1], means[:, :1] == 0
        return np.where(none, 0.0, means[:, 1:] / np.where(none, 1.0, n))


@njit(cache=True)
def _confidence_rows(x: Array, lost: Array) -> Array:
    """Return 1 where there is a beat, and its confidence, shape (n, 2)."""
    y = np.zeros((len(x), 2))
    for i in range(len(x)):
        if not np.isnan(x[i, 0]):
            y[i, 0], y[i, 1] = 1.0, x[i, 2]
        elif np.isnan(lost[i, 0]):
            y[i, 0] = y[i, 1] = lost[i, 0]
    return y
