"""Commands of a study, from its plan to its results."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any
from zlib import crc32

import typer

from physio.cli.edits_option import Rater, UseEdits
from physio.cli.output import JsonPath, config_path, routed, say, write_text
from physio.cli.study_presentation import Presentation
from physio.core.counted_nouns import counted
from physio.core.printable import printable

if TYPE_CHECKING:
    from physio.core.protocols import Device
    from physio.online.session_config import SessionConfig
    from physio.study.questionnaires import Questionnaire
    from physio.study.study_folder import Study

study = typer.Typer(
    name="study",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Run a study, from its plan to its results.

    `physio study init DIR` creates a study, `physio study rehearse DIR` runs it with
    simulated participants, `physio study table DIR` computes the results.""",
)

Root = Annotated[Path, typer.Argument(help="Folder of the study.")]
Code = Annotated[str, typer.Option(help="Participant code; never a name.")]
Deviation = Annotated[
    str, typer.Option(help="Reason for a change of the frozen plan; it is logged.")
]


def init(
    root: Root,
    plan: Annotated[
        Path | None,
        typer.Option(
            help="Study file (TOML); default: an example.", callback=config_path
        ),
    ] = None,
    browser: Annotated[
        bool,
        typer.Option("--browser", help="Take the example with pictures and sounds."),
    ] = False,
) -> None:
    """Create a study: copy its plan, draw the orders of conditions, freeze both.

    Example: `physio study init films --plan films.toml`
    """
    from physio.study.example_stimuli import browser_example
    from physio.study.study_folder import Study

    if browser and plan is not None:
        raise ValueError("--browser takes an example: leave --plan out, or --browser")
    if browser:
        with browser_example() as example:
            created = Study.begin(root, example)
    else:
        created = Study.begin(root, plan)
    orders = len(created.frozen["orders"])
    say(
        f"{root}: {created.design.study.name}, {orders} orders drawn, "
        f"frozen as {created.design.hash[:12]}"
    )


def run(
    root: Root,
    participant: Code,
    order: Annotated[
        int | None, typer.Option(min=0, help="Number of the order; default: next free.")
    ] = None,
    deviation: Deviation = "",
    skip_preflight: Annotated[
        str,
        typer.Option(help="Reason to skip the preflight checks; it is logged."),
    ] = "",
    rehearse: Annotated[
        bool, typer.Option(help="Use a simulated participant, as fast as possible.")
    ] = False,
    lose: Annotated[
        str, typer.Option(help="Device that fails half-way, in a rehearsal.")
    ] = "",
    browser: Annotated[
        bool,
        typer.Option(
            "--browser",
            help="Present the session on a page for the participant, with another for "
            "the experimenter.",
        ),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the pages; 0: a free one.")
    ] = 0,
) -> None:
    """Run a participant through the conditions not completed yet.

    Every transition is marked in the recording. After a crash, run it again: it resumes
    with the interrupted condition.

    Example: `physio study run films --participant p07 --browser`
    """
    from physio.cli import session_folder
    from physio.study import page_rehearsal
    from physio.study.contrasts import completed_conditions
    from physio.study.study_folder import Study

    opened = Study.open(root)
    opened.check(deviation)
    code = session_folder.code(participant)
    conditions = opened.assign(code, order)
    done = completed_conditions(opened, code)
    remaining = [name for name in conditions if name not in done]
    if not remaining:
        raise ValueError(f"{code!r} has completed all conditions: see the log")
    if not browser and (shown := [c for c in remaining if _on_page(opened, c)]):
        raise ValueError(
            f"{root}: the condition {shown[0]!r} has stimuli or a continuous rating, "
            "which a page presents: run it with --browser"
        )
    if browser and rehearse:
        page_rehearsal.find_chromium()
    _preflight(opened, code, skip_preflight, rehearsed=rehearse)
    say(f"{code}: {', '.join(remaining)}" + (f" ({len(done)} done)" if done else ""))
    presented = Presentation(browser, port, rehearse)
    _run_session(opened, code, remaining, presented, lose=lose)


