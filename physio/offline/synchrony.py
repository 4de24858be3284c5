"""Synchrony of two people: windowed cross-correlation and coherence, exploratory.

Chance is what remains when the record of one person is shifted in time: the signals
keep their own slowness and variation, and lose only the relation in time. A short shift
of a slow signal changes little, and counts all the same: p then cannot be smaller than
the share of such shifts, which is what a short record can show at best.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.core.block import Array
from physio.core.recording import Recording
from physio.offline.analysis import analyze

LABEL: Final = (
    "exploratory: whole records, chance from time shifts; no evidence of empathy, "
    "contact or liking"
)
"""Sentence that every output of a synchrony carries."""

RATE: Final = 2.0
"""Sampling rate of the tracks that are compared (Hz)."""

MEASURES: Final[Mapping[str, tuple[str, str, tuple[float, float]]]] = {
    "skin conductance": ("skin", "conductance", (0.02, 0.25)),
    "heart rate": ("heart", "heart_rate", (0.02, 0.4)),
    "breathing": ("belt", "breathing", (0.1, 0.5)),
}
"""Kind, column and band of coherence (Hz) of each measure."""

_LONGEST_GAP: Final = 2.0  # s that is interpolated
_CLIP: Final = 0.999  # largest correlation before Fisher's transformation
_FEWEST: Final = 4  # complete windows
_FEWEST_SHIFTS: Final = 19  # for p = 0.05
_SHORTEST: Final = 540.0  # s that both records share
_SHORTEST_WINDOWS: Final = 9  # durations of a window that both records share
_PART: Final = 500_000  # values of surrogates computed at once


@dataclass(frozen=True)
class SynchronySettings:
    """Settings of a synchrony.

    Parameters
    ----------
    window, step
        Duration of a window and distance between two (s).
    lag
        Largest lag that is searched in both directions (s).
    shifts
        Number of surrogates, each with another shift in time; at most one a sample.
    """

    window: float = 60.0
    step: float = 30.0
    lag: float = 5.0
    shifts: int = 500

    def __post_init__(self) -> None:
        if not 10 <= self.window <= 600:
            raise ValueError(f"window is from 10 to 600 s, not {self.window:g} s")
        if not 0 < self.step <= self.window:
            raise ValueError(f"step is above 0 s and at most {self.window:g} s")
        if not 0 <= self.lag <= self.window / 4:
            raise ValueError(
                f"lag is from 0 to {self.window / 4:g} s, a quarter window"
            )
        if not 19 <= self.shifts <= 100_000:
            raise ValueError(f"shifts are from 19 to 100000, not {self.shifts}")


@dataclass(frozen=True)
class Synchrony:
    """Synchrony of one pair of tracks.

    Parameters
    ----------
    correlation
        Mean correlation over the windows at the best lag.
    lag
        The best lag (s): positive if the second person follows the first.
    correlation_p
        Proportion of surrogates whose correlation at their best lag is not smaller.
    coherence
        Mean coherence in the band, less that of as many independent windows.
    coherence_p
        Proportion of surrogates whose coherence is not smaller.
    windows
        Number of windows without missing values.
    surrogates
        Number of surrogates with at least half as many windows; others are left out.
    """

    correlation: float
    lag: float
    correlation_p: float
    coherence: float
    coherence_p: float
    windows: int
    surrogates: int


def synchrony(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    band: tuple[float, float] = (0.02, 0.25),
    settings: SynchronySettings = SynchronySettings(),
) -> Synchrony:
    """Return the synchrony of two tracks at `RATE` on the same clock.

    Parameters
    ----------
    first, second
        Tracks of equal length, NaN where missing; windows with a missing value are left
        out.
    band
        Band in which coherence is averaged (Hz).
    settings
        Settings.

    Raises
    ------
    ValueError
        If the tracks are shorter than 9 min or 9 windows, fewer than 4 windows are
        complete, or fewer than 19 surrogates have enough windows.

    Notes
    -----
    Each window has no mean and no linear trend. Correlations are averaged as Fisher's z
    (Boker et al., 2002, without peak picking). The surrogates are circular
    shifts of the second track, evenly spread over its length; the seam counts as
    missing. Together with the observed order, which is a shift of 0, they are a group,
    so that chance gives p <= 0.05 to 5 % of pairs, however slow the signals are
    (Hemerik & Goeman, 2018).
    """
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    n = len(x)
    if len(y) != n:
        raise ValueError(f"the tracks have {n} and {len(y)} samples: align them first")
    least = max(_SHORTEST, _SHORTEST_WINDOWS * settings.window)
    if n < least * RATE:
        raise ValueError(
            f"the records share {n / RATE:.1f} s, and a synchrony needs {least:g} s: "
            "use longer records or shorter windows"
        )
    windows = _Windows(x, y, settings, band)
    curve, coherence, count = (p[0] for p in windows.compare(np.zeros(1, int), _FEWEST))
    if count < _FEWEST:
        raise ValueError(
            f"{count} windows of {settings.window:g} s are complete in both records, "
            f"and a synchrony needs {_FEWEST}: use longer records or shorter windows"
        )
    best = int(np.argmax(curve))
    observed = np.array([curve[best] * np.sqrt(count), coherence * count])
    chance = _chance(windows, settings, max(_FEWEST, (int(count) + 1) // 2))
    p = (1 + np.sum(chance >= observed - 1e-12, axis=0)) / (1 + len(chance))
    lags = np.arange(-windows.reach, windows.reach + 1) / RATE
    return Synchrony(
        float(np.tanh(curve[best])), float(lags[best]), float(p[0]),
        float(coherence), float(p[1]), int(count), len(chance),
    )  # fmt: skip


def _chance(windows: "_Windows", settings: SynchronySettings, least: int) -> Array:
    """Return z and coherence of each surrogate with ``least`` windows.

    Fewer windows vary more by chance alone, hence z is multiplied by the root of their
    number and coherence by their number.
    """
    steps = np.arange(1, settings.shifts + 1) / (settings.shifts + 1)
    shifts = np.unique(np.rint(steps * windows.length).astype(int) % windows.length)
    shifts = shifts[shifts > 0]
    values = (2 * windows.reach + 1) * max(len(windows.starts), 1)
    parts = []
    for part in np.array_split(shifts, 1 + len(shifts) * values // _PART):
        curves, coherences, counts = windows.compare(part, least)
        enough = counts >= least
        count = counts[enough]
        z = curves[enough].max(axis=1) * np.sqrt(count)
        parts.append(np.column_stack([z, coherences[enough] * count]))
    surrogates = np.concatenate(parts)
    if len(surrogates) < _FEWEST_SHIFTS:
        raise ValueError(
            f"{len(surrogates)} of {len(shifts)} shifts in time leave {least} complete "
            f"windows, and chance needs {_FEWEST_SHIFTS}: the records have too many "
            "gaps, or give more --shifts"
        )
    return surrogates


def compare_recordings(
    first: Recording,
    second: Recording,
    people: tuple[str, str] = ("", ""),
    offset: float = 0.0,
    settings: SynchronySettings = SynchronySettings(),
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame], tuple[str, ...]]:
    """Return the synchrony of two people in every measure that both have.

    Parameters
    ----------
    first, second
        Recordings; the same one twice for two people in it.
    people
        Codes of the participants, for recordings of several.
    offset
        Begin of the second recording after that of the first (s).
    settings
        Settings.

    Returns
    -------
    table
        A row per measure, with Holm's correction over all p values of the table.
    tracks
        The compared tracks of each measure, by time since the begin (s).
    notes
        Sentences on what was not compared.

    Raises
    ------
    ValueError
        If no measure can be compared, both codes are the same person's, or a recording
        is of several and no code says whose is compared.
    """
    if people[0] and people[0] == people[1]:
        raise ValueError(f"{people[0]!r} is compared with itself: name two people")
    if first is second and not all(people):
        raise ValueError("one recording is compared with itself: name two people in it")
    both = [
        _tracks(r, p, needs_code=first is second)
        for r, p in zip((first, second), people, strict=True)
    ]
    rows, shown, notes = [], {}, []
    for measure, (_, _, band) in MEASURES.items():
        if any(measure not in tracks for tracks in both):
            notes.append(f"{measure}: not in both records")
            continue
        x, y = both[0][measure], both[1][measure]
        try:
            joint = _aligned(x, y, offset)
            result = synchrony(joint["first"], joint["second"], band, settings)
        except ValueError as error:
            notes.append(f"{measure}: {error}")
            continue
        shown[measure] = joint
        rows.append({"measure": measure, **vars(result)})
    if not rows:
        raise ValueError(f"nothing can be compared: {'; '.join(notes)}")
    table = pd.DataFrame(rows)
    columns = ["correlation_p", "coherence_p"]
    adjusted = holm(table[columns].to_numpy().ravel()).reshape(-1, 2)
    for i, column in enumerate(columns):
        table[f"{column}_holm"] = adjusted[:, i]
    table["provenance"] = LABEL
    return table, shown, tuple(notes)


def holm(p: Array) -> Array:
    """Return p values corrected for their number (Holm, 1979)."""
    order = np.argsort(p)
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


class _Windows:
    """Windows of two tracks; those of the second at every shift in time.

    A circular shift of the second track shows the same windows at other places, hence
    all are prepared once. A window that would hold the seam is missing.
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        settings: SynchronySettings,
        band: tuple[float, float],
    ) -> None:
        self.size, self.length = int(settings.window * RATE), len(x)
        self.reach = int(settings.lag * RATE)
        last = self.length - self.size - self.reach
        self.starts = np.arange(self.reach, last + 1, int(settings.step * RATE))
        if not len(self.starts):
            self.starts = np.zeros(0, int)
        views = np.lib.stride_tricks.sliding_window_view
        long_enough = self.length >= self.size
        every = np.full((self.length, self.size), np.nan)
        if long_enough:
            every[: self.length - self.size + 1] = self._detrended(views(y, self.size))
        mine = np.empty((0, self.size))
        if long_enough and len(self.starts):
            mine = self._detrended(views(x, self.size)[self.starts])
        self._r = np.clip(mine @ every.T, -_CLIP, _CLIP)  # (windows, places)
        taper = np.hanning(self.size)
        frequencies = np.fft.rfftfreq(self.size, 1 / RATE)
        inside = (frequencies >= band[0]) & (frequencies <= band[1])
        self._x = np.fft.rfft(mine * taper, axis=1)[:, inside]
        self._y = np.fft.rfft(every * taper, axis=1)[:, inside]

    def compare(
        self, shifts: npt.NDArray[np.int_], least: int
    ) -> tuple[Array, Array, Array]:
        """Return Fisher's z by shift and lag, coherence and windows by shift.

        At a lag with fewer than ``least`` windows, z is minus infinity.
        """
        lags = np.arange(-self.reach, self.reach + 1)
        rows = np.arange(len(self.starts))
        place = (self.starts - shifts[:, None]) % self.length  # (shifts, windows)
        lagged = (place[:, None, :] + lags[:, None]) % self.length
        r = self._r[rows, lagged]  # (shifts, lags, windows)
        there = np.isfinite(r)
        total = np.where(there, np.arctanh(np.where(there, r, 0.0)), 0.0).sum(axis=2)
        counts = there.sum(axis=2)
        curve = np.where(counts >= least, total / np.maximum(counts, 1), -np.inf)
        a, b = self._x[None], self._y[place]  # (shifts, windows, frequencies)
        complete = np.isfinite(a[..., :1]) & np.isfinite(b[..., :1])
        a, b = np.where(complete, a, 0.0), np.where(complete, b, 0.0)
        cross = np.abs((a * b.conj()).sum(axis=1)) ** 2
        power = (np.abs(a) ** 2).sum(axis=1) * (np.abs(b) ** 2).sum(axis=1)
        biased = np.mean(cross / np.maximum(power, 1e-300), axis=1)
        count = complete[..., 0].sum(axis=1)
        # Chance alone gives 1/count, and shifted tracks have fewer windows.
        coherence = (count * biased - 1) / np.maximum(count - 1, 1)
        return curve, coherence, count

    def _detrended(self, windows: Array) -> Array:
        """Return windows of unit length without mean and trend; NaN if incomplete."""
        trend = np.linspace(-1, 1, self.size)
        trend /= np.sqrt(np.sum(trend**2))
        flat = windows - windows.mean(axis=1, keepdims=True)
        flat -= (flat @ trend)[:, None] * trend
        length = np.sqrt(np.sum(flat**2, axis=1, keepdims=True))
        return np.where(length > 1e-12, flat / np.maximum(length, 1e-12), np.nan)


