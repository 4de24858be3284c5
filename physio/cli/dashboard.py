"""The dashboard of a session, and the command that plays a recording in it."""

import json
import os
import sys
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from physio.cli.baseline_option import Baseline
from physio.cli.browser_page import leading_page, page_announcer
from physio.cli.channel_option import Channels, with_channels
from physio.cli.output import (
    Board,
    Columns,
    ExportSession,
    Subject,
    Task,
    config_path,
    say,
)

if TYPE_CHECKING:
    from physio.core.block import Block
    from physio.core.events import Item
    from physio.core.recording import Recording
    from physio.online.session_config import SessionConfig
    from physio.view.dashboard.session_state import SessionState
    from physio.view.dashboard.sink import Dashboard, ServerProcess

USE: Final = "physio.view.dashboard:Dashboard"


def has_display() -> bool:
    """Tell whether there is a display that can show a page."""
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(display) and sys.stdout.isatty()


def with_dashboard(file: "SessionConfig") -> "SessionConfig":
    """Return a session file with a dashboard among its sinks."""
    sinks = dict(file.table("sinks"))
    if any(sink.get("use") == USE for sink in sinks.values()):
        return file
    sinks["dashboard"] = {"use": USE}
    return replace(file, tables={**file.tables, "sinks": sinks})


def announcer(*, open_it: bool) -> Callable[["Dashboard"], str]:
    """Return a function that opens a dashboard and returns a line on its addresses.

    The addresses hold tokens. Where the output is no terminal, they are written to a
    file of the session instead.
    """

    def announce(board: "Dashboard") -> str:
        if open_it:
            open_page(board.page)
        if not sys.stdout.isatty():  # a log must not hold the tokens
            return f"dashboard: its addresses are in {board.write_addresses()}"
        viewer, participant = (board.urls[role] for role in ("look", "participant"))
        return (
            f"dashboard: {board.page}  read-only: {viewer}  participant: {participant}"
        )

    return announce


def open_page(url: str) -> None:
    """Open a page in the browser; some browsers return when they are closed."""
    page = leading_page(url).as_uri()
    Thread(target=webbrowser.open, args=(page,), daemon=True).start()


@contextmanager
def early_server(*, enabled: bool) -> "Iterator[ServerProcess | None]":
    """Start the server of a dashboard before its session; stop it if none begins."""
    if not enabled:
        yield None
        return
    from physio.view.dashboard.sink import ServerProcess
    from physio.view.web.access import ServerAddress

    server = ServerProcess(ServerAddress())
    server.send([server.encoder.note(progress="looking for devices")])
    try:
        yield server
    finally:
        server.stop()
        server.close()


