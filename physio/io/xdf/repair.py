"""Files that are cut off or damaged, made readable without touching them."""

import os
from dataclasses import dataclass
from pathlib import Path

from physio.core.recording import Recording
from physio.io.xdf.chunks import BOUNDARY, MAGIC, Tag, UnreadableError, chunk
from physio.io.xdf.create_file import create
from physio.io.xdf.header import read_file_header
from physio.io.xdf.reader import assemble, own_about
from physio.io.xdf.recovery import RecoveredFile, recover
from physio.io.xdf.valid_chunks import ValidChunks, verbatim
from physio.io.xdf.write_recording import write


@dataclass(frozen=True)
class Repaired:
    """What a repair made.

    Parameters
    ----------
    path
        The new file.
    cut
        How many bytes at the end belong to nothing whole.
    damage
        What was left out in between, a text each.
    ended
        How the recording ended, where it is one of ours.
    samples, events, seconds
        What the new file holds; None for a file of another program.
    """

    path: Path
    cut: int
    damage: tuple[str, ...] = ()
    ended: str = ""
    samples: int | None = None
    events: int | None = None
    seconds: float | None = None


def repair(path: Path | str, out: Path | str | None = None) -> Repaired:
    """Write what is whole of a file into a new one, which can always be read.

    All whole chunks are kept, also those behind damage: of a file of ours by its
    checksums, of another program's by its boundaries. The file itself stays as it is.

    Parameters
    ----------
    path
        The file.
    out
        The new one; by default ``<stem>_repaired.xdf`` beside it. One that is there
        already is kept as ``_old1``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no XDF file at all.
    OSError
        If the new file cannot be written.
    """
    path = Path(path)
    out = path.with_stem(f"{path.stem}_repaired") if out is None else Path(out)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder, not an XDF file") from None
    if out.resolve() == path.resolve():
        raise ValueError(f"the repaired file must be another one than {path}")
    if not MAGIC.startswith(raw[:4]) and BOUNDARY not in raw:
        raise ValueError(f"cannot repair {path}: it does not begin with 'XDF:'")
    saved = recover(raw)
    sound = ValidChunks()
    if saved is None:
        sound.take(raw)
        if not _is_ours(sound):
            return _as_it_is(raw, sound, out)
        cut = next((a for a, b in sound.bad if b == len(raw)), -1)
        saved = RecoveredFile(sound.chunks, cut=cut)
    return _anew(raw, saved, out)


def _is_ours(sound: ValidChunks) -> bool:
    first = sound.chunks[:1]
    return bool(
        first
        and first[0].tag == Tag.FILE_HEADER
        and read_file_header(bytes(first[0].content)) is not None
    )


def _anew(raw: bytes, saved: RecoveredFile, out: Path) -> Repaired:
    """Write a recording of ours again."""
    about = own_about(saved.chunks)
    if about is None:
        raise UnreadableError("it is of another program, with checksums of ours")
    recording = assemble(about, saved.chunks, saved.damage, tail=True)
    write(out, recording)
    samples, events = _counts(recording)
    return Repaired(
        out,
        len(raw) - saved.cut if saved.cut >= 0 else 0,
        tuple(map(str, saved.damage)),
        recording.metadata["ended"],
        samples,
        events,
        recording.seconds,
    )


def _counts(recording: Recording) -> tuple[int, int]:
    samples = sum(len(b) for blocks in recording.streams.values() for b in blocks)
    return samples, sum(map(len, recording.events.values()))


def _as_it_is(raw: bytes, sound: ValidChunks, out: Path) -> Repaired:
    """Write the sound chunks of another program's file, byte for byte."""
    header = chunk(Tag.FILE_HEADER, b"<info><version>1.0</version></info>")
    headed = bool(sound.chunks) and sound.chunks[0].tag == Tag.FILE_HEADER
    with os.fdopen(create(out), "wb") as file:
        file.write(MAGIC + (b"" if headed else header))
        for part in verbatim(memoryview(raw), sound.chunks):
            file.write(part)
    cut = sum(b - a for a, b in sound.bad if b == len(raw))
    damage = [f"bytes {a} to {b}" for a, b in sound.bad if b < len(raw)]
    return Repaired(out, cut, tuple(damage))
