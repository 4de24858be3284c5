"""Streams of boards by BrainFlow preset, and blocks from BrainFlow's rows."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from brainflow.board_shim import BoardIds, BoardShim, BrainFlowPresets

from devices.board.emotibit_packets import Packets
from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.events import Events, Item, event_stream
from physio.core.timing.clock_model import WrappingCounter
from physio.core.timing.measured_rate import repeated_note
from physio.core.timing.sample_counter import CounterAligner
from physio.core.timing.timestamps import PlacedSamples, TimestampAligner
from physio.io.board_files import NO_BOARDS, BoardStream, preset_streams

# Sample counters by preset, where known: measured on the synthetic board and in a
# recording of a Cyton, and read in BrainFlow's drivers for Daisy and Muse, where one
# packet has several samples. Samples of other boards are placed by time stamps.
_MUSE = (
    WrappingCounter(65536, rows=12),
    WrappingCounter(65536, rows=3),
    WrappingCounter(65536, rows=6),
)
_COUNTERS: Mapping[str, tuple[WrappingCounter, ...]] = {
    "synthetic": (WrappingCounter(), WrappingCounter()),
    "cyton": (WrappingCounter(),),
    "cyton_daisy": (WrappingCounter(step=2),),
    "muse_2": _MUSE,
    "muse_s": _MUSE,
    "muse_2016": _MUSE[:2],
}


class BoardPreset:
    """Streams of one of a board's presets, with a common rate, counter and stamps.

    Parameters
    ----------
    name, participant
        Name of the device, and code of the participant who wears it.
    source
        The board.
    preset
        BrainFlow's number of the preset.
    about
        BrainFlow's description of it.
    taken
        Names of streams that other presets have.
    rate
        Sampling rate (Hz), where BrainFlow's description is wrong.
    """

    def __init__(
        self,
        name: str,
        participant: str,
        source: str,
        preset: int,
        about: Mapping[str, Any],
        taken: Sequence[str] = (),
        rate: int = 0,
    ) -> None:
        self.preset = preset
        self.rate = rate or int(about["sampling_rate"])
        self.width = int(about["num_rows"])
        self.markers = event_stream(f"{name}.markers", Channel("value", "stim"))
        if source == "synthetic":
            self.markers = replace(self.markers, origin=Origin.SIMULATED)
        self.markers = replace(self.markers, participant=participant)
        self._stamp = int(about["timestamp_channel"])
        self._mark = about.get("marker_channel")
        self._count = int(about["package_num_channel"])
        self._rows: list[tuple[StreamInfo, BoardStream]] = [
            (
                replace(
                    self.markers,
                    name=f"{name}.{stream.name}",
                    rate=Fraction(self.rate),
                    channels=stream.channels,
                ),
                stream,
            )
            for stream in preset_streams(about, taken)
        ]
        known = dict(enumerate(_COUNTERS.get(source, ())))
        counter = known.get(preset)
        self._numbered = CounterAligner(self.rate, counter) if counter else None
        self._distrusted = self._alarmed = False
        self._samples = 0
        self.notices: list[str] = []
        """Messages on the preset that were not fetched yet."""
        self._stamped = TimestampAligner(self.rate)
        self._packets = Packets(self.rate) if source == "emotibit" else None

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """The regular streams."""
        return tuple(info for info, _ in self._rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the streams, without the device's name."""
        return tuple(info.name.rpartition(".")[2] for info in self.streams)

    def keep(self, only: Sequence[str]) -> None:
        """Drop streams that are not among these."""
        pairs = zip(self.names, self._rows, strict=True)
        self._rows = [row for name, row in pairs if name in only]

    def take(
        self, rows: Array, now: float, ahead: float, *, full: bool = False
    ) -> list[Item]:
        """Return samples as blocks and events.

        Parameters
        ----------
        rows
            BrainFlow's rows, transposed: shape (n, width).
        now
            Time at which they were read (s, session clock).
        ahead
            Session clock minus Unix time (s).
        full
            Whether BrainFlow's buffer was full, so that samples may have been lost.
        """
        if not len(rows):
            return []
        stamps = np.ascontiguousarray(rows[:, self._stamp])
        counts = rows[:, self._count].astype(np.int64)
        if self._packets is not None:
            placed = self._packets.push(counts, stamps + ahead, stamps, rows, now)
        elif self._numbered is None:
            placed = self._stamped.push(stamps + ahead, stamps, rows, now)
        else:
            placed = self._numbered.push(
                counts, stamps, rows, now, full=full, ahead=ahead
            )
            if self._numbered.stamped is not None and not self._distrusted:
                self._distrusted = True
                self.notices.append(
                    f"the sample counter of {', '.join(i.name for i in self.streams)} "
                    "does not count its samples: losses are counted by their stamps"
                )
        self._samples += len(rows)
        if not self._alarmed:
            names = ", ".join(info.name for info in self.streams)
            note = repeated_note(names, self._repeated, self._samples)
            self._alarmed = bool(note)
            self.notices += note
        return [item for part in placed for item in self._items(part)]

    @property
    def _repeated(self) -> int:
        """Number of repeated samples."""
        if self._packets is not None:
            return self._packets.repeated
        if self._numbered is not None:
            return self._numbered.counted.repeated
        return self._stamped.repeated

    def _items(self, part: PlacedSamples) -> list[Item]:
        items: list[Item] = []
        for info, stream in self._rows:
            data = stream.values(part.rows)
            items.append(Block(info, part.start, part.t0, data, part.stamps))
        if self._mark is None:
            return items
        values = part.rows[:, int(self._mark)]
        hits = np.flatnonzero(values)
        if len(hits):
            times = part.t0 + (part.start + hits) / self.rate
            labels = tuple(f"{v:g}" for v in values[hits])
            data = values[hits][:, None].copy()
            items.append(Events(self.markers, float(times[-1]), times, data, labels))
        return items


