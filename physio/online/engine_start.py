"""Start of an engine while a session already reads and records."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

from physio import config
from physio.core import stream_codec
from physio.core.block import StreamInfo
from physio.core.operating_system import separate_group
from physio.online.engine import Engine, PipelineConfig

_LOOK: Final = 0.1  # s between two looks at the child process
_JOIN: Final = 2.0  # s to wait for the thread at the end


class EngineStart:
    """An engine that is built in a thread: kernels and weights are loaded there.

    Kernels that are not stored yet are compiled by a child process, see
    `physio.online.compile_kernels`, because a compilation in this process would delay
    the session. Where kernels cannot be stored, or the child process fails, the thread
    compiles them.

    Parameters
    ----------
    plan, streams, begin
        See `physio.online.engine.Engine`.
    """

    def __init__(
        self, plan: PipelineConfig, streams: Sequence[StreamInfo], begin: float
    ) -> None:
        self.engine: Engine | None = None
        """The engine, once it is ready."""
        self.error: Exception | None = None
        """The error that prevented the start."""
        self.compiling = False
        self._plan, self._streams, self._begin = plan, tuple(streams), begin
        self._began = time.monotonic()
        self._closed = Event()
        self._thread = Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """True once the engine is ready, or has failed to start."""
        return self.engine is not None or self.error is not None

    @property
    def seconds(self) -> float:
        """Time since the beginning of the start (s)."""
        return time.monotonic() - self._began

    def close(self) -> None:
        """End the start, complete or not; a compilation ends with its kernel."""
        self._closed.set()
        self._thread.join(_JOIN)

    def _run(self) -> None:
        from physio.dsp.jit import IN_MEMORY, ColdKernelError, refused_compilation

        try:
            try:
                with refused_compilation():
                    engine = self._build()
            except ColdKernelError:
                self.compiling = True
                if not IN_MEMORY:
                    self._compile()
                with refused_compilation(self._closed.is_set):
                    engine = self._build()
            self.engine = engine
        except ColdKernelError:  # closed
            return
        except Exception as error:  # the session records, and reports it
            self.error = error

    def _build(self) -> Engine:
        return Engine(self._plan, self._streams, self._begin)

    def _compile(self) -> None:
        """Compile and store the kernels in a child process, unless that fails."""
        try:
            text = json.dumps(description(self._plan, self._streams))
        except (TypeError, ValueError):  # a stage without a description as tables
            return
        if not sys.executable or getattr(sys, "frozen", False):
            return
        path = os.pathsep.join(p or str(Path.cwd()) for p in sys.path)
        try:
            child = subprocess.Popen(
                [sys.executable, "-m", "physio.online.compile_kernels"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
                text=True,
                **separate_group(),
            )
        except OSError:
            return
        if child.stdin is not None:
            with suppress(BrokenPipeError), child.stdin:
                child.stdin.write(text)
        while child.poll() is None:
            if self._closed.wait(_LOOK):
                child.kill()
                child.wait()


def description(plan: PipelineConfig, streams: Sequence[StreamInfo]) -> dict[str, Any]:
    """Return a plan and its streams as JSON can hold them: see `described`."""
    tables = config.describe(plan)
    packages = {use.partition(":")[0].partition(".")[0] for use in _uses(tables)}
    return {
        "plan": tables,
        "streams": [stream_codec.to_dict(info) for info in streams],
        "trust": sorted(packages - {"physio", "devices"}),
    }


def described(table: dict[str, Any]) -> tuple[PipelineConfig, list[StreamInfo]]:
    """Return the plan and the streams of a `description`."""
    plan = config.build(table["plan"], "the plan", tuple(table["trust"]))
    return plan, [stream_codec.from_dict(info) for info in table["streams"]]


def _uses(tables: Any) -> list[str]:
    """Return the import paths in tables."""
    if isinstance(tables, list):
        return [use for part in tables for use in _uses(part)]
    if not isinstance(tables, dict):
        return []
    uses = [use for part in tables.values() for use in _uses(part)]
    return [*uses, tables["use"]] if isinstance(tables.get("use"), str) else uses
