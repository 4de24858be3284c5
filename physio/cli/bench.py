"""How fast it is here."""

import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

THREADS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)  # no kernel of ours has any
VERSIONS: Final = ("physio-affect", "numpy", "scipy", "numba", "neurokit2")


def bench(
    name: Annotated[
        str, typer.Argument(help="What to measure: dsp, devices, dsp_beat_detection ...")
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Real recordings; else the folder that PHYSIO_DATA names."),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures as JSON.")
    ] = None,
) -> None:
    """Measure ours beside a peer: in turn, in one run, on one thread.

    Example: `physio bench dsp --data path/to/data --json figures.json`, or
    `physio bench dsp_eda_decomposition` for a part of it
    """
    from importlib import import_module
    from importlib.metadata import version
    from pkgutil import iter_modules

    os.environ.update(dict.fromkeys(THREADS, "1"))
    from rich.progress import track

    import benchmarks

    found = sorted(m.name for m in iter_modules(benchmarks.__path__) if "_" in m.name)
    mine = [m for m in found if m == name or m.startswith(f"{name}_")]
    if not mine:
        known = ", ".join(sorted({m.split("_")[0] for m in found}))
        raise ValueError(f"no bench is called {name!r}: there are {known}")
    folder = data or (Path(os.environ["PHYSIO_DATA"]) if _named() else None)
    rows: list[dict[str, Any]] = []
    for module in track(mine, "measuring", disable=not sys.stdout.isatty()):
        rows += import_module(f"benchmarks.{module}").rows(folder)
    _show(rows)
    if json_path:
        machine = f"{_processor()}, {os.cpu_count()} cores, {platform.system()}"
        versions = {v: version(v) for v in VERSIONS}
        text = {"bench": name, "rows": rows, "machine": machine, "versions": versions}
        json_path.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


def _named() -> bool:
    return bool(os.environ.get("PHYSIO_DATA"))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("work", "peer", "ours (s)", "peer (s)", "ratio", "of peak", "more")
    usual = ("work", "peer", "ours_s", "peer_s", "ratio", "share_of_peak")
    for row in rows:
        figures = [row.get(key) for key in usual[2:]]
        cells = ["" if v is None else f"{v:.3g}" for v in figures]
        more = (
            f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}"
            for k, v in row.items()
            if k not in usual
        )
        table.add_row(row["work"], row["peer"], *cells, ", ".join(more))
    Console().print(table)


COMMANDS: Final[list[Callable[..., None]]] = [bench]
