"""What follows an event: skin responses, heart rate, EEG."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.core.recording import Recording
from physio.features.eda.scr_detection import event_related
from physio.study.outcomes import Signals, marked
from physio.view.convert import to_mne

WITHIN: Final = (1.0, 3.0)
BEFORE: Final = (-5.0, 0.0)
AFTER: Final = (0.0, 6.0)
_ROUNDS: Final = 500  # of ICA
_LIKE: Final = (
    0.7  # correlation with a frontal electrode; of a few, none stands out by z
)


def related(
    recording: Recording,
    label: str,
    *,
    within: tuple[float, float] = WITHIN,
    signals: Signals | None = None,
) -> pd.DataFrame:
    """Return what skin and heart did after each event.

    Parameters
    ----------
    recording
        Where the events and signals are.
    label
        What the markers of these events begin with.
    within
        From when to when after an event a skin response begins that belongs to it (s).
    signals
        What `Signals.of` gave for the recording, if that was computed already.

    Returns
    -------
    DataFrame
        One row an event: ``time`` (s, session clock), ``label``, ``scr`` (1 if there
        was a response), ``latency`` (s), ``amplitude`` (uS, missing without response),
        ``magnitude`` (uS, 0 without), and ``heart.change`` (1/min: the mean rate of the
        6 s after, less that of the 5 s before). Missing where the sensor is not there
        or not usable.

    References
    ----------
    Boucsein et al. (2012), Psychophysiology 49:1017: the window of 1 to 3 s.
    """
    found = signals or Signals.of(recording)
    chosen = [(t, text) for t, text in marked(recording) if text.startswith(label)]
    times = np.array([t for t, _ in chosen])
    frame = pd.DataFrame({"time": times, "label": [text for _, text in chosen]})
    frame["scr"], frame["latency"], frame["amplitude"] = np.nan, np.nan, np.nan
    frame["magnitude"] = np.nan
    if found.responses is not None and found.skin is not None and len(times):
        count, latency, total = event_related(times, found.responses, within).T
        here = ~np.isnan(count) & _usable(found.skin, times, within)
        some = here & (count > 0)
        frame.loc[here, "scr"] = some[here].astype(float)
        frame.loc[here, "magnitude"] = np.where(some, total, 0.0)[here]
        frame.loc[some, "amplitude"] = total[some]
        frame.loc[some, "latency"] = latency[some]
    frame["heart.change"] = [
        found.rate(t + AFTER[0], t + AFTER[1])
        - found.rate(t + BEFORE[0], t + BEFORE[1])
        for t in times
    ]
    return frame


def summary(frame: pd.DataFrame) -> dict[str, float]:
    """Return means over events: amplitude over responses, magnitude over all events."""
    return {
        "events": float(len(frame)),
        "usable": float(frame["scr"].notna().sum()),
        "responses": float(frame["scr"].sum()),
        "amplitude": float(frame["amplitude"].mean()),
        "magnitude": float(frame["magnitude"].mean()),
        "heart.change": float(frame["heart.change"].mean()),
    }


def eeg(
    recording: Recording,
    label: str,
    *,
    span: tuple[float, float] = (-0.2, 0.8),
    clean: bool = False,
    seed: int = 1,
) -> tuple[Any, dict[str, Any]]:
    """Return the EEG around each event as `mne.Epochs`, and what was done to it.

    Parameters
    ----------
    recording
        Where the events and the EEG are.
    label
        What the markers of these events begin with.
    span
        From when to when about an event (s); what lies before it is the baseline.
    clean
        Whether components that follow the frontal electrodes are taken out (MNE's ICA)
        and epochs mended or dropped (autoreject). That looks at the whole recording:
        such epochs are for analysis afterwards, and no feature of a live session or of
        an estimator is ever computed from them.
    seed
        Of ICA and autoreject.

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
    done: dict[str, Any] = {"span": list(span), "events": wanted, "clean": clean}
    raw.filter(1.0, 40.0, verbose="error")
    done["filter"] = "1 to 40 Hz, zero phase (FIR, MNE's default)"
    if clean:
        done |= _without_eyes(raw, seed)
    names = {name: i for i, name in enumerate(wanted, 1)}
    at, ids = mne.events_from_annotations(raw, names, verbose="error")
    made = mne.Epochs(
        raw, at, ids, *span, baseline=(None, 0), preload=True,
        event_repeated="drop", verbose="error",
    )  # fmt: skip
    done["epochs"] = len(made)
    if clean:
        made, told = _mended(made, seed)
        done |= told
    return made, done


def _without_eyes(raw: Any, seed: int) -> dict[str, Any]:
    """Take out the components that go with the frontal electrodes."""
    from mne.preprocessing import ICA

    frontal = [n for n in ("Fp1", "Fp2", "AF7", "AF8") if n in raw.ch_names]
    parts = min(15, len(raw.ch_names) - 1)
    if not frontal or parts < 2:
        return {"ica": "left out: no frontal electrode, or fewer than three in all"}
    ica = ICA(parts, random_state=seed, max_iter=_ROUNDS, verbose="error")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is told below whether it has converged
        ica.fit(raw, verbose="error")
    bad, _ = ica.find_bads_eog(
        raw, frontal, _LIKE, measure="correlation", verbose="error"
    )
    ica.exclude = bad
    ica.apply(raw, verbose="error")
    told = {"components": parts, "removed": [int(b) for b in bad], "seed": seed}
    return {"ica": {**told, "converged": ica.n_iter_ < _ROUNDS}}


def _mended(epochs: Any, seed: int) -> tuple[Any, dict[str, Any]]:
    """Mend or drop epochs with autoreject, where there are enough of them."""
    if len(epochs) < 10:
        return epochs, {"autoreject": f"left out: {len(epochs)} epochs, 10 are needed"}
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
    folder: Path, name: str, frame: pd.DataFrame, made: Any, done: Mapping[str, Any]
) -> None:
    """Write a session's events as CSV and its epochs as FIF."""
    import json

    frame.to_csv(folder / f"{name}.csv", index=False)
    if made is not None:
        made.save(folder / f"{name}-epo.fif", verbose="error")
    (folder / f"{name}.json").write_text(json.dumps(done, indent=1) + "\n", "utf-8")


def _usable(
    skin: tuple[np.ndarray, np.ndarray], times: np.ndarray, within: tuple[float, float]
) -> np.ndarray:
    """Tell after which events the skin was measured in the whole window."""
    t, x = skin
    return np.array(
        [
            bool(
                len(here := x[(t >= one + within[0]) & (t <= one + within[1])])
                and not np.isnan(here).any()
            )
            for one in times
        ],
        np.bool_,
    )
