"""The ``physio`` command line, the top layer of the package.

The function of a command has a parameter per option, hence some have more than eight.
"""

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import Annotated, Final

import typer

from physio.cli import (
    analyze,
    bench,
    check,
    columns_command,
    dashboard,
    doctor_checks,
    edit,
    evaluate,
    extract,
    help_links,
    personal,
    propose_session,
    recordings,
    report,
    sessions,
    study,
    synchrony_command,
    system,
    table_command,
    train,
    weights,
    workbench_command,
)
from physio.cli.baseline_option import BaselineCommand
from physio.cli.output import routed, say
from physio.core.installation import install_hint, other_devices
from physio.core.operating_system import tolerant_output
from physio.core.printable import printable

app = typer.Typer(
    name="physio",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Online valence, arousal and dominance from EEG and wristbands.

    `physio demo` runs a simulated participant for a minute. `physio replay FILE`
    replays a recording. `physio live CONFIG.toml` runs devices.""",
)

LONGEST: Final = 2000
"""Longest message of an error (characters)."""

PANELS: Final[dict[str, tuple[Callable[..., None], ...]]] = {
    "Live": (
        sessions.demo,
        sessions.live,
        sessions.record,
        sessions.replay,
        check.check,
        personal.calibrate,
        personal.rate,
        sessions.mark,
    ),
    "Files": (
        dashboard.view,
        edit.edit,
        columns_command.columns,
        recordings.repair,
        recordings.export,
        sessions.delete,
    ),
    "Analysis": (
        table_command.table,
        analyze.analyze,
        synchrony_command.synchrony,
        extract.extract,
        extract.audit,
        evaluate.evaluate,
        report.report,
    ),
    "Models": (train.train,),
}
"""Commands by their heading in ``physio --help``."""

WITH_BASELINE: Final = (
    table_command.table,
    sessions.live,
    sessions.replay,
    report.report,
    dashboard.view,
)
"""Commands with the option ``--baseline BEGIN END`` or ``--baseline NAME``."""

for panel, commands in PANELS.items():
    for command in commands:
        # A rating holds negative numbers, which are not options.
        context = {"ignore_unknown_options": command is personal.rate}
        app.command(
            cls=BaselineCommand if command in WITH_BASELINE else None,
            rich_help_panel=panel,
            context_settings=context,
        )(routed(command))
train.init.command("session")(routed(propose_session.init_session))
app.add_typer(train.init, rich_help_panel="Models")
app.add_typer(study.study, rich_help_panel="Study")
app.add_typer(weights.weights, rich_help_panel="Models")
app.command("app", rich_help_panel="Files")(routed(workbench_command.workbench))
for command in (system.devices, system.doctor, bench.bench):
    app.command(rich_help_panel="System")(routed(command))


def _print_version(value: bool) -> None:
    if value:
        say(f"physio-affect {version('physio-affect')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Take the options that precede a command."""


def main() -> None:
    """Run the command line: exit status 1 for a fault, 2 for invalid input."""
    tolerant_output()
    try:
        refuse_namesake()
        doctor_checks.configure_lsl()
        app()
    except (ValueError, OSError, OverflowError, MemoryError, RecursionError) as error:
        page = help_links.page(error)
        hint = f" (see {page})" if page else ""
        say(f"physio: {printable(_sentence(error), keep='')}{hint}", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        hint = install_hint(error.name or "")
        if not hint:
            raise
        say(f"physio: the package {error.name!r} is not installed{hint}", err=True)
        sys.exit(2)


def refuse_namesake() -> None:
    """Refuse to run beside another package named ``physio`` or ``devices``.

    Raises
    ------
    OSError
        If there is another distribution ``physio``, whose modules may have overwritten
        ours, or another package ``devices`` that hides ours.
    """
    if (hidden := other_devices()) is not None:
        raise OSError(hidden)
    try:
        other = distribution("physio")
    except PackageNotFoundError:
        return
    raise OSError(
        f"another distribution called 'physio' ({other.version}) is installed here and "
        "has the same import name as physio-affect: run `pip uninstall physio`, then "
        "`pip install --force-reinstall --no-deps physio-affect`"
    )


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror.lower()}"
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        text = f"the memory of this computer is too small for this input ({text})"
    elif isinstance(error, RecursionError):
        text = f"the input is nested too deep ({text})"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
