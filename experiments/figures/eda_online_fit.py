"""Correction of streaming EDA decomposition: writes physio/assets/skin_nearer.json.

python -m experiments.figures.eda_online_fit WESAD_FOLDER

The file holds, for each age, the weights with which
`physio.features.eda.online_decomposition.nearer` corrects streaming phasic values of
the published problem towards those from the whole record. They are fitted by least
squares, every 5 s of all participants, who have equal weight in units of their own
spread. The correction has a ridge penalty of 3 % of each term's power. The file also
holds, for each participant, the weights fitted on all others. The script prints each
participant's error without correction, and with these held-out weights.
"""

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import physio.assets
from physio.core.block import Array, Channel, StreamInfo
from physio.features.eda import online_decomposition
from physio.features.eda.decomposition import decompose
from physio.features.eda.online_decomposition import (
    AGES,
    append,
    decompose_recent,
    eda_window,
)

RIDGE = 0.03
INFO = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))


def learned(y: Array, spacing: int = 5) -> tuple[Array, Array, Array]:
    """Return terms, shape (n, ages, 24), truth and streaming estimates, (n, ages)."""
    whole, memory, rows = decompose(y, 4, "cvxeda"), eda_window(INFO, 30.0), []
    inputs: list[Array] = []
    original = online_decomposition.correction_inputs

    def keep_inputs(x: Array, decomposition: Any, phasic: Array, tonic: Array) -> Array:
        inputs.append(original(x, decomposition, phasic, tonic))
        return np.empty((0, 12))

    online_decomposition.correction_inputs = keep_inputs
    for i, value in enumerate(y):
        if not append(memory, value) or (i // 4) % spacing or i < 720:
            continue
        decomposed = decompose_recent(memory, "cvxeda", 0.5)
        if isinstance(decomposed, float):  # no value, and the reason why
            continue
        scale = np.log(abs(memory.far[0] / memory.far[1]) + 1e-3)
        terms = np.hstack([inputs[-1], scale * inputs[-1]])
        at = [i - 4 * age for age in AGES]
        estimated = [decomposed.phasic[-1 - 4 * age] for age in AGES]
        rows.append((terms, whole.phasic[at], estimated))
    online_decomposition.correction_inputs = original
    x, t, s = (np.array(v) for v in zip(*rows, strict=True))
    return x / whole.phasic.std(), t / whole.phasic.std(), s / whole.phasic.std()


def weights(participants: list[tuple[Array, Array, Array]]) -> Array:
    """Return weights, shape (ages, 2, 12)."""
    out = []
    for k in range(len(AGES)):
        a = sum(x[:, k].T @ x[:, k] / len(x) for x, _, _ in participants)
        b = sum(x[:, k].T @ (t[:, k] - x[:, k, 0]) / len(x) for x, t, _ in participants)
        solution = np.linalg.solve(a + RIDGE * np.diag(np.diag(a)), b)
        solution[0] += 1.0
        out.append(solution)
    return np.array(out).reshape(len(AGES), 2, 12)


def main(folder: Path) -> None:
    files = sorted(folder.glob("S*/S*_wrist.npz"))
    names = [f.parent.name for f in files]
    participants = [learned(np.load(f)["eda"].astype(float).ravel()) for f in files]
    without = {}
    for i, name in enumerate(names):
        fitted = weights(participants[:i] + participants[i + 1 :])
        x, t, estimated = participants[i]
        now = np.einsum("nak,ak->na", x, fitted.reshape(len(AGES), 24))
        off = [
            np.sqrt(np.mean((v - t) ** 2, axis=0)).round(3) for v in (estimated, now)
        ]
        print(name, *(v.tolist() for v in off))
        without[name] = fitted.round(5).tolist()
    out = {
        "source": "12 participants of WESAD (Schmidt et al. 2018), wrist, 4 Hz",
        "command": "python -m experiments.figures.eda_online_fit <folder of WESAD>",
        "ages": AGES,
        "weights": weights(participants).round(5).tolist(),
        "without": without,
    }
    path = Path(physio.assets.__file__).parent / "skin_nearer.json"
    path.write_text(json.dumps(out) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
