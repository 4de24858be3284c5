"""Physics-informed network: skin conductance, condition and affect from a wristband."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  as everybody calls it

from physio.core.affect import DIMENSIONS, scale_places
from physio.core.block import Array
from physio.core.missing import MissingReason, missing_reason
from physio.models.base import Forecast, ForecastSpec, Model

GAMMA: Final = 1 / 60
"""Time scaling (1/s): ``alpha_0`` is per minute."""

TAUS: Final = (0.7, 2.0)
"""Rise and decay times of a skin conductance response (s)."""

_HALF_LOG_2PI: Final = 0.5 * float(np.log(2 * np.pi))
LAGS: Final = (*(0.5 * k for k in range(1, 21)), 15.0, 20.0, 30.0, 45.0, 59.0)
"""Lags (s) of the single values that are read."""

_BINS: Final = (0, 1, 2, 3, 5, 8, 15, 30, 60)  # s, ends of the averaged parts
_LEAST: Final = 0.02  # smallest spread of a trace, as a proportion of its level
_NEAR: Final = 20  # samples, the newest five seconds
_SHARE: Final = 0.9  # proportion of a minute's samples that must be present

VadTimeSeries = Callable[[Tensor], Tensor]
"""A part of skin conductance as a function of time (s), element by element."""


def tonic_residual(
    tonic: VadTimeSeries, t: Tensor, rest: Tensor, alpha: Tensor, drive: Tensor
) -> Tensor:
    """Return the residual of ``T' = gamma (-alpha (T - rest) + drive)``.

    Parameters
    ----------
    tonic
        The level T (uS).
    t
        Times (s), any shape; the derivative is autograd's.
    rest, alpha, drive
        T0 (uS), alpha_0 (1/min) and beta e (uS/min), each to be broadcast to ``t``.

    Returns
    -------
    Tensor
        In uS/s.
    """
    level, slope, _ = derivatives(tonic, t)
    return slope - GAMMA * (drive - alpha * (level - rest))


def phasic_residual(phasic: VadTimeSeries, t: Tensor, driver: Tensor) -> Tensor:
    """Return the residual of ``tau0 tau1 R'' + (tau0 + tau1) R' + R = u`` (uS).

    The skin conductance response R to a driver u (uS), after Bateman; ``driver`` is to
    be broadcast to ``t``.
    """
    value, slope, bend = derivatives(phasic, t)
    rise, fall = TAUS
    return rise * fall * bend + (rise + fall) * slope + value - driver


def derivatives(course: VadTimeSeries, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a function at ``t`` with its first and second derivatives, by autograd."""
    t = t if t.requires_grad else t.detach().requires_grad_(True)  # noqa: FBT003
    value = course(t)
    slope = _slope(value, t)
    return value, slope, _slope(slope, t)


def _slope(value: Tensor, t: Tensor) -> Tensor:
    """Return the derivative of each value by its own time; 0 where it has none."""
    if not value.requires_grad:
        return torch.zeros_like(t)
    (slope,) = torch.autograd.grad(
        value.sum(), t, create_graph=True, materialize_grads=True
    )
    return slope


