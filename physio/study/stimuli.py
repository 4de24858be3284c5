"""Stimuli of a study: files of its folder, their checks, durations and orders."""

import hashlib
import re
import struct
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple
from zlib import crc32

import numpy as np

from physio.core.filename import invalid_reason
from physio.study.counterbalancing import draw_orders

StimulusKind = Literal["picture", "sound", "video"]

LARGEST: Final = 2**30
"""Largest file of a stimulus (bytes)."""

BREAK: Final = 60.0
"""Longest gap before a stimulus (s)."""

TYPES: Final[Mapping[str, tuple[StimulusKind, str]]] = {
    ".png": ("picture", "image/png"),
    ".jpg": ("picture", "image/jpeg"),
    ".jpeg": ("picture", "image/jpeg"),
    ".webp": ("picture", "image/webp"),
    ".wav": ("sound", "audio/wav"),
    ".flac": ("sound", "audio/flac"),
    ".ogg": ("sound", "audio/ogg"),
    ".mp3": ("sound", "audio/mpeg"),
    ".m4a": ("sound", "audio/mp4"),
    ".mp4": ("video", "video/mp4"),
    ".webm": ("video", "video/webm"),
}
"""Kind and media type of each type of file."""

_BEGINNINGS: Final[Mapping[str, re.Pattern[bytes]]] = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "audio/wav": re.compile(rb"RIFF....WAVE", re.DOTALL),
    "audio/flac": re.compile(rb"fLaC"),
    "audio/ogg": re.compile(rb"OggS"),
    "audio/mpeg": re.compile(rb"ID3|\xff[\xe0-\xff]"),
    "audio/mp4": re.compile(rb"....ftyp", re.DOTALL),
    "video/mp4": re.compile(rb"....ftyp", re.DOTALL),
    "video/webm": re.compile(rb"\x1a\x45\xdf\xa3"),
}


@dataclass(frozen=True)
class StimulusSet:
    """A table ``[stimuli.NAME]``: the stimuli of a condition.

    Parameters
    ----------
    files
        Names or patterns (``"calm/*.png"``) of files, relative to the study file.
    seconds
        Duration of each stimulus (s); 0 takes the length of the sound or the video.
    gap
        Duration of the cross before each stimulus (s).
    order
        ``random``: shuffled anew for each participant. ``balanced``: a Williams design
        over participants. ``fixed``: as listed.
    questionnaires
        Questionnaires after each stimulus.
    """

    files: tuple[str, ...]
    seconds: float = 0.0
    gap: float = 1.0
    order: Literal["random", "balanced", "fixed"] = "random"
    questionnaires: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError('files = [] names no stimulus: write files = ["a/*.png"]')
        if not 0 <= self.seconds < np.inf:
            raise ValueError(f"seconds = {self.seconds:g} must be 0 or more")
        if not 0 <= self.gap <= BREAK:
            raise ValueError(f"gap = {self.gap:g} must be from 0 to {BREAK:g} s")


class StimulusFile(NamedTuple):
    """A file of a stimulus that has been checked.

    Parameters
    ----------
    name
        Path relative to the study file, with slashes.
    path
        The file.
    kind, type
        Kind and media type.
    seconds
        Duration of its presentation (s).
    sha256
        Hash of its content.
    """

    name: str
    path: Path
    kind: StimulusKind
    type: str
    seconds: float
    sha256: str


def read_files(stimuli: StimulusSet, folder: Path, at: str) -> tuple[StimulusFile, ...]:
    """Return the files of a set of stimuli after checking each of them.

    Parameters
    ----------
    stimuli
        The set.
    folder
        Folder of the study file.
    at
        Place of the set in the study file, for messages.

    Raises
    ------
    FileNotFoundError
        If a pattern matches no file.
    ValueError
        If a file cannot be shown, or its duration is unknown; the message names it.
    """
    names: dict[str, None] = {}
    for pattern in stimuli.files:
        names.update(dict.fromkeys(_matches(pattern, folder, at)))
    return tuple(_read_file(folder / name, name, stimuli, at) for name in names)


def _matches(pattern: str, folder: Path, at: str) -> list[str]:
    """Return the files of a pattern, by name, with numbers in their order."""
    parts = pattern.split("/")
    if not pattern or ".." in parts or "" in parts or "\\" in pattern:
        raise ValueError(
            f"{at}: files has {pattern!r}, which must lie below the study file: write "
            "a name as calm/sea.png, or a pattern as calm/*.png"
        )
    paths = [p for p in folder.glob(pattern) if p.is_file()]
    if not paths:
        raise FileNotFoundError(
            f"{at}: no file matches {pattern!r} in {folder}: correct the name, or add "
            "the file"
        )
    names = [p.relative_to(folder).as_posix() for p in paths]
    for name in names:
        reason = next(filter(None, map(invalid_reason, name.split("/"))), "")
        if reason or not (folder / name).resolve().is_relative_to(folder.resolve()):
            reason = reason or "it is a link that leads out of the study's folder"
            raise ValueError(f"{at}: {name!r} cannot be a stimulus: {reason}")
    return sorted(names, key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(p), "") if p.isdecimal() else (0, p) for p in parts]


