"""Correlation of skin conductance responses with wrist motion, for two counts.

python -m experiments.figures.eda_motion WESAD TABLE
experiments/figures/results/eda-motion.json

where TABLE is the output of `physio extract wesad WESAD TABLE`: windows of 60 s.
"""

import json
import sys
import warnings
from pathlib import Path

import neurokit2
import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from physio.core.events import events_from_grid
from physio.core.stage import apply
from physio.datasets import feature_table, wesad
from physio.features.eda.scr_detection import ScrDetection

LEAST = 0.02  # uS, of a response
APART = 60.0  # s
CONDITIONS = ("baseline", "stress", "amusement", "meditation")
COUNTS = ("trough to peak", "bursts of the driver", "the former more than the latter")


def counts(folder: Path, begins: np.ndarray) -> np.ndarray:
    """Return the number of SCR onsets in each minute, by both counts, (n, 2)."""
    recording = wesad.read(folder)
    (block,) = next(b for n, b in recording.streams.items() if "eda" in n)
    y = block.data[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        phasic = neurokit2.eda_phasic(y, sampling_rate=4, method="highpass")
        phasic = np.asarray(phasic["EDA_Phasic"])
        least = LEAST / float(phasic.max())
        _, peaks = neurokit2.eda_peaks(phasic, sampling_rate=4, amplitude_min=least)
    theirs = float(block.times[0]) + np.asarray(peaks["SCR_Onsets"], float) / 4
    ours = events_from_grid(apply(ScrDetection(LEAST), block)).times
    ways = [np.sort(t[np.isfinite(t)]) for t in (theirs, ours)]
    return np.column_stack(
        [t.searchsorted(begins + 60) - t.searchsorted(begins) for t in ways]
    )


def main() -> None:
    root, table, out = map(Path, sys.argv[1:])
    rows = feature_table.read(table)
    rows = rows[rows["label"].isin(CONDITIONS)]
    participants = {}
    for name, mine in rows.groupby("subject", sort=False):
        begins = mine["start_s"].to_numpy()
        apart = np.r_[
            True, np.floor(begins[1:] / APART) > np.floor(begins[:-1] / APART)
        ]
        mine = mine[apart & mine["motion.activity"].notna().to_numpy()]
        n = counts(root / str(name), mine["start_s"].to_numpy())
        moved = mine["motion.activity"].to_numpy()
        both = mine["label"].isin(["stress", "amusement"]).to_numpy()
        stress = (mine["label"] == "stress").to_numpy()[both]
        ways = dict(zip(COUNTS, (n[:, 0], n[:, 1], n[:, 0] - n[:, 1]), strict=True))
        participants[str(name)] = {
            "goes with movement (Spearman)": {
                k: float(spearmanr(v, moved)[0]) for k, v in ways.items()
            },
            "tells stress from amusement (AUC)": {
                k: float(roc_auc_score(stress, v[both]))
                for k, v in {**ways, "movement alone": moved}.items()
            },
        }
    kinds = next(iter(participants.values()))
    mean = {
        kind: {
            k: float(np.mean([p[kind][k] for p in participants.values()]))
            for k in names
        }
        for kind, names in kinds.items()
    }
    summary = {"what": __doc__.splitlines()[0], "least_uS": LEAST, "mean": mean}
    out.write_text(
        json.dumps({**summary, "participants": participants}, indent=1) + "\n", "utf-8"
    )
    print(json.dumps(mean, indent=1))


if __name__ == "__main__":
    main()
