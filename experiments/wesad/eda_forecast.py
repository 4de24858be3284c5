"""EDA forecasts: the network and its baselines."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from sklearn.linear_model import Ridge

from physio.core.block import Array
from physio.evaluation.models.baselines import FoldData
from physio.models.pinn import Moments, Pinn, PinnConfig, look_back

_RATE: Final = 4  # samples per second of the forecast signal
_ORDER: Final = 20  # of the autoregression, at 2 values a second
_SHRINK: Final = 500.0
_BELIEF: Final = 0.8
"""Weight of the regression's forecast in the training target; the rest is the data.

Gradient descent on the data alone overfits the training participants: in held-out
participants the forecasts were worse than those of the initial regression.
"""

_ABSOLUTE: Final = 1.5  # extra weight of minutes with more change


@dataclass(frozen=True)
class Persistence:
    """Persistence forecast: the newest value of ``x``."""

    def __call__(self, given: FoldData) -> Array:
        return np.asarray(given.x[given.fold.test, -1], np.float64)


@dataclass(frozen=True)
class RidgePast:
    """Ridge regression on all samples of the last minute, less the newest one."""

    shrink: float = 100.0

    def __call__(self, given: FoldData) -> Array:
        past, now = given.x[:, :-1] - given.x[:, -1:], given.x[:, -1]
        train, test = given.fold.train, given.fold.test
        model = Ridge(self.shrink).fit(past[train], given.y[train] - now[train])
        return np.asarray(now[test] + model.predict(past[test]), np.float64)


@dataclass(frozen=True)
class Autoregression:
    """Iterated autoregression: the next half second from the ten seconds before it.

    Parameters
    ----------
    horizon
        Forecast horizon (s).
    """

    horizon: float

    def __call__(self, given: FoldData) -> Array:
        weights = autoregression(given.x[given.fold.train])
        test = given.x[given.fold.test]
        back = -2 * np.arange(_ORDER + 1) - 1
        past = test[:, back] - test[:, -1:]  # newest first
        return np.asarray(test[:, -1] + past[:, 1:] @ iterated(weights, self.horizon))


def autoregression(traces: Array) -> Array:
    """Return autoregression weights of steps of half a second, newest first.

    Shape (20,). ``traces`` has shape (n, samples), 4 a second.
    """
    steps = np.diff(traces[:, 1::2], axis=1)
    at = range(_ORDER, steps.shape[1], 7)
    x = np.concatenate([steps[:, j - _ORDER : j][:, ::-1] for j in at])
    y = np.concatenate([steps[:, j] for j in at])
    gram = x.T @ x + 1e-3 * np.eye(_ORDER)
    weights: Array = np.linalg.solve(gram, x.T @ y)
    return weights


def iterated(weights: Array, horizon: float) -> Array:
    """Return the autoregression iterated to ``horizon`` s, as weights of past values.

    Shape (20,). The past values, half a second to ten seconds ago, are relative to the
    newest one.
    """
    ahead = np.zeros(_ORDER)  # the sum of steps, by the newest steps
    moving = np.eye(_ORDER)  # row i: the step i ago, by the steps known
    for _ in range(round(2 * horizon)):
        step = weights @ moving
        ahead += step
        moving = np.vstack([step, moving[:-1]])
    # Step i ago is the value i half seconds ago less the one before.
    values = np.zeros(_ORDER + 1)
    values[:-1] += ahead
    values[1:] -= ahead
    return values[1:]


@dataclass(frozen=True, eq=False)
class EdaForecast:
    """The network of `physio.models.pinn` as a forecaster.

    Parameters
    ----------
    horizon
        Horizon of the forecast (s), one of the network's.
    ahead
        Skin conductance at all horizons (uS), shape (n, horizons); only training rows
        are read.
    z
        Features relative to rest, scaled, shape (n, f).
    labels
        Class index of each row, shape (n,); only training rows are read.
    physics
        Parameters alpha and beta of each participant (1/min; uS/min of each class), by
        code; only training participants are read.
    config
        Settings of the network.
    epochs, rate
        Number of epochs, and learning rate; training starts from linear regression.
    memory
        Forecasts by the name of the fold; if shared, the network is trained once for
        all horizons.
    """

    horizon: float
    ahead: Array
    z: Array
    labels: Any
    physics: Any
    config: PinnConfig = field(default_factory=PinnConfig)
    epochs: int = 2
    rate: float = 3e-4
    memory: dict[str, Array] = field(default_factory=dict)

    def __call__(self, given: FoldData) -> Array:
        if given.fold.name not in self.memory:
            self.memory[given.fold.name] = self._forecasts(given)
        at = self.config.horizons.index(self.horizon)
        return self.memory[given.fold.name][:, at]

    def _forecasts(self, given: FoldData) -> Array:
        """Return the forecasts at all horizons, shape (m, horizons)."""
        train, test = given.fold.train, given.fold.test
        participants = given.rows.ids("subject")
        model = trained(
            self.config,
            self._moments(given, train),
            participants[train],
            self.physics(sorted(set(participants[train]))),
            self.epochs,
            self.rate,
            given.seed,
        )
        asked = self._moments(given, test)
        with torch.no_grad():
            predicted: Array = model.predict_eda(asked.z, asked.trace).double().numpy()
        return predicted

    def _moments(self, given: FoldData, rows: Any) -> Moments:
        n, d = len(rows), len(self.config.dimensions)
        return Moments(
            torch.from_numpy(self.z[rows]).float(),
            torch.from_numpy(given.x[rows]).float(),
            torch.from_numpy(self.ahead[rows]).float(),
            torch.from_numpy(np.asarray(self.labels[rows], np.int64)),
            torch.full((n, d), torch.nan),
        )


def trained(
    config: PinnConfig,
    moments: Moments,
    participants: Any,
    physics: tuple[float, Array],
    epochs: int,
    rate: float,
    seed: int,
    quick: float = 1.0,
) -> Pinn:
    """Return a network initialised as linear regression and then trained.

    Parameters
    ----------
    config
        Settings of the network.
    moments
        Training moments.
    participants
        Participant of each moment, shape (n,).
    physics
        ``alpha_0`` (1/min) and ``beta`` (uS/min) of each class.
    epochs, rate
        Number of epochs, and learning rate.
    seed
        Random seed.
    quick
        Factor on the learning rate of the emotion part, which starts at zero.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Pinn(config)
        model.alpha.fill_(physics[0])
        model.beta.copy_(torch.from_numpy(physics[1]))
        if config.eda > 0:
            begin(model, moments, participants)
            with torch.no_grad():
                fitted = model.predict_eda(moments.z, moments.trace)
            moments = moments._replace(ahead=torch.lerp(moments.ahead, fitted, _BELIEF))
        optimizer = torch.optim.AdamW(
            _paces(model, rate, quick), lr=rate, weight_decay=0.01
        )
        n = len(moments.z)
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(n), 256):
                optimizer.zero_grad()
                terms = model.loss(Moments(*(part[rows] for part in moments)))
                torch.autograd.backward(torch.stack(list(terms.values())).sum())
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
    return model.eval()


