"""Trained weights on disk: numbers, and a card that says what they are."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialize

import physio.assets
from physio.core.block import Array, Origin

STORE: Final = Path(physio.assets.__file__).parent / "weights"
"""Where the shipped weights are."""

_REST: Final = ("mean", "between", "within", "memory", "seconds")
LIMIT: Final = 3_000_000  # bytes of a weights file

Arrays = Mapping[str, np.ndarray[Any, Any]]


class Model(Protocol):
    """What can be trained and stored.

    A model is made from a frozen dataclass of settings, ``config``; ``restore`` undoes
    ``arrays``.
    """

    uses_baseline_uncertainty: bool
    config: Any

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of the ratings at one moment."""

    def arrays(self) -> Arrays:
        """Return the parameters by name."""

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the model that ``arrays`` came from."""


@dataclass(frozen=True)
class ModelCard:
    """What weights are, where they come from, and what they are good for.

    Parameters
    ----------
    use
        Import path of the model.
    config
        Its settings.
    columns
        The features read, ``"<chain>.<channel>"``, in order; and how each is read:
        ``raw``, ``sqrt`` or ``log``.
    rest
        How long (s) the participant's rest was in training.
    origin
        What it was trained on: measured or simulated.
    supports
        Which of valence, arousal and dominance it was trained on.
    data, citation, licence
        The training data, whom to cite, and the licence of these weights.
    protocol
        How it was trained and evaluated.
    figures
        What came out of the evaluation.
    limits
        What it must not be used for, or is not known to be good for.
    command
        What reproduces the weights.
    sha256
        Of the weights file.
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

    def json(self) -> str:
        """Return the card as it is stored."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def parse(cls, text: str, at: Path) -> Self:
        """Return the card that `json` wrote."""
        try:
            parts = json.loads(text)
            parts["columns"] = tuple((name, how) for name, how in parts["columns"])
            parts["origin"] = Origin(parts["origin"])
            for key in ("supports", "limits"):
                parts[key] = tuple(parts[key])
            return cls(**parts)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{at} is no card of weights: {error}") from None


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights as they were stored: the card, the model's arrays, and others.

    Parameters
    ----------
    name
        What they are called.
    card
        What they are.
    arrays
        ``model.<name>``, ``rest.<name>``, ``prior.mean`` and ``prior.sd`` (shape (3,)).
    """

    name: str
    card: ModelCard
    arrays: Arrays

    def part(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """Return the arrays ``<name>.<key>`` by ``key``."""
        front = f"{name}."
        return {
            k.removeprefix(front): v
            for k, v in self.arrays.items()
            if k.startswith(front)
        }

    def model(self) -> Model:
        """Return the model, ready to predict; imports what it needs."""
        module, _, name = self.card.use.partition(":")
        if not module.startswith("physio.models."):
            raise ValueError(
                f"the weights {self.name!r} name {self.card.use!r}, which is no model "
                "of physio.models"
            )
        cls = getattr(import_module(module), name)
        found: Model = cls.restore(self.card.config, self.part("model"))
        return found


def load(name: str) -> Weights:
    """Return stored weights, checked.

    Parameters
    ----------
    name
        Of shipped weights, as ``"wrist"``; or the path of a folder.

    Raises
    ------
    ValueError
        If there are none of that name, or they are not what their card says.
    """
    shipped = re.fullmatch(r"[a-z0-9-]+", name) is not None
    folder = STORE / name if shipped else Path(name)
    card = folder / "card.json"
    if not card.is_file():
        raise ValueError(
            f"there are no weights {name!r}; shipped are "
            f"{', '.join(shipped_names()) or 'none'}, others are named by their folder"
        )
    return _load(folder, card.stat().st_mtime_ns)


def shipped_names() -> tuple[str, ...]:
    """Return the names of the weights that are shipped."""
    return tuple(sorted(p.parent.name for p in STORE.glob("*/card.json")))


def save(folder: Path, card: ModelCard, arrays: Arrays) -> Weights:
    """Store weights: ``weights.safetensors``, ``card.json``, and ``CARD.md``.

    Raises
    ------
    ValueError
        If an array is not finite, or the file grows beyond 3 MB.
    """
    raw = serialize({k: np.ascontiguousarray(v) for k, v in sorted(arrays.items())})
    _check(folder, dict(arrays), len(raw))
    parts = {f.name: getattr(card, f.name) for f in fields(card)}
    card = ModelCard(**{**parts, "sha256": hashlib.sha256(raw).hexdigest()})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(raw)
    (folder / "card.json").write_text(card.json(), "utf-8")
    (folder / "CARD.md").write_text(_told(folder.name, card), "utf-8")
    return Weights(folder.name, card, arrays)


@lru_cache(maxsize=64)
def _load(folder: Path, stamp: int) -> Weights:  # noqa: ARG001  a new card, a new load
    path = folder / "weights.safetensors"
    card = ModelCard.parse(
        (folder / "card.json").read_text("utf-8"), folder / "card.json"
    )
    if not path.is_file():
        raise ValueError(f"there is no file {path} beside its card")
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != card.sha256:
        raise ValueError(
            f"{path} is not the file that its card describes: its sha256 differs"
        )
    arrays = parse(raw)
    _check(folder, arrays, len(raw))
    n = len(card.columns)
    shapes = {"prior.mean": (3,), "prior.sd": (3,)}
    shapes |= {f"rest.{k}": (n,) for k in _REST}
    for key, shape in shapes.items():
        if key not in arrays or arrays[key].shape != shape:
            raise ValueError(f"{path} must hold {key!r} of shape {shape}")
    return Weights(folder.name, card, arrays)


def _check(folder: Path, arrays: Arrays, size: int) -> None:
    if size > LIMIT:
        raise ValueError(f"the weights in {folder} take {size} bytes, above {LIMIT}")
    unsupported = ("prior.mean", "prior.sd")  # NaN where nothing was trained
    for key, value in arrays.items():
        if key not in unsupported and not np.isfinite(value).all():
            raise ValueError(f"the array {key!r} in {folder} is not finite")


def _told(name: str, card: ModelCard) -> str:
    """Return the card for participants."""
    figures = "\n".join(f"- {k}: {v}" for k, v in card.figures.items())
    limits = "\n".join(f"- {text}" for text in card.limits)
    columns = ", ".join(c if how == "raw" else f"{how}({c})" for c, how in card.columns)
    return f"""# {name}

{card.data}

| | |
|---|---|
| model | `{card.use}` |
| trained on | **{card.origin} participants** |
| tells | {", ".join(card.supports)} |
| reads | {columns} |
| each against the participant's own | {card.baseline:g} s of rest |
| cite | {card.citation} |
| licence | {card.licence} |
| made by | `{card.command}` |

## Protocol

{card.protocol}

## Figures

{figures}

## Limits

{limits}
"""
