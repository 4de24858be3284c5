"""Commands of a study: from its plan to its table."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from zlib import crc32

import typer

if TYPE_CHECKING:
    from physio.core.protocols import Clock, Device
    from physio.online.session_config import SessionConfig
    from physio.study.questionnaires import Questionnaire
    from physio.study.study_folder import Study

study = typer.Typer(
    name="study",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""A study, from its plan to its table.

    `physio study init DIR` begins one, `physio study rehearse DIR` goes through it with
    simulated participants, `physio study table DIR` makes the table.""",
)

Root = Annotated[Path, typer.Argument(help="The study's folder.")]
Code = Annotated[str, typer.Option(help="Code of the participant; never a name.")]
Deviation = Annotated[
    str, typer.Option(help="Why the plan was changed since it was frozen: is logged.")
]
KILLED: Final = "amusement"


@study.command()
def init(
    root: Root,
    plan: Annotated[
        Path | None, typer.Option(help="The study file (TOML); else an example.")
    ] = None,
) -> None:
    """Begin a study: take its plan, draw the orders, freeze both.

    Example: `physio study init films --plan films.toml`
    """
    from physio.study.study_folder import Study

    created = Study.begin(root, plan)
    typer.echo(
        f"{root}: {created.design.study.name}, {len(created.frozen['orders'])} orders drawn, "
        f"frozen as {created.design.hash[:12]}"
    )


@study.command()
def run(
    root: Root,
    participant: Code,
    order: Annotated[
        int | None, typer.Option(min=0, help="Number of the order; else the next free.")
    ] = None,
    deviation: Deviation = "",
    skip_preflight: Annotated[
        str, typer.Option(help="Why the checks before are left out: is logged.")
    ] = "",
    rehearse: Annotated[
        bool, typer.Option(help="A simulated participant, as fast as it goes.")
    ] = False,
    lose: Annotated[
        str, typer.Option(help="In a rehearsal: the device that is lost half-way.")
    ] = "",
) -> None:
    """Lead a participant through the conditions that they have not been through.

    Every transition is marked in the recording. After a crash, run it again: it goes on
    with the condition in which it broke off.

    Example: `physio study run films --participant p07`
    """
    from physio.cli import session_folder
    from physio.study.study_folder import Study
    from physio.study.table import recorded

    opened = Study.open(root)
    opened.check(deviation)
    code = session_folder.code(participant)
    conditions = opened.assign(code, order)
    done = recorded(opened, code)
    remaining = [name for name in conditions if name not in done]
    if not remaining:
        raise ValueError(f"{code!r} has been through all conditions: see the log")
    _preflight(opened, code, skip_preflight, rehearsed=rehearse)
    typer.echo(f"{code}: {', '.join(remaining)}" + (f" ({len(done)} done)" if done else ""))
    _run_session(opened, code, remaining, rehearse=rehearse, lose=lose)


@study.command()
def rehearse(root: Root) -> None:
    """Go through a whole study with simulated participants, mishaps included.

    The second loses the first device that measures skin half-way, the third's session
    is killed and taken up again, the fifth withdraws: all of theirs is deleted.

    Example: `physio study rehearse trial`, after `physio study init trial`
    """
    from physio.study.study_folder import Study
    from physio.study.withdrawal import forget

    opened = Study.open(root)
    band = _first_wristband(opened)
    for k in range(opened.design.study.participants):
        code = f"sim{k + 1}"
        if k == 2:
            _kill_and_resume(root, code, opened)
        run(
            root,
            code,
            skip_preflight="rehearsal: simulated participants follow no instruction",
            rehearse=True,
            lose=band if k == 1 else "",
        )
        if k == 4:
            typer.echo(forget(opened, code).sentence)


def _run_session(
    opened: "Study", code: str, conditions: list[str], *, rehearse: bool, lose: str
) -> None:
    """Run the session of a participant."""
    from physio.cli import session_folder
    from physio.cli.run_session import conduct
    from physio.core.protocols import FastClock, WallClock
    from physio.online.remote_control import ControlSocket
    from physio.study.experimenter_view import ExperimenterView
    from physio.study.protocol_runner import ProtocolRunner

    settings = opened.design.study
    file = _session(opened, code, conditions, lose) if rehearse else _session(opened, code)
    clock: Clock = FastClock() if rehearse else WallClock()
    out = opened.folder(code)

    def heard(what: str, **about: Any) -> None:
        opened.tell(what, participant=code, session=out.name, **about)

    answer = _answer(code) if rehearse else None
    runner = ProtocolRunner(opened.design, conditions, clock, heard, answer)
    with session_folder.fresh(out, code) as folder:
        devices: list[Device] = [
            *file.devices(clock),
            ControlSocket(folder, clock),
            runner,
        ]
        heard("session", hash=opened.design.hash, conditions=conditions, simulated=rehearse)
        outcome = conduct(
            file,
            devices,
            clock,
            folder,
            poll=0.25 if rehearse else 0.02,
            view=lambda session: ExperimenterView(runner, session),
            about={
                "study": settings.name,
                "study.hash": opened.design.hash,
                "study.order": str(opened.participants[code]),
                "consent": settings.consent,
                "consent.scope": ", ".join(settings.scope),
            },
        )
    heard("ended", how=outcome.ended, faults=outcome.figures["faults"])
    typer.echo(f"{outcome.folder}: {outcome.ended}")


