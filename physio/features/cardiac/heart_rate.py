"""Heart beats and heart rate."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.events import is_point
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.iir import run
from physio.dsp.jit import njit
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.cardiac.peak_detection import (
    RECENT_INTERVALS,
    RR_RANGE,
    TEMPLATE_BEATS,
    BeatState,
    detect_beats,
    detector_state,
    select_beats,
)
from physio.features.event_gaps import missing_reasons

Counts = npt.NDArray[np.int64]

_POOR: Final = MissingReason.POOR_QUALITY.nan
_MEAN: Final = STATISTICS.index("mean")


@dataclass(frozen=True)
class BeatDetection(Stage):
    """Heart beats in an ECG or a pulse wave, as events.

    Each event lies at the R peak or the systolic peak. Its ``interval`` is the time
    since the previous beat (s), missing (poor quality) unless it is accepted. Its
    ``confidence`` is the correlation of its wave with those of the previous beats (0 to
    1). Its ``height`` is that of the filtered wave above the lowest value of the
    preceding half second (ECG: 0.2 s). Its ``rr`` is the interval whatever the rhythm,
    ectopic beats and fibrillation included, missing where it is uncertain. Its ``rise``
    is the accepted interval between the half-rise points of the two waves (s); in an
    ECG it equals ``interval``.

    Parameters
    ----------
    min_confidence
        Least confidence of both beats of an interval that is accepted.

    Notes
    -----
    Detection is that of [1]_ (pulse: 0.5 to 8 Hz) and [2]_ (ECG: 8 to 20 Hz): a beat is
    where the energy of the band-passed signal, averaged over the time of a peak,
    exceeds that averaged over the time of a beat. Deviations: filters are causal; the
    offset rests on the last 4 s instead of the whole record; a block longer than a beat
    is rejected; peaks are interpolated between samples by a parabola through their
    neighbours. The filter delays the energy of an ECG by 36 ms: the beat is placed at
    the highest raw sample within 50 ms of that point. The filter does not delay most of
    a pulse wave, so the beat is placed at the filtered peak itself: on wrists, the
    highest raw sample varies between the systolic and the diastolic peak.

    Beats are sought in the signal and in its negative; those are given out whose peaks
    stand out more and whose intervals are accepted more often, over the newest 20 beats
    of both. The negative of a signal thus has the same beats.

    Confidence is the correlation with the mean of the last five beats' waves, after
    [3]_, each wave aligned at its beat. An interval is accepted if both its beats are
    confident, if it lasts 0.3 to 2 s, and if it is 0.6 to 1.67 times the median of the
    reliable intervals among the last 20 (at least three) and 0.6 to 1.67 times the
    previous interval, if that was accepted. For a pulse wave, the interval between the
    half-rise points of the two waves, which locate a beat equally well [4]_, must also
    agree to 50 ms; it does not agree where a movement has distorted a wave. In an ECG,
    ``rr`` is also given where the energy between two beats is below a tenth of theirs
    and they differ by less than 2.5 times in energy: shape and rhythm do not matter
    then. The delay is that of the longest wave and its averages.

    Shape (n, channels) to (n, 6): a point stream, one row per sample.

    References
    ----------
    .. [1] Elgendi et al., Systolic peak detection in acceleration photoplethysmograms
       measured from emergency responders in tropical conditions, PLOS ONE 8, 2013.
    .. [2] Elgendi, Fast QRS detection with an optimized knowledge-based method, PLOS
       ONE 8, 2013.
    .. [3] Orphanidou et al., Signal-quality indices for the electrocardiogram and
       photoplethysmogram, IEEE Journal of Biomedical and Health Informatics 19, 2015.
    .. [4] Peralta et al., Optimal fiducial points for pulse rate variability analysis
       from forehead and finger photoplethysmographic signals, Physiological Measurement
       40, 2019.
    """

    min_confidence: float = 0.7

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a point stream (see `physio.core.events.events_from_grid`)."""
        state = self.initial_state(info)
        source, rate = info.channels[state.pick], float(info.rate)
        _, beat, floor, longest, around, lag, search = (
            int(s) for s in state.beats[0].spans
        )
        latest = (beat + longest + lag + search + 1) / rate
        rings = float(state.filters.limits.sum() + floor + around) / rate
        beats = (RECENT_INTERVALS + TEMPLATE_BEATS + 2) * RR_RANGE[1]
        delay, span = source.delay + latest, source.memory + latest + rings + beats
        return info.with_channels(
            None,
            Channel("event", "event", "s", delay, span),
            Channel("interval", "misc", "s", delay, span),
            Channel("confidence", "misc", "1", delay, span),
            Channel("height", "misc", source.unit, delay, span),
            Channel("rr", "misc", "s", delay, span),
            Channel("rise", "misc", "s", delay, span),
        )

    def initial_state(self, info: StreamInfo) -> BeatState:
        """Return the state before the first sample."""
        return detector_state(info, self.min_confidence)

    def process(self, state: BeatState, x: Array) -> Array:
        """Take in ``x``; return a row for each sample, NaN without a beat."""
        signal = x[:, state.pick : state.pick + 1]
        lost = has_no_reason(signal)
        signal = read_only(np.where(lost, MissingReason.NO_SIGNAL.nan, signal))
        passed = read_only(run(*state.filters, signal))
        upright = detect_beats(*state.beats[0], signal, passed)
        signal, passed = read_only(-signal), read_only(-passed)
        inverted = detect_beats(*state.beats[1], signal, passed)
        return np.asarray(select_beats(*state.polarity, state.rate, upright, inverted))


