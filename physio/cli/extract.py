"""Commands that compute and audit tables of features."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from physio.cli.edits_option import say_unused
from physio.cli.output import (
    ExportSession,
    JsonPath,
    Subject,
    Task,
    Trust,
    config_path,
    say,
    write_json,
)
from physio.core.counted_nouns import counted
from physio.core.plugins import installed

if TYPE_CHECKING:
    import pandas as pd

    from physio.datasets.base import Dataset
    from physio.evaluation.folds import Folds
    from physio.offline.extract import ExtractionResult


def _list_datasets(value: bool) -> None:
    """Print the data sets that ``physio extract`` knows, and exit."""
    if not value:
        return
    from physio.datasets.library import dataset_classes

    for name in dataset_classes():
        say(name)
    for plugin in installed("physio.datasets"):
        say(str(plugin))
    raise typer.Exit


NO_BASELINE: Final = (
    "none is subtracted; features are absolute, as in a session (an evaluation "
    "subtracts that of its baseline_seconds)"
)
"""Baseline of the features in a table."""

Chains = Annotated[
    Path | None,
    typer.Option(
        help="Session file (TOML) whose chains are used.", callback=config_path
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help="Parallel backend: serial, loky:N, dask:local:N or dask:tcp://HOST:PORT."
    ),
]
ListDatasets = Annotated[
    bool,
    typer.Option(
        "--list",
        callback=_list_datasets,
        is_eager=True,
        help="List data sets, those of installed packages too, and exit.",
    ),
]


def extract(
    dataset: Annotated[
        str, typer.Argument(help="Data set: wesad ..., or package.module:Class.")
    ],
    root: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    out: Annotated[
        Path, typer.Argument(help="Folder of the table; created if missing.")
    ],
    window: Annotated[float, typer.Option(help="Window length (s).")] = 60.0,
    step: Annotated[
        float, typer.Option(help="Step from one window to the next (s).")
    ] = 5.0,
    min_valid: Annotated[
        float,
        typer.Option(help="Smallest valid fraction of a window that gives a feature."),
    ] = 0.5,
    config: Chains = None,
    backend: Backend = "serial",
    plot: Annotated[
        Path | None,
        typer.Option(help="File for a plot of the usable data per participant."),
    ] = None,
    participant: Subject = "",
    session: ExportSession = "",
    task: Task = "",
    json_path: JsonPath = None,
    trust: Trust = [],  # noqa: B006 typer wants a list
    _list: ListDatasets = False,
) -> None:
    """Compute the features of a whole data set by the stages that run live.

    Writes a Parquet file per participant with a row per window. Files that are up to
    date are not computed again, so the same command resumes an interrupted run.

    Example: `physio extract wesad path/to/WESAD table --backend loky:2`
    """
    from physio import config as files
    from physio.datasets import feature_table
    from physio.datasets.library import open_dataset
    from physio.offline.extract import Windows
    from physio.offline.extract import extract as run

    source = open_dataset(dataset, root, tuple(trust))
    say_unused(root)
    if any(chosen := (participant, session, task)):
        source = _selected(source, *chosen)
    tables = files.read(config) if config is not None else {}
    settings = Windows(window, step, min_valid, tables, tuple(trust))
    participants = len({trial.subject for trial in source.trials()})
    with progress(participants) as report:
        outcomes = run(source, out, settings, backend=backend, on_progress=report)
    _summarize(outcomes)
    say(f"baseline: {NO_BASELINE}")
    whole = [o for o in outcomes if o.status != "failed"]
    shares = feature_table.usable(feature_table.read(out)) if whole else None
    if shares is not None:
        _show_usable(shares, source.name, plot)
    if json_path is not None:
        figures = {
            "dataset": source.name,
            "participants": [o._asdict() for o in outcomes],
            "baseline": NO_BASELINE,
            "usable": {} if shares is None else shares.to_dict("index"),
        }
        write_json(json_path, figures)
    if len(whole) < len(outcomes):
        raise typer.Exit(1)


def _selected(
    source: "Dataset", participant: str, session: str, task: str
) -> "Dataset":
    """Return the recordings of a BIDS folder with some entities.

    Raises
    ------
    ValueError
        If the data set is another one.
    """
    from physio.datasets.bids import Bids
    from physio.io.bids.entities import Selection

    if not isinstance(source, Bids):
        raise ValueError(
            f"--participant, --session and --task select recordings of BIDS, not of "
            f"{source.name}: leave them out"
        )
    return Bids(source.root, Selection(participant, session, task))


def _show_usable(shares: "pd.DataFrame", name: str, plot: Path | None) -> None:
    """Print, and plot if asked, the fraction of usable windows per participant."""
    say("fraction of windows in which a sensor was usable:")
    say(shares.round(2).to_string())
    if plot is None:
        return
    from physio.view.plots.data_availability import valid_figure

    valid_figure(shares, name).savefig(plot)
    say(f"plot: {plot}")


def audit(
    table: Annotated[
        Path, typer.Argument(help="Folder of a table, or one Parquet file.")
    ],
    folds: Annotated[Path | None, typer.Option(help="Split to audit (JSON).")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Split by this protocol and audit the result: loso ..."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="File for the folds of --protocol (JSON).")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Restrict to windows with these labels: baseline,stress."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Features the model reads, separated by commas; default: all."
        ),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the confound card: what clock, motion, stimulus, "
            "participant, amplitude and missingness alone reach; no split needed."
        ),
    ] = None,
    stimulus: Annotated[
        str, typer.Option(help="Column that identifies the stimulus, for --card.")
    ] = "",
    json_path: JsonPath = None,
) -> None:
    """Audit a split for leakage: samples, trials, participants, columns and time.

    The exit status is 1 if it leaks. Folds belong to the rows they were computed from:
    repeat the same --classes.

    --card audits the table itself, for each of its targets: scores that rivals of the
    physiology reach.

    Example: `physio audit table --protocol loso --classes baseline,stress`

    Example: `physio audit table --card CARD`
    """
    from physio.datasets import feature_table
    from physio.evaluation.leakage.audit import audit as run

    split_given = (folds is not None) + (protocol is not None)
    if split_given > 1 or (not split_given and card is None):
        raise ValueError(
            "give either --folds FILE or --protocol NAME, or --card FOLDER for the "
            "confounds of the table"
        )
    rows = feature_table.read(table)
    if card is not None:
        chosen = _of_classes(rows, table, classes) if classes else rows
        outcome = _confounds(chosen, stimulus, card)
        if not split_given:
            write_json(json_path, outcome)
            return
    rows = _of_classes(rows, table, classes)
    split = _split(rows, folds, str(protocol), save)
    result = run(rows, split, columns.split(",") if columns else None)
    say(str(result))
    write_json(json_path, result.to_dict())
    if not result.ok:
        raise typer.Exit(1)


def _split(
    rows: "pd.DataFrame", folds: Path | None, protocol: str, save: Path | None
) -> "Folds":
    """Return stored folds, or those of a protocol, which are stored if asked."""
    from physio.evaluation import folds as stored
    from physio.evaluation import splits

    if folds is not None:
        return stored.read(folds)
    split = splits.divide(rows, splits.protocol(protocol))
    if save is not None:
        split.write(save)
    return split


def _of_classes(
    rows: "pd.DataFrame", table: Path, classes: str | None
) -> "pd.DataFrame":
    """Return the labelled rows of a table, or those of some classes."""
    from physio.datasets import feature_table

    if feature_table.LABEL not in rows.columns:
        raise ValueError(f"{table} has no column {feature_table.LABEL!r}")
    labels = rows[feature_table.LABEL].astype(str)
    wanted = classes.split(",") if classes else sorted(set(labels) - {""})
    if unknown := [c for c in wanted if c not in set(labels)]:
        raise ValueError(
            f"{table} has no window labelled {unknown[0]!r}; it has "
            f"{', '.join(sorted(set(labels) - {''})) or 'no label'}"
        )
    return rows[labels.isin(wanted)].reset_index(drop=True)


def _confounds(rows: "pd.DataFrame", stimulus: str, folder: Path) -> dict[str, Any]:
    """Write the confound card of a table into a folder; return it."""
    from rich.console import Console

    from physio.evaluation.leakage import confound_card
    from physio.view.plots.confounds import confound_figure

    with Console(stderr=True).status("training rivals of the physiology") as status:
        result = confound_card.confound_card(
            rows,
            stimulus=stimulus,
            on_progress=lambda target, name: status.update(f"{target}: {name}"),
        )
    outcome = result.to_dict()
    folder.mkdir(parents=True, exist_ok=True)
    confound_figure(outcome).savefig(folder / "confounds.png", dpi=120)
    page = confound_card.to_markdown(result, "confounds.png")
    (folder / "confounds.md").write_text(page, "utf-8")
    write_json(folder / "confounds.json", outcome)
    for target in result.targets:
        say(target.text)
    say(f"confound card: {folder / 'confounds.md'}")
    return outcome


@contextmanager
def progress(participants: int) -> "Iterator[Callable[[ExtractionResult], None]]":
    """Show progress over participants, the rate and the time that remains."""
    if not sys.stderr.isatty():
        yield lambda o: say(_line(o), err=True)
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

        def report(outcome: "ExtractionResult") -> None:
            nonlocal rows
            rows += outcome.rows
            spent = bar.tasks[0].elapsed or 1e-9
            bar.update(task, advance=1, rate=f"{rows / spent:.0f} windows/s")

        yield report


def _line(outcome: "ExtractionResult") -> str:
    if outcome.status == "failed":
        return f"{outcome.subject}: failed: {outcome.error}"
    if outcome.status == "kept":
        return f"{outcome.subject}: there and unchanged"
    windows = counted(outcome.rows, "window")
    return f"{outcome.subject}: {windows} in {outcome.seconds:.1f} s"


def _summarize(outcomes: "list[ExtractionResult]") -> None:
    count: dict[str, Any] = dict.fromkeys(("done", "kept", "failed"), 0)
    for outcome in outcomes:
        count[outcome.status] += 1
    say(
        f"{counted(count['done'], 'participant')} computed, "
        f"{count['kept']} there and unchanged, {count['failed']} failed"
    )
    for outcome in outcomes:
        if outcome.status == "failed":
            say(_line(outcome))
