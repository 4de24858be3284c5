"""Training run of the weights wrist: a joint Gaussian of features and ratings."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from experiments.weights import rating_error
from experiments.weights.live_features import (
    default_features,
    features,
    rated_segments,
    run_estimator,
)
from experiments.weights.split_audit import audited, settled
from physio import config
from physio.core.block import Array, Block, Origin
from physio.core.filename import valid_name
from physio.core.recording import Recording
from physio.datasets.stress_predict import StressPredict
from physio.datasets.wesad import Wesad
from physio.evaluation.splits import LeaveOrderOut, Loso
from physio.evaluation.statistics import summary
from physio.models import model_card
from physio.training.gaussian import (
    FittedGaussian,
    GaussianRecipe,
    TrainingSamples,
    learn,
    mahalanobis,
    moments,
)
from physio.training.participant_data import ParticipantData, RatedSegment
from physio.training.save_weights import minimal_card, results_text, store

_GROUPS: Final = 4
_EXCLUDED: Final = ("S06",)
"""Participants of Stress-Predict whose labels disagree with their own tags."""

_ALARM: Final = 0.01  # proportion of held-out moments that count as novel
_PROTOCOL: Final = (
    "Figures: leave-one-participant-out; every participant's whole session is run "
    "through the live estimator. The participant's baseline at the beginning and "
    "the first seconds of each condition are not evaluated. Mean over participants,"
    " 95 % bootstrap interval. Shrinkage and noise are chosen by "
    "leave-one-participant-out within the training participants. 'responses' is the"
    " SCR rate alone, 'movement' the wrist's activity alone; 'time only' is a random "
    "forest on the seconds since the start, 'missingness' one on which features are "
    "missing and on heart.rate.sd; 'prior' is the mean rating of the "
    "training participants; 'other order' is trained on participants who had the "
    "conditions in the other order."
)

_LIMITS: Final = (
    "The estimate is the participant's rating on a scale, not a feeling. It is no "
    "medical device.",
    "Twelve young, healthy participants in one laboratory, one brand of wristband, "
    "one stress test (speech and mental arithmetic before a panel, standing): "
    "movement and posture are confounded with stress in these data (see 'movement',"
    " which separates stress nearly as well), and heart rate rises with both. Where"
    " participants move for other reasons, leave the movement out: features = "
    "['eda', 'prv'].",
    "The optical pulse is lost to movement in nearly all of the stress test, so the"
    " heart rate contributes little.",
    "Valence is hardly predictable from the wrist; see the figures.",
    "The log score of arousal on held-out participants is above the prior's by 0.07 "
    "nats, with an interval that includes 0: on twelve participants, arousal is not "
    "shown to be more than the prior only.",
    "Dominance was not rated in this study and is not estimated.",
    "Condition and time are confounded in this study; no feature contains the time,"
    " and the rows of the other order of conditions show the performance without "
    "this confound.",
)


_LIMITS_OF_TWO: Final = (
    _LIMITS[0],
    "20 participants of two laboratories, one brand of wristband. Four laboratories "
    "were measured, and that allows no interval for a fifth: see "
    "experiments/cross_laboratory. Movement is no input: prefer these weights to "
    "wrist-network, which reads it, unless the situation is that of WESAD.",
    "In two laboratories that did not train, the AUC of stress within a person is 0.73 "
    "(EmoPairCompete) and 0.69 (Non-EEG); the heart rate alone has 0.66 and 0.69: "
    "+0.039 (-0.003 to 0.082).",
    "A tracked heart rate with a standard deviation above 5 per minute is no feature, "
    "in training and live: a band on a table has such a rate.",
    "Stress-Predict has no ratings; its rest and stress carry mean ratings of WESAD, "
    "and its hyperventilation counts as stress. Of the figures here, only the ratings "
    "of WESAD are scored.",
    "Heart rate also rises with posture, movement, caffeine and warmth.",
    *_LIMITS[3:],
)


@dataclass(frozen=True)
class TrainWrist:
    """Training and evaluation of the wrist expert.

    Parameters
    ----------
    columns
        The features, ``"<chain>.<channel>"``, and their transforms: ``raw``, ``sqrt``
        or ``log``.
    chains
        Input stream of each shipped chain; by default the default chains of the
        streams, which those of Stress-Predict also have.
    name
        Name of the weights.
    folder, second
        Folders of WESAD and of Stress-Predict inside the folder of data; an empty
        ``second``: WESAD alone.
    held_out
        Participants held out of the training of the stored weights.
    dimensions
        Ratings to learn.
    rest, settle, every
        See `physio.training.gaussian.GaussianRecipe`.
    sd_limits
        Limit of the standard deviation of features: see `physio.models.sd_limits`.
    seed
        Seed of bootstrap and forests; the weights are deterministic.
    """

    columns: tuple[tuple[str, str], ...]
    chains: Mapping[str, str] = field(default_factory=dict)
    name: str = "wrist"
    folder: str = "wesad"
    second: str = ""
    held_out: tuple[str, ...] = ("S10",)
    dimensions: tuple[str, ...] = ("valence", "arousal")
    rest: float = 300.0
    settle: float = 60.0
    every: float = 5.0
    sd_limits: Mapping[str, float] = field(default_factory=dict)
    seed: int = 23

    @property
    def recipe(self) -> GaussianRecipe:
        """Settings of the Gaussian fit."""
        return GaussianRecipe(
            self.columns,
            self.dimensions,
            self.rest,
            self.settle,
            self.every,
            groups=_GROUPS if self.second else 0,
            sd_limits=self.sd_limits,
        )

    def __post_init__(self) -> None:
        valid_name(self.name, "a set of weights")

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:
        """Train and evaluate on a data set; store the weights in ``out``.

        Parameters
        ----------
        root
            The data set's folder, or the folder that contains `folder`.
        out
            Parent of the folder for the weights.

        Returns
        -------
        dict
            The results, as `physio evaluate` writes them, and a ``table`` to print.
        """
        began = time.monotonic()
        data, participants, orders = self.participants(root)
        others = self.others(root)
        second = [(p, moments(p, self.recipe)) for p in others]
        samples = {p.code: moments(p, self.recipe) for p in participants}
        # Both splits are audited before use; a leak raises an error.
        proved = [
            audited(
                [*participants, *more],
                [*samples.values(), *(m for _, m in second[: len(more)])],
                self.recipe,
                by,
            )
            for by, more in ((Loso(), others), (LeaveOrderOut(), []))
        ]
        learned = {
            code: learn(
                [
                    *(m for c, m in samples.items() if c != code),
                    *rated(second, [p for p in participants if p.code != code]),
                ],
                self.recipe,
            )
            for code in samples
        }
        odd = {
            code: mahalanobis(samples[code], fitted) for code, fitted in learned.items()
        }
        models = self._scored(participants, samples, orders, learned, odd, second)
        figures = [
            r
            for m, j in models.items()
            for r in rating_error.result_rows(m, j, self.seed)
        ]
        alarms = {c: float(np.mean(o > _limit(odd, (c,)))) for c, o in odd.items()}
        figures.append(summary("wrist", "moments unlike all seen", alarms, self.seed))
        trained = [p for p in participants if p.code not in self.held_out]
        fitted = learn(
            [*(samples[p.code] for p in trained), *rated(second, trained)], self.recipe
        )
        card = self._card(data, trained, results_text(figures), fitted)
        card = _two_laboratories(card, others) if others else card
        prior, more = fitted.model.prior, _density(odd, self.held_out)
        stored = store(out / self.name, card, fitted.model, fitted.rest, prior, more)
        return {
            "dataset": data.name,
            "protocol": "loso",
            "participants": [p.code for p in participants],
            "rows": figures,
            "audit": proved[0].to_dict(),
            "audit_other_order": proved[1].to_dict(),
            "config": config.describe(self),
            "versions": {k: version(k) for k in ("numpy", "scipy", "scikit-learn")},
            "seconds": round(time.monotonic() - began, 1),
            "weights": stored.card.sha256,
            "shrink": {code: m.shrink for code, m in learned.items()},
            "table": "\n".join(
                [rating_error.highest_arousal_table(models), *map(str, proved)]
            ),
        }

    def participants(
        self, root: Path | None
    ) -> tuple[Wesad, list[ParticipantData], dict[str, str]]:
        """Return the data set, its participants, and each one's order of conditions.

        Raises
        ------
        ValueError
            If no folder is given.
        """
        if root is None:
            raise ValueError(
                f"the weights {self.name!r} are trained on {Wesad.name}: say where it "
                "is, with --data"
            )
        folder = root / self.folder
        data = Wesad(folder if folder.is_dir() else root)
        participants = [self.participant(data, code) for code in data.participants]
        return (
            data,
            participants,
            {code: data.order(code) for code in data.participants},
        )

    def participant(self, data: Wesad, code: str) -> ParticipantData:
        """Return features and ratings of a participant of the data set."""
        recording = data.participant(code)
        return ParticipantData(
            code, self._features(recording), rated_segments(recording, "study")
        )

    def others(self, root: Path | None) -> list[ParticipantData]:
        """Return the participants of Stress-Predict, with ratings of 0: see `rated`."""
        if not self.second or root is None:
            return []
        study = StressPredict(root / self.second)
        participants = []
        for trial in study.trials():
            recording = study.load(trial)
            parts = recording.events["study.conditions"]
            if trial.subject in _EXCLUDED or not len(parts):
                continue
            spans = zip(parts.labels, parts.times, parts.data[:, 0], strict=True)
            units = tuple(
                RatedSegment(name, float(begin), float(end), np.zeros(3))
                for name, begin, end in spans
            )
            code = f"Stress-Predict {trial.subject}"
            participants.append(ParticipantData(code, self._features(recording), units))
        return participants

    def _features(self, recording: Recording) -> Block:
        if self.chains:
            return features(recording, self.chains)
        return default_features(recording)

    def _scored(
        self,
        participants: Sequence[ParticipantData],
        samples: Mapping[str, TrainingSamples],
        orders: Mapping[str, str],
        learned: Mapping[str, FittedGaussian],
        odd: Mapping[str, Array],
        second: Sequence[tuple[ParticipantData, TrainingSamples]],
    ) -> dict[str, list[rating_error.HeldOutRatings]]:
        """Evaluate each model on every participant, held out of its training."""
        scored: dict[str, list[rating_error.HeldOutRatings]] = {}
        by_order = {
            order: learn(
                [
                    *(samples[c] for c, o in orders.items() if o != order),
                    *rated(
                        second, [p for p in participants if orders[p.code] != order]
                    ),
                ],
                self.recipe,
            )
            for order in sorted(set(orders.values()))
        }
        for participant in participants:
            rest = [p for p in participants if p is not participant]
            turned = [p for p in rest if orders[p.code] != orders[participant.code]]
            fitted = learned[participant.code]
            outputs = {
                "wrist": self.estimates(
                    participant, fitted, _density(odd, (participant.code,))
                ),
                "responses": _plain(participant, "eda.scr_rate"),
                "movement": _plain(participant, "motion.activity"),
                "time only": self._time_only(rest, participant),
                "missingness": self._missingness(rest, participant),
                "prior": _prior(fitted, participant),
                "wrist, other order": self.estimates(
                    participant, by_order[orders[participant.code]]
                ),
                "time only, other order": self._time_only(turned, participant),
                "missingness, other order": self._missingness(turned, participant),
            }
            over = settled(participant, self.recipe, samples[participant.code].over)
            for name, (mean, sd) in outputs.items():
                scored.setdefault(name, []).append(
                    rating_error.score(participant, mean, sd, over, self.settle)
                )
        return scored

    def estimates(
        self,
        participant: ParticipantData,
        fitted: FittedGaussian,
        more: Mapping[str, Array] = MappingProxyType({}),
    ) -> tuple[Array, Array]:
        """Return the live estimates of a participant with these weights."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / self.name
            store(
                path, self._blank(), fitted.model, fitted.rest, fitted.model.prior, more
            )
            return rating_error.estimates(run_estimator(participant.rows, str(path)))

    def _time_only(
        self, participants: Sequence[ParticipantData], participant: ParticipantData
    ) -> tuple[Array, Array]:
        control = rating_error.ControlRegression(participants, self.settle, self.seed)
        return control.estimate(participant)

    def _missingness(
        self, participants: Sequence[ParticipantData], participant: ParticipantData
    ) -> tuple[Array, Array]:
        control = rating_error.ControlRegression(
            participants, self.settle, self.seed, self._missing
        )
        return control.estimate(participant)

    def _missing(self, participant: ParticipantData) -> Array:
        """Return which features are missing, and deviations (-1 for none), (n, k)."""
        names, limits = self.recipe.names, self.sd_limits
        lost = np.isnan(participant.features(names, limits))
        spread = participant.features(tuple(f"{name}.sd" for name in limits))
        return np.hstack([lost, np.nan_to_num(spread, nan=-1.0)])

    def _blank(self) -> model_card.ModelCard:
        use, origin = "physio.models.gaussian:Gaussian", Origin.MEASURED
        card = minimal_card(use, self.columns, self.rest, origin, self.dimensions)
        return replace(card, sd_limits=dict(self.sd_limits))

    def _card(
        self,
        data: Wesad,
        trained: Sequence[ParticipantData],
        figures: dict[str, str],
        fitted: FittedGaussian,
    ) -> model_card.ModelCard:
        codes, test_codes = ", ".join(p.code for p in trained), ", ".join(self.held_out)
        noise = ", ".join(f"{v:.3f}" for v in fitted.noise)
        return replace(
            self._blank(),
            data=f"The wristband of {data.name}: {len(trained)} participants "
            f"({codes}). {test_codes} was held out and is for demonstration.",
            citation=data.citation,
            licence=data.licence,
            protocol=f"{_PROTOCOL} The baseline lasts {self.rest:g} s, the excluded "
            f"start of a condition {self.settle:g} s, the shrinkage of correlations is "
            f"{fitted.shrink:g}, the variances of the added noise are {noise}. A "
            "moment counts less, the more its novelty exceeds that of all but "
            f"{_ALARM:.0%} of the moments of held-out participants.",
            figures=figures,
            limits=_LIMITS,
            command="physio train experiments/weights/wrist.toml --data DATA",
        )