def rehearse(
    root: Root,
    browser: Annotated[
        bool,
        typer.Option(
            "--browser",
            help="Let the simulated participants use the page in a real browser.",
        ),
    ] = False,
) -> None:
    """Run a whole study with simulated participants, failures included.

    The wristband of the second fails half-way, the session of the third is killed and
    resumed, and the fifth withdraws: all data of that participant are deleted. In the
    browser, the page of the fourth is reloaded during the session.

    Example: `physio study rehearse trial`, after `physio study init trial`
    """
    from physio.study.study_folder import Study
    from physio.study.withdrawal import delete_participant

    opened = Study.open(root)
    band = _first_wristband(opened)
    for k in range(opened.design.study.participants):
        code = f"sim{k + 1}"
        if k == 2:
            _kill_and_resume(root, code, opened, browser=browser)
        run(
            root,
            code,
            skip_preflight="rehearsal: simulated participants follow no instruction",
            rehearse=True,
            lose=band if k == 1 else "",
            browser=browser,
        )
        if k == 4:
            say(delete_participant(opened, code).sentence)


def _run_session(
    opened: "Study",
    code: str,
    conditions: list[str],
    presented: Presentation,
    *,
    lose: str,
) -> None:
    """Run the session of a participant."""
    from physio.cli import session_folder
    from physio.cli.run_session import RunOptions, run_session
    from physio.online.remote_control import ControlSocket

    settings, rehearsed = opened.design.study, presented.rehearsed
    simulated = (conditions, lose) if rehearsed else ()
    file = _session(opened, code, *simulated)
    clock = presented.clock()
    out = opened.next_session_folder(code)

    decisions: list[bool] = []

    def write_log(event: str, **about: Any) -> None:
        if event == "consent":
            decisions.append(about["agreed"])
        opened.write_log(event, participant=code, session=out.name, **about)

    with ExitStack() as stack:
        folder = stack.enter_context(session_folder.fresh(out, code))
        answer = _answer(code) if rehearsed else None
        protocol = presented.protocol(opened, code, conditions, clock, answer)
        protocol.runner.on_progress = write_log
        stack.enter_context(protocol.opened(folder))
        devices: list[Device] = [
            *file.devices(clock),
            ControlSocket(folder, clock),
            protocol.runner,
        ]
        write_log(
            "session",
            hash=opened.design.hash,
            conditions=conditions,
            simulated=rehearsed,
        )
        options = RunOptions(
            poll=presented.poll,
            view=protocol.view,
            about={
                "study": settings.name,
                "study.hash": opened.design.hash,
                "study.order": str(opened.participants[code]),
                "consent": settings.consent,
                "consent.scope": ", ".join(settings.scope),
            },
        )
        outcome = run_session(file, devices, clock, folder, options)
    write_log("ended", how=outcome.ended, faults=outcome.figures["faults"])
    say(f"{outcome.folder}: {outcome.ended}")
    if False in decisions:
        _offer_deletion(opened, code)


def _offer_deletion(opened: "Study", code: str) -> None:
    """Print the command that deletes a participant who did not consent."""
    say(
        f"{code} did not consent, and the recording holds what came before: delete it "
        f"with: physio delete {quote(str(opened.root))} --participant {code}"
    )


def _session(
    opened: "Study", code: str, conditions: list[str] | None = None, lose: str = ""
) -> "SessionConfig":
    """Return the session file, with its devices simulating this participant."""
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
            (_simulated(condition), opened.design.seconds(condition)),
        )
    ]
    devices = {}
    for name, table in file.table("devices").items():
        if not str(table.get("use", "")).startswith("devices.simulated:"):
            raise ValueError(
                f"{path}: a rehearsal needs simulated devices, but {name!r} is "
                f"{table.get('use')!r}"
            )
        settings = {**table, "seed": crc32(code.encode()) % 10_000, "steps": steps}
        if name == lose:
            half = sum(seconds for _, seconds in steps) / 2
            settings["dies"] = dict.fromkeys(("eda", "bvp", "acc", "temp"), half)
        devices[name] = settings
    if lose and lose not in devices:
        raise ValueError(f"{path} has no device {lose!r}; it has {', '.join(devices)}")
    return replace(file, tables={**file.tables, "devices": devices})


def _answer(code: str) -> Any:
    """Return the answers of a simulated participant: ground truth plus noise."""
    import numpy as np

    from devices.simulated.affect_trajectory import CONDITION_AFFECT
    from physio.core.affect import DIMENSIONS

    rng = np.random.default_rng(crc32(code.encode()))

    def answer(condition: str, asked: "Questionnaire") -> Mapping[str, float]:
        middle, half = (asked.high + asked.low) / 2, (asked.high - asked.low) / 2
        mean = CONDITION_AFFECT[_simulated(condition)]
        affect = dict(zip(DIMENSIONS, mean, strict=True))
        answers = {
            item: middle + half * (affect.get(item, 0.0) + rng.normal(0, 0.2))
            for item in asked.items
        }
        return {
            item: float(np.clip(np.round(value), asked.low, asked.high))
            for item, value in answers.items()
        }

    return answer


