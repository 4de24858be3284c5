"""Alignment of samples with time stamps and no counter on the grid of their rate."""

from collections import deque
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.timing.clock_model import SETTLE, STEEPEST, slewed
from physio.core.timing.rate_trial import RateTrial

OLDEST: Final = 360.0  # s: 60 s of a buffer, unread while its sender paused for 300 s
NEVER: Final = 1e12  # s (31,700 years): no time
_AHEAD: Final = 0.5  # s by which a stamp may be ahead of the present
_PACKETS: Final = 8  # packets whose size is that of all
_WAITED: Final = 8  # packets of which one is hardly delayed ...
_LONGEST: Final = 0.4  # ... that are waited for at most (s)
_UNKNOWN: Final = 0.02  # jitter and mean delay before they are measured (s)
# In mean delays, as they are where a radio repeats what failed:
_CERTAIN: Final = 22.0  # time in which one packet at least is hardly delayed
_NEVER_LATE: Final = 10.0  # delay that no packet has
_SEVERAL: Final = 20.0  # time whose least delayed sample counts
_ROUGH: Final = 0.15  # error of the least delayed sample
_SUDDEN: Final = 0.2  # delay that no drift explains (s)
_DOUBT: Final = 4.0  # s after which a loss in doubt is estimated
_UNSURE: Final = 0.002  # delay that stamps of packets do not show (s)
_CONTINUES: Final = 0.25  # s after a step of the clock that are no gap, but a delay
_WINDOW: Final = 5.0  # s whose least delayed sample places another clock
_NEAR: Final = 0.6  # share by which a step differs from a period that it shows
_LAG: Final = 0.003  # lag behind a changing start time that is accepted (s)
_SAME: Final = 1e-9  # difference of equal steps (s)
_FOLLOWED: Final = 0.005  # error of a rate that needs no measurement
_FEWEST: Final = 8  # samples that show the unit of another clock ...
_WAIT: Final = 2.0  # ... and how long they are waited for (s)


class PlacedSamples(NamedTuple):
    """Consecutive samples with number and time of the first: see `Block`."""

    start: int
    t0: float
    rows: Array
    stamps: Array


