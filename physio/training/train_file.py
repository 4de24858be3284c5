"""General training file: data, target, features, model, protocol, output."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from physio import config
from physio.core.affect import DIMENSIONS, scale_places
from physio.core.filename import valid_name
from physio.evaluation import splits
from physio.evaluation.folds import PAPER
from physio.evaluation.models.sklearn_config import ADAPTERS
from physio.inference.named_scales import ENDS
from physio.training.learner import Learner, as_learner
from physio.training.moments import FeatureSettings
from physio.training.sources import DataSource

TABLES: Final = ("data", "target", "features", "model", "protocol", "output")
LEARNERS: Final = {
    "gaussian": "physio.training.linear_learner:GaussianLearner",
    "ridge": "physio.training.linear_learner:RidgeLearner",
    "logistic": "physio.training.linear_learner:LogisticLearner",
    "encoder": "physio.training.encoder_learner:EncoderLearner",
    "pinn": "physio.training.pinn_learner:PinnLearner",
    "rbtransformer": "physio.training.rbtransformer_learner:RBTransformerLearner",
}
"""Short names of learners, for ``use``."""

NAMES: Final = {
    "leave-one-participant-out": "loso",
    "session-out": "cross-session",
    "blocks": "session-blocked",
}
"""Further names of protocols, for ``by``."""

K_FOLD: Final = "k-fold"


@dataclass(frozen=True)
class TargetSettings:
    """The table ``[target]``: either ratings or conditions.

    Parameters
    ----------
    ratings
        Ratings to learn, at most three: a list of names, as valence, arousal, dominance
        or any other scale, ``["stress"]``; or a table of names with the ratings of the
        data that they stand for, ``{ arousal = "sam.arousal" }``.
    scale
        Lowest and highest value of the ratings in the data; by default they lie on
        [-1, 1], as those of data sets and sessions do. A session gives scales other
        than valence, arousal and dominance on this range.
    conditions
        Classes to learn, and the conditions of each:
        ``{ stress = ["stress"], calm = ["baseline", "amusement"] }``.
    """

    ratings: tuple[str, ...] | Mapping[str, str] = ()
    scale: tuple[float, float] = (-1.0, 1.0)
    conditions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.ratings) == bool(self.conditions):
            raise ValueError("a target has either ratings or conditions")
        scale_places(tuple(self.columns))
        for name in self.columns:
            if not name.strip() or name.endswith((".missing", *ENDS[1:])):
                raise ValueError(
                    f"ratings: a scale cannot be named {name!r}, as columns of a "
                    "session end so"
                )
        if not self.scale[0] < self.scale[1]:
            raise ValueError(f"scale = {list(self.scale)} must go from low to high")
        if self.conditions and len(self.conditions) < 2:
            raise ValueError("conditions need at least two classes")

    @property
    def columns(self) -> dict[str, str]:
        """Name of the rating in the data, by scale, dimensions first."""
        given = self.ratings
        if not isinstance(given, Mapping):
            given = {name: name for name in given}
        order = [*DIMENSIONS, *given]
        return dict(sorted(given.items(), key=lambda item: order.index(item[0])))

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Conditions of each class, in the order of the file."""
        return {k: tuple(v) for k, v in self.conditions.items()}

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Those of valence, arousal and dominance that are learned."""
        return tuple(d for d in self.columns if d in DIMENSIONS)

    @property
    def named(self) -> dict[str, tuple[float, float]]:
        """Scales of other names, with their range."""
        return {d: self.scale for d in self.columns if d not in DIMENSIONS}

    def scaled(self, value: float) -> float:
        """Return a rating on [-1, 1]."""
        low, high = self.scale
        return (value - (low + high) / 2) / ((high - low) / 2)


@dataclass(frozen=True)
class ProtocolSettings:
    """The table ``[protocol]``: how participants, sessions or time are held out.

    Parameters
    ----------
    by
        ``leave-one-participant-out``, ``k-fold`` (groups of participants),
        ``session-out`` (each session in turn), ``blocks`` (blocks of consecutive
        segments within each session), or any protocol of `physio.evaluation.splits`
        whose name does not begin with ``paper-``.
    k
        Number of groups or blocks.
    lag
        Time by which a rating may lag behind what it rates (s): moments nearer to a
        tested block do not train, beside those that share its samples.
    held_out
        Participants whom nothing is trained or tested on: for a replay.
    """

    by: str = "leave-one-participant-out"
    k: int = 5
    lag: float = 0.0
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        name = NAMES.get(self.by, self.by)
        if name.startswith(PAPER):
            raise ValueError(f"by = {self.by!r} leaks: no weights are trained by it")
        if name not in (K_FOLD, *splits.PROTOCOLS):
            known = [*NAMES, K_FOLD, *splits.PROTOCOLS]
            raise ValueError(f"by = {self.by!r} must be one of {', '.join(known)}")
        if self.k < 2:
            raise ValueError(
                f"k = {self.k} must be 2 at least: one group or block is held out, and "
                "the others train"
            )

    def protocol(self, participants: int) -> splits.Protocol:
        """Return the protocol for a number of participants."""
        name = NAMES.get(self.by, self.by)
        if name == K_FOLD:
            return splits.LeaveSubjectsOut(-(-participants // self.k))
        if name == splits.SessionBlocked.name:
            return splits.SessionBlocked(self.k, self.lag)
        if name == splits.TrialBlocked.name:
            return splits.TrialBlocked(self.k)
        return splits.protocol(name)


@dataclass(frozen=True)
class OutputSettings:
    """The table ``[output]``.

    Parameters
    ----------
    name
        Name of the weights, and of their folder.
    controls
        Whether rival models are trained beside: the prior, the clock, motion alone and
        a linear regression.
    seed
        Seed of all random numbers.
    """

    name: str
    controls: bool = True
    seed: int = 23

    def __post_init__(self) -> None:
        valid_name(self.name, "a set of weights")


@dataclass(frozen=True)
class TrainingFile:
    """A general training file.

    Parameters
    ----------
    path
        The file.
    sources
        Its tables ``[data]``.
    target, features, protocol, output
        Its further tables.
    learner
        The model of the table ``[model]``.
    chains
        Tables of the session file that computes features.
    tables
        The content of the file.
    trust
        Packages, beside this library, that the file may name.
    """

    path: Path
    sources: tuple[DataSource, ...]
    target: TargetSettings
    features: FeatureSettings
    protocol: ProtocolSettings
    output: OutputSettings
    learner: Learner
    chains: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    trust: tuple[str, ...] = ()

    @property
    def personal(self) -> str:
        """Code of the only participant that the file names; empty for several."""
        codes = {c for s in self.sources for c in s.participants or ("", "*")}
        return codes.pop() if len(codes) == 1 else ""

    def with_columns(self, columns: tuple[tuple[str, str], ...]) -> "TrainingFile":
        """Return the file with these features."""
        return replace(self, features=replace(self.features, columns=columns))


def is_general(path: Path) -> bool:
    """Return whether a file is a general training file, not one with ``[training]``."""
    return "training" not in config.read(path)


def read_training(path: Path, trust: tuple[str, ...] = ()) -> TrainingFile:
    """Return the training that a general training file describes.

    Raises
    ------
    ValueError
        If a table or a value is missing or invalid; the message names the place, the
        value and what would be right.
    """
    tables = config.read(path)
    at = path.name
    config.allow(tables, TABLES, at, "a training file")
    for name in ("data", "target", "output"):
        if not tables.get(name):
            raise ValueError(
                f"{at}: a training file has a table [{name}]; `physio init train "
                "FOLDER` writes one"
            )
    features = _settings(FeatureSettings, tables, "features", at)
    chains: dict[str, Any] = {}
    if features.session:
        chains = config.read(path.parent / features.session)
    target = _settings(TargetSettings, tables, "target", at)
    return TrainingFile(
        path,
        tuple(_sources(tables["data"], at)),
        target,
        features,
        _settings(ProtocolSettings, tables, "protocol", at),
        _settings(OutputSettings, tables, "output", at),
        _learner(tables.get("model", {}), target, path, trust),
        chains,
        tables,
        trust,
    )


def _settings(kind: type, tables: Mapping[str, Any], name: str, at: str) -> Any:
    parts = tables.get(name, {})
    if not isinstance(parts, Mapping):
        raise ValueError(f"{at}: {name} = {parts!r} must be a table")
    place = f"{at}: {name}"
    return config.make(kind, config.build(parts, place), place)


def _sources(data: Any, at: str) -> Iterator[DataSource]:
    several = data if isinstance(data, list) else [data]
    for i, table in enumerate(several):
        place = f"{at}: data[{i}]" if isinstance(data, list) else f"{at}: data"
        if not isinstance(table, Mapping):
            raise ValueError(f"{place} = {table!r} must be a table")
        yield config.make(DataSource, config.build(table, place), place)


def _learner(
    table: Mapping[str, Any], target: TargetSettings, path: Path, trust: tuple[str, ...]
) -> Learner:
    """Return the learner of the table ``[model]``, a linear one by default."""
    at = f"{path.name}: model"
    default = "logistic" if target.conditions else "gaussian"
    use = str(table.get("use", default))
    built = config.build(
        {**table, "use": LEARNERS.get(use, use)}, at, trust, adapters=ADAPTERS
    )
    try:
        learner: Any = as_learner(built)
    except ValueError as error:
        raise ValueError(f"{at}: {error}") from None
    for name in getattr(learner, "files", ()):
        if given := getattr(learner, name):
            learner = replace(learner, **{name: str(path.parent / given)})
    trusting = getattr(learner, "trusting", None)
    trusted: Learner = learner if trusting is None else trusting(trust)
    return trusted
