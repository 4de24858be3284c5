"""BrainFlow itself: its synthetic board, and a file played back."""

import time
from pathlib import Path

import numpy as np
import pytest

from devices.board import Board
from physio.core.block import Block
from physio.core.events import Events, Item


def read(board: Board, seconds: float, most: float = 0.02) -> list[Item]:
    """Read every 20 ms until the board has ended; each reading is over at once."""
    items: list[Item] = []
    end = time.monotonic() + seconds
    slowest = 0.0
    while time.monotonic() < end and not board.ended:
        began = time.monotonic()
        items += board.read()
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.02)
    assert slowest < most
    return items


def blocks(items: list[Item], name: str) -> list[Block]:
    return [i for i in items if isinstance(i, Block) and i.info.name == name]


def test_the_synthetic_board_loses_nothing() -> None:
    board = Board(name="headset", participant="p07", streams_used=("eeg", "eda", "acc"))
    # Not waiting is a matter of milliseconds; 0.2 s is what a busy machine may take.
    with board:
        begin = board.clock.now()
        items = read(board, 2.0, most=0.2)
        board.mark(3)
        marked = board.clock.now()
        items += read(board, 2.0, most=0.2)
        end = board.clock.now()
    assert [i.name for i in board.streams] == [
        "headset.eeg",
        "headset.acc",
        "headset.eda",
        "headset.markers",
    ]
    eeg = blocks(items, "headset.eeg")
    number = np.concatenate([np.arange(b.start, b.stop) for b in eeg])
    np.testing.assert_array_equal(number, np.arange(len(number)))
    # The board promises 250 a second and keeps to within 1 %, and what came within
    # the last poll of 20 ms is not read any more.
    assert len(number) == pytest.approx(250 * (end - begin), rel=0.01, abs=10)
    seconds = np.concatenate([b.times for b in eeg])
    assert (np.diff(seconds) > 0).all()
    assert seconds[0] == pytest.approx(begin, abs=0.05)
    stamps = np.concatenate([b.stamps for b in eeg if b.stamps is not None])
    # Against the board's own stamps, of the computer's date: no drift, and the
    # jitter of single stamps is 10 ms.
    shift = stamps + (time.monotonic() - time.time()) - seconds
    assert np.abs(shift).max() < 0.05
    assert [len(b) for b in blocks(items, "headset.eda")] == [len(b) for b in eeg]
    (events,) = (i for i in items if isinstance(i, Events))
    assert (events.info.name, events.labels) == ("headset.markers", ("3",))
    assert events.times[0] == pytest.approx(marked, abs=0.05)


def test_a_store_that_overflows_is_noticed() -> None:
    with Board(name="x", streams_used=("eeg",), buffer_seconds=1.0) as board:
        items = read(board, 1.0, most=0.2)
        time.sleep(3.5)
        items += read(board, 1.0, most=0.2)
        end = board.clock.now()
    eeg = blocks(items, "x.eeg")
    number = np.concatenate([np.arange(b.start, b.stop) for b in eeg])
    seconds = np.concatenate([b.times for b in eeg])
    lost = number[-1] + 1 - len(number)
    # 3.5 s went by, of which the newest 1 s was kept.
    assert lost == pytest.approx(2.5 * 250, abs=20)
    assert (np.diff(seconds) > 0).all()
    assert seconds[-1] == pytest.approx(end, abs=0.05)


def write(path: Path, numbers: list[int]) -> None:
    """Write a Cyton's samples of these numbers as BrainFlow does, the last one torn."""
    rows = np.zeros((len(numbers), 24))
    rows[:, 0] = np.array(numbers) % 256
    rows[:, 1:9] = np.array(numbers)[:, None]
    rows[:, 22] = 1.6e9 + np.array(numbers) / 250
    lines = ["\t".join(f"{v:.6f}" for v in row) for row in rows]
    path.write_text("\n".join(lines) + "\n1.000000\t2.0", encoding="utf-8")


def test_a_file_is_played_back_with_its_losses_and_ends(tmp_path: Path) -> None:
    numbers = [n for n in range(750) if not 300 <= n < 350]
    write(tmp_path / "cyton.csv", numbers)
    board = Board(
        "playback", master="cyton", file=str(tmp_path / "cyton.csv"), name="c"
    )
    with board:
        items = read(board, 8.0, most=0.2)
        assert board.ended
        assert board.read() == []
    assert [i.name for i in board.streams] == ["c.eeg", "c.acc", "c.markers"]
    eeg = blocks(items, "c.eeg")
    got = np.concatenate([np.arange(b.start, b.stop) for b in eeg])
    np.testing.assert_array_equal(got, numbers)
    np.testing.assert_array_equal(np.concatenate([b.data[:, 0] for b in eeg]), numbers)


def test_a_recording_of_a_real_board(data: Path) -> None:
    file = str(data / "openbci" / "brainflow_cyton_playback_30s.csv")
    with Board("playback", master="cyton", file=file, name="c") as board:
        items = read(board, 2.0, most=0.2)
    eeg = blocks(items, "c.eeg")
    number = np.concatenate([np.arange(b.start, b.stop) for b in eeg])
    np.testing.assert_array_equal(number, np.arange(len(number)))
    assert len(number) > 300


def test_a_second_session_with_the_same_board_is_refused() -> None:
    message = "^no board 'synthetic' answers: it is open already$"
    with Board(), pytest.raises(OSError, match=message), Board():
        pass
