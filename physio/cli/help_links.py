"""Which page of the documentation explains what a command refused."""

from collections.abc import Mapping
from typing import Final

PAGES: Final[Mapping[str, str]] = {
    "devices": "devices",
    "physio.cli.dashboard": "devices",
    "physio.cli.check": "signal-chain",
    "physio.cli.extract": "extract",
    "physio.cli.recordings": "recording",
    "physio.cli.session_folder": "session",
    "physio.cli.evaluate": "evaluate",
    "physio.cli.personal": "affect",
    "physio.cli.report": "dashboard",
    "physio.cli.sessions": "session",
    "physio.cli.study": "study",
    "physio.core": "signal-chain",
    "physio.datasets": "data",
    "physio.datasets.open_recording": "data",
    "physio.datasets.feature_table": "extract",
    "physio.dsp": "signal-chain",
    "physio.features": "signal-chain",
    "physio.io": "data",
    "physio.io.bids_export": "recording",
    "physio.io.xdf": "recording",
    "physio.models": "affect",
    "physio.online": "session",
    "physio.inference.calibration": "affect",
    "physio.online.remote_control": "affect",
    "physio.inference.estimator": "affect",
    "physio.offline.extract": "extract",
    "physio.online.personal_calibration": "affect",
    "physio.sinks": "recording",
    "physio.study": "study",
    "physio.train": "evaluate",
    "physio.evaluation.leakage.audit": "splits",
    "physio.evaluation.splits": "splits",
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
