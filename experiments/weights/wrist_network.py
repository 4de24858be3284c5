"""Training run of the weights wrist-network: condition, ratings and EDA forecasts."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from experiments.weights import rating_error
from experiments.weights.split_audit import audited, settled
from experiments.weights.wrist import TrainWrist
from experiments.wesad import forecast_calibration
from experiments.wesad.eda_forecast import trained
from experiments.wesad.multitask import CLASSES, Physics, physics
from physio import config
from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block, Origin
from physio.core.missing import MissingReason
from physio.datasets.wesad import Wesad
from physio.evaluation.splits import LeaveOrderOut, Loso
from physio.models import model_card
from physio.models.baseline import BaselinePrior
from physio.models.pinn import Moments, Pinn, PinnConfig, bridged
from physio.training import gaussian
from physio.training.participant_data import ParticipantData
from physio.training.save_weights import minimal_card, results_text, store

_USE: Final = "physio.models.pinn:Pinn"
_RATE: Final = 4  # ticks a second
_GROUPS: Final = 2  # folds of training participants, to measure errors on held-out ones
_BAND: Final = (0.1, 0.9)
_BLUR: Final = 1e-3  # uS: resolution of a wristband

_PROTOCOL: Final = (
    "Figures: leave-one-participant-out, every 5 s within conditions, on the "
    "features and the trace of a live session. The participant's baseline at the "
    "beginning and the first seconds of each condition are not evaluated. Mean over"
    " participants, 95 % bootstrap interval. The width of the intervals, the "
    "temperature of the class probabilities and the added variance of the ratings "
    "are estimated on halves of the training participants, each held out once. "
    "'persistence' forecasts the current skin conductance; 'ridge' is linear in the"
    " last minute, 'autoregression' in the last ten seconds; 'wrist' is the joint "
    "Gaussian of the same features; 'other order' is trained on participants who "
    "had the conditions in the other order. Chance level of four classes is 0.25; "
    "the log loss of equal probabilities is 1.39."
)

_LIMITS: Final = (
    "The shipped default is not this network but the weights 'wrist', whose "
    "intervals widen with missing features and with an incomplete baseline. This "
    "network's errors are smaller on held-out participants, but neither its "
    "correlation nor its density is shown to be better on twelve participants, and "
    "for some participants it is overconfident (see the negative log density of "
    "valence). It is for sessions that need forecasts.",
    "It is no medical device, and estimates a participant's rating on a scale.",
    "Forecasts are hardly better than a linear regression on the last minute.",
    "The condition probabilities are of this laboratory's four conditions: they "
    "show which of them a moment resembles most, not whether somebody is stressed.",
    "Twelve young, healthy participants in one laboratory, one brand of wristband; "
    "movement and posture are confounded with stress in these data. A missing "
    "feature counts as at its baseline and does not widen the interval.",
    "Condition and time are confounded in this study; no feature contains the time "
    "(nor skin temperature, which drifts), and the rows of the other order of "
    "conditions show the performance without this confound.",
    "alpha_0 and beta are estimates of the participants for whom they are "
    "identifiable, else 2 min and 0: on WESAD hardly any are (see docs/wrist.md).",
)


class NetworkSamples(NamedTuple):
    """A participant's moments as the network reads them.

    ``at``: ticks, (n,); ``trace``: skin conductance of the last minute (uS),
    (n, samples), NaN if missing; ``ahead``: skin conductance at the horizons (uS),
    (n, horizons), NaN beyond the condition; ``label``: class, (n,), -1 for none.
    """

    moments: gaussian.TrainingSamples
    at: npt.NDArray[np.intp]
    trace: Array
    ahead: Array
    label: npt.NDArray[np.int_]


class Network(NamedTuple):
    """A trained network, and the distribution of baselines."""

    model: Pinn
    rest: BaselinePrior


@dataclass(frozen=True)
class TrainWristNetwork(TrainWrist):
    """Training and evaluation of the network of the wrist.

    Parameters
    ----------
    epochs, rate
        Number of epochs, and learning rate, of the forecasts; training starts from the
        regression solution.
    quick
        Factor on the learning rate of condition and ratings, which start at zero.
    width
        Width of the hidden layers.
    """

    name: str = "wrist-network"
    epochs: int = 3
    rate: float = 2e-4
    quick: float = 50.0
    width: int = 24

    @property
    def size(self) -> PinnConfig:
        """The settings of the network."""
        return PinnConfig(
            len(self.columns), dimensions=self.dimensions, width=self.width
        )

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:
        """Train and evaluate on a data set: see `TrainWrist.train`."""
        began = time.monotonic()
        data, participants, orders = self.participants(root)
        samples = {p.code: self.samples(p) for p in participants}
        proved = [
            audited(
                participants, [s.moments for s in samples.values()], self.recipe, by
            )
            for by in (Loso(), LeaveOrderOut())
        ]
        figures = self._figures(participants, samples, orders, physics(data, CLASSES))
        stored = self._stored(data, participants, samples, figures, out)
        return {
            "dataset": data.name,
            "protocol": "loso",
            "participants": [p.code for p in participants],
            "rows": figures,
            "audit": proved[0].to_dict(),
            "audit_other_order": proved[1].to_dict(),
            "config": config.describe(self),
            "versions": {k: version(k) for k in ("numpy", "scipy", "torch")},
            "seconds": round(time.monotonic() - began, 1),
            "weights": stored.card.sha256,
            "table": "\n".join(
                [forecast_calibration.table(figures), *map(str, proved)]
            ),
        }

    def _stored(
        self,
        data: Wesad,
        participants: Sequence[ParticipantData],
        samples: Mapping[str, NetworkSamples],
        figures: list[dict[str, Any]],
        out: Path,
    ) -> model_card.Weights:
        """Fit all participants but those held out; store the network and its scores."""
        trained_on = [p for p in participants if p.code not in self.held_out]
        network = self.learn(
            [samples[p.code] for p in trained_on], physics(data, CLASSES)
        )
        card = self._network_card(data, trained_on, results_text(figures))
        prior = _prior([samples[p.code].moments for p in trained_on], self.recipe)
        return store(out / self.name, card, network.model, network.rest, prior)

    def samples(self, participant: ParticipantData) -> NetworkSamples:
        """Return a participant's moments for training."""
        moments = gaussian.moments(participant, self.recipe)
        column = _conductance(participant.rows, self.size.trace)
        times, samples = participant.rows.times, self.size.samples
        parts = []
        for k, at in gaussian.learned(participant, self.recipe, moments.over):
            unit = participant.units[k]
            ahead = np.full((len(at), len(self.size.horizons)), np.nan)
            for j, horizon in enumerate(self.size.horizons):
                then = at + round(horizon * _RATE)
                inside = (then < len(times)) & (times[at] + horizon < unit.end)
                ahead[inside, j] = column[then[inside]]
            name = unit.name.split()[0]
            known = CLASSES.index(name) if name in CLASSES else -1
            parts.append((at, ahead, np.full(len(at), known)))
        at, ahead, label = (np.concatenate(p) for p in zip(*parts, strict=True))
        past = np.concatenate([np.full(samples, MissingReason.WARMING_UP.nan), column])
        trace = np.stack([_row(past[i + 1 : i + 1 + samples]) for i in at])
        return NetworkSamples(moments, at, trace, ahead, label)

    def learn(self, participants: Sequence[NetworkSamples], of: Physics) -> Network:
        """Fit to participants, with uncertainty from held-out halves."""
        network = self._fitted(participants, of)
        off: list[forecast_calibration.HeldOutErrors] = []
        for k in range(min(_GROUPS, len(participants))):
            others = [p for i, p in enumerate(participants) if i % _GROUPS != k]
            part = self._fitted(others, of)
            off += [
                forecast_calibration.held_out_errors(
                    part.model, self.given(p, part.rest), p.moments.unit
                )
                for p in participants[k::_GROUPS]
            ]
        forecast_calibration.calibrate_uncertainty(network.model, off, _BAND, _BLUR)
        return network

    def given(self, participant: NetworkSamples, rest: BaselinePrior) -> Moments:
        """Return the network's inputs for a participant, and the targets."""
        z, _ = gaussian.centred(participant.moments, rest)
        ratings = participant.moments.ratings[:, self.recipe.picks]
        label = torch.from_numpy(np.asarray(participant.label, np.int64))
        parts = (z, participant.trace, participant.ahead)
        relative, trace, ahead = (torch.from_numpy(v.astype(np.float32)) for v in parts)
        rated = torch.from_numpy(ratings).float()
        return Moments(relative, trace, ahead, label, rated)

    def _fitted(self, participants: Sequence[NetworkSamples], of: Physics) -> Network:
        rest = gaussian.rests([p.moments for p in participants], self.every)
        parts = [self.given(p, rest) for p in participants]
        whose = np.concatenate(
            [np.full(len(p.at), p.moments.code, object) for p in participants]
        )
        moments = Moments(*(torch.cat(part) for part in zip(*parts, strict=True)))
        whole = ~moments.trace.isnan().any(dim=1)
        moments = Moments(*(part[whole] for part in moments))
        z = moments.z.numpy()
        scale = torch.from_numpy(np.nanstd(z, axis=0) + 1e-12)
        model = trained(
            self.size,
            moments._replace(z=moments.z / scale),
            whose[whole.numpy()].astype(str),
            of(sorted({p.moments.code for p in participants})),
            self.epochs,
            self.rate,
            self.seed,
            self.quick,
        )
        count = torch.bincount(
            moments.label[moments.label >= 0], minlength=len(CLASSES)
        )
        with torch.no_grad():
            model.scale.copy_(scale)
            model.common.copy_((count + 1) / (count + 1).sum())
        return Network(model, rest)

    def _figures(
        self,
        participants: Sequence[ParticipantData],
        samples: Mapping[str, NetworkSamples],
        orders: Mapping[str, str],
        of: Physics,
    ) -> list[dict[str, Any]]:
        """Return result rows for every participant, held out of the training."""
        turned = {
            order: self.learn([samples[c] for c, o in orders.items() if o != order], of)
            for order in sorted(set(orders.values()))
        }
        figures = forecast_calibration.Figures(self.seed, self.size.horizons)
        scored: dict[str, list[rating_error.HeldOutRatings]] = {}
        for participant in participants:
            sample = samples[participant.code]
            others = [s for c, s in samples.items() if c != participant.code]
            later = settled(participant, self.recipe, sample.moments.over)
            counts = participant.rows.times[sample.at] >= later
            nets = {
                "network": self.learn(others, of),
                "network, other order": turned[orders[participant.code]],
            }
            plain = gaussian.learn([s.moments for s in others], self.recipe)
            outputs = {"wrist": _gaussian(plain, sample.moments)}
            for name, net in nets.items():
                given = self.given(sample, net.rest)
                figures.add(name, participant.code, net.model, given, counts)
                outputs[name] = _rated(net.model, given)
            traces = np.concatenate([s.trace for s in others])
            aheads = np.concatenate([s.ahead for s in others])
            figures.add_plain(
                participant.code, traces, aheads, sample.trace, sample.ahead, counts
            )
            for name, (mean, sd) in outputs.items():
                every = [
                    _spread(v, sample.at, len(participant.rows)) for v in (mean, sd)
                ]
                ratings = rating_error.score(
                    participant, every[0], every[1], later, self.settle
                )
                scored.setdefault(name, []).append(ratings)
        affect = [
            r
            for m, s in scored.items()
            for r in rating_error.result_rows(m, s, self.seed)
        ]
        return figures.rows() + affect

    def _network_card(
        self,
        data: Wesad,
        trained_on: Sequence[ParticipantData],
        figures: dict[str, str],
    ) -> model_card.ModelCard:
        codes, unseen = ", ".join(p.code for p in trained_on), ", ".join(self.held_out)
        card = minimal_card(
            _USE, self.columns, self.rest, Origin.MEASURED, self.dimensions
        )
        return replace(
            card,
            data=f"The wristband of {data.name}: {len(trained_on)} participants "
            f"({codes}). {unseen} was held out and is for demonstration.",
            citation=data.citation,
            licence=data.licence,
            protocol=_PROTOCOL,
            figures=figures,
            limits=_LIMITS,
            command="physio train experiments/weights/wrist-network.toml --data DATA",
        )


