"""Skin conductance level (SCL), and rate and amplitude of responses (SCRs)."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from physio.core.block import Array, Channel, StreamInfo
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.window import STATISTICS, Panes, panes, slide
from physio.features.eda.online_decomposition import (
    VALUES_PER_SECOND,
    eda_window,
    lag,
    window_memory,
)
from physio.features.eda.relative_change import ChangeState, EdaRelativeChange
from physio.features.eda.scr_detection import AGE, ScrDetection, ScrState, SecondResult

_MEAN, _SLOPE = STATISTICS.index("mean"), STATISTICS.index("slope")


class EdaState(NamedTuple):
    """State of the features of skin conductance."""

    detection: ScrState
    windows: Panes  # responses of a second, their amplitude (uS), the level
    change: ChangeState
    contact: Array  # (2,): factor of that level, and seconds since it was last known


@dataclass(frozen=True)
class EdaFeatures(Stage):
    """Skin conductance level (SCL) and responses (SCRs), once a second.

    ``tonic`` and ``phasic`` (uS) are the two parts of the signal 5 s ago; the later
    samples are needed to separate them. ``scr_rate`` (1/min) is the number of responses
    in the last minute and ``scr_amplitude`` (uS/min) the sum of their amplitudes;
    ``phasic_power`` (uS squared) is the mean square of the phasic part and ``slope``
    (uS/min) that of the least-squares line of the tonic level, both over that minute.
    The line has no step where the contact has one. ``log_slope`` (1/min) and
    ``activity`` (uS) are those of `EdaRelativeChange` over the last minute, without a
    decomposition.
    Two qualities, no features, are the proportions of the window's values that were
    removed as ``artifacts``, and that are ``dry``, below 0.05 uS: there, changes and
    responses remain comparable within a participant, levels in uS do not.

    Parameters
    ----------
    threshold
        Least amplitude of a response (uS).
    past
        Time over which responses are counted (s): whole seconds.
    setting, window
        As for `ScrDetection`.
    min_valid
        Proportion of a window that must be present.
    artifacts
        Remove contact artifacts first, see
        `physio.features.eda.contact_artifacts.find_artifacts`.

    Notes
    -----
    Responses are those of `ScrDetection`, and are counted from the second in which
    their end is known; ``scr_rate`` and ``scr_amplitude`` are scaled to a minute from
    the seconds in which responses could be detected. The least amplitude in use is 0.01
    to 0.05 uS [1]_. The delay of the first two is 5 s plus that of the average over
    0.25 s; the other features have the same delay and cover the ``past`` s before it.

    Shape (n, channels) to (m, 10). Deviation from [1]_: responses are those of the
    solver, and not from trough to peak.

    References
    ----------
    .. [1] Boucsein et al., Publication recommendations for electrodermal measurements,
       Psychophysiology 49, 2012.
    """

    threshold: float = 0.02
    past: float = 60.0
    setting: str = "default"
    window: float = 30.0
    min_valid: float = 0.5
    artifacts: bool = True

    def _responses(self) -> ScrDetection:
        return ScrDetection(
            self.threshold, self.setting, self.window, self.min_valid, self.artifacts
        )

    def _change(self) -> EdaRelativeChange:
        return EdaRelativeChange(self.past, 1.0, self.min_valid)

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the eight features and the two qualities."""
        responses = self._responses()
        events = responses.output_info(info)
        self.initial_state(info)
        source = info.channels[eda_window(info, self.window).pick]
        delay = source.delay + lag(info) + AGE
        near = source.memory + window_memory(
            info, self.window, artifacts=self.artifacts
        )
        far = events.memory + self.past
        middle = delay - AGE + self.window / 2
        return info.with_channels(
            events.rate,
            Channel("tonic", "gsr", "uS", delay, near),
            Channel("phasic", "gsr", "uS", delay, near),
            Channel("scr_rate", "misc", "1/min", delay, far),
            Channel("scr_amplitude", "misc", "uS/min", delay, far),
            Channel("phasic_power", "misc", "(uS)^2", delay, far),
            Channel("slope", "misc", "uS/min", delay, far),
            *self._change().output_info(info).channels,
            Channel("artifacts", "quality", "1", middle, near),
            Channel("dry", "quality", "1", middle, near),
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every second."""
        return self._responses().schedule(info)

    def initial_state(self, info: StreamInfo) -> EdaState:
        """Return an empty memory, and empty windows on its results of each second."""
        watch = self._responses().initial_state(info)
        seconds = info.with_channels(info.rate / self.schedule(info).step)
        windows = panes(seconds, (self.past,), 1.0, self.min_valid, columns=4)
        change = self._change().initial_state(info)
        return EdaState(watch, windows, change, np.array([1.0, np.inf]))

    def process(self, state: EdaState, x: Array) -> Array:
        """Take in ``x``; return the features now due."""
        change = self._change().process(state.change, x)
        seconds = self._responses().seconds(state.detection, x)
        parts = np.array([_tonic_phasic(s) for s in seconds]).reshape(len(seconds), 2)
        counts = np.array([_scr_counts(s) for s in seconds]).reshape(len(seconds), 2)
        factor = np.array([_contact(state.contact, s) for s in seconds])
        level = parts[:, 0] * factor
        square = np.where(np.isnan(parts[:, 1]), parts[:, 1], parts[:, 1] ** 2)
        past = slide(
            *state.windows, read_only(np.column_stack([counts, square, level]))
        )
        means, slope = past[:, 0, _MEAN], past[:, 0, _SLOPE, 3]
        quality = np.array([(s.artifacts, s.dry) for s in seconds])
        return np.column_stack(
            [
                parts,
                means[:, :2] * 60,
                means[:, 2],
                slope * 60 / factor,
                change,
                quality.reshape(len(seconds), 2),
            ]
        )


def _tonic_phasic(second: SecondResult) -> tuple[float, float]:
    """Return the tonic level and the phasic part (uS) 5 s behind the newest value."""
    decomposition = second.decomposition
    if isinstance(decomposition, float):
        return decomposition, decomposition
    at = len(decomposition.tonic) - 1 - AGE * VALUES_PER_SECOND
    return float(decomposition.tonic[at]), float(decomposition.phasic[at])


def _contact(contact: Array, second: SecondResult) -> float:
    """Return the factor by which the level continues that before the last artifact."""
    contact[1] += 1
    ago = AGE + contact[1]
    if np.isnan(_tonic_phasic(second)[0]):
        return float(contact[0])
    if ago < len(second.gain):
        contact[0] *= second.gain[-1 - AGE] / second.gain[-1 - int(ago)]
    contact[1] = 0.0
    return float(contact[0])


def _scr_counts(second: SecondResult) -> tuple[float, float]:
    """Return the number of responses that ended in a second, and the amplitude (uS)."""
    if second.response is not None:
        return 1.0, second.response[1]
    return second.missing, second.missing
