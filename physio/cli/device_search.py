"""Search for the devices and streams that a session can read now."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from physio.cli.device_words import EVERYWHERE, WORDS, target
from physio.core.block import Origin, StreamInfo
from physio.online.session_config import RESERVED

ASSETS: Final = Path(__file__).parents[1] / "assets"
E4_PORT: Final = 28000
"""Port of Empatica's E4 streaming server by default."""

SIMULATED_E4: Final = "51a7ed"
"""Serial of the wristband that ``physio devices --simulate e4`` simulates."""

MAIN: Final[Mapping[str, str]] = {
    "eeg": "EEG", "gsr": "skin conductance", "ecg": "ECG", "resp": "respiration",
}  # fmt: skip
"""Kinds of channels that a participant's session needs from a single device."""

_BLUETOOTH: Final = 3.0  # s of a search for Bluetooth devices alone
_LONGEST: Final = 24  # characters of a device's name
_TYPES: Final = re.compile(
    r"[-_ ]*(eeg|exg|ecg|eda|gsr|ppg|bvp|acc|gyro?|accgyro|motion|resp|temp|optics"
    r"|markers?|events?|stream|lsl|data)$"
)
"""Ends of the names of LSL streams that name the signal, not the device."""


@dataclass(frozen=True)
class DetectedDevice:
    """Device that answers, with its table of a session file.

    Parameters
    ----------
    key
        Key of its table ``[devices.KEY]``.
    label
        Description for the operator.
    settings
        Its table.
    streams
        Streams that it will have, as far as they are known before it is open.
    guesses
        Sentences on what the device does not state.
    sender
        Name of the sender; streams of one sender are used together.
    problem
        Sentence on why it cannot be used; empty if it can.
    """

    key: str
    label: str
    settings: Mapping[str, Any]
    streams: tuple[StreamInfo, ...] = ()
    guesses: tuple[str, ...] = ()
    sender: str = ""
    problem: str = ""

    @property
    def is_simulated(self) -> bool:
        """True if no participant is measured."""
        regular = [info for info in self.streams if info.rate]
        return bool(regular) and all(i.origin is Origin.SIMULATED for i in regular)

    @property
    def main_kinds(self) -> set[str]:
        """Kinds of `MAIN` that it measures."""
        return {c.kind for i in self.streams if i.rate for c in i.channels} & set(MAIN)

    def answers_to(self, name: str) -> bool:
        """Return whether a text names this device: its key, sender, id or address."""
        values = (v for k, v in self.settings.items() if k != "use")
        names = (self.key, self.sender, *(v for v in values if isinstance(v, str)))
        return name.casefold() in {text.casefold() for text in names if text}


class SearchResult(NamedTuple):
    """Devices that answered, what was looked for, and what could not be searched."""

    devices: tuple[DetectedDevice, ...]
    targets: tuple[str, ...]
    hints: tuple[str, ...] = ()


def search(word: str = "", seconds: float = 1.0, port: int = E4_PORT) -> SearchResult:
    """Search for devices, in all places at the same time.

    Parameters
    ----------
    word
        Word for a device; everything that answers by default.
    seconds
        Duration of the search for LSL streams (s).
    port
        Port of the E4 streaming server.
    """
    if word and word not in WORDS:
        return SearchResult((_board(word),), (target(word),))
    asked = WORDS.get(word, EVERYWHERE)
    settings = _Search(
        seconds, port, is_alone="bluetooth" in asked.sources and word != ""
    )
    with ThreadPoolExecutor(len(asked.sources), "search") as pool:
        parts = list(pool.map(lambda key: _SEARCHES[key](settings), asked.sources))
    devices = [device for part in parts for device in part.devices]
    if asked.pattern:
        pattern = re.compile(asked.pattern, re.IGNORECASE)
        devices = [d for d in devices if pattern.search(d.label)]
    return SearchResult(
        tuple(_distinct(devices)),
        tuple(t for part in parts for t in part.targets),
        tuple(h for part in parts for h in part.hints),
    )


class _Search(NamedTuple):
    """Settings of a search; ``is_alone`` if it may take longer for Bluetooth."""

    seconds: float
    port: int
    is_alone: bool


def _demo(_: _Search) -> SearchResult:
    """Return the simulated participant of ``physio demo``."""
    from physio import config

    tables = config.read(ASSETS / "demo.toml")["devices"]
    label = "simulated participant, no measured signal"
    devices = [
        DetectedDevice(key, label, table, _expected(table, key), sender="demo")
        for key, table in tables.items()
    ]
    return SearchResult(tuple(devices), ("the simulated participant",))


