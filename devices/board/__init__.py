"""Boards that BrainFlow supports: OpenBCI, Muse, EmotiBit, Unicorn and many others."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from brainflow.board_shim import BoardShim, BrainFlowError, BrainFlowInputParams

from devices.board.presets import (
    BoardPreset,
    available_boards,
    board_id,
    board_presets,
    number,
)
from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Device, WallClock
from physio.io.board_files import NO_BOARDS

__all__ = ["Board", "available_boards"]

TESTED_WITH: Final = (
    "BrainFlow's synthetic and playback boards, a recorded file of a Cyton, and its "
    "driver of the Shimmer3 on a scripted serial port; no hardware"
)
"""Tests behind this device, for the page of supported devices."""

_REASONS = {
    1: "its port is in use",
    2: "the port cannot be opened",
    7: "nothing answered",
    13: "it needs other settings, such as serial_port, mac_address or ip_address",
    14: "BrainFlow does not support it here",
    16: "it is open already",
}


_PULSE = {"muse_2": "p50", "muse_s": "p61"}
"""Command with which a board starts to send its pulse channel."""

_SHIMMER_RATE: Final = 512
"""Sampling rate of a Shimmer3 in BrainFlow's description of it (Hz)."""


@dataclass
class Board(Device):
    """A board that BrainFlow supports, or a file that such a board wrote.

    Its streams are ``<name>.eeg``, ``<name>.acc``, ``<name>.eda`` and so on, from
    BrainFlow's description of the board, and the events ``<name>.markers``. Losses are
    counted by the board's sample counter, or where none is known, by its time stamps.
    A field for each setting of any board, hence more than 14 fields.

    Parameters
    ----------
    board
        BrainFlow's name of the board in small letters: ``"synthetic"``, ``"cyton"``,
        ``"muse_2"`` ...; ``"playback"`` replays ``file``.
    serial_port, mac_address, serial_number, ip_address, ip_port, other_info, timeout
        Connection settings that BrainFlow needs for the board; timeout in s, 0 for its
        default.
    file
        A recording in BrainFlow's format, for playback.
    master
        Board that wrote ``file``.
    board_commands
        Commands sent to the board before it streams; by default, a Muse gets the
        command to send its pulse channel if that stream is used, and a Shimmer3 that to
        sample at the rate in ``rates``, or else at 512 Hz. The sensors of a Shimmer3
        are those that were enabled before, as by Consensys, or ``"sensors:<hex>"``.
    rates
        Sampling rates of streams (Hz), where the firmware differs from BrainFlow's
        description of the board: ``{ eda = 16 }``, as an EmotiBit's may.
    streams_used
        Streams to read, as ``("eeg", "acc")``; all by default.
    buffer_seconds
        Length of BrainFlow's buffer (s); older samples are lost.
    reconnect_after
        Silence after which the session opens the board again (s); 0 for never.
    name, participant, clock
        Set by the session.

    Notes
    -----
    The least delayed sample of five seconds counts as undelayed: a constant delay of
    transmission remains in the time stamps. An EmotiBit sends packets of several rows
    with one time of arrival: they are spread at the nominal rate. BrainFlow repeats
    each row of its temperature, which has half the rate.

    The number of settings follows BrainFlow, whose boards differ in the connection
    settings that they need.
    """

    board: str = "synthetic"
    serial_port: str = ""
    mac_address: str = ""
    serial_number: str = ""
    ip_address: str = ""
    ip_port: int = 0
    other_info: str = ""
    timeout: int = 0
    file: str = ""
    master: str = ""
    board_commands: tuple[str, ...] = ()
    rates: Mapping[str, int] = field(default_factory=dict)
    streams_used: tuple[str, ...] = ()
    buffer_seconds: float = 60.0
    reconnect_after: float = 5.0
    name: str = "board"
    participant: str = ""
    clock: Clock = field(default_factory=WallClock)
    _shim: Any = field(default=None, init=False, repr=False, compare=False)
    _lanes: list[BoardPreset] = field(
        default_factory=list, init=False, repr=False, compare=False
    )
    _remaining: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.board == "playback" and not (self.file and self.master):
            raise ValueError(
                "a playback board needs a file, and as master the board that wrote it"
            )
        board_id(self._source)
        if self.buffer_seconds <= 0:
            raise ValueError(
                f"buffer_seconds must be above 0 s, not {self.buffer_seconds}"
            )

    @property
    def _source(self) -> str:
        """Board that sampled the data: for a playback, the one that wrote the file."""
        return self.master if self.board == "playback" else self.board

    def __enter__(self) -> Self:
        self._lanes = board_presets(
            self._source, self.name, self.participant, self.streams_used, self.rates
        )
        if self.file and not Path(self.file).is_file():
            raise FileNotFoundError(f"there is no file {self.file} to play back")
        if self.board == "playback":
            self._remaining = _lines(Path(self.file), self._lanes[0].width)
            self._lanes = self._lanes[:1]
        self._shim = BoardShim(number(self.board), self._params())
        try:
            self._shim.prepare_session()
            for command in self.startup_commands:
                self._shim.config_board(command)
            self._shim.start_stream(max(self._room(lane) for lane in self._lanes))
        except BrainFlowError as error:
            self._close()
            raise OSError(self._absent(error)) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of the board, its markers last."""
        regular = [info for lane in self._lanes for info in lane.streams]
        return (*regular, *(lane.markers for lane in self._lanes[:1]))

    @property
    def startup_commands(self) -> tuple[str, ...]:
        """Commands sent to the board before it streams."""
        if self.board_commands:
            return self.board_commands
        if self.board == "shimmer3":
            rate = next(iter(self.rates.values()), _SHIMMER_RATE)
            return (f"sampling_rate:{rate}",)
        pulse = _PULSE.get(self.board, "")
        wanted = not self.streams_used or "ppg" in self.streams_used
        return (pulse,) if pulse and wanted else ()

    @property
    def ended(self) -> bool:
        """True if a playback is at the end of its file, or the board is closed."""
        return self._shim is None or (self.board == "playback" and self._remaining <= 0)

    def read(self) -> list[Item]:
        """Return the items since the last call."""
        items: list[Item] = []
        room = max((self._room(lane) for lane in self._lanes), default=0)
        for lane in self._lanes if self._shim is not None else []:
            try:
                full = self._shim.get_board_data_count(lane.preset) >= room
                rows = self._shim.get_board_data(preset=lane.preset)
            except BrainFlowError as error:
                raise OSError(f"board {self.board!r} stopped: {error}") from None
            now = self.clock.now()
            self._remaining -= rows.shape[1]
            ahead = now - time.time()  # BrainFlow's stamps are in Unix time
            items += lane.take(np.ascontiguousarray(rows.T), now, ahead, full=full)
        return items

    def notices(self) -> list[str]:
        """Return the messages about the board's counters since the last call."""
        notices = [text for lane in self._lanes for text in lane.notices]
        for lane in self._lanes:
            lane.notices.clear()
        return notices

    def mark(self, value: float) -> None:
        """Mark the board's next sample with a number other than 0."""
        self._shim.insert_marker(value, self._lanes[0].preset)

    def _room(self, lane: BoardPreset) -> int:
        return max(1, int(self.buffer_seconds * lane.rate))

    def _params(self) -> BrainFlowInputParams:
        params = BrainFlowInputParams()
        for key in (
            "serial_port",
            "mac_address",
            "serial_number",
            "ip_address",
            "ip_port",
            "other_info",
            "timeout",
            "file",
        ):
            setattr(params, key, getattr(self, key))
        if self.board == "playback":
            params.master_board = number(self.master)
        return params

    def _close(self) -> None:
        shim, self._shim = self._shim, None
        if shim is not None and shim.is_prepared():
            shim.release_session()  # ends the stream too

    def _absent(self, error: BrainFlowError) -> str:
        where = self.serial_port or self.mac_address or self.serial_number
        where = where or self.ip_address or self.file
        at = f" on {where}" if where else ""
        why = _REASONS.get(error.exit_code, str(error))
        if self.board == "shimmer3":
            why += f" (if it is a Shimmer3R: {NO_BOARDS['shimmer3r']})"
        return f"no board {self.board!r} answers{at}: {why}"


def _lines(path: Path, width: int) -> int:
    """Return the number of whole rows in a file that BrainFlow wrote."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return sum(line.count("\t") + 1 == width for line in file)
