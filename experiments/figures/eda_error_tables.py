"""Errors of streaming EDA decomposition: writes physio/assets/skin_errors.json.

python -m experiments.figures.eda_error_tables WESAD_FOLDER

The table holds, for each setting, age and component, the 90 % quantile of the error of
streaming estimates relative to those from the whole record, in units of
`physio.features.eda.online_decomposition.spread`. All participants have equal weight.
The script prints the coverage of each participant by the quantile of all others.
"""

import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

import physio.assets
from physio.core.block import Array, Channel, StreamInfo
from physio.features.eda.decomposition import SETTINGS, decompose
from physio.features.eda.online_decomposition import (
    AGES,
    append,
    decompose_recent,
    eda_window,
    error_unit,
    estimates,
)

QUANTILE = 0.9
INFO = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))


def relative(y: Array, setting: str, without: str, spacing: int = 4) -> Array:
    """Return absolute errors in units of the spread, shape (n, ages, 3).

    ``without`` is the participant, who is held out of the fitted correction.
    """
    whole, memory, rows = decompose(y, 4, setting), eda_window(INFO, 30.0), []
    for i, value in enumerate(y):
        if not append(memory, value) or (i // 4) % spacing or i < 720:
            continue
        decomposed = decompose_recent(memory, setting, 0.5, without)
        if isinstance(decomposed, float):  # no value, and the reason why
            continue
        part = whole._replace(
            tonic=whole.tonic[: i + 1],
            phasic=whole.phasic[: i + 1],
            driver=whole.driver[: i + 1],
        )
        unit = error_unit(memory.clean, setting, memory.far[0] / memory.far[1])
        pairs = [
            np.subtract(estimates(decomposed, a), estimates(part, a)) for a in AGES
        ]
        rows.append(np.abs(pairs) / unit)
    return np.array(rows)


def main(folder: Path) -> None:
    out: dict[str, object] = {"quantile": QUANTILE, "ages": AGES}
    out["source"] = "12 participants of WESAD (Schmidt et al. 2018), wrist, 4 Hz"
    out["command"] = "python -m experiments.figures.eda_error_tables <folder of WESAD>"
    participants = sorted(folder.glob("S*/S*_wrist.npz"))
    table = {}
    for setting in SETTINGS:
        off = [
            relative(np.load(p)["eda"].astype(float).ravel(), setting, p.parent.name)
            for p in participants
        ]
        per_participant = np.array([np.quantile(o, QUANTILE, axis=0) for o in off])
        table[setting] = np.round(pooled(off), 4).tolist()
        for i, participant in enumerate(participants):
            limit = pooled([o for j, o in enumerate(off) if j != i])
            share = (off[i] <= limit).mean(axis=0)
            print(setting, participant.parent.name, np.round(share, 2).tolist())
        cover = np.array(
            [
                (o <= pooled([p for j, p in enumerate(off) if j != i])).mean(axis=0)
                for i, o in enumerate(off)
            ]
        )
        print(setting, "mean", np.round(cover.mean(axis=0), 3).tolist())
        print(
            setting,
            "least",
            np.round(cover.min(axis=0), 3).tolist(),
            per_participant.shape,
        )
    out["quantiles"] = table
    path = Path(physio.assets.__file__).parent / "skin_errors.json"
    path.write_text(json.dumps(out, indent=1) + "\n", "utf-8")


def pooled(off: list[Array]) -> Array:
    """Return the quantile over all participants, weighted equally."""
    n = min(len(o) for o in off)
    return np.quantile(
        np.concatenate([o[:: len(o) // n][:n] for o in off]), QUANTILE, 0
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