def _simulated(condition: str) -> str:
    """Return the simulated condition that stands for one of a study."""
    from devices.simulated.affect_trajectory import CONDITION_AFFECT

    return condition if condition in CONDITION_AFFECT else "random"


def _on_page(opened: "Study", condition: str) -> bool:
    """Return whether a condition needs the participant's page."""
    planned = opened.design.conditions[condition]
    return bool(planned.stimuli or planned.rate)


def _first_wristband(opened: "Study") -> str:
    """Return the first simulated wristband of a study's session file."""
    devices = _session(opened, "nobody").table("devices")
    for name, table in devices.items():
        if str(table.get("use", "")).endswith(":Wristband"):
            return str(name)
    return ""


def _kill_and_resume(root: Path, code: str, opened: "Study", *, browser: bool) -> None:
    """Run a session in another process and kill it in its third condition."""
    command = [
        sys.executable, "-m", "physio.cli", "study", "run", str(root),
        "--participant", code, "--rehearse", "--skip-preflight", "rehearsal",
        *(["--browser"] if browser else []),
    ]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
    while child.poll() is None:
        lines = [li for li in opened.log() if li.get("participant") == code]
        if sum(line["event"] == "begin" for line in lines) >= 3:
            child.kill()
        time.sleep(0.01)
    say(f"{code}: killed in the third condition, then resumed")


def _preflight(opened: "Study", code: str, why: str, *, rehearsed: bool) -> None:
    if not opened.design.study.preflight:
        return
    if why:
        opened.write_log("override", participant=code, check="preflight", why=why)
        return
    if rehearsed:
        raise ValueError(
            "simulated participants cannot follow instructions: skip the checks with "
            '--skip-preflight "rehearsal"'
        )
    _run_preflight(opened, code)


def _run_preflight(opened: "Study", code: str) -> None:
    """Run the preflight checks; after a failure, continue only for a typed reason."""
    from physio.cli import session_folder
    from physio.cli.run_session import RunOptions, run_session
    from physio.core.protocols import WallClock
    from physio.datasets.open_recording import read
    from physio.online.prompts import PromptSequence
    from physio.online.remote_control import ControlSocket
    from physio.study import preflight

    file, clock = _session(opened, code), WallClock()
    out = opened.next_session_folder(f"{code}-check")
    with session_folder.fresh(out, code) as folder:
        guide = PromptSequence(preflight.STEPS, clock, say)
        helpers: list[Device] = [
            ControlSocket(folder, clock),
            preflight.MarkerEcho(folder, clock),
            guide,
        ]
        devices: list[Device] = [*file.devices(clock), *helpers]
        options = RunOptions(seconds=preflight.SECONDS)
        run_session(file, devices, clock, folder, options)
    results = preflight.checks(read(out / "recording.xdf"), opened.root)
    for check in results:
        say(str(check))
    bad = [check.quantity for check in results if check.ok is False]
    opened.write_log(
        "preflight",
        participant=code,
        session=out.name,
        checks=[
            {"quantity": c.quantity, "value": repr(c.value), "ok": c.ok}
            for c in results
        ],
    )
    if not bad:
        return
    why = typer.prompt(
        printable(f"{', '.join(bad)}: go on all the same? Type why, or nothing"),
        default="",
        show_default=False,
    )
    if not why.strip():
        raise typer.Exit(1)
    opened.write_log("override", participant=code, check=", ".join(bad), why=why)


