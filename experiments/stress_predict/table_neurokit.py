"""The table of eleven wristbands beside the same measures by NeuroKit2.

Run: python -m experiments.stress_predict.table_neurokit DATA OUT
"""

import csv
import json
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.core.block import Array
from physio.core.recording import Recording
from physio.datasets.open_recording import read
from physio.offline.conditions import ConditionSheet

TASKS: Final = ("Stroop", "interview", "hyperventilation")
"""The stress tasks in the order of the protocol."""

S01: Final = (
    ("Stroop", "09:29", "09:34"), ("rest", "09:34", "09:39"),
    ("rest", "09:39", "09:43"),
    ("interview", "09:44", "09:54"), ("rest", "09:54", "09:59"),
    ("hyperventilation", "10:00", "10:02"), ("rest", "10:02", "10:07"),
)  # fmt: skip
"""Conditions of S01, who has no labels, from the written log (Irish time)."""

_DAY: Final = "2022-02-07T"

MEASURES: Final = {
    "scl": "uS", "scr_per_minute": "1/min", "mean_heart_rate": "1/min"
}  # fmt: skip
COVERED: Final = 0.2
"""Share of accepted intervals from which a heart rate is compared."""


def write_sheet(data: Path, path: Path) -> None:
    """Write the conditions as a sheet, from the labels of each second."""
    labels = pd.read_csv(data / "labels_per_second.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(("participant", "condition", "begin", "end"))
        for name, begin, end in S01:
            out.writerow(("S01", name, f"{_DAY}{begin}Z", f"{_DAY}{end}Z"))
        for code, part in labels.groupby("Participant"):
            times = part["Time(sec)"].to_numpy(float)
            stress = part["Label"].to_numpy(int)
            edges = np.flatnonzero((np.diff(stress) != 0) | (np.diff(times) != 1)) + 1
            tasks = iter((*TASKS, *(f"stress {k}" for k in range(4, 10))))
            for rows in np.split(np.arange(len(times)), edges):
                name = next(tasks) if stress[rows[0]] else "rest"
                ends = times[rows[0]], times[rows[-1]] + 1
                stated = [datetime.fromtimestamp(t, UTC).isoformat() for t in ends]
                out.writerow((f"S{code:02d}", name, *stated))


def neurokit_rows(path: Path, sheet: ConditionSheet) -> list[dict[str, Any]]:
    """Return the measures of NeuroKit2 of a wristband, a row per condition."""
    import neurokit2 as nk

    recording = read(path)
    code = sheet.participant_of(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        skin, rate = _samples(recording, "e4.eda")
        signals, info = nk.eda_process(skin, sampling_rate=rate)
        wave, wave_rate = _samples(recording, "e4.bvp")
        pulse, _ = nk.ppg_process(wave, sampling_rate=wave_rate)
    large = info["SCR_Amplitude"] >= 0.02
    onsets = np.asarray(info["SCR_Onsets"], float)[large] / rate
    rows = []
    for span in sheet.place(recording, code).spans:
        a, b = (int(t * rate) for t in (span.begin, span.end))
        c, d = (int(t * wave_rate) for t in (span.begin, span.end))
        inside = (onsets >= span.begin) & (onsets < span.end)
        values = {
            "scl": float(signals["EDA_Tonic"].iloc[a:b].mean()),
            "scr_per_minute": 60 * float(inside.sum()) / (span.end - span.begin),
            "mean_heart_rate": float(pulse["PPG_Rate"].iloc[c:d].mean()),
        }
        rows += [
            {"participant": code, "condition": span.name, "begin_s": span.begin,
             "measure": name, "neurokit": value}
            for name, value in values.items()
        ]  # fmt: skip
    return rows


def agreement(a: pd.Series, b: pd.Series) -> dict[str, float]:
    """Return correlation and limits of agreement of b less a."""
    both = a.notna() & b.notna()
    difference = (b - a)[both]
    mean, sd = float(difference.mean()), float(difference.std(ddof=1))
    return {
        "n": int(both.sum()),
        "r": round(float(np.corrcoef(a[both], b[both])[0, 1]), 3),
        "mean_difference": round(mean, 3),
        "lower": round(mean - 1.96 * sd, 3),
        "upper": round(mean + 1.96 * sd, 3),
    }


def main(data: Path, out: Path) -> None:
    """Write the sheet, the tables, and the comparison."""
    out.mkdir(parents=True, exist_ok=True)
    sheet_path, table_path = out / "conditions.csv", out / "table.csv"
    write_sheet(data, sheet_path)
    files = sorted((data / "raw").glob("S*.zip"))
    if not table_path.exists():
        subprocess.run(
            [sys.executable, "-m", "physio", "table", *map(str, files), "--conditions",
             str(sheet_path), "--baseline", "rest", "--min-coverage", "0.2", "--plots",
             str(out / "plots"), "--output", str(table_path)],
            check=True,
        )  # fmt: skip
    sheet = ConditionSheet.read(sheet_path)
    other = pd.DataFrame([row for f in files for row in neurokit_rows(f, sheet)])
    table = pd.read_csv(table_path)
    table = table[(table["baseline_role"] == "primary")]
    table = table[table["source"].isin(["e4.eda/eda", "e4.bvp/bvp"])]
    keys = ["participant", "condition", "measure"]
    table, other = (
        f.assign(k=f.groupby(keys).cumcount()) for f in (table, other)
    )  # fmt: skip
    rows = table.merge(other, on=[*keys, "k"], validate="one_to_one")
    label = _authors(data, rows, sheet, files)
    results: dict[str, Any] = {}
    for name, unit in MEASURES.items():
        part = rows[rows["measure"] == name]
        covered = part["coverage"] >= COVERED
        results[name] = {
            "unit": unit,
            "all": agreement(part["neurokit"], part["value"]),
            "covered": agreement(part["neurokit"][covered], part["value"][covered]),
        }
        if name == "mean_heart_rate":
            authors = label.loc[part.index]
            results[name]["authors"] = {
                "table": agreement(authors[covered], part["value"][covered]),
                "neurokit": agreement(authors[covered], part["neurokit"][covered]),
            }
    about = {"recordings": len(files), "conditions": int(len(rows) / len(MEASURES)),
             "neurokit2": version("neurokit2"), "covered": COVERED}  # fmt: skip
    text = json.dumps({"about": about, "measures": results}, indent=1) + "\n"
    (out / "table_neurokit.json").write_text(text, "utf-8")


def _authors(
    data: Path, rows: pd.DataFrame, sheet: ConditionSheet, files: list[Path]
) -> "pd.Series[Any]":
    """Return the heart rate of the authors' table in each row's condition (1/min)."""
    labels = pd.read_csv(data / "labels_per_second.csv")
    starts = {sheet.participant_of(f): read(f).date for f in files}
    values = []
    for code, begin, end in zip(
        rows["participant"], rows["begin_s_x"], rows["end_s"], strict=True
    ):
        part = labels[labels["Participant"] == int(code[1:])]
        date = starts[code]
        seconds = part["Time(sec)"] - (date.timestamp() if date else np.nan)
        inside = (seconds >= begin) & (seconds < end)
        values.append(float(part.loc[inside, "HR"].mean()) if inside.any() else np.nan)
    return pd.Series(values, rows.index)


def _samples(recording: Recording, name: str) -> tuple[Array, int]:
    """Return the samples of a stream without gaps, and its rate (Hz)."""
    (block,) = recording.streams[name]
    lead = np.full(round(float(block.times[0]) * float(block.info.rate)), np.nan)
    values = pd.Series(np.concatenate([lead, block.data[:, 0]]))
    return values.interpolate().bfill().to_numpy(float), int(block.info.rate)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
