"""Commands that run a session, or act on one."""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from physio.cli import dashboard as dashboards

if TYPE_CHECKING:
    from physio.cli.run_session import Outcome
    from physio.online.session import Session

KEPT: Final = ("source", "citation", "licence", "participant", "begin_unix", "consent")
"""What is said of a recording and still holds of its replay."""

ASSETS: Final = Path(__file__).parents[1] / "assets"

Out = Annotated[
    Path | None,
    typer.Option(help="The session's folder; by default one under ./sessions."),
]
Json = Annotated[
    Path | None, typer.Option("--json", help="Where to write the figures as JSON.")
]
Seconds = Annotated[float, typer.Option(min=1.0, help="How long to run (s).")]
DemoWeights = Annotated[
    bool,
    typer.Option(
        "--demo-weights",
        help="Let weights trained on simulated participants answer on measured input.",
    ),
]
Calibrations = Annotated[
    list[Path],
    typer.Option(help="What is known of a participant: see `physio calibrate`."),
]
Trust = Annotated[
    list[str],
    typer.Option(help="Another package that `use` in a session file may name."),
]

File = Annotated[Path, typer.Argument(help="The session file (TOML).")]
Until = Annotated[
    float | None, typer.Option(min=1.0, help="When to stop (s); else with Ctrl-C.")
]
Who = Annotated[str | None, typer.Option(help="Code of the participant; never a name.")]
Consent = Annotated[
    str | None, typer.Option(help="Name and version of the consent text given.")
]
Board = Annotated[
    bool | None,
    typer.Option("--dashboard/--no-dashboard", help="Show it in the browser."),
]
Open = Annotated[
    bool, typer.Option("--open", help="Open the dashboard in the browser.")
]


def demo(
    seconds: Seconds = 60.0,
    out: Out = None,
    json_path: Json = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Do not wait for the time to pass.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Which simulated participant.")] = 7,
    dashboard: Board = None,
    open_it: Open = False,
) -> None:
    """Run a simulated participant with headset and wristband.

    Leaves a session folder: the recording (XDF), tables of features and estimates
    (Parquet), and a picture of the signals and the estimates against the truth.

    Example: `physio demo --seconds 30 --out mydemo`
    """
    from physio import config
    from physio.cli.run_session import conduct
    from physio.core.protocols import FastClock, WallClock
    from physio.online.session_config import SessionConfig

    tables = config.read(ASSETS / "demo.toml")
    for device in tables["devices"].values():
        device.update(seed=seed, seconds=float(seconds))
    file = SessionConfig(tables, "demo.toml")
    if not fast and (
        dashboards.wanted() if dashboard is None else dashboard or open_it
    ):
        file = dashboards.added(file)
    clock = FastClock() if fast else WallClock()
    _say("A simulated participant with headset and wristband; simulated throughout.")
    with _folder(out, file.session.participant) as folder:
        outcome = conduct(
            file,
            file.devices(clock),
            clock,
            folder,
            seconds=seconds,
            poll=0.25 if fast else 0.02,
            view=None if fast else _view,
            pages=dashboards.teller(open_it=open_it or dashboard is None),
        )
    _finish(outcome, json_path)
    _say("Next: physio replay FILE --fast runs a recording of yours;")
    _say("      physio live CONFIG.toml runs your own devices: see configs/.")


def live(
    config: File,
    out: Out = None,
    json_path: Json = None,
    seconds: Until = None,
    participant: Who = None,
    consent: Consent = None,
    calibration: Calibrations = [],  # noqa: B006 typer wants a list
    demo_weights: DemoWeights = False,
    trust: Trust = [],  # noqa: B006 typer wants a list
    dashboard: Board = None,
    open_it: Open = False,
) -> None:
    """Run the devices of a session file: signals, features, estimates, recording.

    Keys: 1 to 9 mark the moment, m marks it with a text, q ends. Ctrl-C ends too, with
    all that came so far readable. The text `sam 7 3 5` rates the last moments: valence,
    arousal, dominance, 1 to 9.

    With `--dashboard` it can be watched, marked and steered in a browser; the terminal
    tells the address.

    Example: `physio live configs/synthetic-board.toml --seconds 60 --open`
    """
    run_devices(
        config,
        out,
        json_path,
        seconds,
        {"participant": participant, "consent": consent},
        demo_weights,
        trust,
        calibrations=calibration,
        dashboard=bool(dashboard) or open_it,
        open_it=open_it,
    )