def _synthetic(_: _Search) -> SearchResult:
    return SearchResult((_board("synthetic"),), ("BrainFlow's synthetic board",))


def _board(name: str, **settings: Any) -> DetectedDevice:
    """Return a board of BrainFlow, which searches for the hardware when it opens."""
    table = {"use": "devices.board:Board", "board": name, **settings}
    key = "board" if name == "synthetic" else re.split(r"[_\d]", name)[0] or "board"
    where = "".join(f", {k} {v!r}" for k, v in settings.items())
    label = f"board {name!r}{where}, through BrainFlow"
    if name == "synthetic":
        label = "BrainFlow's synthetic board, no measured signal"
    return DetectedDevice(key, label, table, _expected(table, key), sender=key)


def _lsl(search: _Search) -> SearchResult:
    from devices import lsl

    streams = [
        a
        for a in lsl.announced(search.seconds)
        if not ("<physio>" in a.xml and a.stream.type in ("Affect", "Features"))
    ]
    senders: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for announced in streams:
        senders[announced.stream.host, _stem(announced.stream)].append(announced)
    devices: list[DetectedDevice] = []
    names: set[str] = set()
    for (_, stem), parts in senders.items():
        name = _free(stem, names)
        names.add(name)
        keys: set[str] = set()
        for part in parts:
            device = _inlet(part, name, keys, streams, alone=len(parts) == 1)
            keys.add(device.key)
            devices.append(device)
    return SearchResult(tuple(devices), ("LSL streams on this network",))


def _inlet(
    announced: Any, name: str, keys: set[str], streams: Sequence[Any], *, alone: bool
) -> DetectedDevice:
    """Return an LSL stream of the sender ``name`` as a device."""
    from devices.lsl.stream_info import read_description

    stream = announced.stream
    label = f"LSL stream {stream}"
    settings: dict[str, Any] = {"use": "devices.lsl:Inlet"}
    if stream.source_id:
        settings["source_id"] = stream.source_id
    else:
        settings |= {"stream_name": stream.name, "stream_type": stream.type}
    chosen = ("source_id",) if stream.source_id else ("name", "type", "source_id")
    alike = [
        other.stream
        for other in streams
        if all(getattr(other.stream, k) == getattr(stream, k) for k in chosen)
    ]
    problem = ""
    if len(alike) > 1:
        problem = (
            f"{len(alike)} LSL streams are alike, {stream}: LSL cannot choose between "
            "them; stop all but one"
        )
    try:
        header = read_description(announced.xml, name)
    except ValueError as error:
        return DetectedDevice(
            _free(name, keys), label, settings, sender=name, problem=str(error)
        )
    kind = header.info.name.partition(".")[2]
    key = name if alone else _free(f"{name}-{kind}", keys)
    if key != name:
        settings["name"] = name
    notes = list(header.notes)
    if not announced.is_complete:
        notes.append(
            f"{header.info.name}: names and units of the channels, as its sender did "
            "not send its header in time"
        )
    return DetectedDevice(
        key, label, settings, (header.info,), tuple(notes), name, problem
    )


def _e4(search: _Search) -> SearchResult:
    from devices import empatica

    devices = []
    for serial in empatica.discover(port=search.port):
        table: dict[str, Any] = {"use": "devices.empatica:E4", "serial": serial}
        if search.port != E4_PORT:
            table["port"] = search.port
        if serial == SIMULATED_E4:
            table["simulated"] = True
        devices.append(
            DetectedDevice(
                "wrist",
                f"Empatica E4 {serial}, through its streaming server",
                table,
                _expected(table, "wrist"),
            )
        )
    target = f"E4 wristbands of a streaming server at 127.0.0.1:{search.port}"
    return SearchResult(tuple(devices), (target,))


def _bluetooth(search: _Search) -> SearchResult:
    from importlib.util import find_spec

    if find_spec("bleak") is None:
        hint = (
            "Bluetooth was not searched, as the package bleak is not installed: "
            "pip install 'physio-affect[ble]'"
        )
        return SearchResult((), (), (hint,))
    from devices import polar

    seconds = _BLUETOOTH if search.is_alone else search.seconds
    models = ("Polar H10", "Polar Sense", "Muse")
    devices = [_radio(name) for name, _ in polar.nearby(seconds, models)]
    return SearchResult(tuple(devices), ("Polar and Muse sensors by Bluetooth",))


