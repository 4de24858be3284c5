"""Minutes of a wristband's sensors, relative to the first minutes of the person."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.cross_laboratory.laboratories import DEVICE_RATE, laboratories
from experiments.cross_laboratory.person_changes import first_rest
from physio.core.block import Array
from physio.core.recording import Recording
from physio.features.eda.decomposition import decompose

SECONDS: Final = 60
RATES: Final = {"skin": 4, "heart": 1, "temperature": 1, "motion": 1}
"""Samples a second (Hz) of each sensor."""

CHANNELS: Final = {"skin": 3, "heart": 1, "temperature": 1, "motion": 1}
"""Channels of each sensor; those of the skin are raw, phasic and tonic."""

EXAMS: Final = "exam stress"
_STREAMS: Final = {
    "skin": "e4.eda",
    "heart": DEVICE_RATE,
    "temperature": "e4.temp",
    "motion": "e4.acc",
}
_SCALES: Final = {"heart": 10.0, "temperature": 1.0, "motion": 1.0}
_LOG_SCALE, _PHASIC_SCALE, _CLIP = 0.5, 0.2, 5.0
_LEAST: Final = 0.5  # share of a minute that must be present
_FLOOR: Final = 1e-2  # uS
_STRETCH: Final = 600.0  # s of a recording that count as one trial
_FIRST: Final = 5  # minutes of a recording to which its others are relative

Texts = npt.NDArray[np.str_]


class Track(NamedTuple):
    """Samples of a sensor, shape (n, channels), their rate (Hz) and begin (s)."""

    data: Array
    rate: float
    begin: float


@dataclass(frozen=True, eq=False)
class Minutes:
    """Minutes of several people.

    Parameters
    ----------
    laboratory, person, trial
        Names, shape (n,).
    signals
        Samples of each sensor, shape (n, channels, samples), float32, NaN where a
        sensor is absent.
    """

    laboratory: Texts
    person: Texts
    trial: Texts
    signals: dict[str, Array]

    def __len__(self) -> int:
        """Return the number of minutes."""
        return len(self.person)

    def take(self, rows: Any) -> Self:
        """Return some minutes."""
        signals = {k: x[rows] for k, x in self.signals.items()}
        names = (self.laboratory[rows], self.person[rows], self.trial[rows])
        return type(self)(*names, signals)

    def present(self, sensor: str) -> npt.NDArray[np.bool_]:
        """Return in which minutes a sensor is present, shape (n,)."""
        return np.isfinite(self.signals[sensor][:, 0, 0])

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the minutes of several parts."""
        signals = {k: np.concatenate([p.signals[k] for p in parts]) for k in RATES}
        return cls(
            np.concatenate([p.laboratory for p in parts]),
            np.concatenate([p.person for p in parts]),
            np.concatenate([p.trial for p in parts]),
            signals,
        )


def read(
    root: Path, table: pd.DataFrame, pretrain: Sequence[str]
) -> tuple[Minutes, dict[str, Minutes]]:
    """Return labelled minutes, and all minutes of some laboratories without labels.

    Parameters
    ----------
    root
        Folder with the four laboratories, and with ``exam_stress``.
    table
        Windows of a minute: see `experiments.cross_laboratory.feature_windows`.
    pretrain
        Laboratories whose whole recordings are wanted; `EXAMS` may be one.

    Returns
    -------
    Minutes, dict of Minutes
        The minute of each row of the table, relative to the person's first rest, and
        the others by laboratory: see `unlabelled`.
    """
    place = {s: np.full((len(table), *_shape(s)), np.nan) for s in RATES}
    keys = table[["subject", "session", "trial"]].astype(str).agg("\x1f".join, axis=1)
    starts = table["start_s"].to_numpy(np.float64)
    parts: dict[str, list[Minutes]] = {}
    for dataset in laboratories(root):
        rows = (table["dataset"] == dataset.name).to_numpy()
        for trial in dataset.trials() if rows.any() else ():
            tracks = tracks_of(dataset.load(trial))
            at = np.flatnonzero(rows & (keys == "\x1f".join(trial)).to_numpy())
            if len(at):
                for sensor, x in raw_minutes(tracks, starts[at]).items():
                    place[sensor][at] = x
            if dataset.name in pretrain:
                name = (f"{dataset.name} {trial.subject}", "/".join(trial))
                parts.setdefault(dataset.name, []).append(
                    unlabelled(tracks, dataset.name, *name)
                )
    if EXAMS in pretrain:
        parts[EXAMS] = [unlabelled(t, EXAMS, p, r) for p, r, t in _exams(root)]
    person = (table["dataset"] + " " + table["subject"]).to_numpy(np.str_)
    signals = relative(place, person, first_rest(table))
    lab = table["dataset"].to_numpy(np.str_)
    joined = {name: Minutes.joined(p) for name, p in parts.items()}
    return Minutes(lab, person, person, signals), joined


