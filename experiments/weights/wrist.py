"""The wrist expert: a joint Gaussian of features and ratings, from real participants."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from experiments.weights import rating_error
from experiments.weights.split_audit import audited, settled
from physio import config
from physio.core.block import Array, Origin
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
from physio.training.participant_data import Participant, features, rated, run
from physio.training.save_weights import minimal_card, store, told

_ALARM: Final = (
    0.01  # of moments of participants left out that count as unlike all seen
)
_PROTOCOL: Final = (
    "Figures: leave one participant out; every participant is run whole through the live "
    "estimator. The participant's rest at the beginning counts for nothing else, nor does "
    "the beginning of a condition. Mean over participants, 95 % bootstrap interval. "
    "Shrinkage and noise are chosen by leaving one participant out within the training "
    "participants. 'responses' is the plain count of skin responses, 'movement' the plain "
    "activity of the wrist; 'clock' a forest that sees the seconds since the start; "
    "'prior' says of everybody what the others said of themselves; 'other order' is "
    "trained on participants who had the conditions in the other order."
)

_LIMITS: Final = (
    "It estimates what a participant would say of themselves on a rating scale, not what "
    "they feel. It is no medical device.",
    "Twelve young, healthy participants in one laboratory, one brand of wristband, one "
    "stress test (talking and reckoning before a jury, standing): movement and posture "
    "go with stress in these data (see 'movement': it tells stress nearly as well), "
    "and heart rate rises with both. Where participants move for other reasons, leave the "
    "movement out: reads = ['eda', 'heart'].",
    "The optical pulse is lost to movement in nearly all of the stress test, so that "
    "the heart adds little.",
    "Valence is hardly told from the wrist; see the figures.",
    "Dominance was not asked in this study and is not estimated.",
    "Condition and time are confounded in this study; nothing that tells the time is "
    "read, and the row of the other order of conditions shows what is left without.",
)


@dataclass(frozen=True)
class TrainWrist:
    """How the wrist expert is trained and judged.

    Parameters
    ----------
    columns
        The features, ``"<chain>.<channel>"``, and how each is read: ``raw``, ``sqrt``
        or ``log``.
    chains
        Which stream each shipped chain reads.
    name
        What the weights are called.
    folder
        Of the data set, in the folder of data.
    held_out
        Participants whom the stored weights never see.
    dimensions
        Which ratings are learned.
    rest, settle, every
        See `physio.training.gaussian.GaussianRecipe`.
    seed
        Of the bootstrap and the clock's forest; the weights need no chance.
    """

    columns: tuple[tuple[str, str], ...]
    chains: Mapping[str, str]
    name: str = "wrist"
    folder: str = "wesad"
    held_out: tuple[str, ...] = ("S10",)
    dimensions: tuple[str, ...] = ("valence", "arousal")
    rest: float = 300.0
    settle: float = 60.0
    every: float = 5.0
    seed: int = 23

    @property
    def recipe(self) -> GaussianRecipe:
        """How a Gaussian is fitted."""
        return GaussianRecipe(
            self.columns, self.dimensions, self.rest, self.settle, self.every
        )

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:
        """Train and judge on the participants of a data set; store weights in ``out``.

        Parameters
        ----------
        root
            The data set's folder, or the one that `folder` is in.
        out
            Where a folder for the weights goes.

        Returns
        -------
        dict
            The results, as `physio evaluate` writes them, and a ``table`` to print.
        """
        began = time.monotonic()
        data, participants, orders = self.participants(root)
        seen = {p.code: moments(p, self.recipe) for p in participants}
        # Both splits are proved before either is used; one that leaks raises.
        proved = [
            audited(participants, list(seen.values()), self.recipe, by)
            for by in (Loso(), LeaveOrderOut())
        ]
        learned = {
            code: learn([m for c, m in seen.items() if c != code], self.recipe)
            for code in seen
        }
        odd = {code: mahalanobis(seen[code], made) for code, made in learned.items()}
        models = self._judged(participants, seen, orders, learned, odd)
        found = [
            r for m, j in models.items() for r in rating_error.rows(m, j, self.seed)
        ]
        alarms = {c: float(np.mean(o > _limit(odd, (c,)))) for c, o in odd.items()}
        found.append(summary("wrist", "moments unlike all seen", alarms, self.seed))
        kept = [p for p in participants if p.code not in self.held_out]
        made = learn([seen[p.code] for p in kept], self.recipe)
        card = self._card(data, kept, told(found), made)
        prior, more = made.model.prior, _density(odd, self.held_out)
        stored = store(out / self.name, card, made.model, made.rest, prior, more)
        return {
            "dataset": data.name,
            "protocol": "loso",
            "participants": [p.code for p in participants],
            "rows": found,
            "audit": proved[0].to_dict(),
            "audit_other_order": proved[1].to_dict(),
            "config": config.describe(self),
            "versions": {k: version(k) for k in ("numpy", "scipy", "scikit-learn")},
            "seconds": round(time.monotonic() - began, 1),
            "weights": stored.card.sha256,
            "shrink": {code: m.shrink for code, m in learned.items()},
            "table": "\n".join([rating_error.table(models), *map(str, proved)]),
        }

    def participants(
        self, root: Path | None
    ) -> tuple[Wesad, list[Participant], dict[str, str]]:
        """Return the data set, its participants, and who had which order of conditions.

        Raises
        ------
        ValueError
            Where no folder is given.
        """
        if root is None:
            raise ValueError(
                f"the weights {self.name!r} are trained on {Wesad.name}: say where it "
                "is, with --data"
            )
        own = root / self.folder
        data = Wesad(own if own.is_dir() else root)
        participants = [self.participant(data, code) for code in data.participants]
        return (
            data,
            participants,
            {code: data.order(code) for code in data.participants},
        )

    def participant(self, data: Wesad, code: str) -> Participant:
        """Return what is known of a participant of the data set."""
        recording = data.participant(code)
        rows = features(recording, self.chains)
        return Participant(code, rows, rated(recording, "study"))

    def _judged(
        self,
        participants: Sequence[Participant],
        seen: Mapping[str, TrainingSamples],
        orders: Mapping[str, str],
        learned: Mapping[str, FittedGaussian],
        odd: Mapping[str, Array],
    ) -> dict[str, list[rating_error.HeldOutRatings]]:
        """Judge each model on every participant with models that never saw that participant."""
        judged: dict[str, list[rating_error.HeldOutRatings]] = {}
        byorder = {
            order: learn(
                [seen[c] for c, o in orders.items() if o != order], self.recipe
            )
            for order in sorted(set(orders.values()))
        }
        for participant in participants:
            rest = [p for p in participants if p is not participant]
            turned = [p for p in rest if orders[p.code] != orders[participant.code]]
            made = learned[participant.code]
            said = {
                "wrist": self.estimates(
                    participant, made, _density(odd, (participant.code,))
                ),
                "responses": _plain(participant, "eda.scr_rate"),
                "movement": _plain(participant, "motion.activity"),
                "clock": self._clock(rest, participant),
                "prior": _prior(made, participant),
                "wrist, other order": self.estimates(
                    participant, byorder[orders[participant.code]]
                ),
                "clock, other order": self._clock(turned, participant),
            }
            over = settled(participant, self.recipe, seen[participant.code].over)
            for name, (mean, sd) in said.items():
                judged.setdefault(name, []).append(
                    rating_error.judge(participant, mean, sd, over, self.settle)
                )
        return judged

    def estimates(
        self,
        participant: Participant,
        made: FittedGaussian,
        more: Mapping[str, Array] = MappingProxyType({}),
    ) -> tuple[Array, Array]:
        """Return what the live estimator tells of a participant with these weights."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / self.name
            store(path, self._blank(), made.model, made.rest, made.model.prior, more)
            return rating_error.estimates(run(participant.rows, str(path)))

    def _clock(
        self, participants: Sequence[Participant], participant: Participant
    ) -> tuple[Array, Array]:
        clock = rating_error.TimeOnlyRegression(participants, self.settle, self.seed)
        return clock.estimate(participant.rows)

    def _blank(self) -> model_card.ModelCard:
        use, origin = "physio.models.gaussian:Gaussian", Origin.MEASURED
        return minimal_card(use, self.columns, self.rest, origin, self.dimensions)

    def _card(
        self,
        data: Wesad,
        kept: Sequence[Participant],
        figures: dict[str, str],
        made: FittedGaussian,
    ) -> model_card.ModelCard:
        codes, unseen = ", ".join(p.code for p in kept), ", ".join(self.held_out)
        noise = ", ".join(f"{v:.3f}" for v in made.noise)
        return replace(
            self._blank(),
            data=f"The wristband of {data.name}: {len(kept)} participants ({codes}). "
            f"{unseen} was never seen and is for demonstration.",
            citation=data.citation,
            licence=data.licence,
            protocol=f"{_PROTOCOL} Here the rest takes {self.rest:g} s, the beginning "
            f"of a condition {self.settle:g} s, correlations are shrunk by "
            f"{made.shrink:g}, the noise added has the variances {noise}. A moment "
            f"more unlike the training participants than all but {_ALARM:.0%} of those of "
            "participants left out has no estimate.",
            figures=figures,
            limits=_LIMITS,
            command="physio train experiments/weights/wrist.toml --data DATA",
        )


def _limit(odd: Mapping[str, Array], without: Sequence[str]) -> float:
    """Return beyond which surprise a moment is unlike all that participants showed."""
    kept = np.concatenate([o for code, o in odd.items() if code not in without])
    return float(np.nanquantile(kept, 1 - _ALARM))


def _density(odd: Mapping[str, Array], without: Sequence[str]) -> dict[str, Array]:
    return {"density.limit": np.array([_limit(odd, without)])}


def _plain(participant: Participant, column: str) -> tuple[Array, Array]:
    """Return a feature as it is in place of arousal; it knows no spread."""
    mean = np.full((len(participant.rows), 3), np.nan)
    mean[:, 1] = participant.rows.column(column)
    return mean, np.full_like(mean, np.nan)


def _prior(made: FittedGaussian, participant: Participant) -> tuple[Array, Array]:
    """Return what is said of anybody."""
    mean, sd = made.model.prior
    return np.tile(mean, (len(participant.rows), 1)), np.tile(
        sd, (len(participant.rows), 1)
    )
