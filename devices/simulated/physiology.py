"""Physiology of a simulated participant: heartbeats, respiration, slow responses."""

from typing import Final, NamedTuple

import numpy as np

from devices.simulated.affect_trajectory import (
    GRID,
    AffectTrajectory,
    TrajectorySegment,
)
from devices.simulated.noise import SEGMENT, Lag, random_stream, rhythm, wander
from devices.simulated.participant import Participant
from physio.core.block import Array

FINE: Final = 25
"""Sampling rate of respiration and heart rate (Hz)."""

_ROWS: Final = SEGMENT * GRID


class PhysiologySegment(NamedTuple):
    """A segment of the physiology; times in seconds since the beginning.

    ``latent``: valence, arousal, dominance, shape (17, 3), at ``times``, 4 Hz, the last
    row being the next segment's first. ``quick``: the same with the autonomic lag of
    3 s. ``slow``: arousal with the lag of the skin conductance level, 25 s;
    ``thermal``: with the lag of skin temperature, 80 s. ``breath``: chest circumference
    at ``fine``, 25 Hz, shape (101,). ``beats``: every beat from the previous to the
    next segment, columns R wave (s), transit time (s), amplitude of the pulse.
    """

    begin: float
    times: Array
    latent: Array
    quick: Array
    slow: Array
    thermal: Array
    fine: Array
    breath: Array
    beats: Array
    course: TrajectorySegment

    def at(self, t: Array, values: Array) -> Array:
        """Return a column of 4 Hz at times ``t``."""
        return np.interp(t, self.times, values)


class _Part(NamedTuple):
    """Values of a segment at 4 Hz, before those at finer times."""

    piece: TrajectorySegment
    table: Array


class Physiology:
    """Autonomic physiology of one participant, generated segment by segment.

    Heart rate (integral pulse frequency modulation): its level, affect, respiratory
    sinus arrhythmia, Mayer waves at about 0.1 Hz, and slow 1/f-like variation from
    three time constants.
    """

    def __init__(self, participant: Participant, course: AffectTrajectory) -> None:
        self._participant, self._course = participant, course
        seed = participant.seed
        self._lags = [Lag(tau, GRID) for tau in (3.0, 25.0, 80.0)]
        self._wander = [
            wander(random_stream(seed, f"heart {tau}"), tau, GRID)
            for tau in (4.0, 40.0, 300.0)
        ]
        self._mayer = rhythm(random_stream(seed, "mayer"), 0.095, 0.02, GRID)
        self._lungs = wander(random_stream(seed, "lungs"), 8.0, GRID, 2)
        self._vessels = wander(random_stream(seed, "vessels"), 20.0, GRID, 2)
        self._phase = self._cycle = 0.0
        self._number = -1
        self._ahead = self._part()
        self._last = np.empty((0, 3))
        self._next = self._live()

    def advance(self) -> PhysiologySegment:
        """Return the next segment."""
        span, beats = self._next, self._next.beats
        self._next = self._live()
        near = [self._last, beats, self._next.beats]
        self._last = beats
        return span._replace(beats=np.concatenate(near))

    def _part(self) -> _Part:
        """Return the next segment at 4 Hz; columns as `_live` names them."""
        piece = self._course.advance()
        traits, effects = self._participant.traits, self._participant.effects
        quick = self._lags[0].follow(piece.rows)
        slow = [lag.follow(piece.rows[:, 1:2])[:, 0] for lag in self._lags[1:]]
        v, a = quick[:, 0], quick[:, 1]
        heart = traits["heart"] + effects["heart.arousal"] * a
        heart += effects["heart.valence"] * v
        for process, sd in zip(self._wander, (0.8, 1.2, 1.6), strict=True):
            heart += sd * process.take(_ROWS)[:, 0]
        heart += traits["mayer"] * self._mayer.take(_ROWS)[:, 0]
        lungs, vessels = self._lungs.take(_ROWS), self._vessels.take(_ROWS)
        rate = traits["breath"] + effects["breath.arousal"] * a + 1.2 * lungs[:, 0]
        columns = [
            *quick.T,
            *slow,
            heart,
            traits["rsa"] * np.exp(effects["rsa.arousal"] * a),
            np.clip(rate, 5.0, 40.0) / 60,
            np.exp(0.2 * lungs[:, 1]),
            traits["transit"]
            + effects["transit.arousal"] * a / 1000
            + 0.004 * vessels[:, 0],
            np.exp(effects["pulse.arousal"] * a + 0.12 * vessels[:, 1]),
        ]
        return _Part(piece, np.column_stack(columns))

    def _live(self) -> PhysiologySegment:
        """Return the next segment, with only its own beats."""
        part, self._ahead = self._ahead, self._part()
        self._number += 1
        begin = float(self._number * SEGMENT)
        times = begin + np.arange(_ROWS + 1) / GRID
        fine = begin + np.arange(SEGMENT * FINE + 1) / FINE
        table = np.vstack([part.table, self._ahead.table[:1]])
        latent = np.vstack([part.piece.rows, self._ahead.piece.rows[:1]])
        columns = [np.interp(fine, times, c) for c in table.T[5:]]
        heart, rsa, rate, depth, transit, pulse = columns
        swing = self._breathe(rate)
        breath = depth * swing
        beats = self._beat(fine, heart + rsa * breath)
        more = [
            np.interp(beats, fine, c) for c in (transit, pulse * (1 - 0.06 * swing))
        ]
        return PhysiologySegment(
            begin,
            times,
            latent,
            table[:, :3],
            table[:, 3],
            table[:, 4],
            fine,
            breath,
            np.column_stack([beats, *more]),
            part.piece,
        )

    def _breathe(self, rate: Array) -> Array:
        """Return the respiration at each fine time, with inspiration faster."""
        steps = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 / FINE)])
        phase = 2 * np.pi * (self._phase + steps)
        self._phase = (self._phase + steps[-1]) % 1.0
        return np.asarray(-np.cos(phase + 0.5 * np.sin(phase)))

    def _beat(self, fine: Array, heart: Array) -> Array:
        """Return the times of heartbeats at a heart rate (1/min)."""
        heart = np.clip(heart, 38.0, 190.0) / 60
        steps = np.concatenate([[0.0], np.cumsum((heart[1:] + heart[:-1]) / 2 / FINE)])
        turns = self._cycle + steps
        self._cycle = turns[-1] % 1.0
        return np.interp(np.arange(1, int(turns[-1]) + 1), turns, fine)