def has_no_reason(x: Array) -> npt.NDArray[np.bool_]:
    """Return a mask of the values that are NaN without a reason.

    In a point stream such a row has no event, while a NaN with a reason is a gap.
    """
    plain = np.ascontiguousarray(x).view(np.uint64) << np.uint64(1)
    return plain == np.array(np.nan).view(np.uint64) << np.uint64(1)


def mark_column(info: StreamInfo) -> int:
    """Return the column that marks corrected beats; -1 for none."""
    return info.names.index("mark") if "mark" in info.names else -1


def check_beats(info: StreamInfo, purpose: str, *columns: str) -> None:
    """Raise an error unless a stream holds beats with these columns after the event."""
    if not is_point(info) or info.names[1 : 1 + len(columns)] != columns:
        raise ValueError(
            f"{purpose}: put BeatDetection before it; {info.name!r} has "
            f"{', '.join(info.names)}"
        )


class BeatHistory(NamedTuple):
    """The beats of a window."""

    beats: Array  # (size, 4): sample of detection, accepted interval, interval
    # whatever the rhythm, interval between half-rise points (s); beat k in k % size
    clock: Counts  # (5,): samples, beats, outputs given, hop as p / q samples
    limits: Array  # (4,): rate, window (samples), and two settings
    coverage: Panes
    mark: int  # column that marks corrected beats; -1 for none
    rr: int  # column of intervals whatever the rhythm; -1 for none
    rise: int  # column of intervals between half-rise points; -1 for none


def beat_history(
    info: StreamInfo, window: float, step: float, *settings: float
) -> BeatHistory:
    """Return a history without beats, of a window with an output every step (s)."""
    hop = every(info, step).step
    width = float(Fraction(str(window)) * info.rate)
    return BeatHistory(
        np.zeros((int(window / RR_RANGE[0]) + 2, 4)),
        np.array([0, 0, 0, hop.numerator, hop.denominator], np.int64),
        np.array([float(info.rate), width, *settings]),
        panes(info, (window,), step, 0.5, columns=1),
        mark_column(info),
        info.names.index("rr") if "rr" in info.names else -1,
        info.names.index("rise") if "rise" in info.names else -1,
    )