def _conductance(rows: Block, chain: str) -> Array:
    """Return skin conductance at each tick (uS): the one column of a chain."""
    ends = (f"{chain}.window_start", f"{chain}.window_end")
    names = [n for n in rows.info.names if n.startswith(f"{chain}.") and n not in ends]
    if len(names) != 1:
        raise ValueError(
            f"the network's trace is the one column of a chain {chain!r}: name its "
            f"stream under chains, as {chain} = 'e4.eda'"
        )
    return rows.column(names[0])


def _row(trace: Array) -> Array:
    """Return a minute without gaps; NaN throughout where it has too many."""
    return np.broadcast_to(bridged(trace), trace.shape)


def _spread(values: Array, at: npt.NDArray[np.intp], n: int) -> Array:
    """Return values of some ticks among all ticks, NaN between, (n, 3)."""
    spread = np.full((n, values.shape[1]), np.nan)
    spread[at] = values
    return spread


@torch.no_grad()
def _rated(model: Pinn, given: Moments) -> tuple[Array, Array]:
    """Return means and deviations of the ratings at moments, (n, 3) each."""
    _, mean, log_sd = model(given.z)
    sd = (log_sd.exp().square() + model.noise).sqrt()
    full = np.full((2, len(given.z), len(DIMENSIONS)), MissingReason.UNTRAINED.nan)
    for k, name in enumerate(model.config.dimensions):
        full[:, :, DIMENSIONS.index(name)] = mean[:, k].numpy(), sd[:, k].numpy()
    return full[0], full[1]


def _gaussian(
    learned: gaussian.FittedGaussian, moments: gaussian.TrainingSamples
) -> tuple[Array, Array]:
    """Return estimates of the joint Gaussian on the same features and moments."""
    z, extra = gaussian.centred(moments, learned.rest)
    outputs = np.array([learned.model.predict(row, extra) for row in z])
    return outputs[:, 0], outputs[:, 1]


def _prior(
    participants: Sequence[gaussian.TrainingSamples], recipe: gaussian.GaussianRecipe
) -> tuple[Array, Array]:
    """Return mean and SD of the ratings, each unit weighted equally, (3,) each."""
    rated = np.concatenate(
        [[p.ratings[p.unit == k][0] for k in np.unique(p.unit)] for p in participants]
    )
    mean, sd = np.full((2, len(DIMENSIONS)), MissingReason.UNTRAINED.nan)
    mean[recipe.picks] = rated[:, recipe.picks].mean(axis=0)
    sd[recipe.picks] = rated[:, recipe.picks].std(axis=0, ddof=1)
    return mean, sd
