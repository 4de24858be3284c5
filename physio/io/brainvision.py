"""Headers of BrainVision files: ``.vhdr`` beside ``.eeg`` and ``.vmrk``."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from physio.core.input_file import refuse_endless

_WIDTHS: Final = {"INT_16": 2, "UINT_16": 2, "INT_32": 4, "IEEE_FLOAT_32": 4}
_ENTRY: Final = r"(?mi)^[ \t]*{}[ \t]*[=:][ \t]*([^\r\n]*)"
_FILES: Final = {"DataFile": (".eeg", ".dat"), "MarkerFile": (".vmrk",)}


class ChannelInfo(NamedTuple):
    """Name, reference, resolution and unit of a channel, as stated in the header."""

    name: str
    reference: str
    resolution: str
    unit: str


def read_channels(path: Path) -> tuple[ChannelInfo, ...]:
    """Return the channels of a header; empty if it states none."""
    channels = []
    for _, text in sorted(_entries(path, "Channel Infos", r"Ch(\d+)")):
        fields = [*text.split(","), "", "", ""]
        name = fields[0].replace("\\1", ",")
        channels.append(ChannelInfo(name, *(text.strip() for text in fields[1:4])))
    return tuple(channels)


@contextmanager
def readable_header(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a header whose files exist, and notes on its differences from ``path``.

    If files were renamed together, the header still contains the old names; the files
    beside the header with its name are then used. A name never leads to another folder.
    """
    notes = []
    text = _text(path)
    for key, suffixes in _FILES.items():
        for match in re.finditer(_ENTRY.format(key), text):
            name = match[1].strip().replace("$b", path.stem)
            plain = PureWindowsPath(name).name  # of no other folder, on any system
            refuse_endless(path.parent / plain)
            if not name or (plain == name and (path.parent / name).is_file()):
                continue
            beside = (path.parent / plain, *(path.with_suffix(s) for s in suffixes))
            candidate = next((p for p in beside if p.is_file()), None)
            if candidate is not None:
                notes.append(
                    f"the header names a {key} that is not there: {candidate.name} is "
                    "read in its place"
                )
                text = text.replace(match[0], f"{key}={candidate.resolve()}")
            elif plain != name:
                raise ValueError(
                    f"its {key} {name!r} leads out of the folder of the header"
                )
    if (note := _shorter(path, text)) is not None:
        notes.append(note)
    if text == _text(path):
        yield path, notes
        return
    with TemporaryDirectory() as folder:
        header = Path(folder) / path.name
        changed = re.sub(r"(?mi)^Codepage=[^\r\n]*", "Codepage=UTF-8", text)
        header.write_text(changed, "utf-8", newline="")
        yield header, notes


def _shorter(path: Path, text: str) -> str | None:
    """Return a sentence if the data are shorter than the header declares."""
    values = {
        key: match[1].strip()
        for key in ("DataFile", "NumberOfChannels", "DataPoints", "BinaryFormat")
        if (match := re.search(rf"(?m)^{key}[ \t]*=[ \t]*([^\r\n]*)", text))
    }
    width = _WIDTHS.get(values.get("BinaryFormat", ""), 0)
    data = path.parent / values.get("DataFile", "").replace("$b", path.stem)
    numbers = [values.get(key, "") for key in ("NumberOfChannels", "DataPoints")]
    if not width or not data.is_file() or not all(n.isdecimal() for n in numbers):
        return None
    channels, points = map(int, numbers)
    there = data.stat().st_size // max(1, channels * width)
    if there >= points:
        return None
    return f"the header declares {points} samples, but the file has {there}"


def _entries(path: Path, section: str, key: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each numbered entry of a section."""
    inside = False
    for line in _text(path).splitlines():
        if line.startswith("["):
            inside = line.strip() == f"[{section}]"
        elif inside and (match := re.fullmatch(rf"{key}\s*=(.*)", line)):
            yield int(match[1]), match[2]


def _text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
