"""The command that judges models on participants they never saw."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    config: Annotated[Path, typer.Argument(help="What to judge, and how (TOML).")],
    data: Annotated[
        Path | None, typer.Option(help="The folder of data, where it needs one.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where results go: JSON, Markdown, outputs; and the table."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="A table of features that is there, for the file's [table]."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="Who computes the table: see `physio extract`.")
    ] = "serial",
    json: Annotated[
        Path | None, typer.Option(help="Where to write the results as JSON.")
    ] = None,
    trust: Annotated[
        list[str], typer.Option(help="Another package that names may be from.")
    ] = [],  # noqa: B006 typer wants a list
) -> None:
    """Judge models on participants they never saw, beside baselines, after an audit.

    A file's `[evaluation]` says what is judged. Where it has a `[table]` too, features
    are first computed by the stages that run live (kept in OUT/table).

    Example: `physio evaluate configs/evaluate-wesad-stress.toml --data DATA --out OUT`
    """
    from rich.console import Console

    from physio.evaluation import results
    from physio.evaluation.config import read_evaluation

    work = read_evaluation(config, tuple(trust))
    rows = _table(config, data, out, table, engine)
    with Console(stderr=True).status("training and judging models"):
        found = work.evaluate(data, rows)
    if found.leaks:
        typer.echo("this split LEAKS; it is for the reproduction of a paper alone")
    typer.echo(results.summary(found))
    typer.echo(str(found.audit))
    if out is not None:
        results.save(found, out)
        typer.echo(f"results: {out / results.PAGE}")
    if json is not None:
        json.write_text(results.dumped(found.to_dict()), "utf-8")


COMMANDS: Final[list[Callable[..., None]]] = [evaluate]

_KNOWN: Final = (
    "dataset", "folder", "window", "step", "min_valid", "session", "chains",
)  # fmt: skip


def _table(
    path: Path, data: Path | None, out: Path | None, there: Path | None, engine: str
) -> "pd.DataFrame | None":
    """Return the table of features that a file asks for, computed if need be."""
    from tempfile import TemporaryDirectory

    from physio import config
    from physio.datasets import feature_table
    from physio.evaluation.config import TABLE

    if there is not None:
        return feature_table.read(there)
    asked = config.read(path).get(TABLE)
    if asked is None:
        return None
    config.allow(asked, _KNOWN, f"{path.name}: {TABLE}", "a table of features")
    if "dataset" not in asked:
        raise ValueError(f"{path.name}: {TABLE} needs a value for 'dataset'")
    if data is None:
        raise ValueError(
            f"{path.name} computes features of {asked['dataset']}: say where it is, "
            "with --data, or give a table that is there with --table"
        )
    with TemporaryDirectory() as folder:
        into = (out if out is not None else Path(folder)) / "table"
        _extract(asked, path, data, into, engine)
        return feature_table.read(into)


def _extract(
    asked: Mapping[str, Any], path: Path, data: Path, into: Path, engine: str
) -> None:
    from dataclasses import replace

    from physio import config
    from physio.cli.extract import named, progress
    from physio.offline.extract import Windows, extract

    own = data / str(asked.get("folder", asked["dataset"]))
    dataset = named(str(asked["dataset"]), own if own.is_dir() else data, ())
    tables = {k: v for k, v in asked.items() if k == "chains"}
    if "session" in asked:
        tables = config.read(path.parent / str(asked["session"]))
    lengths = {k: asked[k] for k in ("window", "step", "min_valid") if k in asked}
    settings = config.make(
        Windows, {k: float(v) for k, v in lengths.items()}, f"{path.name}: table"
    )
    settings = replace(settings, tables=tables)
    participants = len({trial.subject for trial in dataset.trials()})
    with progress(participants) as heard:
        outcomes = extract(dataset, into, settings, engine=engine, heard=heard)
    failed = [o for o in outcomes if o.how == "failed"]
    for one in failed:
        typer.echo(f"{one.subject} is left out: {one.error}", err=True)
    if len(failed) == len(outcomes):
        typer.echo("nobody's features could be computed", err=True)
        sys.exit(1)