def _session(
    opened: "Study", code: str, conditions: list[str] | None = None, lose: str = ""
) -> "SessionConfig":
    """Return the session file, its simulated devices on this participant."""
    from dataclasses import replace

    from physio.online import session_config
    from physio.study.protocol_runner import PAUSE

    path = opened.root / opened.design.study.session
    file = session_config.read(path).with_session(
        participant=code, consent=opened.design.study.consent
    )
    file = file.recording_only()
    if conditions is None:
        return file
    steps: list[tuple[str, float]] = [
        (name, seconds)
        for condition in conditions
        for name, seconds in (
            ("rest", float(PAUSE)),
            (condition, opened.design.conditions[condition].seconds),
        )
    ]
    devices = {}
    for name, table in file.table("devices").items():
        if not str(table.get("use", "")).startswith("devices.simulated:"):
            raise ValueError(
                f"{path}: a rehearsal needs simulated devices, and {name!r} is "
                f"{table.get('use')!r}"
            )
        settings = {**table, "seed": crc32(code.encode()) % 10_000, "steps": steps}
        if name == lose:
            half = sum(seconds for _, seconds in steps) / 2
            settings["dies"] = dict.fromkeys(("eda", "bvp", "acc", "temp"), half)
        devices[name] = settings
    if lose and lose not in devices:
        raise ValueError(
            f"{path} has no device {lose!r} to lose; it has {', '.join(devices)}"
        )
    return replace(file, tables={**file.tables, "devices": devices})


def _answer(code: str) -> Any:
    """Return how a simulated participant answers: what is felt there, and noise."""
    import numpy as np

    from devices.simulated.affect_trajectory import CONDITION_AFFECT

    rng = np.random.default_rng(crc32(code.encode()))

    def answer(condition: str, asked: "Questionnaire") -> Mapping[str, float]:
        middle, half = (asked.high + asked.low) / 2, (asked.high - asked.low) / 2
        affect = dict(
            zip(("valence", "arousal", "dominance"), CONDITION_AFFECT[condition], strict=True)
        )
        said = {
            item: middle + half * (affect.get(item, 0.0) + rng.normal(0, 0.2))
            for item in asked.items
        }
        return {
            item: float(np.clip(np.round(value), asked.low, asked.high))
            for item, value in said.items()
        }

    return answer


def _first_wristband(opened: "Study") -> str:
    """Return the first simulated wristband of a study's session file."""
    devices = _session(opened, "nobody").table("devices")
    for name, table in devices.items():
        if str(table.get("use", "")).endswith(":Wristband"):
            return str(name)
    return ""


def _kill_and_resume(root: Path, code: str, opened: "Study") -> None:
    """Run a session in a process of its own, and kill it in its third condition."""
    command = [
        sys.executable, "-m", "physio.cli", "study", "run", str(root),
        "--participant", code, "--rehearse", "--skip-preflight", "rehearsal",
    ]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
    while child.poll() is None:
        lines = [li for li in opened.log() if li.get("participant") == code]
        if sum(line["what"] == "begin" for line in lines) >= 3:
            child.send_signal(signal.SIGKILL)
        time.sleep(0.01)
    typer.echo(f"{code}: killed in its third condition, and taken up again")


def _preflight(opened: "Study", code: str, why: str, *, rehearsed: bool) -> None:
    if not opened.design.study.preflight:
        return
    if why:
        opened.tell("override", participant=code, check="preflight", why=why)
        return
    if rehearsed:
        raise ValueError(
            "simulated participants follow no instruction: leave the checks out with "
            '--skip-preflight "rehearsal"'
        )
    _run_preflight(opened, code)


