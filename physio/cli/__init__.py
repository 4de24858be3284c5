"""The ``physio`` command: the one place that imports across everything."""

import sys
from importlib.metadata import PackageNotFoundError, distribution

import typer

from physio.cli import (
    bench,
    check,
    dashboard,
    doctor_checks,
    evaluate,
    extract,
    help_links,
    personal,
    recordings,
    report,
    sessions,
    study,
    system,
)

app = typer.Typer(
    name="physio",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""From EEG and wristbands to online valence, arousal and dominance.

    `physio demo` runs a simulated participant for a minute. `physio replay FILE` runs a
    recording of yours. `physio live CONFIG.toml` runs devices.""",
)
for command in (
    sessions.COMMANDS
    + check.COMMANDS
    + dashboard.COMMANDS
    + personal.COMMANDS
    + extract.COMMANDS
    + evaluate.COMMANDS
    + report.COMMANDS
    + recordings.COMMANDS
    + system.COMMANDS
    + bench.COMMANDS
):
    app.command()(command)
# Negative numbers are no options.
app.command(context_settings={"ignore_unknown_options": True})(personal.rate)
app.add_typer(study.study)


def main() -> None:
    """Run the command line: status 1 for a fault that was found, 2 for bad input."""
    try:
        refuse_namesake()
        doctor_checks.configure_lsl()
        app()
    except (ValueError, OSError) as error:
        where = help_links.page(error)
        told = f" (more: {where})" if where else ""
        typer.echo(f"physio: {_sentence(error)}{told}", err=True)
        sys.exit(2)


def refuse_namesake() -> None:
    """Refuse to run beside another distribution that owns the name ``physio``.

    Raises
    ------
    OSError
        If there is one: its modules may have overwritten ours.
    """
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
    return " ".join(str(error).split()) or type(error).__name__
