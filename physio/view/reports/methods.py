"""Methods paragraph of a session, with references, for use in a publication."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from physio.core.affect import DIMENSIONS
from physio.models import model_card
from physio.models.model_card import ModelCard
from physio.view.labels import joined

REFERENCES: Final[Mapping[str, str]] = {
    "Boucsein et al., 2012": "Boucsein W, Fowles DC, Grimnes S, Ben-Shakhar G, Roth "
    "WT, Dawson ME, Filion DL (2012). Publication recommendations for electrodermal "
    "measurements. Psychophysiology 49(8), 1017-1034.",
    "Bradley & Lang, 1994": "Bradley MM, Lang PJ (1994). Measuring emotion: the "
    "Self-Assessment Manikin and the semantic differential. Journal of Behavior "
    "Therapy and Experimental Psychiatry 25(1), 49-59.",
    "Duan et al., 2013": "Duan R-N, Zhu J-Y, Lu B-L (2013). Differential entropy "
    "feature for EEG-based emotion classification. IEEE/EMBS Conference on Neural "
    "Engineering, 81-84.",
    "Russell, 1980": "Russell JA (1980). A circumplex model of affect. Journal of "
    "Personality and Social Psychology 39(6), 1161-1178.",
    "Task Force, 1996": "Task Force of the European Society of Cardiology and the "
    "North American Society of Pacing and Electrophysiology (1996). Heart rate "
    "variability: standards of measurement. Circulation 93(5), 1043-1065.",
    "Vaha-Ypya et al., 2015": "Vaha-Ypya H, Vasankari T, Husu P, Suni J, Sievanen H "
    "(2015). A universal, accurate intensity-based classification of different "
    "physical activities using raw data of accelerometer. Clinical Physiology and "
    "Functional Imaging 35(1), 64-70.",
}
"""References that the clauses below cite."""

_CLAUSES: Final[Mapping[str, str]] = {
    "EegQuality": "EEG channels that were flat (within {flat} uV), out of range "
    "({wild} uV) or saturated were excluded for that time",
    "EdaQuality": "skin conductance outside {low} to {high} uS, or changing by more "
    "than {rise} uS/s, was excluded",
    "DifferentialEntropy": "differential entropy (Duan et al., 2013) was computed for "
    "the bands {bands} in windows of {window} s every {step} s",
    "EdaFeatures": "skin conductance was separated into tonic level (SCL) and phasic "
    "component, and responses (SCR) of at least {threshold} uS were counted "
    "(Boucsein et al., 2012)",
    "EdaDecomposition": "skin conductance was decomposed into tonic and phasic "
    "components and their driver by convex optimization (Boucsein et al., 2012)",
    "BeatDetection": "heart beats were detected and compared with a template "
    "(similarity of at least {min_confidence})",
    "HeartRate": "heart rate over {window} s and RMSSD over {past} s (Task Force, 1996)"
    " were computed where at least {accepted:.0%} of the beats were accepted",
    "Actigraphy": "movement is the standard deviation of the magnitude of acceleration "
    "over {window} s (Vaha-Ypya et al., 2015)",
    "Temperature": "mean and slope of the skin temperature were computed",
    "Notch": "line noise at {freq} Hz was removed by a notch filter",
    "Bandpass": "signals were filtered from {low} to {high} Hz (Butterworth, causal)",
}
"""Clause for each stage, with its settings."""


def methods_paragraph(config: Mapping[str, Any], version: str) -> tuple[str, list[str]]:
    """Return a paragraph on the methods of a session, and the references it cites.

    Parameters
    ----------
    config
        Settings of the session file, as a recording contains them.
    version
        Version of this package.
    """
    sentences = [
        f"Signals were recorded and processed with physio-affect {version}; online "
        "processing and offline processing of the recording give identical results."
    ]
    for name, chain in config.get("chains", {}).items():
        clauses = list(_stage_clauses(chain.get("stages", ())))
        if clauses:
            text = "; ".join(clauses)
            sentences.append(f"{name}: {text[0].upper()}{text[1:]}.")
    keys = [key for key in REFERENCES if any(key in s for s in sentences)]
    references = [REFERENCES[key] for key in keys]
    experts = config.get("estimator", {}).get("experts", ())
    cards = list(_cards(experts))
    if experts:
        sentences.append(
            f"{_dimensions(cards)} (Russell, 1980) were estimated as the "
            "predictive distribution of the participant's own rating on the "
            "Self-Assessment Manikin (Bradley & Lang, 1994), scaled to [-1, 1], "
            "relative to the participant's resting baseline; they are estimates of a "
            "self-report, not measurements of emotion."
        )
        references += [REFERENCES["Bradley & Lang, 1994"], REFERENCES["Russell, 1980"]]
    for name, card in cards:
        sentences.append(
            f"The weights {name!r} were trained on: {card.data.rstrip('.')} "
            f"({card.origin} participants)."
        )
        if not card.citation.startswith("none"):
            references.append(card.citation)
    return " ".join(sentences), sorted(dict.fromkeys(references))


def _cards(experts: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ModelCard]]:
    """Yield name and model card of each expert whose weights are available."""
    for expert in experts:
        try:
            card = model_card.load(expert["weights"]).card
        except (ValueError, OSError, KeyError):
            continue
        yield expert["weights"].rpartition("/")[2], card


def _dimensions(cards: Sequence[tuple[str, ModelCard]]) -> str:
    """Return the dimensions that the experts estimate, as the start of a sentence."""
    supported = {d for _, card in cards for d in card.supports}
    names = [d for d in DIMENSIONS if d in supported] or DIMENSIONS
    return joined(names).capitalize()


def _stage_clauses(stage: Any) -> Iterator[str]:
    """Yield the clauses of a stage and of the stages inside it."""
    if isinstance(stage, Mapping):
        name = str(stage.get("use", "")).rpartition(":")[2]
        for value in stage.values():
            yield from _stage_clauses(value)
        if name in _CLAUSES:
            try:
                settings = {k: _formatted(v) for k, v in stage.items()}
                yield _CLAUSES[name].format(**settings)
            except (KeyError, ValueError, TypeError):  # settings of another version
                yield f"{name} was applied"
    elif isinstance(stage, list | tuple):
        for part in stage:
            yield from _stage_clauses(part)


def _formatted(value: Any) -> Any:
    if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple):
        return ", ".join(f"{n} {low:g}-{high:g} Hz" for n, low, high in value)
    return value
