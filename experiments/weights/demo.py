"""Demonstration weights, trained on simulated participants."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.weights import rating_error
from experiments.weights.live_features import features, run_estimator
from experiments.weights.split_audit import audited, settled
from physio import config
from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block, Origin
from physio.core.events import Events, concatenate
from physio.core.protocols import Device, FastClock
from physio.core.recording import Recording
from physio.io.montage import places
from physio.models import model_card
from physio.models.base import Model
from physio.models.baseline import BaselinePrior
from physio.models.rbtransformer import RBTransformerConfig
from physio.training import trainer
from physio.training.gaussian import GaussianRecipe, centred, learn, moments, rests
from physio.training.participant_data import ParticipantData, RatedSegment
from physio.training.save_weights import minimal_card, results_text, store

_BANDS: Final = ("theta", "alpha", "beta", "gamma")

_LIMITS: Final = (
    "Trained on simulated participants: no result holds for people. On measured "
    "input these weights do not answer unless demo weights are allowed.",
    "The effects of the simulation are exaggerated several times, so that they show"
    " within a minute; real effects are much smaller.",
    "A simulated participant's rating at each moment is the true affect with a "
    "rater's noise; real ratings are few and delayed.",
)

Trained = tuple[Model, BaselinePrior, tuple[Array, Array]]


@dataclass(frozen=True)
class TrainDemo:
    """Training run of the demonstration weights for a headset and a wristband.

    Parameters
    ----------
    headset, band
        The two devices: dataclasses with ``seed``, ``cycle``, ``seconds``, ``clock``,
        whose stream ``.truth`` is the participant's true affect.
    electrodes
        Electrodes of the headset. The network identifies them by their position on the
        head and is trained with some of them missing, so that it runs on other
        headsets.
    columns
        Features of the wristband, and their transforms.
    participants, tested
        Number of participants to train on, and of further ones to test on.
    first
        The first participant's seed; the others' follow.
    cycles
        Durations of the protocol (s); participants take these values in turn.
    seconds
        Duration of each recording (s).
    rest
        Duration of a participant's rest (s).
    every
        Time between training moments (s).
    rater
        Standard deviation of the rater's noise, on [-1, 1].
    epochs, seed
        Number of epochs and random seed of the network's training.
    """

    headset: Any
    band: Any
    electrodes: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    participants: int = 40
    tested: int = 10
    first: int = 1000
    cycles: tuple[float, ...] = (60.0, 120.0, 300.0)
    seconds: float = 300.0
    rest: float = 10.0
    every: float = 1.0
    rater: float = 0.2
    epochs: int = 12
    seed: int = 23

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:  # noqa: ARG002
        """Train both weights, evaluate them on held-out participants, store them."""
        began = time.monotonic()
        figures, stored, proved = [], {}, []
        for name in ("eeg-demo", "wrist-demo"):
            participants = [
                self._participant(name, i)
                for i in range(self.participants + self.tested)
            ]
            taught, tested = (
                participants[: self.participants],
                participants[self.participants :],
            )
            recipe = self._recipe(name)
            samples = [moments(p, recipe) for p in participants]
            proved.append(
                audited(participants, samples, recipe, [p.code for p in tested])
            )
            trained = self._eeg(taught) if name == "eeg-demo" else self._wrist(taught)
            card = self._card(name)
            store(out / name, card, *trained)
            over = [
                settled(p, recipe, m.over)
                for p, m in zip(participants, samples, strict=True)
            ]
            scored = [
                self._score(p, out / name, at)
                for p, at in zip(tested, over[self.participants :], strict=True)
            ]
            rows = rating_error.result_rows(name, scored, self.seed)
            figures += rows
            full = replace(card, figures=results_text(rows))
            stored[name] = store(out / name, full, *trained).card.sha256
        return {
            "dataset": "simulated participants",
            "protocol": "leave-n-subjects-out",
            "participants": [f"seed {self.first + i}" for i in self._tested],
            "rows": figures,
            "audit": proved[0].to_dict(),
            "audit_wrist": proved[1].to_dict(),
            "config": config.describe(self),
            "versions": {k: version(k) for k in ("numpy", "torch")},
            "seconds": round(time.monotonic() - began, 1),
            "weights": stored,
            "table": _table(figures),
        }

    @property
    def _tested(self) -> range:
        return range(self.participants, self.participants + self.tested)

    def _columns(self, name: str) -> tuple[tuple[str, str], ...]:
        if name == "wrist-demo":
            return self.columns
        return tuple(
            (f"eeg.de.{band}.{electrode}", "raw")
            for electrode in self.electrodes
            for band in _BANDS
        )

    def _recipe(self, name: str) -> GaussianRecipe:
        return GaussianRecipe(
            self._columns(name), DIMENSIONS, self.rest, 0.0, self.every
        )

    def _participant(self, name: str, i: int) -> ParticipantData:
        """Return a simulated participant, who rates each second."""
        device = self.band
        if name == "eeg-demo":
            device = replace(self.headset, channels=self.electrodes)
        seed, cycle = self.first + i, self.cycles[i % len(self.cycles)]
        recording = record(replace(device, seed=seed, cycle=cycle), self.seconds)
        streams = {"eeg": "eeg"}
        if name == "wrist-demo":
            streams = {"eda": "eda", "prv": "bvp", "motion": "acc"}
        used = {column.partition(".")[0] for column, _ in self._columns(name)}
        chains = {k: f"participant.{v}" for k, v in streams.items() if k in used}
        rows = features(recording, chains)
        truth = recording.streams["participant.truth"]
        times = np.concatenate([b.times for b in truth])
        felt = np.concatenate([b.data for b in truth])
        rng = np.random.default_rng((self.seed, seed))
        units = []
        for k in range(int(self.seconds / self.every)):
            begin = recording.begin + k * self.every
            inside = (times >= begin) & (times < begin + self.every)
            noisy = felt[inside].mean(axis=0) + rng.normal(0, self.rater, 3)
            ratings = np.round(np.clip(noisy, -1, 1) * 4) / 4  # nine steps
            units.append(RatedSegment(f"{k}", begin, begin + self.every, ratings))
        return ParticipantData(f"seed {seed}", rows, tuple(units))

    def _wrist(self, participants: Sequence[ParticipantData]) -> Trained:
        recipe = self._recipe("wrist-demo")
        fitted = learn([moments(p, recipe) for p in participants], recipe)
        return fitted.model, fitted.rest, fitted.model.prior

    def _eeg(self, participants: Sequence[ParticipantData]) -> Trained:
        recipe = self._recipe("eeg-demo")
        samples = [moments(p, recipe) for p in participants]
        rest = rests(samples, recipe.every)
        z = np.concatenate([centred(p, rest)[0] for p in samples])
        ratings = np.concatenate([p.ratings for p in samples])
        whole = ~np.isnan(z).any(axis=1)
        size = RBTransformerConfig(
            len(self.electrodes),
            len(_BANDS),
            head="affect",
            embedding="place",
            places=tuple(tuple(p) for p in places(self.electrodes).tolist()),
        )
        tokens = z[whole].reshape(-1, size.electrodes, size.bands)
        schedule = trainer.TrainingConfig(self.epochs, (256,), clip=1.0, missing=0.8)
        fitted = trainer.fit(size, tokens, ratings[whole], schedule, self.seed)
        return fitted.model, rest, (ratings.mean(axis=0), ratings.std(axis=0))

    def _score(
        self, participant: ParticipantData, folder: Path, over: float
    ) -> rating_error.HeldOutRatings:
        """Evaluate the live estimator on a participant from ``over`` (s) on."""
        out = run_estimator(participant.rows, str(folder))
        return rating_error.score(participant, *rating_error.estimates(out), over, 0.0)

    def _card(self, name: str) -> model_card.ModelCard:
        model = "rbtransformer:RBTransformer"
        if name == "wrist-demo":
            model = "gaussian:Gaussian"
        use = f"physio.models.{model}"
        columns, origin = self._columns(name), Origin.SIMULATED
        return replace(
            minimal_card(use, columns, self.rest, origin, DIMENSIONS),
            data=f"{self.participants} simulated participants (seeds {self.first} to "
            f"{self.first + self.participants - 1}), {self.seconds:g} s each, effects "
            f"{self.headset.preset}. DEMONSTRATION ONLY.",
            citation="none: a simulation, physio-affect",
            licence="BSD-3-Clause",
            protocol=f"Figures: {self.tested} held-out simulated participants, through "
            f"the live estimator, without the {self.rest:g} s of the baseline; mean "
            "over participants, 95 % bootstrap interval.",
            limits=_LIMITS,
            command="physio train experiments/weights/demo.toml",
        )


def record(device: Any, seconds: float, name: str = "participant") -> Recording:
    """Return ``seconds`` s of the data of a device (a dataclass), at full speed."""
    clock = FastClock()
    streams: dict[str, list[Block]] = {}
    events_of: dict[str, list[Events]] = {}
    opened: Device
    with replace(device, name=name, clock=clock, seconds=seconds) as opened:
        for info in opened.streams:
            if info.rate:
                nothing = np.empty((0, len(info.channels)))
                streams[info.name] = [Block(info, 0, 0.0, nothing)]
        while not opened.ended:
            clock.wait(4.0)
            for item in opened.read():
                if isinstance(item, Block):
                    streams[item.info.name].append(item)
                else:
                    events_of.setdefault(item.info.name, []).append(item)
    events = {k: concatenate(v) for k, v in events_of.items()}
    return Recording({k: tuple(v) for k, v in streams.items()}, events)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"{r['model']:10}  {r['metric']:40}  {r['mean']:6.2f}  "
        f"({r['low']:.2f} to {r['high']:.2f})"
        for r in rows
    )
