"""Moments of all recordings with their targets: the samples of learners."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.core.affect import scale_places
from physio.core.block import Array
from physio.models.base import Model
from physio.models.baseline import BaselinePrior
from physio.training.learner import Samples
from physio.training.moments import (
    Columns,
    FeatureSettings,
    RecordingMoments,
    Rows,
    baseline_prior,
    moments_table,
    relative,
    window_channels,
)


@dataclass(frozen=True, eq=False)
class MomentSet:
    """Moments of several recordings and what is learned from them.

    Parameters
    ----------
    recordings
        The recordings, each with at least one moment.
    y
        Ratings on [-1, 1], shape (n, d), NaN where missing; or class numbers, shape
        (n,).
    settings
        Features, baseline and grid.
    targets, classes
        Dimensions, or names of the classes; one of the two is empty.
    seed
        Seed of all random numbers.
    """

    recordings: tuple[RecordingMoments, ...]
    y: Any
    settings: FeatureSettings
    targets: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    seed: int = 23

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def owner(self) -> Rows:
        """Number of the recording of each moment, shape (n,)."""
        counts = [len(r.at) for r in self.recordings]
        return np.repeat(np.arange(len(counts)), counts)

    @cached_property
    def participants(self) -> npt.NDArray[np.str_]:
        """Code of the participant of each moment, shape (n,)."""
        several = len({r.names[0] for r in self.recordings}) > 1
        codes = [
            f"{r.names[0]} {r.participant}" if several else r.participant
            for r in self.recordings
        ]
        return np.array(codes, np.str_)[self.owner]

    @cached_property
    def table(self) -> pd.DataFrame:
        """Row of each moment and of the baselines: see `moments_table`."""
        return moments_table(self.recordings, self.settings.features)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the moments, their targets and the settings."""
        digest = hashlib.sha256(repr((self.settings, self.seed)).encode())
        for recording in self.recordings:
            digest.update(repr(recording.names).encode())
            trace = np.empty(0) if recording.trace is None else recording.trace
            for part in (recording.x, recording.span, recording.total, trace):
                digest.update(np.ascontiguousarray(part).tobytes())
        digest.update(np.ascontiguousarray(self.y).tobytes())
        return digest.hexdigest()

    def prior(self, rows: Rows) -> BaselinePrior:
        """Return the distribution of baselines among the recordings of some moments."""
        chosen = np.zeros(len(self), np.bool_)
        chosen[rows] = True
        parts = []
        for k, recording in enumerate(self.recordings):
            inside = chosen[self.owner == k]
            if inside.any():
                parts.append(
                    recording._replace(
                        x=recording.x[inside], span=recording.span[inside]
                    )
                )
        return baseline_prior(parts, self.settings.every)

    def inputs(self, prior: BaselinePrior) -> tuple[Array, Array]:
        """Return the features of all moments as a session gives them to a model."""
        pairs = [relative(recording, prior) for recording in self.recordings]
        return np.concatenate([z for z, _ in pairs]), np.concatenate(
            [extra for _, extra in pairs]
        )

    def samples(self, rows: Rows, z: Array) -> Samples:
        """Return some moments as samples of a learner."""
        recordings = [self.recordings[k] for k in self.owner[rows]]
        at = np.concatenate([r.at / r.rate + r.t0 for r in self.recordings])
        units = np.concatenate([r.span for r in self.recordings])
        # The trials of a recording are numbered; those of recordings differ by session.
        sessions = np.array(["/".join(r.names[2:]) for r in recordings], np.str_)
        return Samples(
            x=z[rows],
            y=self.y[rows],
            participants=self.participants[rows],
            units=units[rows],
            sessions=sessions,
            times=at[rows],
            columns=self._columns,
            targets=self.targets,
            classes=self.classes,
            rate=self._rate,
            seed=self.seed,
            trace=self._trace(rows),
        )

    def _trace(self, rows: Rows) -> Array | None:
        """Return skin conductance around some moments; None without it."""
        traces = [r.trace for r in self.recordings if r.trace is not None]
        return np.concatenate(traces)[rows] if traces else None

    @property
    def _columns(self) -> Columns:
        """Features with their transforms; of windows, the channels."""
        columns = self.settings.columns
        if not self.settings.window:
            return columns
        return tuple((channel, "raw") for channel in window_channels(columns))

    @property
    def _rate(self) -> float:
        """Samples a second of windows (Hz); 0 for features."""
        if not self.settings.window:
            return 0.0
        return float(round(self.recordings[0].x.shape[2] / self.settings.window, 6))

    def outputs(self, model: Model, rows: Rows, prior: BaselinePrior) -> Array:
        """Return what a model answers at some moments, as in a session.

        Returns
        -------
        ndarray
            Odds, shape (m, classes); or mean and standard deviation of each target,
            shape (m, d, 2).
        """
        z, extra = self.inputs(prior)
        if self.classes:
            odds = [model.condition_odds(z[i], extra[i]) for i in rows]
            return np.array(odds).reshape(len(rows), len(self.classes))
        picks = scale_places(self.targets)
        answers = np.empty((len(rows), len(picks), 2))
        for k, i in enumerate(rows):
            mean, sd = model.predict(z[i], extra[i])
            answers[k, :, 0], answers[k, :, 1] = mean[picks], sd[picks]
        return answers
