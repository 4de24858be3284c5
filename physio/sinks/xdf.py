"""Recording of a session in an XDF file."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Final, Self

from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.filename import valid_name
from physio.core.protocols import Sink
from physio.io.xdf import outcome
from physio.sinks.disk_space import Backlog
from physio.sinks.recording_files import RecordingFiles, reason

_CHECK: Final = 1.0  # s between checks of the disk; data that a power cut may lose


@dataclass
class Xdf(Sink):
    """Sink that records all items into an XDF file.

    A thread writes each item at once and flushes the file to the disk once a second.
    Items that the disk does not take wait in memory. They are written as soon as there
    is room, at the latest at the end. What fits nowhere is counted: see `unwritten`.

    Parameters
    ----------
    folder
        Folder of the file.
    about
        Properties of the session: participant, consent, begin, config ...
    inputs
        Names of the input streams, which the timeline distinguishes from computed ones;
        by default the announced streams and the session's (``session.*``), or all where
        none was announced.
    filename
        File name without a folder; an existing file becomes ``recording_old1.xdf``.
    fallback
        Another folder, in which the recording continues when the disk is nearly full or
        fails.
    reserve_mb
        Free space below which a disk counts as nearly full (MB).
    ring_mb
        Memory for items that the disk does not take (MB); above it, the oldest are
        discarded.
    wait
        Whether `write` may wait for the disk, as in a fast replay.

    Notes
    -----
    A continued recording is a second file, ``recording_part2.xdf``, whose
    ``about["continues"]`` names the first one; samples keep their numbers. A file that
    is deleted or moved while it is written is copied from its open descriptor.
    ``about["warnings"]`` of the last file names what the recording lacks.
    """

    folder: Path
    about: Mapping[str, str] = field(default_factory=dict)
    inputs: frozenset[str] | None = None
    filename: str = "recording.xdf"
    fallback: str = ""
    reserve_mb: float = 64.0
    ring_mb: float = 64.0
    wait: bool = field(default=False, kw_only=True)
    threaded = True

    def __post_init__(self) -> None:
        valid_name(self.filename, "a recording")

    def __enter__(self) -> Self:
        self._backlog = Backlog(int(1e6 * self.ring_mb))
        self._notices: deque[str] = deque()
        self._reported: dict[str, None] = {}
        self._faults: list[str] = []
        self._ended = "completed"
        self._gone: Counter[str] = Counter()
        self._files = RecordingFiles(
            self.folder / self.filename,
            self.about,
            Path(self.fallback) if self.fallback else None,
            int(1e6 * self.reserve_mb),
            self.inputs,
            self._fault,
        )
        self._thread = Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._ended = outcome(error)
        self._backlog.close()
        self._thread.join()

    @property
    def file(self) -> Path:
        """Path of the file that is written at present."""
        return self._files.path

    def open_streams(self, infos: Iterable[StreamInfo]) -> None:
        """Add streams to the file, also those that never have a sample."""
        self._files.announce(tuple(infos))

    def write(self, item: Item) -> None:
        """Record a block or events."""
        self._backlog.put(item, wait=self.wait)

    def end(self, outcome: str) -> None:
        """Set the outcome of the session, unless an error ends it."""
        self._ended = outcome

    def faults(self) -> Sequence[str]:
        """Return sentences on what failed, and on what the recording lacks."""
        return self._faults

    def unwritten(self) -> Mapping[str, int]:
        """Return the number of lost samples or events of each stream."""
        return self._backlog.discarded + self._gone

    def notices(self) -> list[str]:
        """Return the messages about the disk since the last call."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    def _run(self) -> None:
        """Write items until the end."""
        try:
            self._write_items()
            self._write_rest()
        except Exception as error:  # the session goes on, and the loss is counted
            self._fault(f"the recording {self.file} stopped: {error!r}")
            self._backlog.stalled = True
            while not self._backlog.closed:
                self._backlog.pause(_CHECK)
        self._close()

    def _write_items(self) -> None:
        backlog, due = self._backlog, time.monotonic() + _CHECK
        while not backlog.closed or (len(backlog) and not backlog.stalled):
            if backlog.stalled:
                backlog.pause(_CHECK)
            elif (item := backlog.take(max(0.0, due - time.monotonic()))) is not None:
                self._store(item)
            if time.monotonic() >= due:
                self._check()
                due = time.monotonic() + _CHECK

    def _store(self, item: Item) -> None:
        """Write an item, or return it to the backlog if the disk does not take it."""
        try:
            self._files.write(item)
        except ValueError as error:  # it contradicts its stream
            self._fault(str(error))
            self._backlog.discard(item)
        except OSError as error:
            self._backlog.put_back(item)
            self._stall(error)

    def _check(self, *, final: bool = False) -> None:
        """Check the disk; if nothing could be written, try again."""
        if self._backlog.stalled:
            self._go_on()
            return
        try:
            if warning := self._files.check():
                self._notify(warning)
        except OSError as error:
            self._stall(error, final=final)

    def _stall(self, error: OSError, *, final: bool = False) -> None:
        """Report that the disk takes no more, and go on where there is room."""
        self._fault(f"the recording {self.file} stopped: {reason(error)}")
        self._backlog.stalled = True
        if not self._go_on(final=final):
            self._notify(
                f"the newest {self.ring_mb:g} MB are held in memory until there is "
                f"room in {self.file.parent}; another folder can be given as fallback"
            )

    def _go_on(self, *, final: bool = False) -> bool:
        """Write the oldest item anywhere; return whether there is such a place."""
        item = self._backlog.take()
        try:
            self._files.go_on(item, final=final)
        except OSError:
            if item is not None:
                self._backlog.put_back(item)
            return False
        self._backlog.stalled = False
        discarded = _amounts(self._backlog.discarded)
        lacking = f"; it lacks {discarded}" if discarded else ""
        self._notify(f"the recording goes on in {self.file}{lacking}")
        return True

    def _write_rest(self) -> None:
        """Write what waits wherever it still fits, once no more will come."""
        backlog = self._backlog
        self._check(final=True)
        while len(backlog) and (not backlog.stalled or self._go_on(final=True)):
            if (item := backlog.take()) is not None:
                self._store(item)

    def _close(self) -> None:
        """Close the file, and report what was lost."""
        self._backlog.discard_all()
        lost = _amounts(self._backlog.discarded)
        warning = f"not recorded: {lost}" if lost else ""
        self._gone.update(self._files.close(self._ended, warning))
        if lost := _amounts(self._backlog.discarded + self._gone):
            self._fault(f"the recording {self.file} lacks {lost}")

    def _fault(self, sentence: str) -> None:
        """Report a failure, once."""
        if sentence not in self._faults:
            self._faults.append(sentence)
            self._notices.append(sentence)

    def _notify(self, sentence: str) -> None:
        """Report a change, once."""
        if sentence not in self._reported:
            self._reported[sentence] = None
            self._notices.append(sentence)


def _amounts(lost: Mapping[str, int]) -> str:
    """Return numbers of lost samples and events by stream, as text."""
    parts = [f"{n} of {name}" for name, n in lost.items() if n]
    return f"samples or events ({', '.join(parts)})" if parts else ""
