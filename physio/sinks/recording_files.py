"""Files of a recording: the one that is written, and those that continue it."""

import errno
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.output_file import unused
from physio.io.xdf import Writer
from physio.sinks.disk_space import ClosingSpace, DiskSpace

_CLOSING: Final = 1 << 17  # bytes held for the footers and the session's description
_ROOM: Final = 1 << 20  # free bytes for which a recording moves to another folder


class RecordingFiles:
    """XDF files of one recording, of which one is written at present.

    Parameters
    ----------
    path
        The first file.
    about
        Properties of the session.
    fallback
        Another folder for continuations; None without one.
    reserve
        Free space below which a disk counts as nearly full (bytes).
    inputs
        Names of the input streams: see `physio.sinks.xdf.Xdf`.
    report
        Function that takes a sentence on what cannot be recorded.

    Raises
    ------
    OSError
        If the first file cannot be created.
    """

    def __init__(
        self,
        path: Path,
        about: Mapping[str, str],
        fallback: Path | None,
        reserve: int,
        inputs: frozenset[str] | None,
        report: Callable[[str], None],
    ) -> None:
        self._first, self._about, self._reserve = path, about, reserve
        self._inputs, self._report = inputs, report
        other = fallback is not None and fallback.resolve() != path.parent.resolve()
        self._folders = [path.parent, *([fallback] if fallback and other else [])]
        self._infos: tuple[StreamInfo, ...] = ()
        self._closing: ClosingSpace | None = None
        self._use(Writer(path, about))

    def _use(self, writer: Writer) -> None:
        """Write to this file from now on."""
        self._writer, self._opened = writer, 0
        self._disk = DiskSpace(self.path.parent, self._reserve)
        self._release()
        self._closing = ClosingSpace(self.path.parent, _CLOSING)

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self._writer.path

    def announce(self, infos: tuple[StreamInfo, ...]) -> None:
        """Add streams that may never have a sample, with the next item."""
        self._infos += infos

    def write(self, item: Item | None) -> None:
        """Write an item, after the streams announced before it.

        Raises
        ------
        OSError
            If the disk does not take it; the file ends with the previous item.
        ValueError
            If it contradicts the description of its stream.
        """
        for info in self._infos[self._opened :]:
            try:
                self._writer.open_streams([info])
            except ValueError as error:
                self._report(str(error))
            self._opened += 1
        if item is not None:
            self._writer.write(item, arrived=self._is_input(item.info.name))

    def check(self) -> str:
        """Flush the file to the disk; return a warning if space runs short, or ``""``.

        With a fallback that has room, the recording moves there before the disk is
        full.

        Raises
        ------
        OSError
            If the file was deleted or moved, or the disk takes no more.
        """
        if not self._writer.has_name:
            raise FileNotFoundError(errno.ENOENT, "no such file")
        self.write(None)
        self._writer.sync()
        if self._disk.available <= 0:
            previous = self.path.parent
            for folder in self._others(final=False):
                with suppress(OSError):
                    self._continue_in(folder, None)
                    return (
                        f"the disk of {previous} is nearly full: the recording goes on "
                        f"in {self.path}"
                    )
        return self._disk.warning(time.monotonic(), self._writer.size)

    def go_on(self, item: Item | None, *, final: bool = False) -> None:
        """Write an item in the first place that takes it.

        That is the file; a copy of it, if it was deleted or moved; or a continuation in
        the other folder.

        Parameters
        ----------
        item
            The item.
        final
            Whether the session has ended, so that no space must stay free.

        Raises
        ------
        OSError
            If no place takes it.
        """
        try:
            self._go_on_in(self.path.parent, item)
        except OSError as error:
            for folder in self._others(final=final):
                with suppress(OSError):
                    self._go_on_in(folder, item)
                    return
            raise error

    def close(self, ended: str, warnings: str) -> dict[str, int]:
        """Close the file, with its outcome and a sentence on what it lacks.

        Returns the number of samples and events of each stream that vanish with it:
        those of a file that was deleted, and that no place could take.
        """
        self._release()
        gone = {} if self._writer.has_name else self._writer.counts
        try:
            self._writer.close(ended, warnings)
        except OSError as error:
            self._report(f"{self.path} has no end: {reason(error)}")
        return gone

    def _go_on_in(self, folder: Path, item: Item | None) -> None:
        if not self._writer.has_name:
            self._writer.move(unused(folder / self._first.name))
            self._use(self._writer)
        elif folder != self.path.parent:
            self._continue_in(folder, item)
            return
        try:
            self.write(item)
        except OSError as error:
            if error.errno != errno.EFBIG:  # the largest file of a memory stick
                raise
            self._continue_in(folder, item)

    def _continue_in(self, folder: Path, item: Item | None) -> None:
        """Close the file and continue in another, which begins with an item."""
        path = unused(folder / self._first.name, 2)
        new = Writer(path, {**self._about, "continues": self.path.name})
        try:
            new.open_streams(self._infos)
            if item is not None:
                new.write(item, arrived=self._is_input(item.info.name))
        except BaseException:
            new.discard()
            raise
        self._release()
        with suppress(OSError):
            self._writer.close(f"continued in {path}")
        self._use(new)

    def _release(self) -> None:
        if self._closing is not None:
            self._closing.release()

    def _others(self, *, final: bool) -> list[Path]:
        """Return the other folder, if it has room or this is the end."""
        others = [folder for folder in self._folders if folder != self.path.parent]
        return [f for f in others if final or _room(f) >= self._reserve + _ROOM]

    def _is_input(self, name: str) -> bool:
        if self._inputs is not None:
            return name in self._inputs
        announced = {info.name for info in self._infos}
        return name.startswith("session.") or not announced or name in announced


def reason(error: OSError) -> str:
    """Return the cause of an error in a few words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    if error.errno == errno.ENOENT:
        return "it was deleted or moved"
    cause = error.__cause__
    return str(getattr(cause, "strerror", "") or error.strerror or error).lower()


def _room(folder: Path) -> int:
    """Return the free space on the disk of a folder that need not exist (bytes)."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return shutil.disk_usage(folder).free
    return 0