def record(
    config: File,
    out: Out = None,
    json_path: Json = None,
    seconds: Until = None,
    participant: Who = None,
    consent: Consent = None,
    trust: Trust = [],  # noqa: B006 typer wants a list
) -> None:
    """Record the devices of a session file, and compute nothing.

    Estimates can be had later: `physio replay SESSION/recording.xdf --fast`.

    Example: `physio record configs/synthetic-board.toml --seconds 60`
    """
    run_devices(
        config,
        out,
        json_path,
        seconds,
        {"participant": participant, "consent": consent},
        False,
        trust,
        only_record=True,
    )


def replay(
    path: Annotated[
        Path,
        typer.Argument(
            help="A recording: Empatica E4 folder or zip, WESAD participant, XDF, "
            "BrainFlow or OpenBCI text."
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option(help="A session file: its chains, estimator and sinks."),
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="As fast as possible.")] = False,
    speed: Annotated[
        float, typer.Option(min=0.01, help="How many times as fast as it was.")
    ] = 1.0,
    out: Out = None,
    json_path: Json = None,
    board: Annotated[
        str | None, typer.Option(help="The board of a BrainFlow file, as cyton.")
    ] = None,
    calibration: Calibrations = [],  # noqa: B006 typer wants a list
    demo_weights: DemoWeights = False,
    trust: Trust = [],  # noqa: B006 typer wants a list
) -> None:
    """Run a recording through the live path.

    Of what a recording of ours carries, its chains and its estimator are taken, never
    its devices or sinks: what is written where is said here, or in the session file.

    Example: `physio replay S10_E4_Data.zip --fast --out s10`
    """
    from devices.replay import Replay
    from physio.cli.run_session import conduct
    from physio.core.protocols import FastClock, WallClock
    from physio.datasets.open_recording import read
    from physio.online import session_config

    recording = read(path, board=board)
    if config is None:
        file = session_config.recorded(recording) or session_config.SessionConfig(
            at=path.name
        )
        file = file.with_session(
            **{
                k: recording.metadata[k]
                for k in ("participant", "consent")
                if k in recording.metadata
            }
        )
    else:
        file = session_config.read(config, tuple(trust))
    file = file.with_sinks(_defaults())
    clock = FastClock(recording.begin) if fast else WallClock(speed)
    about = {k: v for k, v in recording.metadata.items() if k in KEPT}
    with _folder(out, recording.metadata.get("participant", "")) as folder:
        outcome = conduct(
            file,
            [Replay(recording, clock)],
            clock,
            folder,
            demo_weights=demo_weights,
            poll=1.0 if fast else 0.02,
            view=None if fast else _view,
            about={**about, "replayed": path.name},
            calibrations=calibration,
        )
    _finish(outcome, json_path)


def mark(
    label: Annotated[str, typer.Argument(help="What to write.")],
    session: Annotated[
        Path | None,
        typer.Option(help="The session's folder; by default the newest one."),
    ] = None,
) -> None:
    """Put a marker into a session that runs in another terminal.

    Example: `physio mark "film 3 begins"`
    """
    from physio.cli import session_folder
    from physio.online.remote_control import send

    send(session_folder.check(session or newest(Path("sessions"))), label)