def _read_file(path: Path, name: str, stimuli: StimulusSet, at: str) -> StimulusFile:
    """Return a file after checking type, size, content and duration."""
    if path.suffix.lower() not in TYPES:
        raise ValueError(
            f"{at}: {name} is of a type that browsers may not show: convert it to one "
            f"of {', '.join(TYPES)}"
        )
    kind, media = TYPES[path.suffix.lower()]
    size = path.stat().st_size
    if not 0 < size <= LARGEST:
        raise ValueError(
            f"{at}: {name} has {size} bytes, and a stimulus has 1 byte to "
            f"{LARGEST / 2**30:g} GiB"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        beginning = file.read(64)
    if not _BEGINNINGS[media].match(beginning):
        raise ValueError(
            f"{at}: {name} is not what its name says: its content is no {media}; save "
            "it again in that format"
        )
    if kind == "picture":
        _check_picture(path, name, at)
    seconds = stimuli.seconds or (0.0 if kind == "picture" else duration(path, media))
    if not 0 < seconds < np.inf:
        raise ValueError(
            f"{at}: the duration of {name} is unknown: write seconds = 4 in the table "
            f"[{at.rpartition(' ')[2]}]"
        )
    return StimulusFile(name, path, kind, media, float(seconds), digest)


def _check_picture(path: Path, name: str, at: str) -> None:
    """Raise ValueError if a picture cannot be decoded."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{at}: {name} cannot be decoded ({error}): save the picture again"
        ) from None


def duration(path: Path, media: str) -> float:
    """Return the duration of a sound or video (s); NaN if the file does not state it.

    Read from the header of WAV and FLAC, the last page of Ogg (Vorbis, Opus), the
    movie header of MP4, and the segment information of WebM.
    """
    readers = {
        "audio/wav": _wav_seconds,
        "audio/flac": _flac_seconds,
        "audio/ogg": _ogg_seconds,
        "audio/mp4": _mp4_seconds,
        "video/mp4": _mp4_seconds,
        "video/webm": _webm_seconds,
    }
    if media not in readers:
        return float("nan")
    try:
        return readers[media](path)
    except (ValueError, LookupError, EOFError, ArithmeticError):
        return float("nan")
    except (struct.error, wave.Error):
        return float("nan")


def _wav_seconds(path: Path) -> float:
    with wave.open(str(path), "rb") as sound:
        return sound.getnframes() / sound.getframerate()


def _flac_seconds(path: Path) -> float:
    with path.open("rb") as file:
        info = file.read(42)[18:26]
    packed = int.from_bytes(info, "big")
    return (packed & 0xFFFFFFFFF) / (packed >> 44)


def _ogg_seconds(path: Path) -> float:
    with path.open("rb") as file:
        begin = file.read(4096)
        file.seek(max(0, path.stat().st_size - 65_536))
        end = file.read()
    rate, skipped = 48_000, 0  # of Opus, whatever the input was
    if (at := begin.find(b"\x01vorbis")) >= 0:
        (rate,) = struct.unpack_from("<I", begin, at + 12)
    elif (at := begin.find(b"OpusHead")) >= 0:
        (skipped,) = struct.unpack_from("<H", begin, at + 10)
    else:
        raise ValueError
    (position,) = struct.unpack_from("<q", end, end.rindex(b"OggS") + 6)
    return (position - skipped) / rate


def _mp4_seconds(path: Path) -> float:
    content = _mp4_box(path, b"moov")
    at = content.index(b"mvhd") + 4
    wide = content[at] == 1
    scale, length = struct.unpack_from(
        ">IQ" if wide else ">II", content, at + 4 + 8 * (1 + wide)
    )
    return length / scale


def _mp4_box(path: Path, kind: bytes) -> bytes:
    """Return the content of the first box of a kind at the top of an MP4 file."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, before = int.from_bytes(head[:4], "big"), 8
            if size == 1:
                size, before = int.from_bytes(file.read(8), "big"), 16
            if head[4:] == kind:
                return file.read(min(size - before, 2**20))
            if size < before:
                break
            file.seek(size - before, 1)
    raise ValueError


def _webm_seconds(path: Path) -> float:
    with path.open("rb") as file:
        begin = file.read(65_536)
    at = begin.index(b"\x15\x49\xa9\x66")  # the segment information
    scale = 1_000_000
    if (mark := begin.find(b"\x2a\xd7\xb1", at)) >= 0:
        size = begin[mark + 3] & 0x7F
        scale = int.from_bytes(begin[mark + 4 : mark + 4 + size], "big")
    mark = begin.index(b"\x44\x89", at)
    kind = {0x84: ">f", 0x88: ">d"}[begin[mark + 2]]
    return float(struct.unpack_from(kind, begin, mark + 3)[0]) * scale / 1e9


def draw_stimuli(
    names: Sequence[str],
    order: Literal["random", "balanced", "fixed"],
    participants: int,
    seed: int,
    condition: str,
) -> list[list[str]]:
    """Return the stimuli of a condition in the order of every participant.

    More participants change no order of the first ones.

    Parameters
    ----------
    names
        Names of the stimuli.
    order
        See `StimulusSet`.
    participants
        Number of orders.
    seed
        Seed of the study.
    condition
        Name of the condition, whose orders are independent of those of others.
    """
    if order == "fixed":
        return [list(names) for _ in range(participants)]
    key = crc32(condition.encode())
    if order == "balanced":
        drawn = np.random.default_rng([seed, key]).integers(2**31)
        return draw_orders((), list(names), (), participants, int(drawn))
    return [
        [
            names[i]
            for i in np.random.default_rng([seed, key, k]).permutation(len(names))
        ]
        for k in range(participants)
    ]