def look_back(trace: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the shape of the last minute, its newest value, and its spread.

    The shape, (B, 33), contains values at `LAGS` and means of intervals, relative to
    the newest value (uS, (B, 1)) and divided by the spread (uS, (B, 1)). The spread is
    the root mean square deviation of the minute from the newest value, at least 2 % of
    that value.
    """
    now = trace[:, -1:]
    least = _LEAST * now.clamp(min=0.05)
    spread = ((trace - now).square().mean(dim=1, keepdim=True) + least**2).sqrt()
    at = [trace[:, -1 - round(4 * lag)] for lag in LAGS]
    n = trace.shape[1]
    means = [trace[:, n - 4 * b : n - 4 * a].mean(dim=1) for a, b in pairwise(_BINS)]
    return (torch.stack([*at, *means], dim=1) - now) / spread, now, spread


def bridged(trace: Array) -> Array | float:
    """Return a minute of skin conductance with its gaps interpolated, or a NaN.

    At least 90 % of the samples and the newest one must be present; otherwise the NaN
    encodes the reason.
    """
    present = ~np.isnan(trace)
    if present[-1] and present.mean() >= _SHARE:
        if present.all():
            return trace
        at = np.arange(len(trace))
        return np.asarray(np.interp(at, at[present], trace[present]))
    if not present[-1]:
        return float(trace[-1])
    gone = missing_reason(trace[~present])
    # Warming up has priority over other reasons while the trace is not yet full.
    warming = bool((gone == MissingReason.WARMING_UP).any())
    return (MissingReason.WARMING_UP if warming else MissingReason.TOO_SHORT).nan


def doubt(trace: Tensor) -> Tensor:
    """Return predictors of the forecast error, shape (B, 3).

    A constant of 1, and the logs of the root mean square deviations of the minute (as
    in `look_back`) and of its newest five seconds from the newest value (uS).
    """
    now, spread = trace[:, -1:], look_back(trace)[2]
    least = _LEAST * now.clamp(min=0.05)
    near = (trace[:, -_NEAR:] - now).square().mean(dim=1, keepdim=True)
    newest = (near + (least / 4) ** 2).sqrt()
    return torch.cat([torch.ones_like(now), spread.log(), newest.log()], dim=1)


@dataclass(frozen=True)
class PinnConfig:
    """Size of the network, and weights of the terms of its loss.

    Parameters
    ----------
    features
        Number of features of the last minute, relative to the participant's baseline.
    samples
        Number of input samples of skin conductance, 4 per second up to the present.
    classes
        Names of the conditions; beta of the first is 0. Empty for none.
    dimensions
        Ratings that the network is trained on; empty for none.
    horizons
        Horizons (s) of the forecast of skin conductance.
    width
        Width of the hidden layers.
    waves
        Number of basis functions of time of each component of skin conductance.
    physics
        Weight of the two residuals; 0 omits the equations.
    price
        Weight of the driver's l1 norm, in spreads of the trace.
    past
        Weight of the reconstruction of the last minute.
    emotion
        Weight of classes and ratings; 0 omits them.
    eda
        Weight of forecast and reconstruction; 0 omits them.
    trace
        Name of the chain whose only column is skin conductance, in sessions.
    """

    features: int = 4
    samples: int = 240
    classes: tuple[str, ...] = ("baseline", "stress", "amusement", "meditation")
    dimensions: tuple[str, ...] = ("valence", "arousal")
    horizons: tuple[float, ...] = (5.0, 15.0, 30.0)
    width: int = 24
    waves: int = 8
    physics: float = 0.02
    price: float = 0.01
    past: float = 0.02
    emotion: float = 1.0
    eda: float = 1.0
    trace: str = "trace"


class Moments(NamedTuple):
    """Training samples: inputs and targets of some moments.

    Parameters
    ----------
    z
        Features relative to the baseline, shape (B, features); NaN where missing.
    trace
        Skin conductance of the last minute (uS), 4 a second, shape (B, samples).
    ahead
        Skin conductance at the horizons (uS), shape (B, horizons); NaN where missing.
    label
        Index of the class, shape (B,); -1 where missing.
    ratings
        Ratings on [-1, 1], shape (B, dimensions); NaN where missing.
    """

    z: Tensor
    trace: Tensor
    ahead: Tensor
    label: Tensor
    ratings: Tensor


class Pinn(nn.Module, Model):
    """Skin conductance, condition and affect from the last minute of a wristband.

    Parameters
    ----------
    config
        Size, and the weights of the terms of the loss.

    Notes
    -----
    After Mandal 2025, arXiv 2505.18169, of which only the abstract was available.

    Adopted from the paper: skin conductance and emotion are learned together, the loss
    has a term for the residual of an equation, and the equation has a decay rate
    (alpha_0), an influence of emotion (beta), and a scaling of time (gamma).

    Differences: The equations are one of the level and Bateman's of the responses, with
    conventions that make the parameters identifiable: gamma is 1/min, beta of the first
    class is 0, the time constants of a response are fixed, and its driver has an l1
    penalty. ``alpha`` and ``beta`` are estimated on whole sessions with the emotion
    clamped to the labels (`experiments.wesad.tonic_model`). Here they are fixed, and
    the emotion is the network's class probability, without a gradient. The network also
    differs: skin conductance around the present is a sum of learned functions of time,
    with derivatives by autograd at any time; the heads and the inputs differ as well.
    Self-reports, the time of day and the time of the session are not inputs.

    Forecasts start from the present measured value, so that an untrained network
    forecasts persistence.
    """

    uses_baseline_uncertainty = False

    scale: Tensor
    alpha: Tensor
    beta: Tensor
    common: Tensor
    temper: Tensor
    noise: Tensor
    stretch: Tensor
    reach: Tensor

    def __init__(self, config: PinnConfig = PinnConfig()) -> None:
        super().__init__()
        self.config = config
        width, k = config.width, config.waves
        # Without classes or ratings, an output that nothing reads.
        classes, horizons = max(len(config.classes), 1), len(config.horizons)
        dimensions = max(len(config.dimensions), 1)
        self.register_buffer("scale", torch.ones(config.features))
        self.register_buffer("alpha", torch.tensor(0.5))  # 1/min
        self.register_buffer("beta", torch.zeros(classes))  # uS/min
        # Calibrated on held-out participants: see `experiments.weights.wrist_network`.
        self.register_buffer("common", torch.full((classes,), 1 / classes))
        self.register_buffer("temper", torch.tensor(1.0))  # of the odds
        self.register_buffer("noise", torch.zeros(dimensions))  # variance
        self.register_buffer("stretch", torch.zeros(horizons, 3))  # by `doubt`
        self.register_buffer("reach", torch.zeros(horizons, 2))  # low, high, stretched
        self.feel = nn.Sequential(nn.Linear(config.features, width), nn.Tanh())
        self.classify = nn.Linear(width, classes)
        self.rate = nn.Linear(width, 2 * dimensions)
        looks = len(LAGS) + len(_BINS) - 1
        self.look = nn.Sequential(nn.Linear(looks + 2 + width, width), nn.Tanh())
        # Linear part: most of the predictable variance is linear in the past.
        self.follow = nn.Linear(looks, 2 * k, bias=False)
        self.parts = nn.Linear(width, 2 * k + 2)  # of tonic and phasic; T0, R now
        self.waves = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 3 * k))
        self.drive = nn.Linear(width, k)
        nn.init.zeros_(self.follow.weight)  # the first forecast is persistence
        nn.init.zeros_(self.parts.weight)
        nn.init.zeros_(self.parts.bias)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return class logits (B, C), means and log deviations of ratings (B, d)."""
        hidden = self._felt(z)
        mean, log_sd = self.rate(hidden).chunk(2, dim=-1)
        return self.classify(hidden), mean, log_sd

    def course(self, z: Tensor, trace: Tensor) -> "_Course":
        """Return skin conductance around the present as a function of time."""
        shape, now, spread = look_back(trace)
        size = (spread / now.clamp(min=0.05)).log()
        level = now.clamp(min=0.05).log()
        hidden = self.look(torch.cat([shape, size, level, self._felt(z)], dim=1))
        parts = self.parts(hidden)
        parts = torch.cat([parts[:, :-2] + self.follow(shape), parts[:, -2:]], dim=1)
        return _Course(self, parts, self.drive(hidden), now, spread)

    def predict_eda(self, z: Tensor, trace: Tensor) -> Tensor:
        """Return skin conductance at the horizons (uS), shape (B, horizons)."""
        return self.course(z, trace).ahead(self.config.horizons)

    @property
    def forecasts(self) -> ForecastSpec:
        """Input and output of `forecast`."""
        c = self.config
        return ForecastSpec(c.trace, c.samples, c.horizons)

    @torch.no_grad()
    def forecast(self, z: Array, trace: Array) -> Forecast:
        """Return forecast skin conductance.

        Parameters
        ----------
        z
            Features relative to the baseline, shape (features,), NaN where missing.
        trace
            Last minute of skin conductance (uS), shape (samples,), NaN where missing.

        Returns
        -------
        Forecast
            NaN with the reason for missing values: the forecasts need the newest value
            and 90 % of the minute.
        """
        given = torch.from_numpy(z.astype(np.float32))[None]
        whole = bridged(trace)
        if isinstance(whole, float):
            missing = np.full(len(self.config.horizons), whole)
            return Forecast(missing, missing, missing)
        past = torch.from_numpy(whole.astype(np.float32))[None]
        middle = self.predict_eda(given, past)
        low, high = (end[0].double().numpy() for end in self.ends(middle, past))
        return Forecast(middle[0].double().numpy(), low, high)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions."""
        return self.config.classes

    @torch.no_grad()
    def condition_odds(self, z: Array, spread: Array) -> Array:  # noqa: ARG002
        """Return the probability of each condition: see the base class."""
        if np.isnan(z).all():
            return np.full(len(self.config.classes), z[0])
        given = torch.from_numpy(z.astype(np.float32))[None]
        return self.odds(given)[0].double().numpy()

    def odds(self, z: Tensor) -> Tensor:
        """Return the class probabilities under equal priors, shape (B, C)."""
        logits = self.classify(self._felt(z))
        fair: Tensor = self.temper * (logits - self.common.log())
        return fair.softmax(dim=1)

    def ends(self, middle: Tensor, trace: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of the 80 % interval of a forecast, (B, horizons) each."""
        wide = (doubt(trace) @ self.stretch.T).exp()
        low, high = middle + wide * self.reach[:, 0], middle + wide * self.reach[:, 1]
        return low.clamp(min=0.0), high

    def loss(self, moments: Moments) -> dict[str, Tensor]:
        """Return the named terms, each times its weight, whose sum is minimised.

        ``forecast`` and ``reconstruction`` are mean squares relative to the spread of
        the trace; ``tonic`` and ``phasic`` the residuals at random times from a minute
        ago to the last horizon; ``driver`` the l1 penalty; ``classes`` a cross entropy
        and ``ratings`` a negative log likelihood (nats).
        """
        terms: dict[str, Tensor] = {}
        if self.config.eda > 0:
            terms |= self._skin(moments)
        if self.config.emotion > 0:
            terms |= self._emotion(moments)
        return terms

    def _skin(self, moments: Moments) -> dict[str, Tensor]:
        config, trace = self.config, moments.trace
        course = self.course(moments.z, trace)
        ahead = trace.new_tensor(config.horizons).expand(len(trace), -1)
        known = ~moments.ahead.isnan()
        target = torch.where(known, moments.ahead, trace[:, -1:])
        off = (course.skin(ahead) - target) / course.spread * known
        # Between relative and absolute errors, as quiet minutes are easy to forecast.
        weight = course.spread / course.spread.square().mean().sqrt()
        missed = (off.square() * weight).sum() / known.sum().clamp(min=1)
        past = torch.tensor(LAGS)
        back = trace[:, [-1 - round(4 * lag) for lag in LAGS]]
        lost = (course.skin(-past.expand(len(trace), -1)) - back) / course.spread
        return {
            "forecast": config.eda * missed,
            "reconstruction": config.eda * config.past * lost.square().mean(),
            **(self._physics(moments, course) if config.physics > 0 else {}),
        }

    def _physics(self, moments: Moments, course: "_Course") -> dict[str, Tensor]:
        config = self.config
        first, last = -LAGS[-1], config.horizons[-1]
        t = first + (last - first) * torch.rand(len(moments.z), 3)
        emotion = self.classify(self._felt(moments.z)).softmax(dim=1).detach()
        drive = (emotion @ self.beta)[:, None]
        tonic = tonic_residual(course.tonic, t, course.rest, self.alpha, drive)
        driver = course.driver(t)
        phasic = phasic_residual(course.phasic, t, driver)
        weight = config.eda * config.physics
        return {  # the level's residual is scaled to its error after 10 s
            "tonic": weight * (10 * tonic / course.spread).square().mean(),
            "phasic": weight * (phasic / course.spread).square().mean(),
            "driver": weight * config.price * (driver / course.spread).mean(),
        }

    def _emotion(self, moments: Moments) -> dict[str, Tensor]:
        logits, mean, log_sd = self(moments.z)
        labelled = moments.label >= 0
        wrong = F.cross_entropy(
            logits, moments.label.clamp(min=0), reduction="none", weight=None
        )
        rated = ~moments.ratings.isnan()
        off = (torch.where(rated, moments.ratings, mean) - mean) / log_sd.exp()
        nll = (0.5 * off.square() + log_sd + _HALF_LOG_2PI) * rated
        weight = self.config.emotion
        return {
            "classes": weight * (wrong * labelled).sum() / labelled.sum().clamp(min=1),
            "ratings": weight * nll.sum() / rated.sum().clamp(min=1),
        }

    def _felt(self, z: Tensor) -> Tensor:
        return self.feel(torch.nan_to_num(z / self.scale))

    @torch.no_grad()
    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return mean and standard deviation of valence, arousal and dominance.

        Parameters
        ----------
        z
            Features of one moment relative to the baseline, shape (features,), NaN
            where missing: these count as at the baseline.
        spread
            Not used: see `uses_baseline_uncertainty`.

        Returns
        -------
        mean, sd
            Shape (3,) each; the first NaN of ``z`` if all values are missing.
        """
        if np.isnan(z).all():
            return np.full(len(DIMENSIONS), z[0]), np.full(len(DIMENSIONS), z[0])
        _, mean, log_sd = self(torch.from_numpy(z.astype(np.float32))[None])
        at = scale_places(self.config.dimensions)
        rating = np.zeros((2, len(DIMENSIONS)))
        rating[1] = 1.0
        sd = (log_sd[0].exp().square() + self.noise).sqrt()
        rating[0, at] = mean[0, : len(at)].double().numpy()
        rating[1, at] = sd[: len(at)].double().numpy()
        return rating[0], rating[1]

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the parameters by name."""
        return {k: v.detach().cpu().numpy() for k, v in self.state_dict().items()}

    @classmethod
    def restore(
        cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]
    ) -> Self:
        """Return the trained network that `arrays` came from, ready to predict."""
        named: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in config.items()
        }
        model = cls(PinnConfig(**named))
        model.load_state_dict({k: torch.tensor(v) for k, v in arrays.items()})
        return model.eval()


