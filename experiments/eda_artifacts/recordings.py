"""Skin conductance of three laboratories, and our marks in it."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array

RATE: Final = 4  # Hz
LABELS: Final = Path(__file__).with_name("labels.json")


class Artifact(NamedTuple):
    """A real artifact, as a factor of the conductance before it."""

    participant: str
    kind: str
    factor: Array
    after: float  # factor that stays


class Stretch(NamedTuple):
    """A stretch of a recording without a visible artifact."""

    participant: str
    values: Array


def recordings(data: Path) -> dict[str, Array]:
    """Return the conductance (uS, 4 Hz) of every recording, by laboratory and name."""
    records = {}
    for file in sorted(data.glob("wesad/S*/*_E4_Data.zip")):
        records[f"wesad.{file.parent.name}"] = _export(file)
    for file in sorted(data.glob("stress_predict/raw/S*.zip")):
        records[f"sp.{file.stem}"] = _export(file)
    with np.load(data / "exam_stress" / "exam_e4.npz") as file:
        for name in file.files:
            if name.endswith("/EDA"):
                key = f"exam.{name[:-4].replace('/', '.')}"
                records[key] = file[name].astype(np.float64).ravel()
    return records


def participant(recording: str) -> str:
    """Return the laboratory and the participant of a recording."""
    return ".".join(recording.split(".")[:2])


def artifacts(records: dict[str, Array], part: str) -> list[Artifact]:
    """Return the marked artifacts of the participants of a part.

    Dips, slips and spikes are tilted so that they end where they began.
    """
    cut = []
    for mine, name, begin, end, kind in json.loads(LABELS.read_text())["artifacts"]:
        if mine != part:
            continue
        x = records[name]
        before = float(np.median(x[begin - 6 : begin]))
        factor = x[begin:end] / before
        after = float(np.median(x[end : end + 4])) / before
        if kind != "step":
            factor = factor * np.exp(np.linspace(0, -np.log(after), len(factor)))
            after = 1.0
        cut.append(Artifact(participant(name), kind, factor, after))
    return cut


def stretches(
    records: dict[str, Array], part: str, name: str, lead: int = 0
) -> list[Stretch]:
    """Return stretches of the participants of a part, with ``lead`` values in front.

    ``name`` is ``"still"``, at rest by acceleration, or ``"responses"``, rich in
    responses.
    """
    marks = json.loads(LABELS.read_text())[name]
    return [
        Stretch(participant(record), records[record][begin - lead : end])
        for mine, record, begin, end in marks
        if mine == part
    ]


def _export(file: Path) -> Array:
    with zipfile.ZipFile(file) as archive:
        (name,) = [
            n
            for n in archive.namelist()
            if n.endswith("EDA.csv") and "__MACOSX" not in n
        ]
        rows = list(csv.reader(io.StringIO(archive.read(name).decode())))
    return np.array([float(row[0]) for row in rows[2:] if row])
