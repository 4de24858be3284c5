"""Documentation pages that explain error messages."""

from collections.abc import Mapping
from typing import Final

PAGES: Final[Mapping[str, str]] = {
    "devices": "devices",
    "physio.cli.analyze": "analyze",
    "physio.cli.dashboard": "devices",
    "physio.cli.check": "signal-chain",
    "physio.cli.edit": "correct",
    "physio.cli.extract": "extract",
    "physio.cli.recordings": "recording",
    "physio.cli.session_folder": "session",
    "physio.cli.session_lock": "session",
    "physio.cli.evaluate": "evaluate",
    "physio.cli.personal": "affect",
    "physio.cli.report": "dashboard",
    "physio.cli.sessions": "session",
    "physio.cli.study": "study",
    "physio.cli.synchrony_command": "synchrony",
    "physio.core": "signal-chain",
    "physio.core.edits": "correct",
    "physio.core.clock_check": "data",
    "physio.core.input_file": "data",
    "physio.datasets": "data",
    "physio.datasets.open_recording": "data",
    "physio.datasets.feature_table": "extract",
    "physio.datasets.provenance": "analyze",
    "physio.dsp": "signal-chain",
    "physio.features": "signal-chain",
    "physio.features.eda": "eda",
    "physio.io": "data",
    "physio.io.bids.bids_export": "recording",
    "physio.io.xdf": "recording",
    "physio.models": "affect",
    "physio.online": "session",
    "physio.evaluation": "evaluate",
    "physio.evaluation.leakage": "splits",
    "physio.evaluation.splits": "splits",
    "physio.inference": "affect",
    "physio.offline": "extract",
    "physio.offline.analysis": "analyze",
    "physio.offline.analysis_files": "analyze",
    "physio.offline.edits_file": "correct",
    "physio.offline.event_responses": "analyze",
    "physio.offline.rater_agreement": "correct",
    "physio.offline.span_measures": "analyze",
    "physio.offline.synchrony": "synchrony",
    "physio.online.personal_calibration": "affect",
    "physio.online.rules": "send",
    "physio.online.remote_control": "affect",
    "physio.quality": "signal-chain",
    "physio.sinks": "recording",
    "physio.sinks.callback": "send",
    "physio.sinks.osc": "send",
    "physio.sinks.ttl": "send",
    "physio.study": "study",
    "physio.training": "evaluate",
    "physio.view": "dashboard",
    "physio.view.editor": "correct",
    "physio.view.http_api": "send",
}
"""Pages by the package that raised the error; the longest matching name counts."""


def page(error: BaseException) -> str:
    """Return the page that explains an error, as ``docs/recording.md``.

    It belongs to the innermost package of this project in the traceback that has one,
    so messages hold no addresses; empty if there is none.
    """
    topic = ""
    while error.__cause__ is not None:
        error = error.__cause__
    trace = error.__traceback__
    while trace is not None:
        topic = _of(str(trace.tb_frame.f_globals.get("__name__", ""))) or topic
        trace = trace.tb_next
    return f"docs/{topic}.md" if topic else ""


def _of(module: str) -> str:
    while module and module not in PAGES:
        module = module.rpartition(".")[0]
    return PAGES.get(module, "")