class _Course:
    """Skin conductance of some moments as a function of time; 0 s is the present."""

    def __init__(
        self, net: Pinn, parts: Tensor, drive: Tensor, now: Tensor, spread: Tensor
    ) -> None:
        k = net.config.waves
        self._waves, self._k, self._drive, self._now = net.waves, k, drive, now
        self._level, self._response = parts[:, :k], parts[:, k : 2 * k]
        self.spread = spread  # (B, 1)
        self._phasic_now = spread * F.softplus(parts[:, 2 * k + 1 :])
        self.rest = now + spread * parts[:, 2 * k : 2 * k + 1]

    def skin(self, t: Tensor) -> Tensor:
        """Return conductance (uS) at times (s), (B, n); at 0 s the measured value."""
        return self.tonic(t) + self.phasic(t)

    def ahead(self, horizons: tuple[float, ...]) -> Tensor:
        """Return conductance (uS) at horizons common to all rows, (B, horizons)."""
        t = self._now.new_tensor((0.0, *horizons))
        waves = self._waves((t / 10)[:, None])[:, : 2 * self._k]
        parts = torch.cat([self._level, self._response], dim=1)
        return self._now + self.spread * (parts @ (waves[1:] - waves[:1]).T)

    def tonic(self, t: Tensor) -> Tensor:
        """Return the level (uS)."""
        moved = self._sum(self._level, t, 0)
        return self._now - self._phasic_now + self.spread * moved

    def phasic(self, t: Tensor) -> Tensor:
        """Return the responses (uS)."""
        return self._phasic_now + self.spread * self._sum(self._response, t, 1)

    def driver(self, t: Tensor) -> Tensor:
        """Return the sudomotor driver of the responses (uS), at least 0."""
        waves = self._at(t, 2)
        return self.spread * F.softplus((waves * self._drive[:, None]).sum(dim=-1))

    def _sum(self, weights: Tensor, t: Tensor, part: int) -> Tensor:
        moved = self._at(t, part) - self._at(torch.zeros_like(t[:, :1]), part)
        return (moved * weights[:, None]).sum(dim=-1)

    def _at(self, t: Tensor, part: int) -> Tensor:
        """Return the functions of time of a part, (B, n, waves)."""
        waves: Tensor = self._waves((t / 10)[..., None])
        return waves[..., part * self._k : (part + 1) * self._k]
