"""Commands that train models and write training files."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from physio.cli.edits_option import say_unused
from physio.cli.output import JsonPath, Trust, config_path, routed, say, write_text

if TYPE_CHECKING:
    from physio.training.train_run import RunProgress

_LINE = 5.0  # s between two lines of progress where there is no terminal

init = typer.Typer(
    name="init",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Write a commented file to start from.",
)


def train(
    config: Annotated[
        Path, typer.Argument(help="Training file (TOML).", callback=config_path)
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data, or its parent; default: the file's."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Parent of the folder with the weights; default: this folder (of "
            "experiments: the package)."
        ),
    ] = None,
    json_path: JsonPath = None,
    trust: Trust = [],  # noqa: B006 typer wants a list
) -> None:
    """Train weights and evaluate them on held-out participants beside controls.

    The file names data, target, features, model and protocol; `physio init train
    FOLDER` writes one. Ctrl-C stops; the same command resumes.

    Example: `physio train mine.toml --data path/to/DATA`
    """
    say(f"reading {config}", err=True)
    from physio.training.train_file import is_general

    say_unused(data)
    if is_general(config):
        _train(config, data, out or Path(), json_path, tuple(trust))
        return
    from physio.cli.output import write_json
    from physio.evaluation.config import train as run

    result = run(config, data, out, tuple(trust))
    say(result.pop("table"))
    write_json(json_path, result)


def _train(
    path: Path,
    data: Path | None,
    out: Path,
    json_path: Path | None,
    trust: tuple[str, ...],
) -> None:
    """Train by a general file."""
    from physio.evaluation import results
    from physio.training.train_card import RESULTS, session_line, write_weights
    from physio.training.train_file import read_training
    from physio.training.train_run import RunProgress, evaluate_training, prepare

    prepared = prepare(read_training(path, trust), data, out)
    say(f"cost: {prepared.cost()}", err=True)
    command = f"physio train {path.name}" + (f" --data {data.name}" if data else "")
    command += "".join(f" --trust {package}" for package in trust)
    with _progress() as report:
        try:
            outcome = evaluate_training(prepared, report)
            stored = write_weights(
                prepared, outcome, command,
                lambda p: report(RunProgress("fit to all data", p.step, p.steps)),
            )  # fmt: skip
        except KeyboardInterrupt:
            say(f"stopped; the same command goes on from {prepared.work}", err=True)
            raise
    for note in outcome.notes:
        say(note)
    say(results.summary(outcome.evaluation))
    say(str(outcome.evaluation.audit))
    say(f"weights: {prepared.out} (card: {prepared.out / 'CARD.md'}; results: "
        f"{prepared.out / RESULTS / results.PAGE})")  # fmt: skip
    say(f"in a session file, below [estimator]:\n{session_line(prepared.out)}")
    figures = {**outcome.evaluation.to_dict(), "weights": stored.card.sha256}
    write_text(json_path, results.dumped(figures))


@contextmanager
def _progress() -> "Iterator[Callable[[RunProgress], None]]":
    """Show the present work, the time that remains and the validation figure."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[figure]}"), console=Console(stderr=True),
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=None, figure="")

        def report(progress: "RunProgress") -> None:
            bar.update(
                task, description=progress.text, completed=progress.done,
                total=progress.total or None, figure=progress.figure,
            )  # fmt: skip

        yield report


def _lines() -> "Callable[[RunProgress], None]":
    """Return a callback that prints a line at most every few seconds."""
    printed: dict[str, float] = {"at": 0.0, "begun": time.monotonic(), "total": -1.0}

    def report(progress: "RunProgress") -> None:
        now = time.monotonic()
        if progress.total != printed["total"]:
            printed["begun"], printed["total"] = now, float(progress.total)
        if now - printed["at"] < _LINE:
            return
        printed["at"] = now
        parts: list[Any] = [progress.text]
        if progress.total:
            parts[0] += f" ({progress.done} of {progress.total})"
        if progress.total and progress.done:
            spent = now - printed["begun"]
            rest = spent / progress.done * (progress.total - progress.done)
            parts.append(f"{rest:.0f} s left")
        parts += [progress.figure] if progress.figure else []
        say(", ".join(parts), err=True)

    return report


def init_train(
    folder: Annotated[Path, typer.Argument(help="Folder of the data.")],
    out: Annotated[
        Path, typer.Option(help="File to write; nothing is overwritten.")
    ] = Path("train.toml"),
    participant: Annotated[
        str, typer.Option(help="Participant of a personal model; default: all.")
    ] = "",
) -> None:
    """Write a commented training file from what is in a folder; state the cost.

    Example: `physio init train path/to/STUDY --out mine.toml`
    """
    say(f"looking into {folder}", err=True)
    from physio.training.train_draft import draft

    if out.exists():
        raise ValueError(f"{out} exists: choose another --out; nothing was changed")
    text, cost = draft(folder, out, participant)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, "utf-8")
    say(f"{out}: {cost}")
    say(f"next: physio train {out}")


init.command("train")(routed(init_train))
