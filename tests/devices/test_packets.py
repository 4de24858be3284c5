"""Packets of an EmotiBit: rows that share a number and a time of arrival."""

from typing import Any

import numpy as np
import pytest

from devices.board.emotibit_packets import Packets
from devices.board.presets import board_presets
from physio.core.block import Array, Block

RATE = 25.0


class Sent:
    """Rows as BrainFlow has them: packets of 3 to 9 rows, 0 to ``late`` s under way."""

    def __init__(self, seconds: float, late: float = 0.08, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.number: list[int] = []
        self.counts: list[int] = []
        self.stamps: list[float] = []
        self.ends = [0]
        count, n = 65_400, 0  # it goes round after some seconds
        while n < seconds * RATE:
            size = int(rng.integers(3, 10))
            count += int(rng.integers(8, 20))  # of all that it sends, of every kind
            arrived = (n + size - 1) / RATE + rng.uniform(0.0, late)
            arrived = max(arrived, self.stamps[-1] if self.stamps else 0.0)
            for i in range(size):
                self.number.append(n + i)
                self.counts.append(count % 65_536)
                self.stamps.append(arrived + i * 1e-6)
            n += size
            self.ends.append(n)

    def packet(self, k: int) -> range:
        return range(self.ends[k], self.ends[k + 1])


def placed(
    sent: Sent, order: list[int], again: tuple[range, ...] = (), every: float = 0.02
) -> tuple[Any, ...]:
    """Fetch rows every 20 ms by their stamps, wherever that cuts a packet."""
    packets = Packets(RATE)
    number, counts = np.array(sent.number)[order], np.array(sent.counts)[order]
    stamps: Array = np.array(sent.stamps)[order]
    for packet in again:  # its second coming is 20 ms after what was there before
        rows = np.flatnonzero(np.isin(number, packet))[len(packet) :]
        stamps[rows] = stamps[rows[0] - 1] + 0.02 + 1e-6 * np.arange(len(packet))
    at = np.maximum.accumulate(stamps)
    times, values, starts, now = [], [], [], 0.0
    while now < at[-1] + 2.0:
        now += every
        here = (at <= now) & (at > now - every)
        rows = number[here].astype(np.float64)[:, None]
        for p in packets.push(counts[here], stamps[here], stamps[here], rows, now):
            times.append(p.t0 + (p.start + np.arange(len(p.rows))) / RATE)
            values.append(p.rows[:, 0])
            starts.append(p.start + np.arange(len(p.rows)))
    return packets, *map(np.concatenate, (times, values, starts))


def rows(*packets: range) -> list[int]:
    return [n for packet in packets for n in packet]


def test_rows_are_as_far_apart_as_they_were_taken() -> None:
    sent = Sent(120.0)
    packets, times, values, starts = placed(sent, list(range(sent.ends[-1])))
    np.testing.assert_array_equal(values, starts)
    wrong = times - values / RATE
    # Packets are up to 80 ms under way: once it has settled, a quarter of that.
    assert np.abs(wrong[values > 20 * RATE]).max() < 0.02
    assert (packets.repeated, packets.late) == (0, 0)


def test_a_packet_cut_in_two_by_a_reading_is_one() -> None:
    sent = Sent(30.0)
    packets = Packets(RATE)
    values: list[Array] = []
    for k in range(len(sent.ends) - 1):
        for part in (list(sent.packet(k))[:2], list(sent.packet(k))[2:]):
            counts, stamps = np.array(sent.counts)[part], np.array(sent.stamps)[part]
            numbers = np.array(part, np.float64)[:, None]
            now = float(stamps[-1])
            found = packets.push(counts, stamps, stamps, numbers, now)
            values += [p.rows[:, 0] for p in found]
    got = np.concatenate(values)
    np.testing.assert_array_equal(got, np.arange(len(got)))
    assert len(got) > 29 * RATE


def test_packets_that_come_twice_or_are_overtaken_are_counted() -> None:
    sent = Sent(60.0)
    each = [sent.packet(k) for k in range(len(sent.ends) - 1)]
    order = rows(*each[:20], each[19], *each[20:40], each[35], *each[40:])
    packets, _, values, starts = placed(sent, order, (each[19], each[35]))
    assert packets.repeated == len(each[19]) + len(each[35])
    np.testing.assert_array_equal(values, starts)


@pytest.mark.parametrize("gap", [1, 7, 60])
def test_a_gap_is_as_long_as_it_was(gap: int) -> None:
    sent = Sent(90.0)
    each = [sent.packet(k) for k in range(len(sent.ends) - 1)]
    order = rows(*each[:150], *each[150 + gap :])
    _, times, values, starts = placed(sent, order)
    lost = len(rows(*each[150 : 150 + gap]))
    assert abs(starts[-1] + 1 - len(values) - lost) <= 1
    wrong = times - values / RATE
    after = values >= each[150 + gap][0]
    # Within the transport's own burst, of up to 9 rows, and 15 ms.
    assert np.abs(wrong[after]).max() < 9 / RATE + 0.015
    assert np.abs(wrong[after][-200:]).max() < 0.5 / RATE + 0.015


def test_constant_values_are_no_repetition() -> None:
    (lane, *_) = [x for x in board_presets("emotibit", "e") if "eda" in x.names]
    sent = Sent(10.0)
    kept = 0
    for k in range(len(sent.ends) - 1):
        part = list(sent.packet(k))
        table = np.full((len(part), lane.width), 0.5)
        table[:, 0], table[:, 4] = np.array(sent.counts)[part], sent.stamps[part[-1]]
        table[:, 5] = 0.0
        for item in lane.take(table, sent.stamps[part[-1]], 0.0):
            kept += len(item) * (isinstance(item, Block) and item.info.name == "e.eda")
    assert kept > 0.9 * sent.ends[-1]


def test_a_rate_that_is_half_of_what_was_told_shows_as_losses() -> None:
    packets, starts, values = Packets(2 * RATE), [], []
    sent = Sent(60.0)
    for k in range(len(sent.ends) - 1):
        part = list(sent.packet(k))
        counts, stamps = np.array(sent.counts)[part], np.array(sent.stamps)[part]
        rows = np.array(part, np.float64)[:, None]
        for p in packets.push(counts, stamps, stamps, rows, float(stamps[-1])):
            starts.append(p.start + len(p.rows))
            values.append(len(p.rows))
    assert sum(values) / starts[-1] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("seed", range(2, 7))
def test_none_is_taken_for_lost_however_late_it_is(seed: int) -> None:
    sent = Sent(60.0, seed=seed)
    _, times, values, starts = placed(sent, list(range(sent.ends[-1])))
    np.testing.assert_array_equal(values, starts)
    assert np.abs(times - values / RATE)[values > 20 * RATE].max() < 0.02


def test_a_rate_that_the_firmware_has_may_be_told() -> None:
    found = {i.name: i.rate for x in board_presets("emotibit", "e", rates={"eda": 16})
             for i in x.streams}  # fmt: skip
    assert (found["e.eda"], found["e.temp"], found["e.ppg"]) == (16, 16, 25)
    with pytest.raises(ValueError, match=r".*") as error:
        board_presets("emotibit", "e", rates={"eda": 16, "temp": 8})
    assert str(error.value) == (
        "eda and temp of board 'emotibit' share one rate, not 8 and 16 Hz"
    )
    with pytest.raises(ValueError, match="has no stream 'eeg'"):
        board_presets("emotibit", "e", rates={"eeg": 16})
