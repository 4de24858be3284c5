"""Session with the devices that answer: its table, and its commented file."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import tomli_w

from physio.cli.device_search import MAIN, DetectedDevice
from physio.core.block import StreamInfo
from physio.core.printable import printable
from physio.online.session_config import SessionConfig

NO_PARTICIPANT: Final = "none: no participant is measured"
"""Consent text of sessions with simulated devices alone."""

_COLUMNS: Final = ("device", "stream", "channels", "unit", "Hz")
_MOST: Final = 8  # names of channels in a cell


@dataclass(frozen=True)
class SessionDraft:
    """Session with the devices that answered, and defaults for all else.

    Parameters
    ----------
    devices
        The devices.
    origin
        Command that searched for them, for the head of the file.
    """

    devices: tuple[DetectedDevice, ...]
    origin: str = "physio live"

    @property
    def is_simulated(self) -> bool:
        """True if no device measures a participant."""
        return all(device.is_simulated for device in self.devices)

    def config(self, participant: str = "", consent: str = "") -> SessionConfig:
        """Return the session's configuration."""
        session = {"participant": participant, "consent": consent}
        devices = {d.key: dict(d.settings) for d in self.devices}
        tables = {"session": session, "devices": devices}
        return SessionConfig(tables, "the proposed session")

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of all devices, as far as they are known."""
        return tuple(info for device in self.devices for info in device.streams)

    @cached_property
    def computed(self) -> list[str]:
        """Lines on the chains and the weights of the session, and their limits."""
        from physio.core.block import Origin
        from physio.online.default_pipeline import unused_chains
        from physio.online.shipped_chains import chain_notes

        if not self.streams:
            return []
        plan = self.config().plan(self.streams)
        chains = [
            f"{name} ({', '.join(chain.streams)})"
            for name, chain in plan.chains.items()
        ]
        experts = getattr(plan.estimator, "experts", ())
        weights = [f"{e.name} ({', '.join(e.features)})" for e in experts]
        origin = Origin.SIMULATED if self.is_simulated else Origin.MEASURED
        notes = [
            f"{stream}: {note}"
            for stream, texts in chain_notes(self.streams).items()
            for note in texts
        ]
        return [
            f"chains: {', '.join(chains) or 'none'}",
            f"weights: {', '.join(weights) or 'none, so that nothing is estimated'}",
            *notes,
            *unused_chains(plan, origin),
        ]

    def text(self, participant: str = "", consent: str = "") -> str:
        """Return the commented session file."""
        if self.is_simulated and not consent:
            consent = NO_PARTICIPANT
        date = datetime.now().astimezone().date().isoformat()
        lines = [
            *_comment(f"Session file proposed by `{self.origin}` on {date}."),
            *_comment("  physio live FILE       runs it; each line may be changed"),
            *_comment("  docs/session.md        describes every table"),
            "",
            "[session]",
            _line("participant", participant, "a code, never a name"),
            _line("consent", consent, "name and version of the text agreed to"),
            _line("rate", 4, "estimates per second"),
        ]
        for device in self.devices:
            lines += ["", *_comment(device.label)]
            lines += [line for i in device.streams for line in _comment(_summary(i))]
            lines += [
                line for g in device.guesses for line in _comment(f"Guessed: {g}")
            ]
            lines.append(f"[devices.{_key(device.key)}]")
            lines += [_line(key, value) for key, value in device.settings.items()]
        lines.append("")
        lines += [line for c in self.computed for line in _comment(c)]
        lines += _comment(
            "Tables [chains.NAME] and [estimator] replace these defaults."
        )
        if named := next((i for i in self.streams if i.rate and i.channels), None):
            lines += _correction(named)
        for text in shared_kinds(self.devices):
            lines += _comment(f"{text}: delete one, or give each a participant code.")
        return "\n".join(lines) + "\n"

    def lines(self) -> list[str]:
        """Return the lines of the table of devices, and of what is computed."""
        return [*self.device_lines(), *self.computed]

    def device_lines(self) -> list[str]:
        """Return the lines of the table of devices and streams."""
        rows = [_COLUMNS]
        for device in self.devices:
            cells = [_cells(info) for info in device.streams if info.channels]
            cells = cells or [("known when it is open", "", "", "")]
            rows += [("" if i else device.key, *row) for i, row in enumerate(cells)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
        table = [
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        guesses = [f"guessed: {g}" for d in self.devices for g in d.guesses]
        labels = [f"{d.key}: {d.label}" for d in self.devices]
        return [*table, *labels, *guesses]

    def write(self, path: Path, participant: str, consent: str) -> Path:
        """Write the file under a free name; return its path."""
        numbered = (path.with_stem(f"{path.stem}-{i}") for i in range(2, 10_000))
        while path.exists():
            path = next(numbered)
        write_new(path, self.text(participant, consent))
        return path


def write_new(path: Path, text: str) -> None:
    """Write a new file.

    Raises
    ------
    ValueError
        If there is a file already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ValueError(
            f"{path} exists: choose another file; nothing was changed"
        ) from None


def shared_kinds(devices: Iterable[DetectedDevice]) -> list[str]:
    """Return a phrase on each main kind of signal that several senders measure."""
    senders = senders_by_kind(devices)
    return [
        f"{' and '.join(names)} measure {MAIN[kind]}"
        for kind, names in senders.items()
        if len(names) > 1
    ]


def senders_by_kind(devices: Iterable[DetectedDevice]) -> dict[str, list[str]]:
    """Return the names of the senders that measure each kind of `MAIN`."""
    senders: dict[str, list[str]] = {}
    for kind in MAIN:
        names = [d.sender for d in devices if kind in d.main_kinds]
        senders[kind] = list(dict.fromkeys(names))
    return senders


def _cells(info: StreamInfo) -> tuple[str, str, str, str]:
    names = [printable(c.name, keep="") for c in info.channels]
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST + 1 else ""
    units = dict.fromkeys(c.unit for c in info.channels if c.unit != "1")
    return (
        printable(info.name, keep=""),
        ", ".join(names[: _MOST if more else None]) + more,
        ", ".join(units),
        f"{float(info.rate):g}" if info.rate else "events",
    )


def _summary(info: StreamInfo) -> str:
    """Return a stream in a line: name, channels, units, rate."""
    name, channels, units, rate = _cells(info)
    unit = f" ({units})" if units else ""
    rate = rate if rate == "events" else f"{rate} Hz"
    return f"  {name}: {channels}{unit}{', ' if channels else ''}{rate}"


def _comment(text: str) -> list[str]:
    """Return a text as lines of comment, in which no character ends the line."""
    return [f"# {printable(text, keep='')}"]


def _line(key: str, value: Any, comment: str = "") -> str:
    text = tomli_w.dumps({key: value}).strip()
    return f"{text}  # {comment}" if comment else text


def _key(name: str) -> str:
    """Return a key of TOML, quoted where it must be."""
    return tomli_w.dumps({name: 0}).partition(" = ")[0]


def _correction(info: StreamInfo) -> list[str]:
    """Return the example of a table that corrects channels, as a comment."""
    device, _, stream = info.name.partition(".")
    first = info.channels[0]
    table = {"unit": {first.name: first.unit or "uV"}}
    text = tomli_w.dumps(table).replace("\n", " ").strip()
    unit = text.partition("] ")[2]
    return [
        *_comment("Names, kinds and units of channels are corrected as in:"),
        *_comment(f"[channels.{_key(device)}.{_key(stream)}]"),
        *_comment(f"unit = {{ {unit} }}"),
    ]
