"""Annotations and times of records of EDF+ and BDF+ files."""

import re
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final, NamedTuple

_LIST = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14([^\0]*)")

_SIGNALS: Final = (b"EDF Annotations", b"BDF Annotations")


class Annotation(NamedTuple):
    """Onset and duration (s), text, and the channel that it is about, if any."""

    onset: float
    seconds: float
    text: str
    channel: str = ""


class EdfTimes(NamedTuple):
    """Onset of each record (s), duration of a record (s), and all annotations."""

    onsets: tuple[float, ...]
    seconds: float
    annotations: tuple[Annotation, ...]


def is_discontinuous(path: Path) -> bool:
    """Return whether a header declares gaps between records (EDF+D, BDF+D)."""
    with path.open("rb") as file:
        return file.read(256)[192:197].upper() in (b"EDF+D", b"BDF+D")


def has_annotations(path: Path) -> bool:
    """Return whether a file with a valid header has a signal of annotations."""
    with path.open("rb") as file:
        n = int(file.read(256)[252:256])
        labels = file.read(16 * n)
    names = {labels[16 * i : 16 * (i + 1)].strip(b" \0") for i in range(n)}
    return not names.isdisjoint(_SIGNALS)


def read_times(path: Path) -> EdfTimes:
    """Return times and annotations of a file with a valid header."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as raw:
        return _times(raw)


def _times(raw: mmap) -> EdfTimes:
    n = int(raw[252:256])
    names = [raw[256 + 16 * i : 272 + 16 * i].strip(b" \0") for i in range(n)]
    at = 256 + 216 * n
    width = 3 if raw[:1] == b"\xff" else 2
    sizes = [int(raw[at + 8 * i : at + 8 * i + 8]) * width for i in range(n)]
    channels = {name.decode("latin-1") for name in names}
    spans, begin = [], 0
    for name, size in zip(names, sizes, strict=True):
        if name in _SIGNALS:
            spans.append((begin, begin + size))
        begin += size
    onsets, annotations = [], []
    first = 256 * (n + 1)
    for start in range(first, len(raw) - begin + 1, begin):
        lists = [
            match
            for a, b in spans
            for match in _LIST.finditer(raw[start + a : start + b])
        ]
        if lists:
            onsets.append(float(lists[0][1]))
        for match in lists:
            for text in match[3].split(b"\x14"):
                if label := text.decode("utf-8", "replace").strip():
                    words, _, channel = label.partition("@@")
                    if channel not in channels:  # MNE writes channels so
                        words, channel = label, ""
                    row = (float(match[1]), float(match[2] or 0), words, channel)
                    annotations.append(Annotation(*row))
    seconds = float(raw[244:252].strip(b" \0").replace(b",", b"."))
    return EdfTimes(tuple(onsets), seconds, tuple(sorted(annotations)))
