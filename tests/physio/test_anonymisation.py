"""Anonymised signals: who is hidden by them, and what stays."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from sklearn.metrics import roc_auc_score

from experiments.anonymisation import people, recordings, signals
from experiments.anonymisation.attackers import strongest
from experiments.anonymisation.evaluate import _session_errors
from experiments.anonymisation.recordings import Sensor, Session, Windowed

CHANCE = 5 / 6


Sessions = dict[tuple[str, str], Session]


def least_error(windows: Windowed) -> float:
    """Return the identification error of the strongest attacker."""
    return float(np.mean(list(strongest(_session_errors(windows, 1)).values())))


def error(sessions: Sessions, strength: float) -> float:
    moved = recordings.anonymised(sessions, strength)
    return least_error(recordings.windowed(moved, 60, recordings.WINDOWS))


def skin(n: int, seed: int = 4) -> Sessions:
    """Return skin conductance of people who differ only in how fast SCRs decay."""
    rng = np.random.default_rng(seed)
    t = np.arange(0, 60, 0.25)
    active = people.emotional(people.SECONDS * people.RATE)
    per_sample = np.where(active, 24.0, 12.0) / 60 / people.RATE
    sessions: Sessions = {}
    for person, decay in enumerate(np.geomspace(1, 10, n)):
        scr = np.exp(-t / decay) - np.exp(-t / 0.7)
        scr /= np.sqrt((scr**2).sum())
        for session in ("1", "2"):
            sizes = rng.lognormal(0, 0.3, len(active))
            driver = (rng.random(len(active)) < per_sample) * sizes
            x = np.convolve(driver, scr)[: len(active)]
            x += 0.005 * rng.standard_normal(len(x))
            rest = x[: people.REST * people.RATE]
            sessions[f"P{person}", session] = {
                "signal": Sensor(x, people.RATE, rest, 60.0)
            }
    return sessions


def skin_auc(x: np.ndarray) -> float:
    """Return the AUC of the more active minutes by the mean of a minute."""
    minutes = x.reshape(-1, 60 * people.RATE)
    active = people.emotional(x.size).reshape(minutes.shape)[:, 0]
    return float(roc_auc_score(active, minutes.mean(axis=1)))


def pulses(n: int, seed: int = 4, *, differ: bool) -> dict[str, tuple[np.ndarray, int]]:
    """Return pulse waves of people who differ in nothing but the shape of a beat."""
    rng = np.random.default_rng(seed)
    rate, waves = 32, {}
    for person in range(n):
        size, phase = (rng.uniform(0.1, 0.5), rng.uniform(0, 2)) if differ else (0.3, 1)
        slow = gaussian_filter1d(rng.standard_normal(900 * rate), 5 * rate)
        angle = 2 * np.pi * np.cumsum(1.1 + 0.06 * slow / slow.std()) / rate
        x = np.sin(angle) + size * np.sin(2 * angle + phase)
        waves[f"P{person}"] = x + 0.03 * rng.standard_normal(len(x)), rate
    return waves


def test_people_who_differ_in_spectrum_and_level_are_hidden_at_full_strength() -> None:
    sessions = people.simulated(6, 99)
    original, half, full = (error(sessions, s) for s in (0.0, 0.5, 1.0))
    assert original < 0.3
    assert original < half < full
    assert full > CHANCE - 0.15


def test_people_who_do_not_differ_are_not_identified() -> None:
    sessions = people.simulated(6, 98, signatures=False)
    assert error(sessions, 0.0) > CHANCE - 0.15


def test_people_who_differ_in_time_constants_of_skin_are_mostly_hidden() -> None:
    sessions = skin(5)
    assert error(sessions, 0.0) < 0.3
    assert error(sessions, 1.0) > 4 / 5 - 0.15
    moved = recordings.anonymised(sessions, 1.0)
    for key, part in sessions.items():
        loss = skin_auc(part["signal"].x) - skin_auc(moved[key]["signal"].x)
        assert loss < 0.05


def test_people_who_differ_in_beat_shape_are_hidden() -> None:
    waves = pulses(5, differ=True)
    original, full = (
        least_error(recordings.pulse_windows(waves, s, 30)) for s in (0.0, 1.0)
    )
    assert original < 0.1
    assert full > 4 / 5 - 0.15
    alike = recordings.pulse_windows(pulses(5, differ=False), 0.0, 30)
    assert least_error(alike) > 4 / 5 - 0.15


def test_emotion_stays() -> None:
    sessions = people.simulated(3, 5)
    for part in recordings.anonymised(sessions, 1.0).values():
        x = part["signal"].x
        felt = people.emotional(len(x))
        assert x[felt].std() / x[~felt].std() == pytest.approx(people.EFFECT, rel=0.1)


def test_nothing_changes_at_strength_0() -> None:
    sessions = people.simulated(2, 6)
    for key, part in recordings.anonymised(sessions, 0.0).items():
        assert (part["signal"].x == sessions[key]["signal"].x).all()


def test_beats_keep_their_times_and_get_the_shape_of_the_population() -> None:
    rate = 64
    t = np.arange(60 * rate) / rate
    pulse = np.sin(2 * np.pi * 1.1 * t) + 0.4 * np.sin(4 * np.pi * 1.1 * t + 0.8)
    template = 0.5 - 0.5 * np.cos(np.linspace(0, 2 * np.pi, 64))
    out = signals.reshaped(pulse, rate, template, 1.0, 1.0)
    before, after = (signals.beat_times(x, rate) for x in (pulse, out))
    assert len(before) == len(after)
    assert np.abs(before - after)[1:-1].max() <= 2
    shape = signals.beat_shapes(out, before, rate).mean(axis=0)
    assert np.abs(shape - template).max() < 0.1