def view(
    path: Annotated[
        Path, typer.Argument(help="A recording or the folder of a session.")
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            help="Session file whose chains and estimator are used.",
            callback=config_path,
        ),
    ] = None,
    board: Board = None,
    columns: Columns = None,
    session: ExportSession = "",
    participant: Subject = "",
    task: Task = "",
    channels: Channels = None,
    baseline: Baseline = "",
    open_it: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Show a recording in the browser: the dashboard, with a slider for the time.

    Features and estimates stored by a session are shown as they were; of any other
    recording they are computed now, relative to the baseline that is printed. No file
    is changed.

    Example: `physio view sessions/p07-20260412-101500`
    """
    say(f"reading {path}", err=True)
    if not path.exists() and not path.parent.is_dir():
        raise FileNotFoundError(f"there is no file {path}")
    from physio.view.dashboard import playback

    options = {
        "board": board, "columns": columns, "session": session,
        "participant": participant, "task": task,
    }  # fmt: skip

    def load(report: "Callable[[str], None]") -> "SessionState":
        state, sentences = make_state(
            path, config, channels, baseline, report, **options
        )
        for sentence in sentences:
            say(sentence)
        return state

    playback.serve(load, page_announcer(path, open_it=open_it, role="view"))


def make_state(
    path: Path,
    config: Path | None,
    channels: Path | None,
    baseline: str,
    report: "Callable[[str], None]" = lambda _: None,
    **options: Any,
) -> "tuple[SessionState, list[str]]":
    """Return the state of a recording with its features and estimates, and sentences.

    The sentences name the seconds that served as the baselines of the estimates.
    ``report`` takes texts on the progress.
    """
    report(f"reading {path.name}")
    from physio.core.json_table import stored_config
    from physio.inference.baseline_use import BaselineObserver
    from physio.offline.conditions import recorded_conditions
    from physio.view.dashboard.session_state import state_of_recording
    from physio.view.plots.time_axes import ConditionInterval

    recording, items = _computed(path, config, channels, baseline, **options)
    report(f"computing features of {path.name}")
    observer = BaselineObserver(stored_config(recording.metadata))
    for events in recording.events.values():
        observer.take(events)
    for blocks in recording.streams.values():
        for block in blocks:
            observer.take(block)

    def observed() -> "Iterator[Item]":
        for item in items:
            observer.take(item)
            share = (item.complete_until - recording.begin) / recording.seconds
            percent = 100 * min(max(share, 0.0), 1.0) if share == share else 0.0
            report(f"computing features of {path.name}: {percent:.0f} %")
            yield item

    state = state_of_recording(recording, observed())
    if spans := recorded_conditions(recording):
        conditions = [ConditionInterval(s.name, s.begin, s.end) for s in spans]
        state.stated_conditions = {"recording": conditions}
    return state, [use.sentence(recording.begin) for use in observer.uses()]


def session_or_computed(
    path: Path, channels: Path | None = None, baseline: str = "", **options: Any
) -> "tuple[Recording, Block | None, Block | None]":
    """Return a recording, its features and its estimates, computed where missing."""
    from physio.cli.summary import merge_blocks

    recording, items = _computed(path, None, channels, baseline, **options)
    kinds: dict[str, list[Block]] = {"features": [], "estimates": []}
    for item in items:
        if item.info.name in kinds:
            kinds[item.info.name].append(item)  # type: ignore[arg-type]
    features, estimates = (
        merge_blocks(recording.streams.get(name, blocks))
        for name, blocks in kinds.items()
    )
    return recording, features, estimates


def _computed(
    path: Path,
    config: Path | None,
    channels: Path | None,
    baseline: str = "",
    **options: Any,
) -> "tuple[Recording, Iterable[Item]]":
    """Return a recording and, where it lacks them, computed features and estimates."""
    from physio.cli.baseline_option import chosen_times
    from physio.core.events import Events
    from physio.core.recording import computed
    from physio.datasets.open_recording import read
    from physio.online import session_config
    from physio.online.engine import run
    from physio.online.personal_calibration import (
        baseline_markers,
        with_baseline,
        with_markers,
    )

    at = path / "recording.xdf"
    recording = read(at if at.is_file() else path, **options)
    is_stored = any(computed(name) for name in recording.streams)
    if config is None and channels is None and is_stored:
        if baseline:
            raise ValueError(
                f"{path} stores estimates, whose baseline was chosen in the session: "
                "`physio replay --baseline` computes others"
            )
        return recording, ()
    file = session_config.read(config) if config else session_config.recorded(recording)
    file = with_channels(file or session_config.SessionConfig(at=path.name), channels)
    recording = file.channels.correct(recording)
    pipeline = file.plan(recording.inputs)
    markers: list[Events] = []
    if (times := chosen_times(baseline, recording)) is not None:
        pipeline = with_baseline(pipeline, times[1] - times[0])
        markers = baseline_markers(*(recording.begin + t for t in times))
    measured = {n: b for n, b in recording.streams.items() if not computed(n)}
    about = {**recording.metadata, "config": json.dumps(file.resolved(pipeline))}
    events = with_markers(recording, markers)
    whole = replace(recording, streams=measured, events=events, metadata=about)
    return whole, run(recording, pipeline, markers)