def _run_preflight(opened: "Study", code: str) -> None:
    """Lead through the checks; where one fails, a typed reason goes on."""
    from physio.cli import session_folder
    from physio.cli.run_session import conduct
    from physio.core.protocols import WallClock
    from physio.datasets.open_recording import read
    from physio.online.prompts import PromptSequence
    from physio.online.remote_control import ControlSocket
    from physio.study import preflight

    file, clock = _session(opened, code), WallClock()
    out = opened.folder(f"{code}-check")
    with session_folder.fresh(out, code) as folder:
        guide = PromptSequence(preflight.STEPS, clock, typer.echo)
        helpers: list[Device] = [
            ControlSocket(folder, clock),
            preflight.Echo(folder, clock),
            guide,
        ]
        devices: list[Device] = [*file.devices(clock), *helpers]
        conduct(file, devices, clock, folder, seconds=preflight.SECONDS)
    results = preflight.checks(read(out / "recording.xdf"), opened.root)
    for check in results:
        typer.echo(str(check))
    bad = [check.what for check in results if check.ok is False]
    opened.tell(
        "preflight",
        participant=code,
        session=out.name,
        checks=[{"what": c.what, "figure": repr(c.figure), "ok": c.ok} for c in results],
    )
    if not bad:
        return
    why = typer.prompt(f"{', '.join(bad)}: go on all the same? Type why, or nothing",
                       default="", show_default=False)  # fmt: skip
    if not why.strip():
        raise typer.Exit(1)
    opened.tell("override", participant=code, check=", ".join(bad), why=why)


@study.command()
def epochs(
    root: Root,
    event: Annotated[str, typer.Option(help="What the events' markers begin with.")],
    eeg: Annotated[bool, typer.Option("--eeg", help="Epochs of the EEG too.")] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="With ICA and autoreject, after the fact.")
    ] = False,
) -> None:
    """Look at what follows events: skin responses, heart rate, EEG.

    Example: `physio study epochs films --event "begin stress"`
    """
    import pandas as pd

    from physio.study import epochs as events
    from physio.study.study_folder import DERIVED, Study, whole
    from physio.study.table import sessions

    opened = Study.open(root)
    rows = []
    (opened.root / DERIVED).mkdir(mode=0o700, exist_ok=True)
    with whole(opened.root / DERIVED / "epochs") as folder:
        for recorded in sessions(opened, opened.participants):
            frame = events.related(recorded.recording, event)
            if not len(frame):
                continue
            n_epochs, done = (
                events.eeg(recorded.recording, event, clean=clean) if eeg else (0, {})
            )
            events.save(folder, recorded.name, frame, n_epochs or None, done)
            rows.append({"participant": recorded.participant, "session": recorded.name,
                         **events.summary(frame)})  # fmt: skip
        if not rows:
            raise ValueError(f"no marker of any session begins with {event!r}")
        summary = pd.DataFrame(rows)
        summary.to_csv(folder / "summary.csv", index=False)
    typer.echo(summary.to_string(index=False))


@study.command()
def export(
    root: Root,
    out: Annotated[Path, typer.Argument(help="The BIDS dataset, a new folder.")],
) -> None:
    """Write all sessions into one BIDS dataset.

    Example: `physio study export films films-bids`
    """
    from physio.study import bids
    from physio.study.study_folder import Study

    typer.echo(f"{out}: {bids.export(Study.open(root), out)} sessions")


@study.command()
def marker_latency(
    recording: Annotated[Path, typer.Argument(help="A recording.")],
    channel: Annotated[str, typer.Option(help="Of the photodiode or microphone.")],
    label: Annotated[str, typer.Option(help="What the markers begin with.")] = "",
) -> None:
    """Measure how late a signal is against its markers, and how evenly.

    Example: `physio study offset p07/recording.xdf --channel photodiode`
    """
    from physio.datasets.open_recording import read
    from physio.study import marker_latency

    latency = marker_latency.marker_latency(read(recording), channel, label)
    typer.echo(
        f"{channel}: {1e3 * latency.median:+.2f} ms behind the marker, jitter "
        f"{1e3 * latency.jitter:.2f} ms, worst {1e3 * latency.worst:.2f} ms "
        f"({latency.n} of {latency.markers} markers)"
    )


@study.command()
def table(
    root: Annotated[
        Path, typer.Argument(help="The study's folder; or its BIDS export; or WESAD.")
    ],
    deviation: Deviation = "",
    plan: Annotated[
        Path | None,
        typer.Option(help="The study file, where the folder holds none."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to, if not into the study's folder.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures as JSON.")
    ] = None,
) -> None:
    """Make the table: participant x condition x measure, contrasts, words, a picture.

    Example: `physio study table films`
    """
    from physio.study import derivatives
    from physio.study.study_folder import Study

    if plan is None:
        opened = Study.open(root)
        opened.check(deviation)
        folder, rows, differences = derivatives.make(opened)
    elif out is None:
        raise ValueError(f"{root} is read only: say with --out where the table goes")
    else:
        folder, rows, differences = derivatives.foreign(root, plan, out)
    excluded = int((rows["exclusion"] != "").sum())
    typer.echo(f"{folder}: {len(rows)} values, {excluded} excluded")
    for contrast in differences:
        typer.echo(
            f"{contrast.of} - {contrast.against}, {contrast.measure}: {contrast.mean:+.3f} "
            f"[{contrast.low:+.3f}, {contrast.high:+.3f}], n = {contrast.n}"
        )
    if json_path is not None:
        json_path.write_text((folder / "results.json").read_text("utf-8"), "utf-8")
