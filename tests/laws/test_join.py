"""The laws of a junction."""

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physio.core.aligner import StreamAligner, TickGrid
from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.missing import MissingReason, missing_reason

EEG = StreamInfo(
    "eeg", Fraction(8), (Channel("a", memory=2.0), Channel("b", memory=4.0))
)
EDA = StreamInfo(
    "eda", Fraction(5), (Channel("tonic"),), Origin.SIMULATED, participant="p1"
)
BEGIN = 100.0


def stream(info: StreamInfo, n: int, epoch: float, seed: int) -> Block:
    shape = (n, len(info.channels))
    return Block(info, 0, epoch, np.random.default_rng(seed).standard_normal(shape))


def column(block: Block, name: str) -> np.ndarray:
    return block.column(name)


@settings(deadline=None, max_examples=150)
@given(
    a=st.lists(st.integers(0, 200), max_size=12),
    b=st.lists(st.integers(0, 150), max_size=12),
    order=st.randoms(),
    lag=st.floats(-3, 3),
)
def test_7_output_does_not_depend_on_the_order_of_arrival(
    a: list[int], b: list[int], order: Random, lag: float
) -> None:
    eeg, eda = stream(EEG, 200, BEGIN, 0), stream(EDA, 150, BEGIN + lag, 1)

    def run(queues: list[list[Block]]) -> np.ndarray:
        junction = StreamAligner(TickGrid(), (EEG, EDA), BEGIN)
        out = []
        while any(queues):
            queue = order.choice([q for q in queues if q])
            out.append(junction.push(queue.pop(0)))
        assert [o.start for o in out] == np.cumsum([0, *map(len, out[:-1])]).tolist()
        return np.concatenate([o.data for o in out])

    whole = run([[eeg], [eda]])
    cut = run([list(eeg.split(a)), list(eda.split(b))])
    np.testing.assert_array_equal(cut, whole)


def test_7_bites_on_a_junction_that_does_not_wait() -> None:
    class Hasty(StreamAligner):
        def push(self, block: Block, until: float | None = None) -> Block:
            self._until = dict.fromkeys(self._until, block.complete_until)
            return super().push(block, until)

    eeg, eda = stream(EEG, 80, BEGIN, 0), stream(EDA, 50, BEGIN, 1)
    first, second = (
        Hasty(TickGrid(), (EEG, EDA), BEGIN),
        Hasty(TickGrid(), (EEG, EDA), BEGIN),
    )
    one = [first.push(eeg).data, first.push(eda).data]
    two = [second.push(eda).data, second.push(eeg).data]
    assert not np.array_equal(np.concatenate(one), np.concatenate(two), equal_nan=True)


def test_a_tick_has_the_newest_row_and_what_it_rests_on() -> None:
    junction = StreamAligner(TickGrid(), (EEG, EDA), BEGIN)
    junction.push(stream(EEG, 80, BEGIN, 0))
    eda = stream(EDA, 50, BEGIN + 0.05, 1)
    out = junction.push(eda)
    assert out.info.names == (
        "eeg.a", "eeg.b", "eeg.window_start", "eeg.window_end", "eda.tonic",
        "eda.window_start", "eda.window_end",
    )  # fmt: skip
    assert (out.info.origin, out.info.participant) == (Origin.SIMULATED, "p1")
    assert out.t0 == BEGIN
    # EDA ends at 100.05 + 49/5 = 109.85, EEG at 109.875: ticks up to 109.75 are due.
    assert out.complete_until == 109.75
    newest = np.searchsorted(eda.times, out.times, side="right") - 1
    expected = np.where(newest >= 0, eda.data[newest, 0], np.nan)
    np.testing.assert_array_equal(column(out, "eda.tonic"), expected)
    begins = np.maximum(
        column(out, "eeg.window_end") - 4.0, BEGIN
    )  # nothing came before
    np.testing.assert_array_equal(column(out, "eeg.window_start"), begins)
    assert np.all(column(out, "eeg.window_end") <= out.times)


def test_a_stream_declared_silent_does_not_stop_the_others() -> None:
    eeg, eda = stream(EEG, 80, BEGIN, 0), stream(EDA, 10, BEGIN, 1)
    junction = StreamAligner(TickGrid(hold=1.0), (EEG, EDA), BEGIN)
    ticks = [junction.push(eda), junction.push(eeg)]
    assert sum(map(len, ticks)) == 8  # EDA came up to 1.8 s
    out = junction.advance("eda", BEGIN + 8.0)
    last = (10 - 1) / 5 + 1.0
    missing = np.isnan(column(out, "eda.tonic"))
    np.testing.assert_array_equal(missing, out.times - BEGIN > last)
    assert set(missing_reason(column(out, "eda.tonic"))[missing]) == {
        MissingReason.NO_SIGNAL
    }
    assert not np.isnan(column(out, "eeg.a")).any()


def test_a_stream_that_never_starts_is_missing() -> None:
    junction = StreamAligner(TickGrid(), (EEG, EDA), BEGIN)
    assert len(junction.push(stream(EEG, 80, BEGIN, 0))) == 0
    out = junction.advance("eda", BEGIN + 5.0)
    assert len(out) == 21
    assert np.isnan(column(out, "eda.tonic")).all()


def test_late_rows_count_from_the_next_tick_on() -> None:
    eeg, eda = stream(EEG, 80, BEGIN, 0), stream(EDA, 30, BEGIN, 1)
    junction = StreamAligner(TickGrid(), (EEG, EDA), BEGIN)
    junction.push(eeg)
    first = junction.advance("eda", BEGIN + 3.0)
    assert np.isnan(column(first, "eda.tonic")).all()
    late = junction.push(eda)
    assert late.start == first.stop
    assert not np.isnan(column(late, "eda.tonic")).any()


def test_it_forgets_what_no_tick_can_need() -> None:
    junction = StreamAligner(TickGrid(), (EEG,), BEGIN)
    for part in stream(EEG, 8000, BEGIN, 0).split(list(range(0, 8000, 100))):
        junction.push(part)
    assert len(junction._rows["eeg"]) < 150


@pytest.mark.parametrize("rate", [Fraction(4), Fraction(10, 3)])
def test_ticks_do_not_drift(rate: Fraction) -> None:
    junction = StreamAligner(TickGrid(rate=rate), (EEG,), 1e6)
    out = junction.push(stream(EEG, 8000, 1e6, 0))
    np.testing.assert_array_equal(out.times, 1e6 + np.arange(len(out)) / float(rate))
    assert out.complete_until <= 1e6 + 7999 / 8
