"""Trained weights on disk: arrays, a graph, a stored example, and a model card."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialize

import physio.assets
from physio import config
from physio.core.block import Origin
from physio.core.json_table import json_table
from physio.models import golden
from physio.models.base import Arrays, Model

STORE: Final = Path(physio.assets.__file__).parent / "weights"
"""Folder of the shipped weights."""

_BASELINE: Final = ("mean", "between", "within", "memory", "seconds")
LIMIT: Final = 3_000_000  # bytes, largest weights file of shipped weights
GRAPH: Final = "model.graph"
"""Array that is stored as a file of its own, ``model.onnx``."""

CHAINS: Final = "chains.json"
"""File of the chains of weights that are none of the default ones."""

FILES: Final = (
    "card.json",
    "CARD.md",
    "weights.safetensors",
    "model.onnx",
    golden.FILE,
    CHAINS,
)
"""Files of a folder of weights."""

BRAINDECODE: Final = "braindecode.models:"
"""Front of the import path of networks that weights may name without ``--trust``."""


@dataclass(frozen=True)
class ModelCard:
    """Description of weights: model, features, training data, evaluation and limits.

    It has 17 fields because a reader looks for each of these facts by its name.

    Parameters
    ----------
    use
        Import path of the model, ``"package.module:Name"``.
    config
        Settings of the model. ``trace`` among them is the name of the chain that a
        forecast reads sample by sample.
    columns
        Features of the model, ``"<chain>.<channel>"``, in order, each with its
        transform: ``raw``, ``sqrt`` or ``log``.
    baseline
        Duration of the participants' baseline in training (s).
    origin
        Training data: measured or simulated.
    supports
        Dimensions (valence, arousal, dominance) that the model was trained on.
    data, citation, licence
        Training data, citation, and licence of the weights.
    protocol
        Training and evaluation protocol.
    figures
        Results of the evaluation.
    limits
        Uses that are excluded or not evaluated.
    command
        Command that reproduces the weights.
    sha256
        Hash of the weights file and of the graph.
    sd_limits
        Largest standard deviation, column ``<name>.sd``, at which a feature counts:
        see `physio.models.sd_limits.SdLimits`.
    participant
        Code of the only participant that the weights are for; empty for all.
    scales
        Rated scales beside valence, arousal and dominance, as ``stress``, with the
        lowest and the highest rating. A model has them at the free places of its
        outputs, on [-1, 1]: see `physio.core.affect.scale_places`.
    """

    use: str
    config: Mapping[str, Any]
    columns: tuple[tuple[str, str], ...]
    baseline: float
    origin: Origin
    supports: tuple[str, ...]
    data: str
    citation: str
    licence: str
    protocol: str
    figures: Mapping[str, Any]
    limits: tuple[str, ...]
    command: str
    sha256: str = ""
    sd_limits: Mapping[str, float] = field(default_factory=dict)
    participant: str = ""
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of all rated scales, in the order of their places."""
        return (*self.supports, *self.scales)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions that the model estimates."""
        classes = self.config.get("classes", ())
        return tuple(classes) if isinstance(classes, list | tuple) else ()

    def json(self) -> str:
        """Return the card as it is stored."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def parse(cls, text: str, at: Path) -> Self:
        """Return the card from the text of `json`."""
        try:
            parts = json.loads(text)
            parts["columns"] = tuple((name, scale) for name, scale in parts["columns"])
            parts["origin"] = Origin(parts["origin"])
            for key in ("supports", "limits"):
                parts[key] = tuple(parts[key])
            given = parts.get("scales", {}).items()
            parts["scales"] = {n: (float(low), float(high)) for n, (low, high) in given}
            return cls(**parts)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{at} is not a model card: {error}") from None


