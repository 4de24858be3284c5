"""Model that is a stored ONNX graph, of any library that can write one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np

from physio.core.affect import DIMENSIONS, scale_places
from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.inference.onnx import open_graph
from physio.models.base import Arrays, Model, Numbers, WindowSpec

_TYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}
_ROUNDING: Final = 1e-3  # of the sum of probabilities


@dataclass(frozen=True)
class StoredGraphConfig:
    """Settings of a stored graph.

    Parameters
    ----------
    features
        Number of features; of windows, of the channels.
    dimensions
        Ratings that the graph estimates; empty for conditions.
    classes
        Names of the conditions; empty for ratings.
    output
        Name of the output that is read; by default the only one, or the last.
    scale
        ``values``: ratings on [-1, 1], with or without as many standard deviations
        after them; ``probabilities`` or ``logits`` of the conditions.
    inputs
        Name, first column and last column + 1 of each input, where there are several;
        an input of booleans is the mask of the columns that are present.
    passes_missing
        Whether the graph takes NaN for a missing feature; otherwise it counts as 0.
    channels
        Names of the channels of windows, in order; empty for features.
    rate, samples
        Samples a second of windows (Hz), and their number.
    """

    features: int = 4
    dimensions: tuple[str, ...] = DIMENSIONS
    classes: tuple[str, ...] = ()
    output: str = ""
    scale: Literal["values", "probabilities", "logits"] = "values"
    inputs: tuple[tuple[str, int, int], ...] = ()
    passes_missing: bool = True
    channels: tuple[str, ...] = ()
    rate: float = 0.0
    samples: int = 0


class StoredGraph(Model):
    """Model whose network is an ONNX graph, run by ONNX Runtime on one thread.

    Parameters
    ----------
    config
        Inputs and outputs of the graph.
    graph
        Bytes of the ONNX file, uint8, stored as ``model.onnx``.
    sd
        Standard deviation of the ratings of held-out participants about the estimate,
        shape (d,), for a graph without standard deviations of its own.

    Raises
    ------
    ValueError
        If the bytes are no ONNX graph, or its inputs and outputs are others.
    """

    shared = True

    def __init__(
        self, config: StoredGraphConfig, graph: Numbers, sd: Array | None = None
    ) -> None:
        self.config, self._graph = config, np.asarray(graph, np.uint8)
        self.sd = np.ones(len(config.dimensions)) if sd is None else sd
        self._session = open_graph(self._graph.tobytes())
        self._inputs = {i.name: i for i in self._session.get_inputs()}
        self._columns = _columns(config, list(self._inputs.values()))
        self._output = _output(config, [o.name for o in self._session.get_outputs()])
        self._at = scale_places(config.dimensions)

    def run(self, z: Array) -> Array:
        """Return the outputs for features or a window, shape (outputs,)."""
        feeds = {}
        for name, first, stop in self._columns:
            given, part = self._inputs[name], z[first:stop]
            if given.type == "tensor(bool)":
                feeds[name] = ~np.isnan(part).reshape(_shape(given, part))
                continue
            value = part if self.config.passes_missing else np.nan_to_num(part)
            shape = _shape(given, part)
            feeds[name] = value.astype(_TYPES[given.type]).reshape(shape)
        (out,) = self._session.run([self._output], feeds)
        return np.asarray(out, np.float64).reshape(-1)

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return mean and standard deviation of the ratings: see the base class."""
        rating = np.full((2, len(DIMENSIONS)), MissingReason.UNTRAINED.nan)
        d = len(self._at)
        if not d:
            return rating[0], rating[1]
        if np.isnan(z).all():
            rating[:, self._at] = z.ravel()[0]
            return rating[0], rating[1]
        out = self.run(z)
        if len(out) not in (d, 2 * d):
            raise ValueError(
                f"the graph gives {len(out)} values for {d} ratings: give a graph with "
                f"{d}, or with {d} standard deviations after them"
            )
        rating[0, self._at] = out[:d]
        rating[1, self._at] = out[d:] if len(out) > d else self.sd
        return rating[0], rating[1]

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions."""
        return self.config.classes

    def condition_odds(self, z: Array, spread: Array) -> Array:  # noqa: ARG002
        """Return the probability of each condition: see the base class."""
        classes = len(self.config.classes)
        if np.isnan(z).all():
            return np.full(classes, z.ravel()[0])
        out = self.run(z)
        if len(out) == 1 and classes == 2:  # of the second class
            first = 1 - out if self.config.scale == "probabilities" else np.zeros(1)
            out = np.concatenate([first, out])
        if len(out) != classes:
            raise ValueError(
                f"the graph gives {len(out)} values for {classes} conditions "
                f"({', '.join(self.config.classes)})"
            )
        if self.config.scale == "logits":
            out = np.exp(out - out.max())
        elif np.min(out) < 0 or abs(out.sum() - 1) > _ROUNDING:
            raise ValueError(
                "the graph gives values that are no probabilities (sum "
                f"{out.sum():.3g}): set scale = 'logits'"
            )
        return np.asarray(out / out.sum())

    @property
    def window(self) -> WindowSpec | None:
        """Window of the signal; None for a graph on features."""
        config = self.config
        if not config.samples:
            return None
        return WindowSpec(config.channels, config.rate, config.samples)

    def arrays(self) -> Arrays:
        """Return the parameters by name."""
        return {"graph": self._graph, "sd": self.sd}

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the model from the result of `arrays`."""
        lists = {k: tuple(config[k]) for k in ("dimensions", "classes", "channels")}
        inputs = tuple((str(n), int(a), int(b)) for n, a, b in config["inputs"])
        named = StoredGraphConfig(**{**config, **lists, "inputs": inputs})
        return cls(named, arrays["graph"], arrays["sd"])

    def __deepcopy__(self, memo: dict[int, Any]) -> "StoredGraph":
        return self


