"""Event-related responses: SCR, heart rate change, EEG epochs."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from physio.core.edits import Edits
from physio.core.recording import Recording
from physio.offline.condition_measures import Measures, MeasureSettings
from physio.view.convert import to_mne

_ICA_ITERATIONS: Final = 500
_EOG_CORRELATION: Final = 0.7  # with few electrodes no z-score is an outlier


def event_related_responses(
    recording: Recording, label: str, edits: Edits | None = None
) -> pd.DataFrame:
    """Return the event-related responses of the markers that begin with a label.

    A row per event: see `physio.offline.condition_measures.Measures.events`. Edits by
    eye are applied.
    """
    settings = MeasureSettings(estimates=False)
    return Measures.of(recording, settings, (), edits).events((label,))


def summary(frame: pd.DataFrame) -> dict[str, float]:
    """Return means: amplitude over responses, magnitude over all events."""
    return {
        "events": float(len(frame)),
        "usable": float(frame["responder"].notna().sum()),
        "responses": float(frame["responder"].sum()),
        "amplitude": float(frame["amplitude"].mean()),
        "magnitude": float(frame["magnitude"].mean()),
        "heart_rate_change": float(frame["heart_rate_change"].mean()),
    }


def eeg_epochs(
    recording: Recording,
    label: str,
    *,
    span: tuple[float, float] = (-0.2, 0.8),
    clean: bool = False,
    seed: int = 1,
) -> tuple[Any, dict[str, Any]]:
    """Return EEG epochs as `mne.Epochs`, and a record of the processing.

    Parameters
    ----------
    recording
        Recording with events and EEG.
    label
        Prefix of the markers of the events.
    span
        Begin and end of an epoch relative to the event (s); the baseline is the time
        before the event.
    clean
        Remove components that correlate with frontal electrodes (MNE's ICA) and repair
        or drop epochs (autoreject). This uses the whole recording, so that such epochs
        are for offline analysis only; no live feature or estimate is computed from
        them.
    seed
        Seed of ICA and autoreject.

    Raises
    ------
    ValueError
        If there is no such event, or no EEG.
    """
    import mne

    raw = to_mne(recording)
    raw.pick("eeg")
    wanted = [
        d for d in sorted(set(raw.annotations.description)) if d.startswith(label)
    ]
    if not wanted:
        raise ValueError(f"no marker begins with {label!r} while there is EEG")
    processing: dict[str, Any] = {"span": list(span), "events": wanted, "clean": clean}
    raw.filter(1.0, 40.0, verbose="error")
    processing["filter"] = "1 to 40 Hz, zero phase (FIR, MNE's default)"
    if clean:
        processing |= _remove_ocular_components(raw, seed)
    names = {name: i for i, name in enumerate(wanted, 1)}
    at, ids = mne.events_from_annotations(raw, names, verbose="error")
    epochs = mne.Epochs(
        raw, at, ids, *span, baseline=(None, 0), preload=True,
        event_repeated="drop", verbose="error",
    )  # fmt: skip
    processing["epochs"] = len(epochs)
    if clean:
        epochs, repair = _repair_epochs(epochs, seed)
        processing |= repair
    return epochs, processing


def _remove_ocular_components(raw: Any, seed: int) -> dict[str, Any]:
    """Remove the components that correlate with frontal electrodes."""
    from mne.preprocessing import ICA

    frontal = [n for n in ("Fp1", "Fp2", "AF7", "AF8") if n in raw.ch_names]
    parts = min(15, len(raw.ch_names) - 1)
    if not frontal or parts < 2:
        return {"ica": "skipped: no frontal electrode, or fewer than three in all"}
    ica = ICA(parts, random_state=seed, max_iter=_ICA_ITERATIONS, verbose="error")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "converged" is reported below
        ica.fit(raw, verbose="error")
    bad, _ = ica.find_bads_eog(
        raw, frontal, _EOG_CORRELATION, measure="correlation", verbose="error"
    )
    ica.exclude = bad
    ica.apply(raw, verbose="error")
    result = {"components": parts, "removed": [int(b) for b in bad], "seed": seed}
    return {"ica": {**result, "converged": ica.n_iter_ < _ICA_ITERATIONS}}


def _repair_epochs(epochs: Any, seed: int) -> tuple[Any, dict[str, Any]]:
    """Repair or drop epochs with autoreject, if there are enough of them."""
    if len(epochs) < 10:
        return epochs, {
            "autoreject": f"skipped: {len(epochs)} epochs, at least 10 are needed"
        }
    try:
        from autoreject import AutoReject
    except ImportError:
        raise ValueError(
            "cleaning epochs needs autoreject: pip install 'physio-affect[study]'"
        ) from None
    folds = min(10, len(epochs))
    cleaner = AutoReject(random_state=seed, cv=folds, verbose=False, n_jobs=1)
    mended, log = cleaner.fit_transform(epochs, return_log=True)
    return mended, {
        "autoreject": {"dropped": int(log.bad_epochs.sum()), "kept": len(mended)}
    }


def save(
    folder: Path,
    name: str,
    frame: pd.DataFrame,
    epochs: Any,
    processing: Mapping[str, Any],
) -> None:
    """Write the events of a session as CSV and its epochs as FIF."""
    import json

    frame.to_csv(folder / f"{name}.csv", index=False)
    if epochs is not None:
        epochs.save(folder / f"{name}-epo.fif", verbose="error")
    (folder / f"{name}.json").write_text(
        json.dumps(processing, indent=1) + "\n", "utf-8"
    )