class TimestampAligner:
    """Alignment of samples that carry times, and no counter, on the grid of their rate.

    A sample that is late for its place is held for ``hold`` s or two samples: if a
    later sample is on time, the stamps were only jittered; if none is, samples were
    lost, as many as fit in between. Where packets have long delays, as of a radio, a
    loss is counted once so many packets are late that it cannot be chance: up to 4 s
    after it. In the first 8 to 20 s of such a stream, a slow sender and losses look the
    same: see `RateTrial`; the times follow the stamps, and losses are counted
    afterwards. The least delayed samples determine the start time, and a rate that
    differs by up to 5 % from the nominal one is followed. Where stamps jump back by 1 s
    or more, or beyond the present, their clock was set, and the time of arrival
    determines the size of the step.

    A first sample that is old has waited in a buffer, and its time is kept. Only a time
    that cannot be of the session clock, ahead of the present or older than any buffer,
    is of another clock: the time of arrival then places the stream, and `shift` is the
    correction. Of such a clock, the unit may be milliseconds or less. Times that are no
    finite numbers are replaced by the time of arrival.

    Parameters
    ----------
    rate
        Samples a second (Hz).
    hold
        Time for which a later sample can show that an earlier one was only jittered
        (s): at least the length of the bursts in which samples arrive.
    repeats
        Whether a sample with the stamp and values of the one before is a repetition.
    oldest
        Greatest age of a first sample whose time is of the session clock (s).
    """

    def __init__(
        self,
        rate: float,
        hold: float = 0.1,
        *,
        repeats: bool = True,
        oldest: float = OLDEST,
    ) -> None:
        self.rate, self.repeats, self.oldest = rate, repeats, oldest
        self.hold = max(hold, 1.5 / rate)
        self._enough = min(4, 1 + int(self.hold * rate))
        self._next, self._start, self._stop = 0, 0, 0
        self._correction = 0.0  # correction of the clock of the stamps (s)
        self._target_t0 = np.nan  # start time by the least delayed stamps (s)
        self._slope = 0.0  # its change per sample (s)
        self._current_t0 = np.nan  # start time of the last block (s) ...
        self._shown = 0.0  # ... which is later by losses in doubt (s)
        self._jitter = _UNKNOWN  # jitter of the least delayed stamps (s)
        # Sizes of the newest packets: samples with, nearly, one stamp.
        self._sizes: deque[int] = deque(maxlen=32)
        self._steps: deque[float] = deque(maxlen=256)  # time between them (s)
        self._steady = False  # whether most are equal, as by the sender's clock
        self._packet = 1  # their usual size, 1 if it varies
        self._size, self._before = 0, -np.inf  # of the present one; its newest stamp
        self._regular = 0.0  # share of steps of the stamps that are a period
        # Samples of which the least delayed counts: whole bursts.
        self._period = max(2, round(max(0.25, 1.5 * hold) * rate))
        self._late: list[float] = []  # of the samples of this period
        self._spread = 0.0  # mean delay of packets, beyond the least (s)
        self._since = 0  # samples of this period, those in doubt included
        self._periods = 0
        self._learned = False  # whether the jitter is measured
        self._trial = RateTrial(rate)
        self._came = 0  # samples placed since the trial began
        self._hides_losses = False
        # A loss in doubt: least delay of the samples after it (s), their arrivals, and
        # the number at which it is decided.
        self._doubt, self._doubted, self._decided = np.inf, 0, np.inf
        self._last = -np.inf  # time of the last sample placed
        self._arrival = -np.inf  # time of the last arrival
        self._times, self._stamps = np.empty(0), np.empty(0)
        self._rows: Array | None = None
        self._newest: tuple[float, Array] | None = None
        self.repeated = 0
        """Number of repeated samples."""
        self.shift = 0.0
        """Correction of the first times to their arrival (s), 0 if none was needed."""
        self.unit = 1.0
        """Unit of the times (s)."""
        self._by_arrival = False  # arrivals determine the correction
        self._first_arrival = np.nan
        # Arrival and offset of another clock's least delayed samples, rising.
        self._offsets: deque[tuple[float, float]] = deque()

    @property
    def held(self) -> bool:
        """True while samples without a place are held."""
        return bool(len(self._times))

    def push(
        self, times: Array, stamps: Array, rows: Array, now: float
    ) -> list[PlacedSamples]:
        """Add samples; return those that have a place.

        Parameters
        ----------
        times
            Their times (s, session clock), shape (n,).
        stamps
            Time stamps as the sender wrote them, shape (n,); passed on.
        rows
            The samples, shape (n, channels).
        now
            The time (s, session clock).
        """
        if len(times):
            self._arrival = now
            times = np.where(np.abs(times) < NEVER, times, now)  # NaN too
        new = self._not_repeated(stamps, rows)
        times, stamps, rows = times[new], stamps[new], rows[new]
        self._times = np.concatenate([self._times, times * self.unit])
        self._stamps = np.concatenate([self._stamps, stamps])
        self._rows = rows if self._rows is None else np.vstack([self._rows, rows])
        self._count_packets(times * self.unit)
        if len(times) > 1:
            on_grid = np.abs(np.diff(times) * self.unit * self.rate - 1) < 0.1
            weight = min(len(times) / self.rate, 1.0)
            self._regular += weight * (float(on_grid.mean()) - self._regular)
        if not self._has_begun(now):
            return []
        if len(times):
            self._track(now)
        numbers, doubts = self._number(now)
        placed = self._cut(numbers, doubts)
        n = len(numbers)
        self._times, self._stamps = self._times[n:], self._stamps[n:]
        self._rows = self._rows[n:]
        return placed

    def _not_repeated(self, stamps: Array, rows: Array) -> npt.NDArray[np.bool_]:
        """Return a mask of the samples that do not repeat stamp and values."""
        if not len(stamps) or not self.repeats:
            return np.ones(len(stamps), np.bool_)
        before = self._newest or (np.nan, np.full_like(rows[0], np.nan))
        gone = stamps == np.concatenate([[before[0]], stamps[:-1]])
        earlier = np.vstack([before[1], rows[:-1]])
        for i in np.flatnonzero(gone):
            gone[i] = np.array_equal(rows[i], earlier[i], equal_nan=True)
        self._newest = (float(stamps[-1]), rows[-1])
        self.repeated += int(gone.sum())
        return ~gone

    def _count_packets(self, times: Array) -> None:
        """Count the samples that come at once."""
        for time in times.tolist():
            if 0 <= time - self._before < 0.1 / self.rate:
                self._size += 1
            else:
                if self._size:
                    self._steps.append(time - self._before)
                    self._sizes.append(self._size)
                    self._packet = self._packet_size()
                self._size = 1
            self._before = time
        if len(times) and len(self._steps) >= _PACKETS:
            steps = np.array(self._steps)
            usual = np.median(steps)
            self._steady = bool(np.mean(np.abs(steps - usual) < 0.02 * usual) > 0.5)
            self._measure_period(steps)

    def _measure_period(self, steps: Array) -> None:
        """Take the rate from steps of the stamps, in the first seconds."""
        period = max(self._packet, self._at_once) / self.rate
        if np.mean(np.abs(steps - period) < _SAME) > 0.5:  # spread at this rate
            return
        near = steps[np.abs(steps - period) < _NEAR * period]
        few = len(near) < max(0.7 * len(steps), 2 * _PACKETS)
        if few or self._periods > _PACKETS:
            return
        # Errors of steps that follow each other cancel.
        others = len(steps) - len(near)
        error = float(near.std()) * np.sqrt(1.0 + others) / len(near) / period
        slope = float(near.mean()) / period - 1
        if max(8 * error, _FOLLOWED) < abs(slope) < STEEPEST:
            self._slope = slope / self.rate

    def _packet_size(self) -> int:
        """Return how many samples are sent, and lost, at once; 1 if it varies."""
        if len(self._sizes) < _PACKETS:
            return 1
        sizes = list(self._sizes)
        enough = 0.9 * len(sizes)
        for size in sorted(set(sizes), reverse=True):  # some come together
            if sum(n % size == 0 for n in sizes) >= enough:
                return size
        return 1

    def _has_begun(self, now: float) -> bool:
        """Return whether the start time is known; set it once it is."""
        if not np.isnan(self._target_t0) or not len(self._times):
            return True
        if not now - self.oldest <= self._times[0] <= now + _AHEAD:  # another clock
            if np.isnan(self._first_arrival):
                self._first_arrival = now
            n, waited = len(self._times), now - self._first_arrival
            if n < _FEWEST and waited < _WAIT:
                return False
            self.unit = clock_unit(self._times, self.rate)
            self._times *= self.unit
            self._correction = self.shift = float(now - self._times[-1])
            self._by_arrival = True
            corrected = self._times + self._correction
            if corrected.min() < now - self.oldest or corrected.max() > now + _AHEAD:
                self._times = self._times[-1] - np.arange(n)[::-1] / self.rate
        self._target_t0 = float(self._times[0]) + self._correction
        return True

    def _track(self, now: float) -> None:
        """Follow the least delayed samples of another clock."""
        if not self._by_arrival:
            return
        offset = now - float(self._times[-1])
        while self._offsets and self._offsets[-1][1] >= offset:
            self._offsets.pop()
        self._offsets.append((now, offset))
        while self._offsets[0][0] < now - _WINDOW:
            self._offsets.popleft()
        by = self._offsets[0][1] - self._correction
        if abs(by) < _CONTINUES:  # else its clock is set: see `_number`
            self._correction += by
            self._target_t0 += by

    def _number(self, now: float) -> tuple[list[int], list[float]]:
        """Return number and doubt of each sample that has a place.

        The doubt is the time of losses that may have been before it (s).
        """
        numbers: list[int] = []
        doubts: list[float] = []
        hold = self._hold
        trusted = 0  # samples before this one have their place
        for i, time in enumerate(self._times.tolist()):
            late = time + self._correction - self._target_t0 - self._next / self.rate
            most = self._tolerance
            if late <= -1.0 or (late > most and time + self._correction > now + _AHEAD):
                was, self._correction = self._correction, float(now - self._times[-1])
                late += self._correction - was
                continues = abs(late) < _CONTINUES
                if continues:
                    self._correction, late = self._correction - late, 0.0
                elif late < -1.0:  # its stamp shows nothing
                    late = 0.0
                self._by_arrival = not continues
                self._offsets.clear()
                self._restart_trial()
                trusted = i
            if late <= most:
                self._doubt = self._decided = np.inf
            elif self._doubt < np.inf:
                self._doubt = min(self._doubt, late)
                self._doubted += time - self._last > 0.1 / self.rate
                late -= self._lose(self._doubt, self._doubted)
            elif i >= trusted:
                least, trusted = self._least(i, most)
                if least > most:
                    known = (self._times[i:] > time + hold).any()
                    since = max(time + self._correction, self._arrival)
                    if not known and now - since <= hold + 0.2:
                        break
                    late -= self._lose(least, self._arrivals(i, time + hold))
            self._last = time
            numbers.append(self._next)
            unsure = self._doubt - _ROUGH * self._spread
            doubts.append(
                max(unsure, 0.0) if self._delayed and self._doubt < np.inf else 0.0
            )
            moved = self._try_rate(time + self._correction)
            self._follow(0.0 if moved else late)
        return numbers, doubts

    @property
    def _on_trial(self) -> bool:
        """True while a slow sender could be taken for one that loses samples.

        So it is where delays are so long that a lost packet does not show at once.
        """
        return self._hides_losses and not self._trial.decided

    def _restart_trial(self) -> None:
        self._trial.restart()
        self._came = 0

    def _try_rate(self, time: float) -> bool:
        """Add the time of a sample (s) to the trial; return if it sets the start."""
        trial = self._trial
        if trial.decided:
            return False
        late = time - self._came / self.rate
        self._came += 1
        if not trial.push(late, self._packet):
            return False
        hides = not self._steady and 2 * self._spread > self._packet / self.rate
        if not self._hides_losses and not (hides and not trial.decided):
            return False
        if not self._hides_losses:
            self._hides_losses, self._doubt, self._decided = True, np.inf, np.inf
        several = _SEVERAL * self._spread
        drift, now = trial.line(several)
        placed = (self._next + 1 - self._came) / self.rate
        self._target_t0 = now - placed
        self._slope = drift / self.rate
        if not trial.decided:
            return True
        self._late.clear()
        self._slope = trial.drift / self.rate
        if trial.drift:
            self._jitter, self._learned = max(self._jitter, trial.noise), True
            return True
        first, newest = trial.ends(several)
        unit = self._packet / self.rate  # what is not certain is counted as always
        fallen = min(newest - first, trial.moved)  # few packets are in either end
        sure = fallen - (_ROUGH if trial.falls_behind else 4.0) * self._spread
        lost = max(int(sure / unit), 0)
        self._next += lost * self._packet
        self._target_t0 = min(first, newest) - placed
        self._current_t0 -= lost * unit
        self._shown += lost * unit
        return True

    def _arrivals(self, i: int, until: float) -> int:
        """Return at how many times the samples from i to a time arrived."""
        times = self._times[i:]
        return 1 + int((np.diff(times[times <= until]) > 0.1 / self.rate).sum())

    def _lose(self, least: float, arrivals: int) -> float:
        """Count packets as lost: those that are certain to be missing.

        If delays can explain the rest, it is in doubt until one packet is on time, or
        until so many are late that none would be by chance.

        Parameters
        ----------
        least
            Least delay of the newest samples (s).
        arrivals
            Number of different times at which they arrived.

        Returns
        -------
        float
            The time of the packets (s).
        """
        size = self._packet
        packets = least * self.rate / size
        whole = max(1, round(packets))
        spread = self._spread if self._periods else max(self._delay, _UNKNOWN)
        waited = self._next >= self._decided
        evidence = arrivals * size / self.rate * (packets - whole + 1)
        certain = self._steady or (
            not self._on_trial
            and len(self._sizes) >= _PACKETS
            and max(evidence, self.hold) >= _CERTAIN * spread
        )
        if not certain:  # at least those that no delay explains
            delay = _NEVER_LATE if self._periods else np.inf
            if waited:
                delay = min(_NEVER_LATE, 2 * _CERTAIN / arrivals)
            whole = int(max(packets - delay * spread * self.rate / size, 0.0))
        lost = size * whole
        if self._on_trial:
            sudden = least > _SUDDEN + _NEVER_LATE * spread
            lost = size * round(packets) if sudden else 0
            if lost:
                self._restart_trial()
        self._next += lost
        if self._on_trial:
            return lost / self.rate
        if certain or waited:
            self._doubt = self._decided = np.inf
        elif self._doubt == np.inf:
            self._decided = self._next + _DOUBT * self.rate
            self._doubted, self._doubt = 1, least
        self._doubt -= lost / self.rate
        return lost / self.rate

    @property
    def _hold(self) -> float:
        """Time for which later samples are waited for (s): some packets."""
        packet, hold = self._packet, self.hold
        if packet > 1:
            hold = max(hold, min(_WAITED * packet / self.rate, _LONGEST))
        delay = _CERTAIN * self._spread if self._delayed else 0.0
        return max(hold, min(delay, _LONGEST))

    @property
    def _delayed(self) -> bool:
        """True if packets have delays longer than those waited for anyway."""
        return not self._steady and _CERTAIN * self._spread > self.hold

    @property
    def _tolerance(self) -> float:
        """Delay of a sample that is no loss (s).

        Stamps that are no grid, as those of packets, do not show single samples.
        """
        floor = 0.6 / self.rate
        if self._regular < 0.5:
            floor = max(floor, _UNSURE)
        packet, share, rough = self._packet / self.rate, 0.6, 0.0
        if self._delayed:
            share, rough = 0.75, _ROUGH * self._spread
        return max(floor + max(2 * self._jitter, rough), share * packet)

    def _least(self, i: int, most: float) -> tuple[float, int]:
        """Return the delay of the first sample from i on that is on time.

        If none is, it is the least delay. The second value is the index of the sample
        after that one.
        """
        after = np.flatnonzero(self._times[i:] > self._times[i] + self._hold)
        stop = i + int(after[0]) if len(after) else len(self._times)
        places = self._next + np.arange(stop - i)
        late = (
            self._times[i:stop]
            + self._correction
            - self._target_t0
            - places / self.rate
        )
        if len(after) and len(late) < self._enough and late[0] <= self._hold:
            return 0.0, i + 1  # a gap follows: too few samples to decide
        caught = np.flatnonzero(late <= most)
        j = int(caught[0]) if len(caught) else int(np.argmin(late))
        return float(late[j]), i + j + 1

    def _follow(self, late: float) -> None:
        """Update the start time and its jitter from the delay of a sample."""
        self._next += 1
        self._target_t0 += self._slope
        self._since += 1
        if self._doubt == np.inf or not self._periods:
            self._late.append(late)
        enough, long = self._period, self._delayed
        if not self._steady:
            several = _SEVERAL * self._spread * self.rate if long else 0.0
            enough = max(enough, round(several), _PACKETS * self._at_once)
        if len(self._late) < enough:
            return
        least = min(self._late)
        if self._on_trial:
            least = 0.0  # see `_try_rate`
        elif long and least > self._tolerance:  # none of them shows it
            self._late.clear()
            return
        period, self._since = self._since, 0
        self._periods += 1
        share = min(len(self._late) / (4.0 * self.rate), 1.0)
        grown = self._delay - self._spread  # by the drift too, in a trial
        if grown < 0 or not self._on_trial or self._periods < 3:
            self._spread += max(share, 1 / self._periods) * grown
        self._late.clear()
        gain = 0.2 if long and least > 0 else 0.5
        self._target_t0 += least * max(gain, 1 / self._periods)
        if self._periods > 4:
            steepest = STEEPEST / self.rate
            self._slope += 0.05 * least / period
            self._slope = min(max(self._slope, -steepest), steepest)
        early = -least if self._periods > 1 else 0.0
        fade = max(1 - period / ((10.0 if long else 30.0) * self.rate), 0.0)
        if not self._learned and self._periods >= (2 if long else 4):
            fade, self._learned = 0.0, True
        self._jitter = max(self._jitter * fade, early)

    @property
    def _at_once(self) -> int:
        """Size of packets, or of the smallest so far."""
        if len(self._sizes) >= _PACKETS:
            return self._packet
        return min(self._sizes, default=self._size)

    @property
    def _delay(self) -> float:
        """Mean delay of the packets of this period, beyond the least (s)."""
        if not self._late:
            return 0.0
        mean = sum(self._late) / len(self._late)
        inside = (self._at_once - 1) / 2 / self.rate  # the first waits for the last
        return max(mean - min(self._late) - inside, 0.0)

    def _cut(self, numbers: list[int], doubts: list[float]) -> list[PlacedSamples]:
        if not numbers or self._rows is None:
            return []
        jumps = np.flatnonzero(np.diff(numbers) > 1) + 1
        if np.isnan(self._current_t0):
            self._current_t0 = self._target_t0
        lag = self._slope * self.rate * SETTLE
        ahead = lag - min(max(lag, -_LAG), _LAG)  # noise of a small slope does no good
        if self._target_t0 + ahead < self._current_t0 - 1 / self.rate:
            # A block moves back by half a period at most: many short ones are needed.
            short = np.arange(0, len(numbers), round(0.5 / STEEPEST))
            jumps = np.union1d(jumps, short[1:])
        placed = []
        for part in np.split(np.arange(len(numbers)), jumps):
            a, b = int(part[0]), int(part[-1]) + 1
            moved = numbers[a] - self._start
            gap = numbers[a] - self._stop
            back = self._shown - (gap + 0.4) / self.rate  # and time goes on
            self._shown = max(doubts[a], back)
            self._start, self._stop = numbers[a], numbers[b - 1] + 1
            self._current_t0 = slewed(
                self._current_t0, self._target_t0 + ahead, moved, self.rate
            )
            data = np.ascontiguousarray(self._rows[a:b])
            t0 = self._current_t0 + self._shown
            placed.append(PlacedSamples(self._start, t0, data, self._stamps[a:b]))
        return placed


def clock_unit(stamps: Array, rate: float) -> float:
    """Return the unit of time stamps (s): 1, or 1e-3, 1e-6 or 1e-9.

    Parameters
    ----------
    stamps
        Stamps of consecutive samples, shape (n,).
    rate
        Their rate (Hz).
    """
    if len(stamps) < _FEWEST:
        return 1.0
    reach = len(stamps) // 2
    step = float(np.median(stamps[reach:] - stamps[:-reach])) / reach * rate
    return next((f for f in (1e-3, 1e-6, 1e-9) if 0.5 < step * f < 2), 1.0)
