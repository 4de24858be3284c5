"""Output of commands: quiet runs, JSON on standard output, shared options."""

import inspect
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from physio.core.printable import printable

STANDARD_OUTPUT: Final = "-"
"""The path that stands for standard output, as in ``--json -``."""

JsonPath = Annotated[
    Path | None,
    typer.Option(
        "--json",
        help="Write the results as JSON to this file; `-` is standard output, which "
        "then holds nothing else.",
    ),
]
Trust = Annotated[
    list[str],
    typer.Option(
        help="Allow a package or module that `use` may name, installed or in the "
        "current folder.",
    ),
]

Board = Annotated[
    str | None,
    typer.Option(
        help="Board of a BrainFlow file, with its preset: cyton, emotibit:anc."
    ),
]
Columns = Annotated[
    Path | None,
    typer.Option(help="Map of a table's columns (TOML): see `physio columns`."),
]
ExportSession = Annotated[
    str,
    typer.Option(
        help="Session of an Empatica E4 export, a BIDS folder or a published data set "
        "that holds several."
    ),
]
Subject = Annotated[
    str,
    typer.Option(
        help="Participant of a BIDS folder or a published data set that holds several."
    ),
]
Task = Annotated[
    str,
    typer.Option(
        help="Task of a BIDS folder that holds several, a run as `rest_run-1`; trial "
        "of a published data set."
    ),
]

_stdout: ContextVar[TextIO | None] = ContextVar("stdout", default=None)
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_working: ContextVar[bool] = ContextVar("working", default=False)
_CLEAR: Final = "\r\x1b[K"


def routed(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with ``--quiet``, whose text leaves ``--json -`` alone.

    With ``--json -``, text goes to standard error; with ``--quiet``, only errors and
    questions are printed.
    """

    @wraps(command)
    def run(*, quiet: bool = False, **options: Any) -> None:
        to_stdout = str(options.get("json_path")) == STANDARD_OUTPUT
        with _redirected(quiet=quiet, to_stdout=to_stdout):
            command(**options)

    option = Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors and questions only.")
    ]
    signature = inspect.signature(command)
    quiet = inspect.Parameter(
        "quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option
    )
    parameters = (*signature.parameters.values(), quiet)
    run.__annotations__ = {**command.__annotations__, "quiet": option}
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def say(text: str, *, err: bool = False) -> None:
    """Print text for the operator, with terminal control characters escaped."""
    if _working.get():
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()
    typer.echo(printable(text), err=err)


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """Show what a command is doing in one line of a terminal, at once.

    Yields a function that changes the line, which is gone at the end. Where standard
    error is no terminal, and with ``--quiet``, nothing is shown.
    """
    if _quiet.get() or not sys.stderr.isatty():
        yield lambda _: None
        return

    def show(line: str) -> None:
        width = shutil.get_terminal_size().columns - 1  # a longer line would stay
        sys.stderr.write(_CLEAR + printable(line)[:width])
        sys.stderr.flush()

    show(text)
    token = _working.set(True)
    try:
        yield show
    finally:
        _working.reset(token)
        show("")


def write_json(path: Path | None, results: Any) -> None:
    """Write results as JSON to a file or standard output; without a path, nothing."""
    write_text(path, json.dumps(results, indent=1) + "\n")


def write_text(path: Path | None, text: str) -> None:
    """Write text to a file or to standard output; without a path, do nothing."""
    if path is None:
        return
    if str(path) == STANDARD_OUTPUT:
        stream = _stdout.get() or sys.stdout
        stream.write(text)
        stream.flush()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def config_path(path: Path | None) -> Path | None:
    """Return a configuration file's path; if no such file exists, a shipped one's."""
    if path is None or path.exists():
        return path
    from physio.config import shipped

    return shipped(path.as_posix()) or path


@contextmanager
def _redirected(*, quiet: bool, to_stdout: bool) -> Iterator[None]:
    """Discard text, or send it to standard error if JSON uses standard output."""
    with ExitStack() as stack:
        if to_stdout:
            token = _stdout.set(sys.stdout)
            stack.callback(_stdout.reset, token)
        if quiet:
            quiet_token = _quiet.set(True)
            stack.callback(_quiet.reset, quiet_token)
            sink = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123
            stack.enter_context(redirect_stdout(sink))
        elif to_stdout:
            stack.enter_context(redirect_stdout(sys.stderr))
        yield