def _paces(model: Pinn, rate: float, quick: float) -> list[dict[str, Any]]:
    """Return the EDA and emotion parameters, each group with its learning rate."""
    feeling = [
        p for m in (model.feel, model.classify, model.rate) for p in m.parameters()
    ]
    identities = {id(p) for p in feeling}
    skin = [p for p in model.parameters() if id(p) not in identities]
    return [{"params": skin}, {"params": feeling, "lr": quick * rate}]


@torch.no_grad()
def begin(model: Pinn, moments: Moments, participants: Any) -> None:
    """Initialise the linear part as the mean of two regressions.

    One half is an autoregression, the other a ridge regression that weights minutes
    with more change more strongly: the two have different errors.
    """
    shape, now, spread = look_back(moments.trace)
    x, s = shape.double().numpy(), spread[:, 0].double().numpy()
    y = ((moments.ahead - now) / spread).double().numpy()
    known = np.isfinite(y).all(axis=1)
    y = np.where(known[:, None], y, 0.0)
    weight = np.empty(len(s))
    for participant in np.unique(participants):
        rows = participants == participant
        weight[rows] = (s[rows] / np.sqrt(np.mean(s[rows] ** 2))) ** _ABSOLUTE
    weight = np.where(known, weight, 0.0)
    gram = (x * weight[:, None]).T @ x + _SHRINK * np.eye(x.shape[1])
    ridge = np.linalg.solve(gram, (x * weight[:, None]).T @ y)  # (shape, horizons)
    steps = autoregression(moments.trace.double().numpy())
    other = np.zeros_like(ridge)
    for k, horizon in enumerate(model.config.horizons):
        other[:_ORDER, k] = iterated(steps, horizon)
    linear = (ridge + other) / 2
    k = 2 * model.config.waves
    t = torch.tensor([[0.0], *([h] for h in model.config.horizons)])
    waves = model.waves(t / 10)[:, :k].double().numpy()
    back = np.linalg.pinv(waves[1:] - waves[:1])  # (2 k, horizons)
    model.follow.weight.copy_(torch.from_numpy(back @ linear.T).float())
