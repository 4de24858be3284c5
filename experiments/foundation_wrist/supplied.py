"""Embeddings of the four laboratories' minutes by a user's encoder in an ONNX file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from experiments.contrastive.minutes import SECONDS, Track, filled, raw_minutes
from experiments.cross_laboratory.laboratories import laboratories
from physio.core.block import Array
from physio.core.recording import Recording
from physio.inference.onnx import open_graph

_STREAMS: Final = {"skin": "e4.eda", "pulse": "e4.bvp"}
_BATCH: Final = 64


@dataclass(frozen=True)
class SuppliedEncoder:
    """An encoder in an ONNX file, and the form of signal that it reads.

    Parameters
    ----------
    path
        ONNX file with one input; its last output, flattened, is the embedding.
    signal
        ``skin``: raw conductance, phasic part and tonic level (uS) at 4 Hz;
        ``pulse``: the pulse wave of the minute at ``rate``.
    rate
        Samples a second of the pulse wave (Hz); the skin has 4.
    layout
        Order of the input's axes after that of the windows.
    scaled
        Whether each channel of a window is centred and divided by its deviation.
    trained_on
        Test laboratories that are known to be in its pre-training: not tested.
    complete
        Whether that list is known to be complete; otherwise the results say that
        contamination is not known.
    """

    path: str
    signal: Literal["skin", "pulse"]
    rate: int = 4
    layout: Literal["channels first", "channels last"] = "channels first"
    scaled: bool = False
    trained_on: tuple[str, ...] = ()
    complete: bool = False

    def __post_init__(self) -> None:
        if self.signal == "skin" and self.rate != 4:
            raise ValueError(f"{self.path}: the skin has 4 samples a second, not "
                             f"{self.rate}: resample inside the graph")  # fmt: skip

    def embeddings(self, root: Path, table: pd.DataFrame) -> Array:
        """Return the embedding of each row of a table, NaN where the signal lacks.

        Raises
        ------
        ValueError
            If the file is no ONNX graph, or takes other windows.
        """
        try:
            session = open_graph(Path(self.path).read_bytes())
        except OSError as error:
            raise ValueError(
                f"there is no encoder {self.path}: {error.strerror}"
            ) from None
        x = self.windows(root, table)
        known = np.flatnonzero(np.isfinite(x).all(axis=(1, 2)))
        parts = [
            self._run(session, x[rows])
            for rows in np.split(known, range(_BATCH, len(known), _BATCH))
        ]
        embedded = np.concatenate(parts)
        out = np.full((len(table), embedded.shape[1]), np.nan)
        out[known] = embedded
        return out

    def windows(self, root: Path, table: pd.DataFrame) -> Array:
        """Return the window of each row, (n, channels, samples), NaN if lacking."""
        channels = 3 if self.signal == "skin" else 1
        out = np.full((len(table), channels, SECONDS * self.rate), np.nan)
        keys = table[["subject", "session", "trial"]].astype(str).agg("/".join, axis=1)
        starts = table["start_s"].to_numpy(np.float64)
        for dataset in laboratories(root):
            rows = (table["dataset"] == dataset.name).to_numpy()
            for trial in dataset.trials() if rows.any() else ():
                at = np.flatnonzero(rows & (keys == "/".join(trial)).to_numpy())
                if len(at):
                    out[at] = self._cut(dataset.load(trial), starts[at])
        return out

    def _cut(self, recording: Recording, starts: Array) -> Array:
        blocks = recording.streams.get(_STREAMS[self.signal], ())
        if not blocks:
            return np.array(np.nan)
        track = Track(blocks[0].data, float(blocks[0].info.rate), float(blocks[0].t0))
        if self.signal == "skin":
            return raw_minutes({"skin": track}, starts)["skin"]
        out = np.full((len(starts), 1, SECONDS * self.rate), np.nan)
        pace = round(track.rate)
        to = np.arange(SECONDS * self.rate) / self.rate
        for k, start in enumerate(starts):
            at = round((start - track.begin) * pace)
            x = track.data[max(at, 0) : at + SECONDS * pace, 0]
            if at >= 0 and len(x) == SECONDS * pace:
                out[k, 0] = np.interp(to, np.arange(len(x)) / pace, filled(x))
        return out

    def _run(self, session: Any, x: Array) -> Array:
        """Return the embeddings of windows, one by one if the graph takes one."""
        if self.scaled:
            x = x - x.mean(axis=-1, keepdims=True)
            x = x / np.maximum(x.std(axis=-1, keepdims=True), 1e-9)
        if self.layout == "channels last":
            x = x.transpose(0, 2, 1)
        (given,) = session.get_inputs()
        if len(given.shape) != 3:
            raise ValueError(
                f"{self.path}: the input {given.name!r} has the shape {given.shape}; "
                "it should have windows, channels and samples"
            )
        single = isinstance(given.shape[0], int)
        name = session.get_outputs()[-1].name
        groups = x[:, None] if single else [x]
        try:
            parts = [
                session.run([name], {given.name: np.ascontiguousarray(g, np.float32)})
                for g in groups
            ]
        except Exception as error:  # its classes have no common base
            text = " ".join(str(error).split())[:200]
            raise ValueError(
                f"{self.path} takes the shape {given.shape}, not {x.shape[1:]} a "
                f"window: set signal, rate and layout ({text})"
            ) from None
        rows = zip(parts, groups, strict=True)
        return np.concatenate([p.reshape(len(g), -1) for (p,), g in rows])
