"""A paragraph on the methods of a session, and whom to cite: ready to paste."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from physio.models import model_card

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
"""What the sentences below cite."""

_CLAUSES: Final[Mapping[str, str]] = {
    "EegQuality": "EEG channels that were flat (within {flat} uV), out of range "
    "({wild} uV) or at the amplifier's rail were left out, each for as long as it was "
    "so",
    "EdaQuality": "skin conductance outside {low} to {high} uS, or changing by more "
    "than {rise} uS/s, was left out",
    "DifferentialEntropy": "differential entropy (Duan et al., 2013) was computed for "
    "the bands {bands} in windows of {width} s every {hop} s",
    "SkinConductance": "skin conductance was divided into a tonic and a phasic part, "
    "and responses of at least {threshold} uS were counted (Boucsein et al., 2012)",
    "Decompose": "skin conductance was taken apart into tonic, phasic and driver by "
    "convex optimisation (Boucsein et al., 2012)",
    "Beats": "heart beats were detected and compared with a template (likeness of at "
    "least {likeness})",
    "HeartRate": "heart rate over {width} s and RMSSD over {past} s (Task Force, 1996) "
    "were computed where at least {accepted:.0%} of the beats were accepted",
    "Activity": "movement is the standard deviation of the magnitude of acceleration "
    "over {width} s (Vaha-Ypya et al., 2015)",
    "Temperature": "skin temperature and its slope were taken",
    "Notch": "{freq} Hz were taken out by a notch filter",
    "Bandpass": "signals were filtered from {low} to {high} Hz (Butterworth, causal)",
}
"""What is said of a stage, with its settings."""


def methods_paragraph(config: Mapping[str, Any], version: str) -> tuple[str, list[str]]:
    """Return a paragraph on what a session computed, and the references it cites.

    Parameters
    ----------
    config
        The tables of a session file, resolved: as a recording of ours carries them.
    version
        Of this package.
    """
    sentences = [
        f"Signals were recorded and processed with physio-affect {version}; what is "
        "computed while recording is what is computed from the file."
    ]
    for name, chain in config.get("chains", {}).items():
        clauses = [
            s for stage in chain.get("stages", ()) for s in _stage_clauses(stage)
        ]
        if clauses:
            text = "; ".join(clauses)
            sentences.append(f"{name}: {text[0].upper()}{text[1:]}.")
    keys = [key for key in REFERENCES if any(key in s for s in sentences)]
    references = [REFERENCES[key] for key in keys]
    experts = config.get("estimator", {}).get("experts", ())
    if experts:
        sentences.append(
            "Valence, arousal and dominance (Russell, 1980) were estimated as the "
            "predictive distribution of the participant's own rating on the "
            "Self-Assessment Manikin (Bradley & Lang, 1994), scaled to [-1, 1], "
            "relative to the participant's rest; they are estimates of a self-report, "
            "not measurements of emotion."
        )
        references += [REFERENCES["Bradley & Lang, 1994"], REFERENCES["Russell, 1980"]]
    for expert in experts:
        try:
            card = model_card.load(expert["weights"]).card
        except (ValueError, OSError, KeyError):
            continue
        name = expert["weights"].rpartition("/")[2]
        sentences.append(
            f"The weights {name!r} were trained on: {card.data.rstrip('.')} "
            f"({card.origin} participants)."
        )
        if not card.citation.startswith("none"):
            references.append(card.citation)
    return " ".join(sentences), sorted(dict.fromkeys(references))


def _stage_clauses(stage: Any) -> Iterator[str]:
    """Yield what is to be said of a stage and of those inside it."""
    if isinstance(stage, Mapping):
        name = str(stage.get("use", "")).rpartition(":")[2]
        for value in stage.values():
            yield from _stage_clauses(value)
        if name in _CLAUSES:
            settings = {k: _shown(v) for k, v in stage.items()}
            try:
                yield _CLAUSES[name].format(**settings)
            except (KeyError, ValueError):  # settings of another version
                yield f"{name} was applied"
    elif isinstance(stage, list | tuple):
        for part in stage:
            yield from _stage_clauses(part)


def _shown(value: Any) -> Any:
    if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple):
        return ", ".join(f"{n} {low:g}-{high:g} Hz" for n, low, high in value)
    return value
