"""Commands that run a session or act on one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from physio.cli import dashboard as dashboards
from physio.cli import propose_session
from physio.cli.baseline_option import Baseline, chosen_times
from physio.cli.channel_option import Channels, with_channels
from physio.cli.device_words import is_word
from physio.cli.output import (
    Board,
    Columns,
    ExportSession,
    JsonPath,
    Subject,
    Task,
    Trust,
    config_path,
    say,
    working,
    write_json,
)
from physio.cli.propose_session import DeviceNames
from physio.core.counted_nouns import counted
from physio.core.installation import install_hint
from physio.online.demo_session import SECONDS, SPEED, demo_session, truth_sentences

if TYPE_CHECKING:
    from physio.cli.run_session import SessionOutcome
    from physio.cli.session_draft import SessionDraft
    from physio.core.protocols import Clock, Device
    from physio.core.recording import Recording
    from physio.online.session import Session
    from physio.online.session_config import SessionConfig
    from physio.view.dashboard.sink import ServerProcess

REPLAYED_METADATA: Final = (
    "source", "citation", "licence", "participant", "begin_unix", "consent", "channels",
)  # fmt: skip
"""Metadata of a recording that also hold for its replay."""

ASSETS: Final = Path(__file__).parents[1] / "assets"

Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the session; default: a new one under ./sessions."),
]
DemoWeights = Annotated[
    bool,
    typer.Option(
        "--demo-weights",
        help="Use weights trained on simulated participants with measured signals.",
    ),
]
Calibrations = Annotated[
    list[Path],
    typer.Option(help="Calibration file of a participant: see `physio calibrate`."),
]

File = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE|WORD]",
        help="Session file (TOML), or the name of a shipped one: dyad, simulated ...; "
        "or what to look for: lsl, muse, openbci, e4, polar, synthetic, demo, a board; "
        "default: every device that answers.",
        callback=config_path,
    ),
]
Save = Annotated[
    Path | None,
    typer.Option(
        help="Where the proposed session file is written; default: beside the folder "
        "of the session."
    ),
]
Until = Annotated[
    float | None, typer.Option(min=1.0, help="Duration (s); default: until Ctrl-C.")
]
Participant = Annotated[
    str | None, typer.Option(help="Participant code; never a name.")
]
Consent = Annotated[
    str | None, typer.Option(help="Name and version of the consent text.")
]
Dashboard = Annotated[
    bool | None,
    typer.Option("--dashboard/--no-dashboard", help="Serve the dashboard."),
]
Open = Annotated[
    bool, typer.Option("--open", help="Open the dashboard in the browser.")
]


Recorded = Annotated[
    Path,
    typer.Argument(
        help="Recording: Empatica E4 folder or zip, WESAD participant, XDF, EDF, "
        "BrainFlow, OpenBCI, OpenSignals, a table ..."
    ),
]


def demo(
    seconds: Annotated[
        float, typer.Option(min=1.0, help="Duration of the simulated session (s).")
    ] = SECONDS,
    out: Out = None,
    json_path: JsonPath = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Run as fast as possible.")
    ] = False,
    speed: Annotated[
        float, typer.Option(min=0.5, max=10.0, help="Speed; 1 is real time.")
    ] = SPEED,
    seed: Annotated[int, typer.Option(help="Seed of the simulated participant.")] = 7,
    dashboard: Dashboard = None,
    open_it: Open = False,
) -> None:
    """Run a session with a simulated participant wearing a headset and a wristband.

    Five minutes pass in one: a condition lasts a minute of the session. Writes a
    session folder: the recording (XDF), tables of features and estimates (Parquet) and
    a plot of signals, estimates and true values; prints how well estimates agree with
    the true values.

    Example: `physio demo --seconds 60 --speed 1 --out mydemo`
    """
    from physio.cli.run_session import RunOptions, run_session
    from physio.core.protocols import FastClock, WallClock

    if find_spec("torch") is None:
        say(f"No estimate from EEG without torch{install_hint('torch')}")
    file = demo_session(seconds, seed)
    if not fast and (
        dashboards.has_display() if dashboard is None else dashboard or open_it
    ):
        file = dashboards.with_dashboard(file)
    clock = FastClock() if fast else WallClock(speed)
    say("Simulated participant with headset and wristband; no measured signal.")
    if not fast and speed != 1:
        say(f"{seconds:g} s of signals pass in {seconds / speed:g} s.")
    with _folder(out, file.session.participant) as folder:
        options = RunOptions(
            seconds=seconds,
            poll=0.25 if fast else 0.02 * speed,
            view=None if fast else _view,
            pages=dashboards.announcer(open_it=open_it or dashboard is None),
        )
        outcome = run_session(file, file.devices(clock), clock, folder, options)
    _finish(outcome, json_path)
    for sentence in truth_sentences(outcome.folder):
        say(sentence)
    say("Next: physio view FOLDER shows the session in the browser;")
    say("      physio replay FILE --fast replays a recording;")
    say("      physio live CONFIG.toml runs your devices: see configs/.")


def live(
    config: File = None,
    device: DeviceNames = [],  # noqa: B006 typer wants a list
    save: Save = None,
    out: Out = None,
    json_path: JsonPath = None,
    seconds: Until = None,
    participant: Participant = None,
    consent: Consent = None,
    calibration: Calibrations = [],  # noqa: B006 typer wants a list
    baseline: Baseline = "",
    demo_weights: DemoWeights = False,
    trust: Trust = [],  # noqa: B006 typer wants a list
    dashboard: Dashboard = None,
    open_it: Open = False,
) -> None:
    """Run a session with devices: record, compute, estimate.

    Without a file, the devices that answer are listed, a session is proposed for them,
    and its file is written, so that it can be run again. Only the participant's code
    and consent are asked for.

    Keys: 1 to 9 set a marker, m sets a marker with a text, q ends the session, as does
    Ctrl-C. The text `sam 7 3 5` rates the last seconds: valence, arousal, dominance,
    1 to 9.

    With `--dashboard` the session is shown and controlled in a browser; the terminal
    prints the address.

    Example: `physio live`, `physio live lsl --participant p07 --consent form-3`

    Example: `physio live configs/synthetic-board.toml --seconds 60 --open`
    """
    times = chosen_times(baseline)
    shown = bool(dashboard) or open_it
    if not is_file(config) and dashboard is None and not open_it:
        shown = open_it = dashboards.has_display()
    with dashboards.early_server(enabled=shown and not is_file(config)) as server:
        if server is not None and open_it:
            dashboards.open_page(server.urls["control"])
        file, draft = _source(
            config, device, save, "physio live", participant, consent, tuple(trust)
        )
        run_devices(
            DeviceSession(
                file,
                out,
                json_path,
                seconds,
                demo_weights=demo_weights,
                calibrations=tuple(calibration),
                baseline=times,
                dashboard=shown,
                open_it=open_it and server is None,
                draft=draft,
                save=save,
                server=server,
            )
        )


def record(
    config: File = None,
    device: DeviceNames = [],  # noqa: B006 typer wants a list
    save: Save = None,
    out: Out = None,
    json_path: JsonPath = None,
    seconds: Until = None,
    participant: Participant = None,
    consent: Consent = None,
    trust: Trust = [],  # noqa: B006 typer wants a list
) -> None:
    """Record devices without computing features or estimates.

    Without a file, as by `physio live`. To compute them later: `physio replay
    SESSION/recording.xdf --fast`.

    Example: `physio record configs/synthetic-board.toml --seconds 60`
    """
    file, draft = _source(
        config, device, save, "physio record", participant, consent, tuple(trust)
    )
    run_devices(
        DeviceSession(
            file, out, json_path, seconds, only_record=True, draft=draft, save=save
        )
    )


def replay(
    path: Recorded,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Session file whose chains, estimator and sinks are used.",
            callback=config_path,
        ),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Run as fast as possible.")
    ] = False,
    speed: Annotated[
        float, typer.Option(min=0.01, help="Speed relative to the recording.")
    ] = 1.0,
    out: Out = None,
    json_path: JsonPath = None,
    board: Board = None,
    columns: Columns = None,
    session: ExportSession = "",
    participant: Subject = "",
    task: Task = "",
    channels: Channels = None,
    calibration: Calibrations = [],  # noqa: B006 typer wants a list
    baseline: Baseline = "",
    demo_weights: DemoWeights = False,
    trust: Trust = [],  # noqa: B006 typer wants a list
) -> None:
    """Replay a recording through the chains, estimator and sinks of a live session.

    A recording of a session brings its own chains and estimator, but never devices or
    sinks: options or the session file say where results are written.

    Example: `physio replay S10_E4_Data.zip --fast --out s10`
    """
    with working(f"replay of {path.name}: reading"):
        from devices.replay import Replay
        from physio.cli.run_session import RunOptions, run_session
        from physio.cli.summary import reader_notes
        from physio.core.protocols import FastClock, WallClock
        from physio.datasets.open_recording import read

        part = {"session": session, "participant": participant, "task": task}
        recording = read(path, board=board, columns=columns, **part)
        file = _replay_file(recording, path, config, tuple(trust))
        file = with_channels(file, channels)
        recording = file.channels.correct(recording)
    clock = FastClock(recording.begin) if fast else WallClock(speed)
    about = {k: v for k, v in recording.metadata.items() if k in REPLAYED_METADATA}
    date = recording.date  # of the recording, not of today
    began = "" if date is None else date.isoformat(timespec="milliseconds")
    with (
        _folder(out, recording.metadata.get("participant", "")) as folder,
        _progress(path.name, recording) if fast else nullcontext() as on_progress,
    ):
        options = RunOptions(
            demo_weights=demo_weights,
            poll=1.0 if fast else 0.02,
            view=None if fast else _view,
            about={**about, "began": began, "replayed": path.name},
            calibrations=calibration,
            baseline=chosen_times(baseline, recording),
            notes=reader_notes(recording),
            on_progress=on_progress,
        )
        outcome = run_session(file, [Replay(recording, clock)], clock, folder, options)
    _finish(outcome, json_path)


@contextmanager
def _progress(name: str, recording: "Recording") -> Iterator[Callable[[float], None]]:
    """Show how much of a recording is computed, and the time that is left."""
    began, whole = monotonic(), max(recording.end - recording.begin, 1e-9)
    with working(f"replay of {name}: preparing") as show:

        def report(until: float) -> None:
            share = min(max((until - recording.begin) / whole, 0.0), 1.0)
            rest = (monotonic() - began) * (1 - share) / max(share, 1e-3)
            show(f"replay of {name}: {share:.0%} computed, about {rest:.0f} s left")

        yield report


def mark(
    label: Annotated[str, typer.Argument(help="Text of the marker.")],
    session: Annotated[
        Path | None,
        typer.Option(help="Folder of the session; default: the newest."),
    ] = None,
    participant: Annotated[
        str, typer.Option(help="Participant code, in a session of several.")
    ] = "",
) -> None:
    """Set a marker in a session that runs in another terminal.

    Example: `physio mark "film 3 begins"`
    """
    from physio.cli import session_folder
    from physio.online import remote_control

    folder = session_folder.check(session or newest(Path("sessions")))
    remote_control.mark(folder, label, participant)


def delete(
    session: Annotated[
        Path,
        typer.Argument(help="Folder of the session; with --participant, of the study."),
    ],
    participant: Annotated[
        str | None, typer.Option(help="Delete all data of this participant.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation.")
    ] = False,
) -> None:
    """Delete a session, or all data of a participant of a study, and verify it.

    Example: `physio delete sessions/p07-20260412-101500`

    Example: `physio delete films --participant p07`
    """
    from physio.cli import session_folder

    if participant is not None:
        from physio.study.study_folder import Study
        from physio.study.withdrawal import delete_participant

        study = Study.open(session)
        study.log_of(participant)
        if not (yes or typer.confirm(f"Delete all data of {participant}?", err=True)):
            raise typer.Exit(1)
        gone = delete_participant(study, participant)
        say(gone.sentence)
        if gone.remaining:
            raise typer.Exit(1)
        return
    session_folder.check(session)
    if not (yes or typer.confirm(f"Delete {session}?", err=True)):
        raise typer.Exit(1)
    say(f"{session}: {counted(session_folder.delete(session), 'file')} deleted")


def _replay_file(
    recording: "Recording", path: Path, config: Path | None, trust: tuple[str, ...]
) -> "SessionConfig":
    """Return the session file of a replay: a given one, or that of the recording."""
    from physio.online import session_config

    if config is not None:
        return session_config.read(config, trust).with_sinks(_defaults())
    file = session_config.recorded(recording, trust)
    file = file or session_config.SessionConfig(at=path.name, trust=trust)
    metadata = recording.metadata
    known = {k: metadata[k] for k in ("participant", "consent") if k in metadata}
    return file.with_session(**known).with_sinks(_defaults())


def session_file(
    path: Path, participant: str | None, consent: str | None, trust: tuple[str, ...]
) -> "SessionConfig":
    """Return a session file with participant and consent of the options in place."""
    from physio.online import session_config

    file = session_config.read(path, trust)
    given = {} if participant is None else {"participant": participant}
    text = (consent or file.session.consent).strip()
    file = file.with_session(consent=text, **given)
    if not file.table("devices"):
        raise ValueError(f"{file.at} names no device: add a table [devices.NAME]")
    return file


def is_file(config: Path | None) -> bool:
    """Return whether an argument names a session file, there or not, not a device."""
    return config is not None and (config.is_file() or not is_word(str(config)))


def _source(
    config: Path | None,
    names: list[str],
    save: Path | None,
    command: str,
    participant: str | None,
    consent: str | None,
    trust: tuple[str, ...],
) -> "tuple[SessionConfig, SessionDraft | None]":
    """Return the session of a file, or the one proposed for the devices that answer."""
    word = "" if config is None else str(config)
    if config is not None and is_file(config):
        if not config.is_file() and "." not in word and "/" not in word:
            raise FileNotFoundError(propose_session.unknown_word(word))
        if names or save:
            raise ValueError(
                f"{config} is a session file, which names its own devices: --device "
                "and --save are for sessions without a file"
            )
        return session_file(config, participant, consent, trust), None
    if save is not None and save.exists():
        raise ValueError(f"{save} exists: choose another --save; nothing was changed")
    plan = propose_session.proposal(word, names, command)
    asker = propose_session.terminal()
    plan = plan if names else propose_session.chosen(plan, asker)
    code, text = propose_session.answers(plan, participant, consent)
    return replace(plan.config(code, text), trust=trust), plan


@dataclass(frozen=True)
class DeviceSession:
    """Options of a session with devices, as of `live` and `record`.

    ``guide`` makes a device that prompts the participant; it needs a recording.
    ``draft`` is the proposal behind the file, which is written to ``save``.
    """

    config: "SessionConfig"
    out: Path | None = None
    json_path: Path | None = None
    seconds: float | None = None
    demo_weights: bool = False
    only_record: bool = False
    calibrations: tuple[Path, ...] = ()
    baseline: tuple[float, float] | None = None
    guide: "Callable[[Clock], Device] | None" = None
    dashboard: bool = False
    open_it: bool = False
    draft: "SessionDraft | None" = None
    save: Path | None = None
    server: "ServerProcess | None" = None

    def file(self) -> "SessionConfig":
        """Return the session file with these options in place."""
        file = self.config
        if self.guide is not None and not file.session.record:
            raise ValueError(
                f"{file.at}: session.record = false, but a calibration needs the "
                "recording: remove that line"
            )
        if not file.session.consent:
            file = file.with_session(consent=_ask_for_consent(file.at))
        if self.only_record:
            file = file.recording_only()
        else:
            file = file.with_sinks(_defaults())
        return dashboards.with_dashboard(file) if self.dashboard else file

    def write_draft(self, folder: Path) -> None:
        """Write the proposed session file, and print where it is."""
        if self.draft is None:
            return
        settings = self.config.session
        path = self.save or folder.with_name(f"{folder.name}.toml")
        path = self.draft.write(path, settings.participant, settings.consent)
        say(f"session file: {path}; again: physio live {quote(str(path))}")


def run_devices(session: DeviceSession) -> Path:
    """Run the devices of a session file; return the folder of the session."""
    from physio.cli.run_session import RunOptions, run_session
    from physio.core.protocols import WallClock
    from physio.online.remote_control import ControlSocket

    file, clock = session.file(), WallClock()
    guides = [session.guide(clock)] if session.guide else []
    with _folder(session.out, file.session.participant) as folder:
        session.write_draft(folder)
        if not file.session.record:
            say(f"Nothing is recorded: {file.at} has session.record = false.")
        if session.seconds is None:
            say("Ctrl-C or q ends the session.")
        say(f"Markers from elsewhere: physio mark TEXT --session {folder}")
        devices = [*file.devices(clock), ControlSocket(folder, clock), *guides]
        options = RunOptions(
            demo_weights=session.demo_weights,
            seconds=float("inf") if session.seconds is None else session.seconds,
            view=_view,
            calibrations=session.calibrations,
            baseline=session.baseline,
            pages=dashboards.announcer(open_it=session.open_it),
            server=session.server,
        )
        outcome = run_session(file, devices, clock, folder, options)
    _finish(outcome, session.json_path)
    return folder


def _ask_for_consent(at: str) -> str:
    """Ask for the name of the consent text until it is given.

    Raises
    ------
    ValueError
        If nobody can be asked.
    """
    if not (sys.stdin and sys.stdin.isatty()):
        raise ValueError(
            f"{at} names no consent text: give its name and version with --consent, "
            "or as 'consent' in its table [session]; without a participant, say so "
            "there"
        )
    text = ""
    while not text:
        text = typer.prompt(
            "Which consent text did the participant agree to (name and version)?",
            err=True,
        ).strip()
    return text


def _defaults() -> dict[str, Any]:
    from physio import config

    sinks: dict[str, Any] = config.read(ASSETS / "replay.toml")["sinks"]
    return sinks


def _folder(out: Path | None, participant: str) -> AbstractContextManager[Path]:
    from physio.cli import session_folder

    return session_folder.fresh(out, session_folder.code(participant))


def newest(sessions: Path) -> Path:
    """Return the folder of the newest session.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    folders = [p.parent for p in sessions.glob("*/session.json")]
    if not folders:
        raise FileNotFoundError(
            f"there is no session under {sessions}: name one with --session"
        )
    return max(folders, key=lambda p: p.stat().st_mtime)


def _view(session: "Session") -> Any:
    from physio.view.terminal.live import Terminal

    streams = [health.info for health in session.health.values()]
    participants = {info.participant for info in streams}
    return Terminal(
        streams,
        session.begin,
        ", ".join(sorted(participants - {""})),
        session_time=session.clock.now,
    )


def _finish(outcome: "SessionOutcome", json_path: Path | None) -> None:
    """Print and plot the session, write its figures, exit with its status."""
    from physio.cli.summary import draw_overview, session_lines

    figures = outcome.figures
    for line in session_lines(figures):
        say(line)
    try:
        draw_overview(outcome.folder)
    except Exception as error:  # a failed plot is no failed session
        say(f"no plot of the session: {type(error).__name__}: {error}")
    say(f"{outcome.folder}: {outcome.ended}")
    for path in sorted(outcome.folder.glob("*")):
        say(f"  {path.name} ({_size(path)})")
    write_json(json_path, figures)
    if outcome.status:
        raise typer.Exit(outcome.status)


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