@dataclass(frozen=True, eq=False)
class Weights:
    """Stored weights: a model card and arrays.

    Parameters
    ----------
    name
        Name of the weights.
    card
        Their description.
    arrays
        ``model.<name>``, ``rest.<name>``, ``prior.mean`` and ``prior.sd`` (shape (3,)).
    golden
        Stored example: see `physio.models.golden.example`.
    chains
        Chains of the training that are none of the default ones, by name: see
        `physio.online.weights_chains.trained_chains`.
    """

    name: str
    card: ModelCard
    arrays: Arrays
    golden: Arrays
    chains: Mapping[str, Any] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """Return the arrays ``<name>.<key>`` by ``key``."""
        front = f"{name}."
        return {
            k.removeprefix(front): v
            for k, v in self.arrays.items()
            if k.startswith(front)
        }

    def model_class(self, trust: tuple[str, ...] = ()) -> type[Model]:
        """Import the class of the model.

        Parameters
        ----------
        trust
            Packages that the card may name beside this library.

        Raises
        ------
        ValueError
            If the card names a package that is not trusted, or an object that is no
            `Model`.
        """
        at = f"the weights {self.name!r}"
        cls = config.load_object(self.card.use, at, trust)
        if not (isinstance(cls, type) and issubclass(cls, Model)):
            raise ValueError(
                f"{at}: {self.card.use!r} is no model: its class must inherit from "
                "physio.models.base.Model"
            )
        return cls

    def model(self, trust: tuple[str, ...] = ()) -> Model:
        """Return the model, once it repeats its stored example.

        Parameters and errors are those of `model_class`.

        Raises
        ------
        ValueError
            If an output differs from the stored one by more than the tolerance.
        """
        if not self.golden:
            self.model_class(trust)
            raise ValueError(
                f"the weights {self.name!r} have no stored example "
                f"({golden.FILE}), which they must repeat before they answer: train "
                "them again"
            )
        model, difference = self.repeated(trust)
        tolerance = self.tolerance
        if not difference <= tolerance:
            raise ValueError(
                f"the weights {self.name!r} do not repeat their stored example: an "
                f"output differs by {difference:.3g}, more than {tolerance:g}; they "
                "were changed, or need other versions of packages: get or train them "
                "again"
            )
        return model

    @property
    def tolerance(self) -> float:
        """Largest difference allowed: the stored one, at most `golden.TOLERANCE`."""
        return min(golden.TOLERANCE, float(self.golden["tolerance"][0]))

    def repeated(self, trust: tuple[str, ...] = ()) -> tuple[Model, float]:
        """Return the model, and its largest difference from the stored example."""
        model = self.restored(trust)
        return model, golden.largest_difference(model, self.golden)

    def restored(self, trust: tuple[str, ...] = ()) -> Model:
        """Return the model without a comparison with its stored example."""
        cls, network = self.model_class(trust), self.card.config.get("network")
        if network and not str(network).startswith(BRAINDECODE):
            at = f"the weights {self.name!r}"  # the model builds another class
            config.load_object(network, at, trust)
        return cls.restore(self.card.config, self.part("model"))


def load(name: str) -> Weights:
    """Load stored weights and check them against their card.

    Parameters
    ----------
    name
        Name of shipped weights, as ``"wrist"``; or the path of a folder.

    Raises
    ------
    ValueError
        If there are no weights of that name, or they do not match their card.
    """
    folder = folder_of(name)
    card = folder / "card.json"
    if not card.is_file():
        raise ValueError(
            f"there are no weights {name!r}: give the name of shipped weights "
            f"({', '.join(shipped_names()) or 'none'}) or the path of a "
            f"folder, which needs a '/' in it: './{name}'"
        )
    return _load(folder, card.stat().st_mtime_ns)


def folder_of(name: str) -> Path:
    """Return the folder of shipped weights, or the path itself."""
    shipped = re.fullmatch(r"[a-z0-9-]+", name) is not None
    return STORE / name if shipped else Path(name)


def shipped_names() -> tuple[str, ...]:
    """Return the names of the shipped weights."""
    return tuple(sorted(p.parent.name for p in STORE.glob("*/card.json")))


def save(
    folder: Path, card: ModelCard, arrays: Arrays, example: Arrays | None = None
) -> Weights:
    """Write the `FILES` of weights.

    Parameters
    ----------
    folder
        The folder; its last part is the name of the weights.
    card, arrays
        See `Weights`. The array `GRAPH` becomes ``model.onnx``.
    example
        Inputs and outputs: see `physio.models.golden.example`. Weights without them do
        not answer.

    Raises
    ------
    ValueError
        If an array is not finite, or the files of shipped weights grow beyond 3 MB.
    """
    tensors = {k: np.ascontiguousarray(v) for k, v in sorted(arrays.items())}
    graph = b""
    if GRAPH in tensors:
        graph = tensors.pop(GRAPH).tobytes()
    raw = serialize(tensors)
    _check(folder, tensors, len(raw) + len(graph))
    digest = hashlib.sha256(raw + graph)
    parts = {f.name: getattr(card, f.name) for f in fields(card)}
    card = ModelCard(**{**parts, "sha256": digest.hexdigest()})
    stored: dict[str, Any] = {}
    if example is not None:
        stored = {**example, "sha256": np.frombuffer(digest.digest(), np.uint8)}
        stored = {k: np.ascontiguousarray(v) for k, v in sorted(stored.items())}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(raw)
    (folder / "model.onnx").unlink(missing_ok=True)
    if graph:
        (folder / "model.onnx").write_bytes(graph)
    (folder / golden.FILE).unlink(missing_ok=True)
    if stored:
        (folder / golden.FILE).write_bytes(serialize(stored))
    (folder / "card.json").write_text(card.json(), "utf-8")
    (folder / "CARD.md").write_text(to_markdown(folder.name, card), "utf-8")
    return Weights(folder.name, card, arrays, stored)


