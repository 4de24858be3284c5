"""A Shimmer3 by BrainFlow's own driver, on a serial port with a scripted device."""

import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

if sys.platform != "linux":  # pragma: no cover
    pytest.skip("pseudo-terminals are those of Linux", allow_module_level=True)

import pty
import tty

from devices.board import Board
from physio.core.block import Block, Channel
from physio.core.events import Events, Item
from physio.datasets.open_recording import read

RATE = 128
CLOCK = 32_768  # Hz, of the device
SENSORS = (0x00, 0x01, 0x02, 0x1C)  # low-noise acceleration, skin conductance
ACC = (2050, 1900, 2850)
GSR = 0x4000 | 2000  # range 1, code 2000
ARGUMENTS = {0x05: 2, 0x08: 3, 0xA3: 1}


class Shimmer:
    """Device that answers the commands of the Shimmer3's protocol and sends packets."""

    def __init__(self, hardware: int = 3) -> None:
        self.hardware = hardware
        self.divider = CLOCK * 10 // 512  # 51.2 Hz, as it is delivered
        self.master, self.slave = pty.openpty()
        tty.setraw(self.master)
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self.sent, self.begun = 0, 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self.master)
        os.close(self.slave)

    def _run(self) -> None:
        waiting = b""
        while not self._ended.is_set():
            if select.select([self.master], [], [], 0.005)[0]:
                waiting += os.read(self.master, 4096)
            while waiting and len(waiting) > (n := ARGUMENTS.get(waiting[0], 0)):
                command, waiting = waiting[: n + 1], waiting[n + 1 :]
                os.write(self.master, self._answer(command[0], command[1:]))
            if self.begun:
                os.write(self.master, self._packets())

    def _answer(self, command: int, given: bytes) -> bytes:
        match command:
            case 0x3F:
                return bytes([0xFF, 0x25, self.hardware])
            case 0x2E:
                return bytes([0xFF, 0x2F, 3, 0, 0, 0, 16, 11])
            case 0x01:
                rate = self.divider.to_bytes(2, "little")
                automatic = (4 << 25).to_bytes(4, "little")  # range of conductance
                tail = bytes([len(SENSORS), 1, *SENSORS])
                return b"\xff\x02" + rate + automatic + tail
            case 0x05:
                self.divider = int.from_bytes(given, "little")
            case 0x07:
                self.begun, self.sent = time.monotonic(), 0
            case 0x20:
                self.begun = 0.0
        return b"\xff"

    def _packets(self) -> bytes:
        due = int((time.monotonic() - self.begun) * CLOCK / self.divider)
        values = b"".join(v.to_bytes(2, "little") for v in (*ACC, GSR))
        packets = [
            b"\0" + (i * self.divider % (1 << 24)).to_bytes(3, "little") + values
            for i in range(self.sent, due)
        ]
        self.sent = max(self.sent, due)
        return b"".join(packets)


@pytest.fixture
def device() -> Iterator[Shimmer]:
    shimmer = Shimmer()
    yield shimmer
    shimmer.close()


def gather(board: Board, until: Callable[[list[Item]], bool]) -> list[Item]:
    items: list[Item] = []
    end = time.monotonic() + 20
    while not until(items):
        assert time.monotonic() < end
        items += board.read()
        time.sleep(0.02)
    return items


def test_a_shimmer_gives_conductance_and_counts(device: Shimmer) -> None:
    rates = {"eda": RATE}
    board = Board("shimmer3", serial_port=device.port, rates=rates, name="s")
    with board:
        begin = board.clock.now()
        marked = False

        def whole(items: list[Item]) -> bool:
            nonlocal marked
            n = sum(len(i) for i in items if i.info.name == "s.eda")
            if n > RATE and not marked:
                board.mark(7)
                marked = True
            return n > 2 * RATE

        items = gather(board, whole)
        passed = board.clock.now() - begin
    assert device.divider == CLOCK // RATE
    eda = [i for i in items if isinstance(i, Block) and i.info.name == "s.eda"]
    assert eda[0].info.channels == (Channel("eda", "gsr", "uS"),)
    assert eda[0].info.rate == RATE
    # BrainFlow's straight line for range 1; R = 287 kOhm / (3 V * 2000 / 4095 / 0.5 V
    # - 1), the amplifier's equation, gives 6.7 uS.
    values = np.concatenate([b.data for b in eda])
    np.testing.assert_allclose(values, 0.0054 * 2000 - 3.5194, rtol=1e-12)
    assert values[0, 0] == pytest.approx(1e3 / (287 / (6 * 2000 / 4095 - 1)), rel=0.1)
    assert len(values) == pytest.approx(RATE * passed, rel=0.1, abs=0.3 * RATE)
    acc = next(i for i in items if isinstance(i, Block) and i.info.name == "s.acc")
    assert [c.unit for c in acc.info.channels] == ["counts"] * 3
    assert acc.data[0].tolist() == list(ACC)
    (code,) = (i for i in items if isinstance(i, Events) and len(i))
    assert (code.info.name, code.labels) == ("s.markers", ("7",))
    lost = eda[-1].stop - eda[0].start - len(values)
    assert lost == 0


def test_a_shimmer3r_is_refused_by_name() -> None:
    device = Shimmer(hardware=10)
    try:
        board = Board("shimmer3", serial_port=device.port)
        with pytest.raises(OSError, match=r"refuses a Shimmer3R.*Consensys"), board:
            pass
    finally:
        device.close()
    for name in ("shimmer3r", "Shimmer 3R"):
        with pytest.raises(ValueError, match=r"refuses a Shimmer3R.*Consensys"):
            Board(name)


def test_a_file_of_a_shimmer_is_played_back(tmp_path: Path) -> None:
    rows = np.zeros((512, 20))
    rows[:, 0] = np.arange(512)
    rows[:, 1:4] = ACC
    rows[:, 14] = 2.5
    rows[:, 18] = 1.7e9 + np.arange(512) / 512
    path = tmp_path / "shimmer.csv"
    np.savetxt(path, rows, "%.6f", delimiter="\t")
    board = Board("playback", master="shimmer3", file=str(path), name="s")
    with board:
        items = gather(
            board, lambda items: sum(len(i) for i in items if _is(i, "s.eda")) > 256
        )
    eda = next(i for i in items if _is(i, "s.eda"))
    acc = next(i for i in items if _is(i, "s.acc"))
    assert isinstance(eda, Block)
    assert isinstance(acc, Block)
    assert (eda.data[0, 0], eda.info.channels[0].unit) == (2.5, "uS")
    assert acc.data[0].tolist() == list(ACC)
    from_file = read(path, board="shimmer3").streams
    assert from_file["shimmer3.eda"][0].info.channels == eda.info.channels
    assert from_file["shimmer3.acc"][0].info.channels == acc.info.channels


def _is(item: Item, name: str) -> bool:
    return item.info.name == name
