"""The dashboard of a session, on the command line."""

import json
import os
import sys
import webbrowser
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from physio.core.block import Block
    from physio.core.recording import Item, Recording
    from physio.online.session_config import SessionConfig
    from physio.view.dashboard.session_state import SessionState
    from physio.view.dashboard.sink import Dashboard

USE: Final = "physio.view.dashboard:Dashboard"


def wanted() -> bool:
    """Tell whether somebody sits before a display and could look at a page."""
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(display) and sys.stdout.isatty()


def added(file: "SessionConfig") -> "SessionConfig":
    """Return a session file with a dashboard among its sinks."""
    sinks = dict(file.table("sinks"))
    if any(sink.get("use") == USE for sink in sinks.values()):
        return file
    sinks["dashboard"] = {"use": USE}
    return replace(file, tables={**file.tables, "sinks": sinks})


def teller(*, open_it: bool) -> Callable[["Dashboard"], str]:
    """Return what opens a dashboard, and says where it is."""

    def tell(board: "Dashboard") -> str:
        if open_it:
            _open(board.page)
        look, participant = (board.urls[role] for role in ("look", "participant"))
        return (
            f"dashboard: {board.page}  only to look: {look}  participant: {participant}"
        )

    return tell


def view(
    path: Annotated[
        Path, typer.Argument(help="A recording, or the folder of a session.")
    ],
    config: Annotated[
        Path | None, typer.Option(help="A session file: its chains and estimator.")
    ] = None,
    board: Annotated[
        str | None, typer.Option(help="The board of a BrainFlow file, as cyton.")
    ] = None,
    open_it: Annotated[
        bool, typer.Option("--open/--no-open", help="Open it in the browser.")
    ] = True,
) -> None:
    """Look at a recording in the browser: the dashboard, with a slider for the time.

    What a session computed is shown as it was; of any other recording it is computed
    now. Nothing is changed.

    Example: `physio view sessions/p07-20260412-101500`
    """
    from physio.view.dashboard import playback

    scene = _scene(path, config, board)

    def tell(url: str) -> None:
        typer.echo(f"{path}: {url}  (Ctrl-C ends it)")
        if open_it:
            _open(url)

    playback.serve(scene, tell)


COMMANDS: Final[list[Callable[..., None]]] = [view]


def _scene(path: Path, config: Path | None, board: str | None) -> "SessionState":
    """Return the scene of a recording, with what is computed of it."""
    from physio.view.dashboard.session_state import of

    return of(*_computed(path, config, board))


def whole_of(path: Path) -> "tuple[Recording, Block | None, Block | None]":
    """Return a recording, its features and its estimates, computed where they lack."""
    from physio.cli.summary import laid_out

    recording, items = _computed(path, None, None)
    kinds: dict[str, list[Block]] = {"features": [], "estimates": []}
    for item in items:
        if item.info.name in kinds:
            kinds[item.info.name].append(item)  # type: ignore[arg-type]
    features, estimates = (
        laid_out(recording.streams.get(name, blocks)) for name, blocks in kinds.items()
    )
    return recording, features, estimates


def _computed(
    path: Path, config: Path | None, board: str | None
) -> "tuple[Recording, Iterable[Item]]":
    """Return a recording, and what is computed of it where it does not hold that."""
    from physio.core.recording import computed
    from physio.datasets.open_recording import read
    from physio.online import session_config
    from physio.online.engine import run

    at = path / "recording.xdf"
    recording = read(at if at.is_file() else path, board=board)
    if config is None and any(computed(name) for name in recording.streams):
        return recording, ()
    file = session_config.read(config) if config else session_config.recorded(recording)
    file = file or session_config.SessionConfig(at=path.name)
    made = file.plan(recording.inputs)
    kept = {n: b for n, b in recording.streams.items() if not computed(n)}
    about = {**recording.metadata, "config": json.dumps(file.resolved(made))}
    return replace(recording, streams=kept, metadata=about), run(recording, made)


def _open(url: str) -> None:
    """Open a page without its token being seen among the running programs."""
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or gettempdir())
    path = folder / f"physio-dashboard-{os.getpid()}.html"
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_text(
        f'<!DOCTYPE html><meta http-equiv="refresh" content="0;url={url}">', "utf-8"
    )
    webbrowser.open(path.as_uri())
