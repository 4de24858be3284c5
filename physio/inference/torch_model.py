"""Model that is a torch module of any package, with its parameters as safetensors."""

import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import torch
from torch import nn

from physio import config as settings_file
from physio.core.affect import DIMENSIONS, scale_places
from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.inference.braindecode_import import braindecode_models
from physio.models.base import Arrays, Model, WindowSpec
from physio.models.model_card import BRAINDECODE
from physio.models.rbtransformer import single_thread


@dataclass(frozen=True)
class TorchConfig:
    """Settings of a torch module as a model.

    Parameters
    ----------
    network
        Import path of the class, ``"my_net:Net"`` or ``"braindecode.models:EEGNet"``.
    settings
        Arguments of the class as JSON, which is hashable.
    features
        Number of features; of windows, the number of channels.
    dimensions
        Ratings that it estimates; empty for conditions.
    classes
        Names of the conditions, whose logits it gives; empty for ratings.
    channels
        Names of the channels of windows, in order; empty for features.
    rate, samples
        Samples a second of windows (Hz), and their number.
    """

    network: str = "torch.nn:Linear"
    settings: str = "{}"
    features: int = 4
    dimensions: tuple[str, ...] = DIMENSIONS
    classes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    rate: float = 0.0
    samples: int = 0


class TorchModel(Model):
    """Ratings, or logits of conditions, by a torch module on one thread.

    Parameters
    ----------
    config
        The class, and its input and output.
    network
        The module, which maps (1, features) or (1, channels, samples) to (1, outputs).
    center, scale
        Mean and standard deviation in training of each feature, shape (f,), or of each
        channel, shape (channels, 1).
    sd
        Standard deviation of the ratings of held-out participants about the estimate,
        shape (d,).
    """

    shared = True

    def __init__(
        self,
        config: TorchConfig,
        network: nn.Module,
        center: Array,
        scale: Array,
        sd: Array,
    ) -> None:
        self.config, self.network = config, network.eval()
        self.center, self.scale, self.sd = center, scale, sd
        self._at = scale_places(config.dimensions)

    def run(self, z: Array) -> Array:
        """Return the outputs for features or a window, shape (outputs,)."""
        x = standardized(z, self.center, self.scale)[None]
        with single_thread(), torch.no_grad():
            out = self.network(torch.from_numpy(x.astype(np.float32)))
        if isinstance(out, tuple):  # some networks return their features too
            out = out[0]
        return np.asarray(out.reshape(-1).double().numpy())

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return mean and standard deviation of the ratings: see the base class."""
        rating = np.full((2, len(DIMENSIONS)), MissingReason.UNTRAINED.nan)
        if not self._at:
            return rating[0], rating[1]
        if np.isnan(z).all():
            rating[:, self._at] = z.ravel()[0]
            return rating[0], rating[1]
        rating[0, self._at], rating[1, self._at] = self.run(z), self.sd
        return rating[0], rating[1]

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions."""
        return self.config.classes

    def condition_odds(self, z: Array, spread: Array) -> Array:  # noqa: ARG002
        """Return the probability of each condition: see the base class."""
        if np.isnan(z).all():
            return np.full(len(self.config.classes), z.ravel()[0])
        out = self.run(z)
        odds = np.exp(out - out.max())
        return np.asarray(odds / odds.sum())

    @property
    def window(self) -> WindowSpec | None:
        """Window of the signal; None for a module on features."""
        config = self.config
        if not config.samples:
            return None
        return WindowSpec(config.channels, config.rate, config.samples)

    def arrays(self) -> Arrays:
        """Return the parameters by name; those of the network begin with ``net.``."""
        state = self.network.state_dict()
        parameters = {f"net.{k}": v.detach().cpu().numpy() for k, v in state.items()}
        scales = {"center": self.center, "scale": self.scale, "sd": self.sd}
        return {**parameters, **scales}

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the model from the result of `arrays`.

        The class of the network must be trusted, which `Weights.model` checks first.
        """
        lists = {k: tuple(config[k]) for k in ("dimensions", "classes", "channels")}
        named = TorchConfig(**{**config, **lists})
        package = named.network.partition(".")[0].partition(":")[0]
        network = build(named.network, json.loads(named.settings), (package,))
        state = {
            k.removeprefix("net."): torch.from_numpy(np.array(v))
            for k, v in arrays.items()
            if k.startswith("net.")
        }
        network.load_state_dict(state)
        return cls(named, network, *(arrays[k] for k in ("center", "scale", "sd")))

    def __deepcopy__(self, memo: dict[int, Any]) -> "TorchModel":
        return self


def standardized(x: Array, center: Array, scale: Array) -> Array:
    """Return standardized features or windows, 0 where missing.

    A value counts at most as if it were ten standard deviations from its mean.

    Parameters
    ----------
    x
        Features, shape (..., f) with ``center`` of shape (f,); or windows, shape (...,
        channels, samples) with ``center`` of shape (channels, 1).
    center, scale
        Mean and standard deviation of each feature or channel.
    """
    return np.nan_to_num(np.clip((x - center) / scale, -10.0, 10.0))


def build(network: str, settings: Mapping[str, Any], trust: Sequence[str]) -> nn.Module:
    """Return the module that an import path names.

    Parameters
    ----------
    network
        Import path of the class.
    settings
        Arguments of the class; those that it does not take are left out if they only
        describe the data (``n_chans``, ``n_outputs``, ``n_times``, ``sfreq``,
        ``n_features``).
    trust
        Packages, beside this library and braindecode, that may define it.

    Raises
    ------
    ValueError
        If the package is not trusted, or the class is no torch module.
    """
    at = f"network = {network!r}"
    if network.startswith(BRAINDECODE):
        cls = getattr(braindecode_models(), network.removeprefix(BRAINDECODE), None)
        if cls is None:
            raise ValueError(f"{at}: braindecode has no network of this name")
    else:
        cls = settings_file.load_object(network, at, tuple(trust))
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise ValueError(f"{at}: {cls!r} is no class of torch.nn.Module")
    parameters = inspect.signature(cls).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    given = {
        k: v
        for k, v in settings.items()
        if takes_all or k in parameters or k not in DESCRIBED
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of usual sizes and rates
            module: nn.Module = cls(**given)
    except TypeError as error:
        raise ValueError(f"{at}: {error}") from None
    return module


DESCRIBED: Final = ("n_chans", "n_outputs", "n_times", "sfreq", "n_features")
"""Settings that describe the data, which a network may take or not."""
