"""Export of a study to BIDS, and sessions read from a BIDS dataset."""

import gzip
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.recording import MARKERS, Recording
from physio.datasets.open_recording import read
from physio.io import bids_export
from physio.study.outcomes import completed_segments, questionnaire_scores
from physio.study.study_folder import Study
from physio.study.table import RecordedSession
from physio.view.convert import to_mne

TASK: Final = "study"


def export(study: Study, root: Path) -> int:
    """Write all sessions of a study into one BIDS dataset; return their number.

    Raises
    ------
    ValueError
        If ``root`` is not empty: nothing is overwritten.
    """
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"{root} is not empty: give a new folder")
    count = 0
    for code in study.participants:
        for number, folder in enumerate(study.sessions(code), 1):
            recording = read(folder / "recording.xdf")
            bids_export.export(
                recording, root, to_mne, session=f"{number:02d}", task=TASK
            )
            count += 1
    return count


def read_sessions(root: Path) -> Iterator[RecordedSession]:
    """Yield the sessions of a BIDS dataset.

    The ``physio.tsv.gz`` files with their sidecars and ``events.tsv`` are read. The EEG
    is not read, because no outcome of the table needs it.

    Raises
    ------
    FileNotFoundError
        If ``root`` is not a BIDS dataset.
    ValueError
        If a sidecar lacks a required key.
    """
    if not (root / "dataset_description.json").is_file():
        raise FileNotFoundError(
            f"{root} is not a BIDS dataset: it has no dataset_description.json"
        )
    for events in sorted(root.glob("sub-*/**/*_events.tsv")):
        stem = events.name.removesuffix("_events.tsv")
        parts = dict(p.split("-", 1) for p in stem.split("_") if "-" in p)
        streams = {}
        for path in sorted(events.parent.glob(f"{stem}_recording-*_physio.tsv.gz")):
            block = _block(path, parts["sub"])
            streams[block.info.name] = (block,)
        markers = _events(events)
        recording = Recording(
            streams, {MARKERS: markers}, (), {"participant": parts["sub"]}
        )
        name = "-".join(filter(None, (parts["sub"], parts.get("ses", ""))))
        segments = completed_segments(recording)
        yield RecordedSession(
            parts["sub"], name, recording, segments, questionnaire_scores(recording)
        )


def _block(path: Path, participant: str) -> Block:
    """Return the stream of a ``physio.tsv.gz`` file."""
    sidecar = path.with_name(path.name.removesuffix(".tsv.gz") + ".json")
    about: dict[str, Any] = json.loads(sidecar.read_text("utf-8"))
    for key in ("SamplingFrequency", "StartTime", "Columns"):
        if key not in about:
            raise ValueError(f"{sidecar} lacks {key!r}, which BIDS requires")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        data = pd.read_csv(file, sep="\t", header=None, na_values="n/a")
    channels = []
    for name in about["Columns"]:
        column = about.get(name, {})
        channels.append(
            Channel(name, column.get("Type", "misc"), column.get("Units", "1"))
        )
    name = path.name.partition("_recording-")[2].partition("_")[0]
    origin = Origin(about.get("Origin", Origin.MEASURED))
    rate = Fraction(about["SamplingFrequency"]).limit_denominator(10_000)
    info = StreamInfo(name, rate, tuple(channels), origin, participant)
    rows = np.ascontiguousarray(data.to_numpy(np.float64))
    return Block(info, 0, float(about["StartTime"]), rows)


def _events(path: Path) -> Events:
    frame = pd.read_csv(path, sep="\t", keep_default_na=False)
    frame = frame.sort_values("onset", kind="stable")
    times = frame["onset"].to_numpy(np.float64).copy()
    labels = tuple(frame["trial_type"].astype(str))
    until = float(times[-1]) if len(times) else 0.0
    return Events(
        event_stream(MARKERS), until, times, np.empty((len(times), 0)), labels
    )