def epochs(
    root: Root,
    event: Annotated[str, typer.Option(help="Prefix of the markers of the events.")],
    eeg: Annotated[bool, typer.Option("--eeg", help="Save EEG epochs too.")] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Clean EEG epochs with ICA and autoreject.")
    ] = False,
    edits: UseEdits = True,
    rater: Rater = "",
) -> None:
    """Compute event-related responses: SCR, heart rate change, EEG epochs.

    Example: `physio study epochs films --event "begin stress"`
    """
    import pandas as pd

    from physio.offline.edits_file import EditsChoice
    from physio.study import epochs as events
    from physio.study.contrasts import read_sessions
    from physio.study.study_folder import DERIVED, Study, replace_folder

    opened = Study.open(root)
    choice = EditsChoice(edits, rater)
    rows = []
    derived = opened.root / DERIVED
    if derived.is_symlink():
        raise ValueError(f"{derived} is a symbolic link: remove it first")
    derived.mkdir(mode=0o700, exist_ok=True)
    with replace_folder(opened.root / DERIVED / "epochs") as folder:
        for recorded in read_sessions(opened, opened.participants, choice):
            frame = events.event_related_responses(
                recorded.recording, event, recorded.edits
            )
            if not len(frame):
                continue
            n_epochs, done = (
                events.eeg_epochs(recorded.recording, event, clean=clean)
                if eeg
                else (0, {})
            )
            events.save(folder, recorded.name, frame, n_epochs or None, done)
            rows.append({"participant": recorded.participant, "session": recorded.name,
                         **events.summary(frame)})  # fmt: skip
        if not rows:
            raise ValueError(f"no marker of any session begins with {event!r}")
        summary = pd.DataFrame(rows)
        summary.to_csv(folder / "summary.csv", index=False)
    say(summary.to_string(index=False))


def export(
    root: Root,
    out: Annotated[Path, typer.Argument(help="Folder of the new BIDS dataset.")],
    edits: UseEdits = True,
    rater: Rater = "",
) -> None:
    """Export all sessions into one BIDS dataset.

    Example: `physio study export films films-bids`
    """
    from physio.offline.edits_file import EditsChoice
    from physio.study import bids
    from physio.study.study_folder import Study

    exported = bids.export(Study.open(root), out, EditsChoice(edits, rater))
    say(f"{out}: {counted(exported, 'session')}")


def marker_latency(
    recording: Annotated[Path, typer.Argument(help="Recording.")],
    channel: Annotated[
        str, typer.Option(help="Channel of the photodiode or microphone.")
    ],
    label: Annotated[str, typer.Option(help="Prefix of the markers.")] = "",
) -> None:
    """Measure the latency and jitter of stimuli after their markers.

    Example: `physio study marker-latency p07/recording.xdf --channel photodiode`
    """
    from physio.datasets.open_recording import read
    from physio.study.marker_latency import marker_latency as measure

    latency = measure(read(recording), channel, label)
    say(
        f"{channel}: {1e3 * latency.median:+.2f} ms behind the marker, jitter "
        f"{1e3 * latency.jitter:.2f} ms, worst {1e3 * latency.worst:.2f} ms "
        f"({latency.n} of {counted(latency.markers, 'marker')})"
    )


def table(
    root: Annotated[
        Path, typer.Argument(help="Folder of a study, of its BIDS export or of WESAD.")
    ],
    deviation: Deviation = "",
    plan: Annotated[
        Path | None,
        typer.Option(help="Study file, if the folder has none.", callback=config_path),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Output folder; default: inside the study.")
    ] = None,
    edits: UseEdits = True,
    rater: Rater = "",
    json_path: JsonPath = None,
) -> None:
    """Compute the results: table of outcomes, contrasts, methods text, plot.

    Example: `physio study table films`
    """
    from physio.offline.edits_file import EditsChoice
    from physio.study import derivatives
    from physio.study.contrasts import value_counts
    from physio.study.study_folder import Study

    choice = EditsChoice(edits, rater)
    if plan is None:
        opened = Study.open(root)
        opened.check(deviation)
        folder, rows, differences = derivatives.compute_results(opened, choice)
    elif out is None:
        raise ValueError(f"{root} is only read: give an output folder with --out")
    else:
        folder, rows, differences = derivatives.compute_results_of_dataset(
            root, plan, out, choice
        )
    counts = value_counts(rows)
    values = counted(counts["values"], "value")
    say(f"{folder}: {values}, {counts['values excluded']} excluded")
    about = json.loads((folder / "provenance.json").read_text("utf-8"))
    for text in about[derivatives.EDITS]:
        say(text)
    for contrast in differences:
        say(
            f"{contrast.of} - {contrast.against}, {contrast.outcome}: "
            f"{contrast.mean:+.3f} [{contrast.low:+.3f}, {contrast.high:+.3f}], "
            f"n = {contrast.n}"
        )
    if json_path is not None:
        write_text(json_path, (folder / "results.json").read_text("utf-8"))


for command in (init, run, rehearse, epochs, export, marker_latency, table):
    study.command()(routed(command))