def unlabelled(
    tracks: Mapping[str, Track], laboratory: str, person: str, recording: str
) -> Minutes:
    """Return the minutes of a recording, one after the other.

    They are relative to the first five minutes of the recording, and ten minutes of a
    recording are a trial.
    """
    skin = tracks["skin"]
    end = skin.begin + len(skin.data) / skin.rate
    starts = np.arange(skin.begin, end - SECONDS, SECONDS, dtype=np.float64)
    stretch = ((starts - skin.begin) // _STRETCH).astype(int)
    n = len(starts)
    signals = relative(
        raw_minutes(tracks, starts), np.full(n, recording), np.arange(n) < _FIRST
    )
    trial = np.array([f"{person} {recording} {k}" for k in stretch], np.str_)
    return Minutes(np.full(n, laboratory), np.full(n, person), trial, signals)


def _exams(root: Path) -> Iterator[tuple[str, str, dict[str, Track]]]:
    """Yield person, recording and tracks of each exam."""
    with np.load(root / "exam_stress" / "exam_e4.npz", allow_pickle=False) as file:
        for name in dict.fromkeys(k.rpartition("/")[0] for k in file.files):
            parts = {k: file[f"{name}/{k}"] for k in ("EDA", "HR", "TEMP")}
            clocks = {k: file[f"{name}/{k}_t0_fs"] for k in parts}
            tracks = {
                s: Track(parts[k][:, None], clocks[k][1], clocks[k][0])
                for s, k in zip(RATES, ("EDA", "HR", "TEMP"), strict=False)
            }
            yield f"{EXAMS} {name.partition('/')[0]}", name, tracks


def tracks_of(recording: Recording) -> dict[str, Track]:
    """Return the wristband's sensors of a recording."""
    return {
        sensor: Track(b.data, float(b.info.rate), float(b.t0))
        for sensor, name in _STREAMS.items()
        for b in recording.streams.get(name, ())[:1]
    }


def _shape(sensor: str) -> tuple[int, int]:
    return CHANNELS[sensor], SECONDS * RATES[sensor]


def raw_minutes(tracks: Mapping[str, Track], starts: Array) -> dict[str, Array]:
    """Return each sensor's minutes in its own unit, NaN where one is absent.

    The skin's channels are conductance, phasic part and tonic level (uS) of the minute
    alone; movement is the logarithm of the deviation within each second.
    """
    out = {s: np.full((len(starts), *_shape(s)), np.nan) for s in RATES}
    for sensor, track in tracks.items():
        pace = round(track.rate)
        for k, start in enumerate(starts):
            at = round((start - track.begin) * pace)
            x = track.data[max(at, 0) : at + SECONDS * pace]
            if at < 0 or len(x) < SECONDS * pace:
                continue
            out[sensor][k] = _resampled(x, pace, sensor)
    skin = out["skin"]
    for k in np.flatnonzero(np.isfinite(skin[:, 0, 0])).tolist():
        parts = decompose(np.maximum(skin[k, 0], 0), RATES["skin"], tolerance=1e-4)
        skin[k] = skin[k, 0], parts.phasic, parts.tonic
    return out


def _resampled(x: Array, rate: int, sensor: str) -> Array:
    """Return a minute of a track, (samples, channels), at the rate of its sensor."""
    pieces = x.reshape(SECONDS * RATES[sensor], rate // RATES[sensor], -1)
    if sensor == "motion":
        size = np.sqrt(np.square(pieces, dtype=np.float64).sum(axis=-1))
        mean = float(size.mean()) or 1.0  # about 1 g, in the unit of the device
        return filled(np.log(size.std(axis=1) / mean + 1e-3))
    return filled(pieces[:, :, 0].mean(axis=1))


def filled(x: Array) -> Array:
    """Return a minute with short gaps interpolated; all NaN if half of it lacks."""
    known = np.isfinite(x)
    if known.mean() < _LEAST:
        return np.full(len(x), np.nan)
    at = np.arange(len(x))
    return np.interp(at, at[known], x[known])


def relative(raw: Mapping[str, Array], whose: Texts, first: Any) -> dict[str, Array]:
    """Return minutes relative to the first ones of each person or recording.

    Conductance and tonic level are differences of logarithms, the phasic part is
    divided by the level, all else are differences. A sensor that the first minutes
    lack is absent.

    Parameters
    ----------
    raw
        Minutes as `raw_minutes` returns them.
    whose
        Person or recording of each minute, shape (n,).
    first
        Mask of the minutes to which the others are relative, shape (n,).
    """
    out: dict[str, Any] = {
        s: np.full(x.shape, np.nan, np.float32) for s, x in raw.items()
    }
    for name in dict.fromkeys(whose.tolist()):
        rows = whose == name
        for sensor, x in raw.items():
            given = x[rows & first]
            given = given[np.isfinite(given[:, 0, 0])]
            if not len(given):
                continue
            if sensor == "skin":
                level = np.log(np.maximum(given[:, 0], _FLOOR)).mean()
                scaled = _skin(x[rows], float(level))
            else:
                scaled = (x[rows] - given.mean()) / _SCALES[sensor]
            out[sensor][rows] = np.clip(scaled, -_CLIP, _CLIP)
    return out


def _skin(x: Array, level: float) -> Array:
    raw, tonic = (np.log(np.maximum(x[:, i], _FLOOR)) - level for i in (0, 2))
    phasic = x[:, 1] / np.exp(level)
    scaled = (raw / _LOG_SCALE, phasic / _PHASIC_SCALE, tonic / _LOG_SCALE)
    return np.stack(scaled, axis=1)
