"""Anonymised signals: who is hidden by them, and what stays."""

import numpy as np
import pytest

from experiments.anonymisation import people, recordings, signals
from experiments.anonymisation.attackers import strongest
from experiments.anonymisation.evaluate import _session_errors

CHANCE = 5 / 6


def error(sessions: dict, strength: float) -> float:
    moved = recordings.anonymised(sessions, strength)
    windows = recordings.windowed(moved, 60, recordings.WINDOWS)
    return float(np.mean(list(strongest(_session_errors(windows, 1)).values())))


def test_people_who_differ_in_spectrum_and_level_are_hidden_at_full_strength() -> None:
    sessions = people.simulated(6, 99)
    original, half, full = (error(sessions, s) for s in (0.0, 0.5, 1.0))
    assert original < 0.3
    assert original < half < full
    assert full > CHANCE - 0.15


def test_people_who_do_not_differ_are_not_identified() -> None:
    sessions = people.simulated(6, 98, signatures=False)
    assert error(sessions, 0.0) > CHANCE - 0.15


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