def _columns(
    config: StoredGraphConfig, inputs: list[Any]
) -> tuple[tuple[str, int, int], ...]:
    """Return name, first and last column of each input of a graph."""
    names = [i.name for i in inputs]
    columns = config.inputs
    if not columns and len(inputs) == 1:
        columns = ((names[0], 0, config.features),)
    if sorted(n for n, _, _ in columns) != sorted(names):
        raise ValueError(
            f"the graph has the inputs {', '.join(names)}: state the columns of each, "
            f"as inputs = [['{names[0]}', 0, {config.features}], ...], not of "
            f"{', '.join(n for n, _, _ in columns) or 'none'}"
        )
    for given in inputs:
        if given.type not in (*_TYPES, "tensor(bool)"):
            raise ValueError(
                f"the input {given.name!r} of the graph is {given.type}: inputs are "
                "numbers of floating point, or booleans"
            )
    for name, first, stop in columns:
        if not 0 <= first < stop <= config.features:
            raise ValueError(
                f"the input {name!r} has the columns {first} to {stop} of "
                f"{config.features}"
            )
    return columns


def _output(config: StoredGraphConfig, names: list[str]) -> str:
    """Return the name of the output that is read."""
    if config.output and config.output not in names:
        raise ValueError(
            f"the graph has the outputs {', '.join(names)}, not {config.output!r}"
        )
    return config.output or names[-1]


def _shape(given: Any, part: Array) -> tuple[int, ...]:
    """Return the shape of an input: features, windows, or windows as one image.

    Raises
    ------
    ValueError
        If the graph has other numbers of features, channels or samples.
    """
    dims = part.shape
    rank = len(given.shape)
    shape = (*(1,) * (rank - part.ndim), *dims)
    wanted = [n if isinstance(n, int) else None for n in given.shape]
    fits = rank > part.ndim and all(
        n in (None, have) for n, have in zip(wanted, shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"the input {given.name!r} of the graph has the shape "
            f"{tuple(given.shape)}, which {dims} does not fit"
        )
    return shape