def _radio(name: str) -> DetectedDevice:
    """Return the device of a Bluetooth name: ``Polar H10 8B3F2A1C``, ``Muse-1A2B``."""
    if name.startswith("Muse"):
        board = "muse_s" if name.startswith("MuseS") else "muse_2"
        other = "a Muse S Athena" if board == "muse_s" else "a Muse of 2016"
        value = "muse_s_athena" if board == "muse_s" else "muse_2016"
        guess = (
            f"the model of {name}, as {other} may have the same Bluetooth name: set "
            f"board = {value!r} if it is that"
        )
        device = _board(board, serial_number=name)
        return replace(device, label=f"{name} by Bluetooth", guesses=(guess,))
    model, key = ("H10", "h10") if "H10" in name else ("VeritySense", "verity")
    table = {"use": f"devices.polar:{model}", "address": name[-8:]}
    return DetectedDevice(key, f"{name} by Bluetooth", table, _expected(table, key))


_DONGLES: Final = (
    ("serial/by-id/usb-FTDI_FT231X*", "cyton", "an FTDI serial adapter"),
    ("cu.usbserial-D*", "cyton", "an FTDI serial adapter"),
    ("serial/by-id/usb-Bluegiga*", "ganglion", "a Bluetooth dongle of Bluegiga"),
)
"""Patterns of serial ports below `DEVICE_FILES`, and the board of such a dongle."""

DEVICE_FILES: Final = Path("/dev")


def _serial(_: _Search) -> SearchResult:
    devices = []
    for pattern, board, adapter in _DONGLES:
        for port in sorted(DEVICE_FILES.glob(pattern)):
            more = "; a Cyton with Daisy is 'cyton_daisy'" if board == "cyton" else ""
            guess = (
                f"the board at {port.name}, which is {adapter} as OpenBCI's dongle "
                f"is{more}"
            )
            device = _board(board, serial_port=str(port))
            label = f"OpenBCI {device.label}"
            devices.append(replace(device, label=label, guesses=(guess,)))
    return SearchResult(tuple(devices), ("OpenBCI dongles at serial ports",))


_SEARCHES: Final[Mapping[str, Callable[[_Search], SearchResult]]] = {
    "demo": _demo,
    "synthetic": _synthetic,
    "lsl": _lsl,
    "e4": _e4,
    "bluetooth": _bluetooth,
    "serial": _serial,
}


def _expected(table: Mapping[str, Any], name: str) -> tuple[StreamInfo, ...]:
    """Return the streams that a device with these settings will have."""
    from devices.board import Board
    from devices.board.presets import board_presets
    from devices.empatica import E4
    from devices.empatica.messages import Wrist
    from devices.polar import PolarSensor
    from devices.polar.messages import Strap
    from physio import config
    from physio.core.protocols import FastClock

    device = config.build(table, name, (), {"name": name, "clock": FastClock()})
    if isinstance(device, Board):
        lanes = board_presets(device.board, name, "", device.streams_used, device.rates)
        regular = [info for lane in lanes for info in lane.streams]
        return (*regular, lanes[0].markers)
    if isinstance(device, E4):
        origin = Origin.SIMULATED if device.simulated else Origin.MEASURED
        return Wrist(name, "", origin).streams
    if isinstance(device, PolarSensor):
        return Strap(
            name, "", device.measurements, Origin.MEASURED, device.model
        ).streams
    with device:
        streams: tuple[StreamInfo, ...] = device.streams
    return streams


def _stem(stream: Any) -> str:
    """Return the name of a sender from that of its stream: ``amp`` of ``Amp_EEG``."""
    text = re.sub(r"[^a-z0-9]+", "-", stream.name.casefold()).strip("-")
    while (shorter := _TYPES.sub("", text)) != text:
        text = shorter
    text = text[:_LONGEST].strip("-")
    return text if text and text not in RESERVED else "lsl"


def _free(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken: ``amp``, ``amp2`` ..."""
    names = {*taken, *RESERVED}
    numbers = (f"{name}{i}" for i in range(2, len(names) + 3))
    return name if name not in names else next(n for n in numbers if n not in names)


def _distinct(devices: Iterable[DetectedDevice]) -> list[DetectedDevice]:
    """Return devices whose keys and senders are distinct across all searches."""
    distinct: list[DetectedDevice] = []
    for device in devices:
        taken = {name for d in distinct for name in (d.key, d.sender)}
        if device.key in taken and "name" not in device.settings:
            device = _renamed(device, _free(device.key, taken))
        distinct.append(device if device.sender else replace(device, sender=device.key))
    return distinct


def _renamed(device: DetectedDevice, key: str) -> DetectedDevice:
    """Return a device with another key, which also begins the names of its streams."""
    end = len(device.key)
    streams = tuple(
        replace(info, name=f"{key}{info.name[end:]}") for info in device.streams
    )
    sender = key if device.sender in ("", device.key) else device.sender
    return replace(device, key=key, streams=streams, sender=sender)