def available_boards() -> list[str]:
    """Return the names of the boards that `Board` supports, the simulated one first."""
    names = [_name(board) for board in BoardIds if board.value >= 0]
    return ["synthetic", *sorted(names)]


def board_id(name: str) -> int:
    """Return BrainFlow's number of a board.

    Raises
    ------
    ValueError
        If there is no such board; the message lists similar names.
    """
    if name not in available_boards():
        if reason := NO_BOARDS.get(re.sub("[ _-]", "", name.lower())):
            raise ValueError(f"no board {name!r}: {reason}")
        near = get_close_matches(name, available_boards(), 3, 0.5)
        near = near or [
            "synthetic",
            "cyton",
            "muse_2",
            f"{len(available_boards()) - 3} others",
        ]
        raise ValueError(f"BrainFlow has no board {name!r}; it has {', '.join(near)}")
    return number(name)


def board_presets(
    board: str,
    name: str,
    participant: str = "",
    only: Sequence[str] = (),
    rates: Mapping[str, int] | None = None,
) -> list[BoardPreset]:
    """Return the presets of a board that have streams.

    Raises
    ------
    ValueError
        If there is no such board, or if it has no such stream.
    """
    presets: list[BoardPreset] = []
    taken: list[str] = []
    for preset, about in _descriptions(board_id(board)):
        lane = BoardPreset(name, participant, board, preset, about, taken)
        stated = {rate for n, rate in (rates or {}).items() if n in lane.names}
        if len(stated) > 1:
            raise ValueError(
                f"{' and '.join(lane.names)} of board {board!r} share one rate, not "
                f"{' and '.join(map(str, sorted(stated)))} Hz"
            )
        if stated:
            lane = BoardPreset(name, participant, board, preset, about, taken, *stated)
        taken += lane.names
        presets.append(lane)
    asked = [*only, *(rates or ())]
    if unknown := [stream for stream in asked if stream not in taken]:
        raise ValueError(
            f"board {board!r} has no stream {unknown[0]!r}; it has {', '.join(taken)}"
        )
    for lane in presets:
        lane.keep(only or taken)
    return [lane for lane in presets if lane.streams]


@cache
def _descriptions(board: int) -> tuple[tuple[int, Mapping[str, Any]], ...]:
    """Return BrainFlow's description of each preset of a board."""
    with warnings.catch_warnings():  # BrainFlow finds its library by pkg_resources
        warnings.simplefilter("ignore")
        BoardShim.disable_board_logger()
    return tuple(
        (preset, BoardShim.get_board_descr(board, BrainFlowPresets(preset)))
        for preset in sorted(BoardShim.get_board_presets(board))
    )


def _name(board: BoardIds) -> str:
    return board.name.removesuffix("_BOARD").replace("_BOARD_", "_").lower()


def number(name: str) -> int:
    """Return BrainFlow's number of a board whose name is known."""
    if name == "playback":
        return int(BoardIds.PLAYBACK_FILE_BOARD)
    return next(int(board) for board in BoardIds if _name(board) == name)
