"""Trained weights on disk: arrays, and a model card that describes them."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialize

import physio.assets
from physio import config
from physio.core.block import Origin
from physio.models.base import Arrays, Model

STORE: Final = Path(physio.assets.__file__).parent / "weights"
"""Folder of the shipped weights."""

_BASELINE: Final = ("mean", "between", "within", "memory", "seconds")
LIMIT: Final = 3_000_000  # bytes, largest weights file


@dataclass(frozen=True)
class ModelCard:
    """Description of weights: model, features, training data, evaluation and limits.

    It has 16 fields because a reader looks for each of these facts by its name.

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
        Hash of the weights file.
    sd_limits
        Largest standard deviation, column ``<name>.sd``, at which a feature counts:
        see `physio.models.sd_limits.SdLimits`.
    participant
        Code of the only participant that the weights are for; empty for all.
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
        """Return the model; parameters and errors as of `model_class`."""
        return self.model_class(trust).restore(self.card.config, self.part("model"))


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
    shipped = re.fullmatch(r"[a-z0-9-]+", name) is not None
    folder = STORE / name if shipped else Path(name)
    card = folder / "card.json"
    if not card.is_file():
        raise ValueError(
            f"there are no weights {name!r}: give the name of shipped weights "
            f"({', '.join(shipped_names()) or 'none'}) or the path of a "
            f"folder, which needs a '/' in it: './{name}'"
        )
    return _load(folder, card.stat().st_mtime_ns)


def shipped_names() -> tuple[str, ...]:
    """Return the names of the shipped weights."""
    return tuple(sorted(p.parent.name for p in STORE.glob("*/card.json")))


def save(folder: Path, card: ModelCard, arrays: Arrays) -> Weights:
    """Write weights: ``weights.safetensors``, ``card.json``, and ``CARD.md``.

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
    (folder / "CARD.md").write_text(to_markdown(folder.name, card), "utf-8")
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
        raise ValueError(f"{path} does not match its card: its sha256 differs")
    arrays = parse(raw)
    _check(folder, arrays, len(raw))
    n = len(card.columns)
    shapes = {"prior.mean": (3,), "prior.sd": (3,)}
    shapes |= {f"rest.{k}": (n,) for k in _BASELINE}
    for key, shape in shapes.items():
        if key not in arrays or arrays[key].shape != shape:
            raise ValueError(f"{path} must hold {key!r} of shape {shape}")
    return Weights(folder.name, card, arrays)


def _check(folder: Path, arrays: Arrays, size: int) -> None:
    if size > LIMIT:
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
    for column, largest in card.sd_limits.items():
        columns += f"; {column} where {column}.sd is at most {largest:g}"
    return f"""# {name}

{card.data}

| | |
|---|---|
| model | `{card.use}` |
| trained on | **{card.origin} participants** |{whose}
| estimates | {", ".join(card.supports) or _conditions(card)} |
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


def _conditions(card: ModelCard) -> str:
    """Return the conditions whose odds a model without ratings estimates."""
    return "odds of " + ", ".join(map(str, card.config.get("classes", ())))
