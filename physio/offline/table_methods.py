"""Methods text of a table: sentences on what was computed, and on nothing else."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import pandas as pd

from physio.offline.condition_baseline import PRIMARY, SENSITIVITY
from physio.offline.condition_measures import ESTIMATES, FEATURES
from physio.offline.exclusions import Exclusion
from physio.offline.span_measures import DESCRIPTIONS

if TYPE_CHECKING:
    from physio.offline.condition_table import Tables, TableSettings

LIBRARIES: Final = ("physio-affect", "numpy", "scipy", "pandas")

_SIGNALS: Final = {
    ("scl", "scr"): "Skin conductance was decomposed into tonic level and responses by "
    "a convex decomposition of the whole record (after Greco et al. 2015); a response "
    "(SCR) has at least {threshold:g} uS.",
    (
        "mean_heart_rate",
    ): "Beats were detected in the whole record after Elgendi et al. "
    "(2013), and intervals accepted by beat form and length.",
    ("prv",): "Variability of intervals of a pulse wave is pulse-rate variability.",
    ("hrv_hf", "prv_hf"): "High-frequency power was computed only where breathing lay "
    "in 0.15 to 0.4 Hz.",
    ("breathing_rate", "derived_breathing"): "Breathing was measured breath by breath, "
    "or derived from the variation of intervals.",
    ("eeg_power",): "EEG band power is the mean over artifact-free epochs of 2 s.",
}


def describe_measures(measures: Sequence[str]) -> pd.DataFrame:
    """Return measures with their definitions, for a codebook."""
    rows = []
    for name in measures:
        key = next((k for k in (name, name.partition(".")[0]) if k in _ALL), "")
        rows.append((name, _ALL.get(key, "feature of a live chain")))
    return pd.DataFrame(rows, columns=["measure", "definition"])


_ALL: Final = {
    **DESCRIPTIONS,
    **{
        name.replace("hrv_", "prv_"): text
        for name, text in DESCRIPTIONS.items()
        if name.startswith("hrv_")
    },
    "scr_first_latency": "time from the begin of the condition to the first response",
    "valence": "estimate of rated valence, -1 to 1",
    "arousal": "estimate of rated arousal, -1 to 1",
    "dominance": "estimate of rated dominance, -1 to 1",
}


def is_measure(name: str) -> bool:
    """Return whether a name is that of a measure of a table."""
    return name in _ALL or name.partition(".")[0] in _ALL


def signal_sentences(measures: Iterable[str], threshold: float) -> list[str]:
    """Return sentences on the processing of the signals behind measures.

    Parameters
    ----------
    measures
        Measures that have a value.
    threshold
        Least amplitude of a skin conductance response (uS).
    """
    valued = set(measures)
    return [
        sentence.format(threshold=threshold)
        for prefixes, sentence in _SIGNALS.items()
        if any(m.startswith(prefixes) for m in valued)
    ]


def table_methods(tables: "Tables", settings: "TableSettings") -> str:
    """Return a methods text of a table, each sentence derived from its rows."""
    rows = tables.long[tables.long["measure"] != ""]
    failed = sum(bool(r.error) for r in tables.recordings)
    text = (
        f"{len(tables.recordings) - failed} recordings of "
        f"{tables.long['participant'].nunique()} participants were analysed"
        + (f"; {failed} could not be." if failed else ".")
    )
    names = list(dict.fromkeys(rows["condition"]))
    sentences = [text, f"Conditions were {', '.join(names)}." if names else ""]
    valued = set(rows.loc[rows["value"].notna(), "measure"])
    sentences += signal_sentences(valued, settings.measures.scr_threshold)
    sentences += [*_analyses(rows), _baseline(rows, settings), _rules(rows, settings)]
    sentences += [_edits(tables), _events(tables.events, settings)]
    sentences.append(
        f"Computed with {', '.join(f'{name} {version(name)}' for name in LIBRARIES)}."
    )
    return " ".join(filter(None, sentences)) + "\n"


def _analyses(rows: pd.DataFrame) -> list[str]:
    labels = set(rows["analysis"])
    return [
        sentence
        for label, sentence in (
            (FEATURES, "Live features are causal, and the mean of the windows that lie "
             "in a condition."),
            (ESTIMATES, "Estimates of valence, arousal and dominance are the means of "
             "live, causal estimates of a self-report; they are no measurement of "
             "emotion."),
        )
        if label in labels
    ]  # fmt: skip


def _baseline(rows: pd.DataFrame, settings: "TableSettings") -> str:
    """State the baseline with its lengths, or that there was none."""
    if settings.baseline is None:
        return "No baseline was chosen; values are not corrected."
    used = rows[rows["baseline_role"] == PRIMARY]
    if not len(used):
        return f"No recording had the chosen baseline ({settings.baseline.words})."
    seconds = used.drop_duplicates("recording")["baseline_seconds"]
    low, high = seconds.min(), seconds.max()
    length = f"{low:.0f} s" if high - low < 1 else f"{low:.0f} to {high:.0f} s"
    other = rows.loc[rows["baseline_role"] == SENSITIVITY, "baseline"]
    names = ", ".join(dict.fromkeys(other))
    return (
        f"Differences are from the participant's own baseline, which was chosen before "
        f"the analysis: {settings.baseline.words} ({length}); they were repeated with "
        f"the next baseline ({names}). No value is a per cent of its baseline."
    )


def _rules(rows: pd.DataFrame, settings: "TableSettings") -> str:
    primary = rows[rows["baseline_role"] != SENSITIVITY]
    excluded = int((primary["exclusion"] != "").sum())
    count = f"{excluded} of {len(primary)} values were excluded or missing."
    if not settings.exclusions:
        return f"No rule of exclusion was stated; {count}"
    rules = "; ".join(rule.words for rule in settings.exclusions)
    return f"Rules of exclusion, stated before the analysis: {rules}. {count}"


def _edits(tables: "Tables") -> str:
    """State edits by eye, blinding and unblinding, in the words of each recording."""
    texts = [
        f"{r.path.name}: {note}"
        for r in tables.recordings
        for note in r.notes
        if note.startswith("edited by eye")
    ]
    if not texts:
        return ""
    return (
        f"{len(texts)} of {len(tables.recordings)} recordings were corrected by eye, "
        f"values without edits are stated beside: {'; '.join(texts)}."
    )


def _events(events: pd.DataFrame, settings: "TableSettings") -> str:
    if not len(events):
        return ""
    begin, end = settings.measures.event_window
    return (
        f"A response to an event begins {begin:g} to {end:g} s after it "
        f"({len(events)} events); magnitude counts 0 where there was none, and "
        "amplitude is missing."
    )


def rules_of(
    min_coverage: float, min_beats: int, max_corrected: float
) -> tuple[Exclusion, ...]:
    """Return the rule for all measures that three limits state; none for no limit."""
    rule = Exclusion(min_coverage, (), min_beats, max_corrected)
    return () if rule == Exclusion() else (rule,)