def beat_rows(state: BeatHistory, x: Array) -> tuple[Array, Array]:
    """Return the reasons of the outputs due, (m, 1), and the beats, (n, 4).

    A reason is 0 where the window is covered, else NaN. A beat is its event, its
    accepted interval, its interval whatever the rhythm, and that between half-rise
    points; where a stream has none of the latter two they are the accepted one.
    """
    lost = slide(*state.coverage, read_only(missing_reasons(x)))[:, 0, _MEAN]
    accepted = x[:, 1]
    if state.mark >= 0:
        accepted = np.where(x[:, state.mark] == 0, accepted, np.nan)
    rr = accepted if state.rr < 0 else x[:, state.rr]
    rise = accepted if state.rise < 0 else x[:, state.rise]
    return lost, read_only(np.column_stack([x[:, 0], accepted, rr, rise]))


@njit(cache=True)
def add_beat(beats: Array, clock: Counts, row: Array) -> None:
    """Add the beat of a row of `beat_rows`, if there is one."""
    if not np.isnan(row[0]):
        beat = beats[clock[1] % len(beats)]
        beat[0], beat[1], beat[2], beat[3] = clock[0], row[1], row[2], row[3]
        clock[1] += 1


@njit(cache=True)
def _rates(beats: Array, clock: Counts, limits: Array, x: Array) -> Array:
    """Take in the beats; return the rate (1/min), (m, 1)."""
    rate, width, accepted, covered = limits
    p, q = clock[3], clock[4]
    size = len(beats)
    y = np.full((len(x) * q // p + 1, 1), _POOR)
    m = 0
    for i in range(len(x)):
        add_beat(beats, clock, x[i])
        if clock[0] == -((-clock[2] * p) // q):
            n, good, time = 0, 0, 0.0
            for k in range(clock[1] - 1, max(clock[1] - size, 0) - 1, -1):
                if beats[k % size, 0] <= clock[0] - width:
                    break
                n += 1
                if not np.isnan(beats[k % size, 2]):
                    good += 1
                    time += beats[k % size, 2]
            enough = n > 0 and good >= accepted * n
            if enough and time >= covered * width / rate:
                y[m, 0] = 60 * good / time
            m += 1
            clock[2] += 1
        clock[0] += 1
    return y[:m]


@dataclass(frozen=True)
class HeartRate(Stage):
    """Heart rate; follows `BeatDetection`.

    ``rate`` (1/min) is 60 over the mean interval of the last ``window`` s, whatever the
    rhythm: ectopic beats and those of a fibrillation count like any other.

    Parameters
    ----------
    window
        Window of the rate (s), at least 10: a whole number of steps.
    step
        Time from one output to the next (s).
    accepted
        Proportion of the beats in a window whose interval must be measured.
    min_valid
        Proportion of a window that the measured intervals must fill.

    Notes
    -----
    Missing (poor quality) where too few intervals are measured: in noise, on a flat
    signal, off the wrist. The delay is that of the beats; a window ends with the newest
    of them.

    Shape (n, 4 or more) to (m, 1). Deviation from [1]_: the mean is that of
    measured intervals.

    References
    ----------
    .. [1] Task Force of the ESC and NASPE, Heart rate variability: standards of
       measurement, Circulation 93, 1996.
    """

    window: float = 10.0
    step: float = 0.25
    accepted: float = 0.5
    min_valid: float = 0.5

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``rate``."""
        purpose = "a heart rate is read from beats, with their interval and confidence"
        check_beats(info, purpose, "interval", "confidence")
        if self.window < 10:
            raise ValueError(f"heart rate needs at least 10 s: {self.window:g}")
        self.initial_state(info)
        source = info.channels[0]
        span = source.memory + self.window
        return info.with_channels(
            info.rate / self.schedule(info).step,
            Channel("rate", "misc", "1/min", source.delay, span),
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> BeatHistory:
        """Return a state without beats."""
        settings = self.window, self.step, self.accepted, self.min_valid
        return beat_history(info, *settings)

    def process(self, state: BeatHistory, x: Array) -> Array:
        """Take in rows of a point stream; return the outputs now due."""
        lost, rows = beat_rows(state, x)
        y = _rates(*state[:3], rows)
        return np.where(np.isnan(lost), lost, y)
