"""What the E4 streaming server's lines become, by arithmetic alone."""

import numpy as np
import pytest

from devices.empatica.messages import Splitter, Wrist
from physio.core.block import Block
from physio.core.events import Events


def blocks(items: list, name: str) -> list[Block]:
    return [i for i in items if isinstance(i, Block) and i.info.name == name]


def test_lines_are_whole_however_bytes_are_cut() -> None:
    text = b"E4_Gsr 1.5 3.129\r\nE4_Acc 1.5 51 -2 -10\r\nR pause ON\r\n"
    for n in range(1, len(text)):
        splitter = Splitter()
        parts = [text[i : i + n] for i in range(0, len(text), n)]
        lines = [line for part in parts for line in splitter.push(part)]
        assert lines == ["E4_Gsr 1.5 3.129", "E4_Acc 1.5 51 -2 -10", "R pause ON"]
    with pytest.raises(OSError, match=r".*") as caught:
        Splitter().push(b"x" * 70_000)
    assert str(caught.value) == (
        "the E4 server sent 70000 bytes without an end of line: is it one?"
    )


@pytest.mark.parametrize("word", ["E4_Temperature", "E4_Temp"])
@pytest.mark.parametrize("point", [".", ","])
def test_units_words_and_decimal_commas(word: str, point: str) -> None:
    wrist = Wrist("band", "p2")
    lines = ["E4_Acc 100.0 64 -32 0", f"{word} 100.0 35.82", "E4_Batt 100.0 0.5"]
    lines += ["E4_Ibi 100.0 0.822", "E4_Hr 100.0 73.0", "E4_Tag 100.0"]
    assert all(wrist.take(line.replace(".", point), 7.0) for line in lines)
    items = wrist.due(7.0)
    (acc,) = blocks(items, "band.acc")
    assert acc.data.tolist() == [[1.0, -0.5, 0.0]]
    assert (acc.info.participant, acc.info.channels[0].unit) == ("p2", "g")
    assert acc.stamps is not None
    assert acc.stamps.tolist() == [100.0]
    assert blocks(items, "band.temp")[0].data.tolist() == [[35.82]]
    events = {i.info.name: i for i in items if isinstance(i, Events)}
    assert events["band.ibi"].data.tolist() == [[0.822, 100.0]]
    assert events["band.hr"].data.tolist() == [[73.0, 100.0]]
    assert events["band.battery"].data.tolist() == [[0.5, 100.0]]
    assert events["band.tags"].labels == ("tag",)
    assert events["band.tags"].times.tolist() == [7.0]


@pytest.mark.parametrize("line", ["E4_Gsr", "E4_Gsr 1.0", "E4_Gsr a b", "Hello 1 2"])
def test_what_is_no_line_of_data_is_told(line: str) -> None:
    assert not Wrist("band").take(line, 0.0)


@pytest.mark.parametrize("gap", [0.0, 2.0, 7.5, 60.0])
def test_a_gap_is_as_long_as_it_was_though_stamps_hide_it(gap: float) -> None:
    """Bursts of up to 0.4 s, stamps that count on: the session's times are right."""
    rng, wrist, rate = np.random.default_rng(3), Wrist("band"), 64.0
    placed: list[Block] = []
    sent, burst = 0, 0.0
    now = 50.0
    while now < 90.0 + gap:
        now += 0.02
        taken = int((now - 50.0) * rate)
        if now >= burst:
            burst = now + rng.uniform(0.05, 0.4)
            for n in range(sent, taken):
                if 20.0 * rate <= n < (20.0 + gap) * rate:
                    continue
                hidden = gap if n >= (20.0 + gap) * rate else 0.0
                wrist.take(f"E4_Bvp {1.7e9 + n / rate - hidden:.6f} {n}", now)
            sent = taken
        placed += blocks(wrist.due(now), "band.bvp")
    times = np.concatenate([b.times for b in placed])
    number = np.concatenate([b.data[:, 0] for b in placed])
    assert (np.diff(times) > 0).all()
    whole = int((90.0 + gap - 50.0 - gap) * rate)
    assert len(number) == pytest.approx(whole, abs=0.5 * rate + gap)
    wrong = times - (50.0 + number / rate)
    settled = wrong[number > 10 * rate]
    # The transport's shortest delay is one poll of 20 ms; 15 ms beyond the bursts.
    assert np.abs(settled).max() < 0.4 + 0.015
    after = wrong[number > (24.0 + gap) * rate]
    assert np.abs(after).max() < 0.06
    lost = placed[-1].stop - len(number)
    assert lost == pytest.approx(gap * rate, abs=4)