def rated(
    second: Sequence[tuple[ParticipantData, TrainingSamples]],
    participants: Sequence[ParticipantData],
) -> list[TrainingSamples]:
    """Return samples of Stress-Predict, whose participants were asked for no ratings.

    Rest and stress get the mean ratings of baseline and stress by ``participants``.
    """
    means = {
        name: np.mean(
            [u.ratings for p in participants for u in p.units if u.name == condition],
            axis=0,
        )
        for name, condition in (("rest", "baseline"), ("stress", "stress"))
    }
    return [
        samples._replace(
            ratings=np.array([means[participant.units[k].name] for k in samples.unit])
        )
        for participant, samples in second
    ]


def _two_laboratories(
    card: model_card.ModelCard, others: Sequence[ParticipantData]
) -> model_card.ModelCard:
    """Return a card that names the second laboratory of the training."""
    return replace(
        card,
        data=f"{card.data} And {len(others)} of {StressPredict.name}, who were asked "
        "for no ratings: rest and stress have the mean ratings of WESAD's baseline and "
        "stress. They are in the training of every figure.",
        citation=f"{card.citation}; {StressPredict.citation}",
        licence=f"{card.licence}; {StressPredict.licence}",
        limits=_LIMITS_OF_TWO,
    )


def _limit(odd: Mapping[str, Array], without: Sequence[str]) -> float:
    """Return the novelty that few moments of held-out participants exceed."""
    values = np.concatenate([o for code, o in odd.items() if code not in without])
    return float(np.nanquantile(values, 1 - _ALARM))


def _density(odd: Mapping[str, Array], without: Sequence[str]) -> dict[str, Array]:
    return {"density.limit": np.array([_limit(odd, without)])}


def _plain(participant: ParticipantData, column: str) -> tuple[Array, Array]:
    """Return a feature in place of arousal, without a standard deviation."""
    mean = np.full((len(participant.rows), 3), np.nan)
    mean[:, 1] = participant.rows.column(column)
    return mean, np.full_like(mean, np.nan)


def _prior(fitted: FittedGaussian, participant: ParticipantData) -> tuple[Array, Array]:
    """Return the mean and spread of the training ratings for every tick."""
    mean, sd = fitted.model.prior
    return np.tile(mean, (len(participant.rows), 1)), np.tile(
        sd, (len(participant.rows), 1)
    )