def _tracks(
    recording: Recording, participant: str, *, needs_code: bool
) -> dict[str, pd.Series]:
    """Return the first track of each measure of a participant, at `RATE`.

    Streams without a code are the participant's too, unless ``needs_code``.
    """
    codes = {participant} if needs_code else {"", participant}
    worn = {i.name for i in recording.infos if i.participant in codes}
    known = {i.participant for i in recording.infos if i.participant}
    if participant and participant not in known:
        raise ValueError(
            f"nobody in the recording is {participant!r}: there is "
            f"{', '.join(sorted(known)) or 'no code'}"
        )
    if not participant and len(known) > 1:
        raise ValueError(
            f"a recording is of {', '.join(sorted(known))}: say with --people whose "
            "signals are compared"
        )
    chosen = Recording(
        {k: v for k, v in recording.streams.items() if not participant or k in worn},
        {k: v for k, v in recording.events.items() if not participant or k in worn},
        (),
        recording.metadata,
    )
    tracks: dict[str, pd.Series] = {}
    for frame in analyze(chosen).signals.values():
        for measure, (kind, column, _) in MEASURES.items():
            if frame.attrs["kind"] == kind and measure not in tracks:
                tracks[measure] = _resampled(frame[column], recording.begin)
    return tracks


def _resampled(track: pd.Series, begin: float) -> pd.Series:
    """Return means of 0.5 s by time since the begin (s); short gaps interpolated."""
    index = np.floor((track.index.to_numpy(float) - begin) * RATE + 1e-6).astype(int)
    means = track.groupby(index).mean()
    means = means.reindex(range(max(int(means.index.max()) + 1, 1)))
    limit = int(_LONGEST_GAP * RATE)
    gap = means.isna()
    length = gap.groupby((~gap).cumsum()).transform("sum")
    filled = means.interpolate(limit_area="inside")
    return filled.where(~gap | (length <= limit))


def _aligned(x: pd.Series, y: pd.Series, offset: float) -> pd.DataFrame:
    """Return both tracks by the time since the begin of the first recording (s).

    They begin and end where both have a value.
    """
    later = y.copy()
    later.index = later.index + round(offset * RATE)
    shared = x.dropna().index.intersection(later.dropna().index)
    if not len(shared):
        raise ValueError("the recordings do not overlap in time: see --offset")
    whole = range(int(shared.min()), int(shared.max()) + 1)
    joint = pd.DataFrame({"first": x.reindex(whole), "second": later.reindex(whole)})
    joint.index = pd.Index(np.array(whole) / RATE, name="time")
    return joint
