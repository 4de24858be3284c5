"""Commands about devices and the computer."""

import sys
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from os import environ
from pathlib import Path
from shutil import disk_usage
from typing import Annotated, Final
from warnings import catch_warnings

import typer

from physio.cli import doctor_checks
from physio.cli.doctor_checks import Finding
from physio.cli.output import say
from physio.core.plugins import installed

REQUIRED: Final = (
    "numpy",
    "scipy",
    "numba",
    "mne",
    "pylsl",
    "pyxdf",
    "brainflow",
    "pandas",
    "matplotlib",
)


def devices(
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Duration of the search for LSL streams (s).")
    ] = 1.0,
    simulate: Annotated[
        str | None,
        typer.Option(help="Simulate a device until Ctrl-C: `e4`, an E4 server."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the E4 streaming server.")
    ] = 28000,
    toml: Annotated[
        bool,
        typer.Option("--toml", help="Print a session file for the devices instead."),
    ] = False,
) -> None:
    """List the devices that answer, boards, and plugins of installed packages.

    Example: `physio devices`, or `physio devices --simulate e4` in another terminal
    """
    if simulate is not None:
        _simulate(simulate, port)
        return
    say("looking for devices ...", err=True)
    from physio.cli.device_search import search
    from physio.cli.device_words import WORDS
    from physio.cli.propose_session import draft
    from physio.cli.session_draft import SessionDraft

    result = search("", seconds, port)
    if toml:
        say(draft(result, "physio devices --toml").text().rstrip("\n"))
        return
    usable = tuple(d for d in result.devices if not d.problem)
    for line in SessionDraft(usable).device_lines() if usable else ():
        say(line)
    for text in (d.problem for d in result.devices if d.problem):
        say(f"not usable: {text}")
    say(f"looked for {'; '.join(result.targets)}{'' if usable else ': none answers'}")
    for hint in result.hints:
        say(hint)
    say(f"`physio live WORD` proposes a session: {', '.join(WORDS)}, or a board")
    from devices import board

    say("boards, as [devices.NAME] use = 'devices.board:Board', board = ...:")
    say("  " + ", ".join(board.available_boards()))
    say("simulated: devices.simulated:Headset, :Wristband, :Chest")
    say("extensions of installed packages:")
    for line in [str(plugin) for plugin in installed()] or ["none"]:
        say(f"  {line}")


def _simulate(kind: str, port: int) -> None:
    """Simulate a device for programs on this computer until Ctrl-C."""
    from time import sleep

    from devices.empatica import MockServer
    from devices.simulated import Wristband

    if kind != "e4":
        raise ValueError(f"cannot simulate {kind!r}: choose e4")
    band = Wristband(name="simulated", ground_truth=False)
    with MockServer({"51a7ed": band}, port) as server:
        say(
            f"an E4 streaming server with a simulated wristband, 51a7ed, on "
            f"127.0.0.1:{server.port}; Ctrl-C ends it"
        )
        try:
            while True:
                sleep(1)
        except KeyboardInterrupt:
            say("ended")


def doctor(
    warm: Annotated[
        bool,
        typer.Option(
            "--warm",
            help="Compile and store the kernels that sessions need, then end.",
        ),
    ] = False,
) -> None:
    """Check Python, packages, clocks, disk and ports; suggest a fix for each fault.

    Kernels are compiled at their first use and stored; `--warm` compiles them all,
    within one to two minutes, so that the first session need not wait.

    Example: `physio doctor`, or `physio doctor --warm` after an installation
    """
    if warm:
        _compile_kernels()
        return
    findings = [
        _python(),
        *map(_package, REQUIRED),
        doctor_checks.namesakes(),
        _clock(),
        doctor_checks.clocks(),
        _disk(),
        *doctor_checks.permissions(),
        doctor_checks.kernels(),
        doctor_checks.ports(),
        _lsl(),
        _board(),
    ]
    for finding in findings:
        say(f"{'ok  ' if finding.ok else 'BAD '} {finding.text}")
        if not finding.ok:
            say(f"     {finding.help}")
    if not all(f.ok for f in findings):
        raise typer.Exit(1)


def _compile_kernels() -> None:
    """Compile the kernels of the default chains, with a line for each chain."""
    from time import monotonic

    from devices.simulated import Chest, Headset, Wristband
    from physio.core.protocols import FastClock
    from physio.online.compile_kernels import compile_kernels
    from physio.online.session_config import SessionConfig

    began = monotonic()
    say("compiling kernels, once for all sessions (up to two minutes)")
    clock = FastClock()
    worn = [d(name=d.__name__, clock=clock) for d in (Chest, Headset, Wristband)]
    with ExitStack() as stack:
        streams = [i for d in worn for i in stack.enter_context(d).streams]
    plan = SessionConfig({}).plan(streams)
    compile_kernels(
        plan, streams, lambda part, number, of: say(f"  {number} of {of}: {part}")
    )
    finding = doctor_checks.kernels()
    say(f"{monotonic() - began:.0f} s: {finding.text}")
    if not finding.ok:
        say(finding.help)
        raise typer.Exit(1)


def _python() -> Finding:
    text = f"Python {sys.version.split()[0]}"
    return Finding(sys.version_info >= (3, 11), text, "Install Python 3.11 or newer.")


def _package(name: str) -> Finding:
    try:
        return Finding(ok=True, text=f"{name} {version(name)}")
    except PackageNotFoundError:
        return Finding(
            ok=False, text=f"{name} is missing", help=f"Run: pip install {name}"
        )


def _clock() -> Finding:
    import time

    clock = time.get_clock_info("monotonic")
    text = f"monotonic clock, resolution {clock.resolution:.0e} s"
    return Finding(clock.resolution <= 1e-3, text, "Stamps will be coarse here.")


def _disk() -> Finding:
    free = disk_usage(Path.cwd()).free / 1e9
    text = f"{free:.1f} GB free in {Path.cwd()}"
    return Finding(free > 1, text, "A session needs up to 1 GB an hour: make room.")


def _lsl() -> Finding:
    try:
        import pylsl
    except (ImportError, RuntimeError, OSError) as error:
        return Finding(
            ok=False,
            text=f"liblsl does not load: {error}",
            help="Reinstall pylsl.",
        )
    settings = environ.get("LSLAPICFG", "its own defaults or lsl_api.cfg")
    text = f"liblsl {pylsl.library_version()}, set up by {settings}"
    return Finding(ok=True, text=text)


def _board() -> Finding:
    try:
        with catch_warnings(action="ignore"):  # it finds its library by pkg_resources
            from brainflow.board_shim import BoardShim

            text = f"BrainFlow library {BoardShim.get_version()}"
    except Exception as error:  # the library's own loader fails in many ways
        return Finding(
            ok=False,
            text=f"BrainFlow does not load: {error}",
            help="On Python 3.11 it needs: pip install 'setuptools<82'",
        )
    return Finding(ok=True, text=text)
