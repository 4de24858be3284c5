"""Labels of EDF+ signals, as in ``EEG Fp1``: the kind and the name of a channel."""

from typing import Final

_PREFIXES: Final = {"EEG": "eeg", "ECG": "ecg", "EKG": "ecg", "EOG": "eog",
                    "EMG": "emg", "RESP": "resp", "TEMP": "temperature"}  # fmt: skip
"""Kinds of channels by the prefix of their labels."""


def labelled(name: str, kind: str) -> tuple[str, str]:
    """Return name and kind of a channel, from its label and its kind without one."""
    if kind == "eeg":  # PhysioNet pads names with dots: "Fp1."
        name = name.rstrip(". ") or name
    prefix, _, rest = name.partition(" ")
    if kind == "eeg" and rest.strip() and prefix.upper() in _PREFIXES:
        label = rest.strip() if rest.strip()[0].isalpha() else name  # "EEG 001" stays
        return label, _PREFIXES[prefix.upper()]
    return name, kind


def electrode_label(label: str) -> str:
    """Return the name that an electrode with a label has in a recording."""
    return labelled(label, "eeg")[0]
