"""Repair of truncated or damaged files, written to a new file."""

import os
from dataclasses import dataclass
from pathlib import Path

from physio.core.recording import Recording
from physio.io.xdf.chunks import BOUNDARY, MAGIC, Tag, UnreadableError, chunk
from physio.io.xdf.compressed import read_xdf_bytes
from physio.io.xdf.create_file import create
from physio.io.xdf.header import read_file_header
from physio.io.xdf.reader import assemble, recording_metadata
from physio.io.xdf.recovery import RecoveredFile, recover
from physio.io.xdf.valid_chunks import ValidChunks, verbatim
from physio.io.xdf.write_recording import write


@dataclass(frozen=True)
class Repaired:
    """Result of a repair.

    Parameters
    ----------
    path
        The new file.
    cut
        Number of bytes at the end in an incomplete chunk.
    damage
        Descriptions of the damage that was left out.
    ended
        End of the recording as stated in a file of `Writer`.
    samples, events, seconds
        Content of the new file; None for a file of another program.
    """

    path: Path
    cut: int
    damage: tuple[str, ...] = ()
    ended: str = ""
    samples: int | None = None
    events: int | None = None
    seconds: float | None = None


def repair(path: Path | str, out: Path | str | None = None) -> Repaired:
    """Write the complete chunks of a file into a new file, which is always readable.

    Chunks after the damage are included: they are located by checksums in a file of
    `Writer`, and by boundaries in that of another program. The file itself is
    unchanged.

    Parameters
    ----------
    path
        The file.
    out
        The new file; by default ``<stem>_repaired.xdf`` beside the first. An existing
        file of that name is renamed to ``_old1``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not an XDF file.
    OSError
        If the new file cannot be written.
    """
    path = Path(path)
    out = path.with_stem(f"{path.stem}_repaired") if out is None else Path(out)
    raw = read_xdf_bytes(path)
    if out.resolve() == path.resolve():
        raise ValueError(f"the repaired file must be another one than {path}")
    if not MAGIC.startswith(raw[:4]) and BOUNDARY not in raw:
        raise ValueError(f"cannot repair {path}: it does not begin with 'XDF:'")
    saved = recover(raw)
    valid = ValidChunks()
    if saved is None:
        valid.take(raw)
        if not _is_ours(valid):
            return _as_it_is(raw, valid, out)
        cut = next((a for a, b in valid.bad if b == len(raw)), -1)
        saved = RecoveredFile(valid.chunks, cut=cut)
    return _anew(raw, saved, out)


def _is_ours(valid: ValidChunks) -> bool:
    first = valid.chunks[:1]
    return bool(
        first
        and first[0].tag == Tag.FILE_HEADER
        and read_file_header(bytes(first[0].content)) is not None
    )


def _anew(raw: bytes, saved: RecoveredFile, out: Path) -> Repaired:
    """Write a recording of `Writer` again."""
    about = recording_metadata(saved.chunks)
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


def _as_it_is(raw: bytes, valid: ValidChunks, out: Path) -> Repaired:
    """Write the valid chunks of another program's file, byte for byte."""
    header = chunk(Tag.FILE_HEADER, b"<info><version>1.0</version></info>")
    headed = bool(valid.chunks) and valid.chunks[0].tag == Tag.FILE_HEADER
    with os.fdopen(create(out), "wb") as file:
        file.write(MAGIC + (b"" if headed else header))
        for part in verbatim(memoryview(raw), valid.chunks):
            file.write(part)
    cut = sum(b - a for a, b in valid.bad if b == len(raw))
    damage = [f"bytes {a} to {b}" for a, b in valid.bad if b < len(raw)]
    return Repaired(out, cut, tuple(damage))
