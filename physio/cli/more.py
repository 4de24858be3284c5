"""Which page of the documentation explains what a command refused."""

from collections.abc import Mapping
from typing import Final

PAGES: Final[Mapping[str, str]] = {
    "devices": "devices",
    "physio.cli.boards": "devices",
    "physio.cli.check": "signal-chain",
    "physio.cli.data": "extract",
    "physio.cli.files": "recording",
    "physio.cli.folder": "session",
    "physio.cli.judge": "evaluate",
    "physio.cli.own": "affect",
    "physio.cli.report": "dashboard",
    "physio.cli.sessions": "session",
    "physio.cli.study": "study",
    "physio.core": "signal-chain",
    "physio.data": "data",
    "physio.data.files": "data",
    "physio.data.windows": "extract",
    "physio.dsp": "signal-chain",
    "physio.features": "signal-chain",
    "physio.formats": "data",
    "physio.formats.bids": "recording",
    "physio.formats.xdf": "recording",
    "physio.models": "affect",
    "physio.online": "session",
    "physio.online.calibration": "affect",
    "physio.online.control": "affect",
    "physio.online.estimator": "affect",
    "physio.online.extract": "extract",
    "physio.online.own": "affect",
    "physio.online.sinks": "recording",
    "physio.study": "study",
    "physio.train": "evaluate",
    "physio.train.audit": "splits",
    "physio.train.splits": "splits",
    "physio.view": "dashboard",
}
"""Pages, by the package that refused: the longest name that fits counts."""


def page(error: BaseException) -> str:
    """Return the page that explains an error, as ``docs/recording.md``.

    It is that of the innermost of our packages which has one, so that a message needs
    no address of its own and none goes stale; empty where there is none.
    """
    found = ""
    while error.__cause__ is not None:
        error = error.__cause__
    trace = error.__traceback__
    while trace is not None:
        found = _of(str(trace.tb_frame.f_globals.get("__name__", ""))) or found
        trace = trace.tb_next
    return f"docs/{found}.md" if found else ""


def _of(module: str) -> str:
    while module and module not in PAGES:
        module = module.rpartition(".")[0]
    return PAGES.get(module, "")