def delete(
    session: Annotated[
        Path,
        typer.Argument(help="The session's folder; of a participant, the study's."),
    ],
    participant: Annotated[
        str | None, typer.Option(help="Delete all of a participant of a study.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a session whole, or a participant: and prove that nothing is left.

    Example: `physio delete sessions/p07-20260412-101500`

    Example: `physio delete films --participant p07`
    """
    from physio.cli import session_folder

    if participant is not None:
        from physio.study.study_folder import Study
        from physio.study.withdrawal import forget

        study = Study.open(session)
        study.of(participant)
        if not (yes or typer.confirm(f"Delete all of {participant} for good?")):
            raise typer.Exit(1)
        gone = forget(study, participant)
        typer.echo(gone.sentence)
        if gone.left:
            raise typer.Exit(1)
        return
    session_folder.check(session)
    if not (yes or typer.confirm(f"Delete {session} for good?")):
        raise typer.Exit(1)
    typer.echo(f"{session}: {session_folder.delete(session)} files deleted")


COMMANDS: Final[list[Callable[..., None]]] = [demo, live, record, replay, mark, delete]


def run_devices(
    config: Path,
    out: Path | None,
    json_path: Path | None,
    seconds: float | None,
    told: dict[str, str | None],
    demo_weights: bool,
    trust: list[str],
    *,
    only_record: bool = False,
    calibrations: list[Path] | None = None,
    guide: Callable[[Any], Any] | None = None,
    dashboard: bool = False,
    open_it: bool = False,
) -> Path:
    """Run a session file's devices until the end, and return the session's folder."""
    from physio.cli.run_session import conduct
    from physio.core.protocols import WallClock
    from physio.online import session_config
    from physio.online.remote_control import ControlSocket

    file = session_config.read(config, tuple(trust))
    told = {"consent": file.session.consent or None, **_given(told)}
    if not told["consent"]:
        told["consent"] = _ask_for_consent()
    file = file.with_session(**_given(told))
    if not file.table("devices"):
        raise ValueError(f"{file.at} names no device: it needs a table [devices.NAME]")
    if guide is not None and not file.session.record:
        raise ValueError(
            f"{file.at}: session.record = false, but what is asked for reads the "
            "recording: take it away"
        )
    file = file.recording_only() if only_record else file.with_sinks(_defaults())
    file = dashboards.added(file) if dashboard else file
    clock = WallClock()
    guides = [guide(clock)] if guide else []
    with _folder(out, file.session.participant) as folder:
        if not file.session.record:
            _say(f"Nothing is recorded: {file.at} has session.record = false.")
        if seconds is None:
            _say("Ctrl-C or q ends the session.")
        _say(f"Markers from elsewhere: physio mark TEXT --session {folder}")
        outcome = conduct(
            file,
            [*file.devices(clock), ControlSocket(folder, clock), *guides],
            clock,
            folder,
            demo_weights=demo_weights,
            seconds=float("inf") if seconds is None else seconds,
            view=_view,
            calibrations=calibrations or (),
            pages=dashboards.teller(open_it=open_it),
        )
    _finish(outcome, json_path)
    return folder


def _given(told: dict[str, str | None]) -> dict[str, str | None]:
    return {k: v for k, v in told.items() if v is not None}


def _ask_for_consent() -> str:
    if not sys.stdin.isatty():
        _say("No consent text is named: say which with --consent.")
        return "not stated"
    text: str = typer.prompt(
        "Which consent text did the participant agree to (name and version)?"
    )
    return text


def _defaults() -> dict[str, Any]:
    from physio import config

    sinks: dict[str, Any] = config.read(ASSETS / "replay.toml")["sinks"]
    return sinks


def _folder(out: Path | None, participant: str) -> AbstractContextManager[Path]:
    from physio.cli import session_folder

    return session_folder.fresh(out, session_folder.code(participant))


def newest(sessions: Path) -> Path:
    """Return the folder of the newest session, or raise that there is none."""
    found = [p.parent for p in sessions.glob("*/session.json")]
    if not found:
        raise FileNotFoundError(
            f"there is no session under {sessions}: name one with --session"
        )
    return max(found, key=lambda p: p.stat().st_mtime)


def _view(session: "Session") -> Any:
    from physio.view.terminal.live import Terminal

    streams = [health.info for health in session.health.values()]
    participants = {info.participant for info in streams}
    return Terminal(streams, session.begin, ", ".join(sorted(participants - {""})))


def _finish(outcome: "Outcome", json_path: Path | None) -> None:
    """Say what there is, draw it, write the figures; end with the status."""
    from physio.cli.summary import draw, tell

    figures = outcome.figures
    for line in tell(figures):
        _say(line)
    draw(outcome.folder)
    _say(f"{outcome.folder}: {outcome.ended}")
    for path in sorted(outcome.folder.iterdir()):
        _say(f"  {path.name} ({_size(path)})")
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    if outcome.status:
        raise typer.Exit(outcome.status)


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def _say(line: str) -> None:
    typer.echo(line)