@lru_cache(maxsize=64)
def _load(folder: Path, stamp: int) -> Weights:  # noqa: ARG001  a new card, a new load
    path = folder / "weights.safetensors"
    card = ModelCard.parse(
        (folder / "card.json").read_text("utf-8"), folder / "card.json"
    )
    arrays, raw = read_arrays(folder), _bytes(path)
    graph = arrays[GRAPH].tobytes() if GRAPH in arrays else b""
    if hashlib.sha256(raw + graph).hexdigest() != card.sha256:
        raise ValueError(f"{path} does not match its card: its sha256 differs")
    stored = _example(folder / golden.FILE, card)
    _check(folder, arrays, len(raw) + len(graph))
    n = len(card.columns)
    shapes = {"prior.mean": (3,), "prior.sd": (3,)}
    shapes |= {f"rest.{k}": (n,) for k in _BASELINE}
    for key, shape in shapes.items():
        if key not in arrays or arrays[key].shape != shape:
            raise ValueError(f"{path} must hold {key!r} of shape {shape}")
    return Weights(folder.name, card, arrays, stored, _chains(folder / CHAINS))


def _chains(path: Path) -> dict[str, Any]:
    """Return the chains of weights; empty where they have none."""
    if not path.is_file():
        return {}
    tables = json_table(path.read_text("utf-8")) or {}
    if not tables or not all(
        isinstance(t, dict) and {"channels", "kind", "unit", "rate", "stages"} <= set(t)
        for t in tables.values()
    ):
        raise ValueError(
            f"{path} holds no chains with channels, kind, unit, rate and stages"
        )
    return tables


def save_chains(folder: Path, chains: Mapping[str, Any]) -> None:
    """Write the chains of weights into their folder; nothing where there are none."""
    if chains:
        (folder / CHAINS).write_text(json.dumps(chains, indent=1) + "\n", "utf-8")


def _example(path: Path, card: ModelCard) -> dict[str, np.ndarray[Any, Any]]:
    """Return the stored example of weights; empty without one."""
    if not path.is_file():
        return {}
    stored = _tensors(path, path.read_bytes())
    if not {"z", "mean", "sd", "tolerance", "sha256"} <= set(stored):
        raise ValueError(f"{path} holds no example of an estimate")
    if stored["sha256"].tobytes().hex() != card.sha256:
        raise ValueError(f"{path} is the example of other weights")
    return stored


def read_arrays(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a folder of weights, unchecked."""
    path = folder / "weights.safetensors"
    arrays = _tensors(path, _bytes(path))
    if (folder / "model.onnx").is_file():
        arrays[GRAPH] = np.frombuffer(_bytes(folder / "model.onnx"), np.uint8)
    return arrays


def _bytes(path: Path) -> bytes:
    """Return the bytes of a file that weights need."""
    if not path.is_file():
        raise ValueError(f"there is no file {path} beside its card")
    return path.read_bytes()


def _tensors(path: Path, raw: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a file."""
    try:
        tensors: dict[str, np.ndarray[Any, Any]] = parse(raw)
    except SafetensorError as error:
        raise ValueError(f"{path} holds no arrays: {error}") from None
    return tensors


def _check(folder: Path, arrays: Arrays, size: int) -> None:
    if size > LIMIT and folder.parent == STORE:
        raise ValueError(f"the weights in {folder} take {size} bytes, above {LIMIT}")
    # NaN where nothing was trained, or where participants were too few for a level.
    unsupported = ("prior.mean", "prior.sd", "interval.widths")
    for key, value in arrays.items():
        if key not in unsupported and not np.isfinite(value).all():
            raise ValueError(f"the array {key!r} in {folder} is not finite")


def to_markdown(name: str, card: ModelCard) -> str:
    """Return a card as a page, ``CARD.md``."""
    figures = "\n".join(f"- {k}: {v}" for k, v in card.figures.items())
    limits = "\n".join(f"- {text}" for text in card.limits)
    whose = f"\n| for | {card.participant} alone |" if card.participant else ""
    columns = ", ".join(
        column if scale == "raw" else f"{scale}({column})"
        for column, scale in card.columns
    )
    ranges = [f"{n} ({low:g} to {high:g})" for n, (low, high) in card.scales.items()]
    estimated = ", ".join([*card.supports, *ranges])
    if card.conditions:
        odds = f"odds of {', '.join(card.conditions)}"
        estimated = f"{estimated}; {odds}" if estimated else f"{odds}; no rating"
    for column, largest in card.sd_limits.items():
        columns += f"; {column} where {column}.sd is at most {largest:g}"
    return f"""# {name}

{card.data}

| | |
|---|---|
| model | `{card.use}` |
| trained on | **{card.origin} participants** |{whose}
| estimates | {estimated} |
| features | {columns} |
| baseline | {card.baseline:g} s, of the participant |
| citation | {card.citation} |
| licence | {card.licence} |
| command | `{card.command}` |

## Protocol

{card.protocol}

## Figures

{figures}

## Limits

{limits}
"""
