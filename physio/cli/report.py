"""The command that makes a page of what was measured."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    import pandas as pd

    from physio.view.page import Page


def report(
    path: Annotated[
        Path, typer.Argument(help="A table of features, as `physio extract` makes it.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Where the page goes; by default PATH/report.html."),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(help="Audit this split of a table, too; `none` for no audit."),
    ] = "loso",
) -> None:
    """Make a page that needs nothing else: what is usable, of whom, and why not.

    Example: `physio report table --out usable.html`
    """
    page = _page(path, protocol)
    beside = path / "report.html" if path.is_dir() else path.with_suffix(".html")
    into = out or beside
    into.write_text(str(page), "utf-8")
    typer.echo(f"report: {into}")


COMMANDS: Final[list[Callable[..., None]]] = [report]


def _page(path: Path, protocol: str) -> "Page":
    """Return the page of whatever a path holds."""
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    if any(path.glob("subject=*/windows.parquet")) or path.suffix == ".parquet":
        return _of_table(path, protocol)
    raise ValueError(
        f"there is nothing in {path} that a report is made of: it is no table of "
        "features (subject=*/windows.parquet), as `physio extract` makes them"
    )


def _of_table(path: Path, protocol: str) -> "Page":
    from physio.data import windows
    from physio.view.dataset_report import dataset_report

    table = windows.read(path)
    audits = [] if protocol == "none" else _audits(table, protocol)
    return dataset_report(table, audits)


def _audits(table: "pd.DataFrame", protocol: str) -> list[dict[str, Any]]:
    """Return the audit of the labelled windows by a protocol, if it divides them."""
    from physio.data.windows import LABEL
    from physio.train import splits
    from physio.train.audit import audit

    rows = table[table[LABEL].astype(str) != ""].reset_index(drop=True)
    by = splits.protocol(protocol)
    if rows[LABEL].nunique() < 2:
        return []
    try:
        folds = splits.divide(rows, by, inner=False)
    except ValueError as error:
        typer.echo(f"no audit: {error}", err=True)
        return []
    return [audit(rows, folds).told()]
