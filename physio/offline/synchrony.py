"""Synchrony of two people: windowed cross-correlation and coherence, exploratory.

Chance is what remains when the record of one person is shifted in time: the signals
keep their own slowness and variation, and lose only the relation in time.
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
_SHORTEST: Final = 4  # windows


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
        Number of surrogates, each with a random shift in time.
    seed
        Seed of the shifts.
    """

    window: float = 60.0
    step: float = 30.0
    lag: float = 5.0
    shifts: int = 500
    seed: int = 1

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
    """

    correlation: float
    lag: float
    correlation_p: float
    coherence: float
    coherence_p: float
    windows: int


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
        If fewer than 4 windows are complete.

    Notes
    -----
    Each window has no mean and no linear trend. Correlations are averaged as Fisher's z
    (Boker et al., 2002, without peak picking). The surrogates are circular shifts of
    the second track by at least one window; the seam counts as missing.
    """
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    n, least = len(x), int(settings.window * RATE)
    if len(y) != n:
        raise ValueError(f"the tracks have {n} and {len(y)} samples: align them first")
    windows = _Windows(x, y, settings, band)
    curve, coherence, count = (part[0] for part in windows.compare(np.zeros(1, int)))
    if count < _SHORTEST:
        raise ValueError(
            f"{count} windows of {settings.window:g} s are complete in both records, "
            f"and a synchrony needs {_SHORTEST}: use longer records or shorter windows"
        )
    rng = np.random.default_rng(settings.seed)
    shifts = rng.integers(least, n - least + 1, settings.shifts)
    curves, coherences, _ = windows.compare(shifts)
    best = int(np.argmax(curve))
    observed = np.array([curve[best], coherence])
    chance = np.column_stack([curves.max(axis=1), coherences])
    p = (1 + np.sum(chance >= observed - 1e-12, axis=0)) / (1 + settings.shifts)
    lags = np.arange(-windows.reach, windows.reach + 1) / RATE
    return Synchrony(
        float(np.tanh(curve[best])), float(lags[best]), float(p[0]),
        float(coherence), float(p[1]), int(count),
    )  # fmt: skip


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
        If no measure can be compared.
    """
    both = [_tracks(r, p) for r, p in zip((first, second), people, strict=True)]
    rows, shown, notes = [], {}, []
    for measure, (_, _, band) in MEASURES.items():
        if any(measure not in tracks for tracks in both):
            notes.append(f"{measure}: not in both records")
            continue
        x, y = both[0][measure], both[1][measure]
        joint = _aligned(x, y, offset)
        try:
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
        self.size, self._n = int(settings.window * RATE), len(x)
        self.reach = int(settings.lag * RATE)
        last = self._n - self.size - self.reach
        self.starts = np.arange(self.reach, last + 1, int(settings.step * RATE))
        if not len(self.starts):
            self.starts = np.zeros(0, int)
        views = np.lib.stride_tricks.sliding_window_view
        long_enough = self._n >= self.size
        every = np.full((self._n, self.size), np.nan)
        if long_enough:
            every[: self._n - self.size + 1] = self._detrended(views(y, self.size))
        mine = np.empty((0, self.size))
        if long_enough and len(self.starts):
            mine = self._detrended(views(x, self.size)[self.starts])
        self._r = np.clip(mine @ every.T, -_CLIP, _CLIP)  # (windows, places)
        taper = np.hanning(self.size)
        frequencies = np.fft.rfftfreq(self.size, 1 / RATE)
        inside = (frequencies >= band[0]) & (frequencies <= band[1])
        self._x = np.fft.rfft(mine * taper, axis=1)[:, inside]
        self._y = np.fft.rfft(every * taper, axis=1)[:, inside]

    def compare(self, shifts: npt.NDArray[np.int_]) -> tuple[Array, Array, Array]:
        """Return Fisher's z by shift and lag, coherence and windows by shift."""
        lags = np.arange(-self.reach, self.reach + 1)
        rows = np.arange(len(self.starts))
        place = (self.starts - shifts[:, None]) % self._n  # (shifts, windows)
        lagged = (place[:, None, :] + lags[:, None]) % self._n
        r = self._r[rows, lagged]  # (shifts, lags, windows)
        there = np.isfinite(r)
        total = np.where(there, np.arctanh(np.where(there, r, 0.0)), 0.0).sum(axis=2)
        curve = total / np.maximum(there.sum(axis=2), 1)
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


def _tracks(recording: Recording, participant: str) -> dict[str, pd.Series]:
    """Return the first track of each measure of a participant, at `RATE`."""
    worn = {i.name for i in recording.infos if i.participant in {"", participant}}
    known = {i.participant for i in recording.infos if i.participant}
    if participant and participant not in known:
        raise ValueError(
            f"nobody in the recording is {participant!r}: there is "
            f"{', '.join(sorted(known)) or 'no code'}"
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
    """Return both tracks by the time since the begin of the first recording (s)."""
    later = y.copy()
    later.index = later.index + round(offset * RATE)
    joint = pd.DataFrame({"first": x, "second": later}).dropna(how="all")
    if not len(joint):
        return joint
    whole = range(int(joint.index.min()), int(joint.index.max()) + 1)
    joint = joint.reindex(whole)
    joint.index = pd.Index(np.array(whole) / RATE, name="time")
    inside = joint.notna().all(axis=1).to_numpy()
    rows = np.flatnonzero(inside).tolist()
    return joint.iloc[rows[0] : rows[-1] + 1] if rows else joint.iloc[:0]
