"""Skin conductance: its level, and how much and how often it responds."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from physio.core.block import Array, Channel, StreamInfo
from physio.core.stage import OutputSchedule, Stage, sealed
from physio.dsp.window import STATISTICS, Panes, panes, slide
from physio.features.eda.online_decomposition import EACH, STEP, lag, recent
from physio.features.eda.scr_detection import AGE, ScrDetection, Second, Watch

_MEAN, _SLOPE = STATISTICS.index("mean"), STATISTICS.index("slope")


class Minute(NamedTuple):
    """What the features of skin conductance remember."""

    watch: Watch
    windows: Panes  # of a second's responses, their amplitude (uS), the level (uS)


@dataclass(frozen=True)
class EdaFeatures(Stage):
    """Level of skin conductance, and how much it responds, once a second.

    ``tonic`` and ``phasic`` (uS) are the two parts of the signal as they were 5 s ago,
    when what followed tells them apart. ``rate`` (1/min) counts the responses of the
    last minute and ``amplitude`` (uS/min) adds them up; ``power`` (uS squared) is the
    mean square of the phasic part, ``slope`` (uS/min) is where the tonic level is
    going: of the least-squares line, both over that minute.

    Parameters
    ----------
    threshold
        Least amplitude of a response (uS).
    past
        How long responses are counted for (s): whole seconds.
    setting, window
        As of `ScrDetection`.
    share
        Which part of a window must be there.

    Notes
    -----
    A response is that of `ScrDetection`, and counts from the second on in which its
    end is known; ``rate`` and ``amplitude`` are scaled to a minute from the seconds in
    which responses could be seen. The least amplitude in use is 0.01 to 0.05 uS [1]_.
    The delay of the first two is 5 s and the average over 0.25 s; the others lag as
    far and look back over ``past`` from there.

    Shape (n, channels) to (m, 6). Deviation from [1]_: responses are those of the
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

    def _responses(self) -> ScrDetection:
        return ScrDetection(self.threshold, self.setting, self.window, self.min_valid)

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the six features."""
        responses = self._responses()
        told = responses.output_info(info)
        self.initial_state(info)
        source = info.channels[recent(info, self.window).pick]
        delay = source.delay + lag(info) + AGE
        near = source.memory + self.window + STEP
        far = told.memory + self.past
        return info.with_channels(
            told.rate,
            Channel("tonic", "gsr", "uS", delay, near),
            Channel("phasic", "gsr", "uS", delay, near),
            Channel("scr_rate", "misc", "1/min", delay, far),
            Channel("scr_amplitude", "misc", "uS/min", delay, far),
            Channel("phasic_power", "misc", "(uS)^2", delay, far),
            Channel("slope", "misc", "uS/min", delay, far),
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every second."""
        return self._responses().schedule(info)

    def initial_state(self, info: StreamInfo) -> Minute:
        """Return an empty memory, and empty windows on what it says each second."""
        watch = self._responses().initial_state(info)
        seconds = info.with_channels(info.rate / self.schedule(info).step)
        windows = panes(seconds, (self.past,), 1.0, self.min_valid, columns=4)
        return Minute(watch, windows)

    def process(self, state: Minute, x: Array) -> Array:
        """Take in ``x``; return the features now due."""
        seconds = self._responses().seconds(state.watch, x)
        own = np.array([_parts(s) for s in seconds]).reshape(len(seconds), 2)
        seen = np.array([_seen(s) for s in seconds]).reshape(len(seconds), 2)
        level = own[:, 0]
        square = np.where(np.isnan(own[:, 1]), own[:, 1], own[:, 1] ** 2)
        past = slide(*state.windows, sealed(np.column_stack([seen, square, level])))
        means, slope = past[:, 0, _MEAN], past[:, 0, _SLOPE, 3]
        return np.column_stack([own, means[:, :2] * 60, means[:, 2], slope * 60])


def _parts(second: Second) -> tuple[float, float]:
    """Return the level and the phasic part at the age that is believed (uS)."""
    found = second.found
    if isinstance(found, float):
        return found, found
    at = len(found.tonic) - 1 - AGE * EACH
    return float(found.tonic[at]), float(found.phasic[at])


def _seen(second: Second) -> tuple[float, float]:
    """Return how many responses ended in a second, and their amplitude (uS)."""
    if second.response is not None:
        return 1.0, second.response[1]
    return second.lost, second.lost
