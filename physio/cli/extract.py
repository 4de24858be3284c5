"""Commands about data sets and tables of features."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from physio.datasets.base import Dataset
    from physio.offline.extract import Outcome

Json = Annotated[
    Path | None, typer.Option("--json", help="Where to write the figures as JSON.")
]


def extract(
    dataset: Annotated[
        str, typer.Argument(help="Which data set: wesad ..., or package.module:Class.")
    ],
    root: Annotated[Path, typer.Argument(help="The data set's folder.")],
    out: Annotated[Path, typer.Argument(help="The table's folder, made if need be.")],
    window: Annotated[float, typer.Option(help="How long a window is (s).")] = 60.0,
    hop: Annotated[
        float, typer.Option(help="From one window's beginning to the next one's (s).")
    ] = 5.0,
    share: Annotated[
        float, typer.Option(help="Below this share of answers a feature is missing.")
    ] = 0.5,
    config: Annotated[
        Path | None,
        typer.Option(help="A session file (TOML) whose chains are taken."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="Who computes: serial, loky:N, dask:local:N or dask:tcp://HOST:PORT."
        ),
    ] = "serial",
    picture: Annotated[
        Path | None,
        typer.Option(
            help="Where to draw what is usable of each participant (PNG, SVG)."
        ),
    ] = None,
    json_path: Json = None,
    trust: Annotated[
        list[str], typer.Option(help="Another package that names may be from.")
    ] = [],  # noqa: B006 typer wants a list
) -> None:
    """Compute the features of a whole data set, by the stages that run live.

    Leaves a Parquet file a participant, with a row a window. What is there and
    unchanged is not computed again, so that the same command goes on where it was
    stopped.

    Example: `physio extract wesad path/to/WESAD table --engine loky:2`
    """
    from physio import config as files
    from physio.datasets import feature_table
    from physio.offline.extract import Windows
    from physio.offline.extract import extract as run

    found = named(dataset, root, tuple(trust))
    tables = files.read(config) if config is not None else {}
    settings = Windows(window, hop, share, tables)
    participants = len({trial.subject for trial in found.trials()})
    with progress(participants) as heard:
        outcomes = run(found, out, settings, engine=engine, heard=heard)
    _tell(outcomes)
    whole = [o for o in outcomes if o.how != "failed"]
    shares = feature_table.usable(feature_table.read(out)) if whole else None
    if shares is not None:
        typer.echo("share of windows in which a sensor was usable:")
        typer.echo(shares.round(2).to_string())
        if picture is not None:
            from physio.view.plots.data_availability import usable_figure

            usable_figure(shares, found.name).savefig(picture)
            typer.echo(f"picture: {picture}")
    if json_path is not None:
        told = {
            "dataset": found.name,
            "participants": [o._asdict() for o in outcomes],
            "usable": {} if shares is None else shares.to_dict("index"),
        }
        json_path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    if len(whole) < len(outcomes):
        raise typer.Exit(1)


def audit(
    table: Annotated[
        Path, typer.Argument(help="A table's folder, or one Parquet file.")
    ],
    folds: Annotated[
        Path | None, typer.Option(help="The split to audit (JSON).")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Split by this protocol, and audit that: loso ..."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Where to keep the folds of --protocol (JSON).")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Only windows with these labels: baseline,stress."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="What the model reads, by commas; by default all features."),
    ] = None,
    json_path: Json = None,
) -> None:
    """Find out whether a split leaks: samples, trials, participants, columns, the clock.

    With status 1 if it leaks. Folds are of the very rows they were made of: give the
    same --classes again.

    Example: `physio audit table --protocol loso --classes baseline,stress`
    """
    from physio.datasets import feature_table
    from physio.evaluation import folds as stored
    from physio.evaluation import splits
    from physio.evaluation.leakage.audit import audit as run

    if (folds is None) == (protocol is None):
        raise ValueError("give either --folds FILE or --protocol NAME")
    rows = feature_table.read(table)
    if feature_table.LABEL not in rows.columns:
        raise ValueError(f"{table} has no column {feature_table.LABEL!r}")
    labels = rows[feature_table.LABEL].astype(str)
    wanted = classes.split(",") if classes else sorted(set(labels) - {""})
    if unknown := [c for c in wanted if c not in set(labels)]:
        raise ValueError(
            f"{table} has no window labelled {unknown[0]!r}; it has "
            f"{', '.join(sorted(set(labels) - {''})) or 'no label at all'}"
        )
    rows = rows[labels.isin(wanted)].reset_index(drop=True)
    if folds is not None:
        split = stored.read(folds)
    else:
        split = splits.divide(rows, splits.protocol(str(protocol)))
        if save is not None:
            split.write(save)
    found = run(rows, split, columns.split(",") if columns else None)
    typer.echo(str(found))
    if json_path is not None:
        json_path.write_text(json.dumps(found.to_dict(), indent=1) + "\n", "utf-8")
    if not found.ok:
        raise typer.Exit(1)


COMMANDS: Final[list[Callable[..., None]]] = [extract, audit]


def named(name: str, root: Path, trust: tuple[str, ...]) -> "Dataset":
    """Return the data set of that name: the one in ``physio/data/<name>.py``."""
    import inspect
    from dataclasses import is_dataclass
    from importlib import import_module
    from importlib.util import find_spec
    from pkgutil import iter_modules

    import physio.datasets
    from physio import config

    if ":" in name:
        made: Dataset = config.build({"use": name, "root": root}, "DATASET", trust)
        return made
    if name.isidentifier() and find_spec(f"physio.datasets.{name}") is not None:
        module = import_module(f"physio.datasets.{name}")
        for _, cls in inspect.getmembers(module, inspect.isclass):
            own = cls.__module__ == module.__name__ and is_dataclass(cls)
            if own and {"trials", "load"} <= set(dir(cls)):
                make: Any = cls
                one: Dataset = make(root)
                return one
    names = [m.name for m in iter_modules(physio.datasets.__path__)]
    raise ValueError(
        f"there is no data set {name!r}: it is a file of physio.datasets with a data set "
        f"in it ({', '.join(names)}), or package.module:Class"
    )


@contextmanager
def progress(participants: int) -> "Iterator[Callable[[Outcome], None]]":
    """Show how many participants are done, at which rate, and how long it will take."""
    if not sys.stderr.isatty():
        yield lambda o: typer.echo(_line(o), err=True)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("participants", total=participants, rate="")
        rows = 0

        def heard(outcome: "Outcome") -> None:
            nonlocal rows
            rows += outcome.rows
            spent = bar.tasks[0].elapsed or 1e-9
            bar.update(task, advance=1, rate=f"{rows / spent:.0f} windows/s")

        yield heard


def _line(outcome: "Outcome") -> str:
    if outcome.how == "failed":
        return f"{outcome.subject}: failed: {outcome.error}"
    if outcome.how == "kept":
        return f"{outcome.subject}: there and unchanged"
    return f"{outcome.subject}: {outcome.rows} windows in {outcome.seconds:.1f} s"


def _tell(outcomes: "list[Outcome]") -> None:
    count: dict[str, Any] = dict.fromkeys(("done", "kept", "failed"), 0)
    for outcome in outcomes:
        count[outcome.how] += 1
    typer.echo(
        f"{count['done']} participants computed, {count['kept']} there and unchanged, "
        f"{count['failed']} failed"
    )
    for outcome in outcomes:
        if outcome.how == "failed":
            typer.echo(_line(outcome))
