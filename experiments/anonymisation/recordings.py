"""Signals of people over sessions, or over halves of one session, anonymised."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from scipy.signal import butter, sosfiltfilt

from experiments.anonymisation import signals
from experiments.anonymisation.attackers import window_features
from experiments.cross_laboratory.feature_windows import WINDOW, plain
from experiments.cross_laboratory.laboratories import (
    DEVICE_RATE,
    WesadBands,
    laboratories,
)
from physio.core.block import Array, Block

WINDOWS: Final = 60
"""Largest number of windows of a session."""

_REST: Final = (300, 900)  # s, the part of an exam that stands for rest
_FIRST: Final = 270  # s, the first rest of the features of stress
_SEGMENT: Final = 60.0  # s, of the spectrum of skin, temperature and heart rate


class Sensor(NamedTuple):
    """A signal of one person and session.

    ``x``, shape (n,); ``rate`` (Hz); ``rest``, its part at rest; ``segment``, of the
    spectrum (s); ``begin``, the time of the first sample (s).
    """

    x: Array
    rate: int
    rest: Array
    segment: float
    begin: float = 0.0


Session = Mapping[str, Sensor]


class Windowed(NamedTuple):
    """Features of windows, shape (n, f), with person and session of each, (n,)."""

    x: Array
    people: Array
    sessions: Array


def exams(root: Path) -> dict[tuple[str, str], Session]:
    """Return the signals of each person and exam; skin conductance as its logarithm."""
    sessions: dict[tuple[str, str], Session] = {}
    with np.load(root / "exam_stress" / "exam_e4.npz", allow_pickle=False) as file:
        names = sorted({tuple(k.split("/")[:2]) for k in file.files})
        for person, exam in names:
            sensors = {}
            for kind, rate in (("EDA", 4), ("TEMP", 4), ("HR", 1)):
                x = file[f"{person}/{exam}/{kind}"].astype(np.float64)
                x = np.log(np.maximum(x, 1e-3)) if kind == "EDA" else x
                rest = x[_REST[0] * rate : _REST[1] * rate]
                sensors[kind] = Sensor(x[_REST[0] * rate :], rate, rest, _SEGMENT)
            sessions[person, exam] = sensors
    return sessions


def eeg(root: Path) -> dict[tuple[str, str], Session]:
    """Return the 19 electrodes of eegmat by person and condition; rest is the rest."""
    sessions: dict[tuple[str, str], Session] = {}
    for path in sorted((root / "eegmat" / "compact128").glob("Subject*.npz")):
        with np.load(path, allow_pickle=False) as file:
            x = file["data"][:, :19] * np.reshape(file["scale_uV"], (-1, 1))[:19]
            rate = int(file["sfreq"])
        for k, condition in enumerate(("rest", "arithmetic")):
            sessions[path.stem, condition] = {
                str(c): Sensor(x[k, c], rate, x[0, c], 2.0) for c in range(19)
            }
    return sessions


def anonymised(
    sessions: Mapping[tuple[str, str], Session], strength: float
) -> dict[tuple[str, str], Session]:
    """Return sessions whose sensors are moved towards the mean of all people."""
    marks = {
        key: {n: signals.signature(s.rest, s.rate, s.segment) for n, s in part.items()}
        for key, part in sessions.items()
    }
    names = next(iter(sessions.values()))
    mean = {n: signals.population([m[n] for m in marks.values()]) for n in names}
    return {
        key: {
            n: s._replace(x=signals.moved(s.x, marks[key][n], mean[n], strength))
            for n, s in part.items()
        }
        for key, part in sessions.items()
    }


def windowed(
    sessions: Mapping[tuple[str, str], Session], seconds: int, most: int
) -> Windowed:
    """Return windows of all sessions: the first ``most`` at equal distances."""
    rows, people, names = [], [], []
    for (person, name), sensors in sessions.items():
        parts = [window_features(s.x, seconds * s.rate) for s in sensors.values()]
        n = min(len(p) for p in parts)
        at = np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.intp))
        x = np.hstack([p[at] for p in parts])
        rows.append(x)
        people += [person] * len(x)
        names += [name] * len(x)
    return Windowed(np.vstack(rows), np.array(people), np.array(names))


def wristbands(root: Path) -> dict[str, dict[tuple[str, str], Session]]:
    """Return skin conductance and the maker's heart rate of the four laboratories.

    By laboratory, person and trial. The rest is the person's first four and a half
    minutes, of which the features of stress are changes.
    """
    by_laboratory = {}
    for dataset in laboratories(root):
        parts: dict[tuple[str, str], Session] = {}
        first: dict[str, Session] = {}
        for trial in sorted(dataset.trials()):
            sensors = dict(_sensors(dataset.load(trial).streams))
            rested = first.setdefault(trial.subject, sensors)
            parts[trial.subject, f"{trial.session}/{trial.trial}"] = {
                n: s._replace(rest=rested[n].rest) for n, s in sensors.items()
            }
        by_laboratory[dataset.name] = parts
    return by_laboratory


def _sensors(streams: Mapping[str, tuple[Block, ...]]) -> Iterator[tuple[str, Sensor]]:
    for kind, name in (("EDA", "e4.eda"), ("HR", DEVICE_RATE)):
        (block,) = streams[name]
        rate = int(block.info.rate)
        x = filled(block.data[:, 0].astype(np.float64))
        x = np.log(np.maximum(x, 1e-3)) if kind == "EDA" else x
        yield kind, Sensor(x, rate, x[: _FIRST * rate], _SEGMENT, float(block.t0))


def pulses(root: Path) -> dict[str, tuple[Array, int]]:
    """Return the pulse wave of each participant of WESAD, 0.5 to 8 Hz, and its rate."""
    waves = {}
    dataset = WesadBands(root / "wesad")
    for trial in dataset.trials():
        (block,) = dataset.load(trial).streams["e4.bvp"]
        rate = int(block.info.rate)
        band = butter(2, (0.5, 8.0), "bandpass", fs=rate, output="sos")
        waves[trial.subject] = sosfiltfilt(band, filled(block.data[:, 0])), rate
    return waves


def pulse_windows(
    waves: Mapping[str, tuple[Array, int]], strength: float, seconds: int
) -> Windowed:
    """Return the mean beat of windows of each half of a recording.

    Beats are given the mean shape and height of all people, in proportion to the
    strength. Features: 16 phases of the mean beat, its height and the beat duration.
    """
    shapes = {p: _beats(x, rate) for p, (x, rate) in waves.items()}
    template = np.mean([s.mean(axis=0) for s, _ in shapes.values()], axis=0)
    height = float(np.mean([h for _, h in shapes.values()]))
    rows, people, halves = [], [], []
    for person, (x, rate) in waves.items():
        moved = signals.reshaped(x, rate, template, height, strength)
        size = seconds * rate
        starts = np.arange(0, len(moved) - size, size)
        for start in starts[:: max(len(starts) // (2 * WINDOWS), 1)]:
            part = moved[start : start + size]
            onsets = signals.beat_times(part, rate)
            beats = signals.beat_shapes(part, onsets, rate)
            if len(beats) < seconds / 3:
                continue
            last = [float(np.ptp(part)), float(np.median(np.diff(onsets)) / rate)]
            rows.append([*beats.mean(axis=0)[::4], *last])
            people.append(person)
            halves.append("1" if start < len(moved) / 2 else "2")
    return Windowed(np.array(rows), np.array(people), np.array(halves))


def _beats(x: Array, rate: int) -> tuple[Array, float]:
    onsets = signals.beat_times(x, rate)
    heights = [np.ptp(x[a:b]) for a, b in pairwise(onsets)]
    return signals.beat_shapes(x, onsets, rate), float(np.median(heights))


def filled(x: Array) -> Array:
    """Return a signal with missing samples interpolated, for a filter."""
    missing = ~np.isfinite(x)
    at = np.arange(len(x))
    return np.interp(at, at[~missing], x[~missing]) if missing.any() else x


def minute(sensors: Session, start: float) -> tuple[float, float, float]:
    """Return slope and activity of skin conductance and heart rate of a minute.

    Parameters
    ----------
    sensors
        ``EDA``, the logarithm of skin conductance, and ``HR``.
    start
        Begin of the minute (s).
    """
    eda, rate = (_cut(sensors[k], start) for k in ("EDA", "HR"))
    per = sensors["EDA"].rate // 4
    x = np.exp(eda)[: len(eda) // per * per].reshape(-1, per).mean(axis=1)
    return *plain(x), float(rate.mean()) if len(rate) > WINDOW / 2 else np.nan


def _cut(sensor: Sensor, start: float) -> Array:
    at = max(round((start - sensor.begin) * sensor.rate), 0)
    return sensor.x[at : at + int(WINDOW) * sensor.rate]
