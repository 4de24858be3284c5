"""The command that runs benchmarks."""

import os
import platform
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from physio.cli.output import JsonPath, write_json

THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables of the libraries that use threads; the kernels here use none."""

VERSIONS: Final = ("physio-affect", "numpy", "scipy", "numba", "neurokit2")


def bench(
    name: Annotated[
        str,
        typer.Argument(
            help="Benchmark or group of benchmarks: dsp, devices, dsp_full_pipeline ..."
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of recordings; default: the variable PHYSIO_DATA."),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Compare the speed of this package with that of others, on one thread.

    Both sides run in turn in one process. Benchmarks are part of the source
    repository: the command needs a checkout (`pip install -e .`).

    Example: `physio bench dsp --data path/to/data --json results.json`, or
    `physio bench dsp_full_pipeline` for one benchmark
    """
    from importlib.metadata import version
    from pkgutil import iter_modules

    os.environ.update(dict.fromkeys(THREADS, "1"))
    from rich.progress import track

    from physio.config import load_module

    benchmarks = load_module("benchmarks", "physio bench")
    modules = sorted(m.name for m in iter_modules(benchmarks.__path__) if "_" in m.name)
    selected = [m for m in modules if m == name or m.startswith(f"{name}_")]
    if not selected:
        known = ", ".join(sorted({m.split("_")[0] for m in modules}))
        raise ValueError(f"there is no benchmark {name!r}: choose one of {known}")
    folder = data or (Path(os.environ["PHYSIO_DATA"]) if _data_is_set() else None)
    rows: list[dict[str, Any]] = []
    for module in track(selected, "measuring", disable=not sys.stdout.isatty()):
        rows += load_module(f"benchmarks.{module}", "physio bench").rows(folder)
    _show(rows)
    if json_path is not None:
        machine = f"{_processor()}, {os.cpu_count()} cores, {platform.system()}"
        versions = {v: version(v) for v in VERSIONS}
        results = {
            "bench": name,
            "rows": rows,
            "machine": machine,
            "versions": versions,
        }
        write_json(json_path, results)


def _data_is_set() -> bool:
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

    table = Table(
        "task", "peer", "physio (s)", "peer (s)", "ratio", "of peak", "details"
    )
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
