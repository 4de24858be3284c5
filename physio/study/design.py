"""The plan of a study: conditions, questionnaires, exclusions, contrasts, hash."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

from physio import config
from physio.core.filename import valid_name
from physio.offline.exclusions import Exclusion
from physio.offline.table_methods import is_measure
from physio.study import questionnaires
from physio.study.questionnaires import Questionnaire

SHOWN: Final = ("scl", "scr_per_minute", "mean_heart_rate", "prv_rmssd")
TABLES: Final = ("study", "conditions", "contrasts", "exclusions")


@dataclass(frozen=True)
class Settings:
    """The ``[study]`` table.

    Parameters
    ----------
    name
        Short name for files and recordings.
    participants
        Planned number of participants.
    consent
        Name and version of the consent text.
    scope
        Uses that participants agree to.
    seed
        Seed of the orders.
    session
        Session file with the devices, beside the study file.
    preflight
        True to begin sessions with the checks of `physio.study.preflight`.
    baseline
        Condition from which the differences in the table are taken; empty for none.
    """

    name: str
    participants: int
    consent: str
    scope: tuple[str, ...] = ("recording", "analysis")
    seed: int = 1
    session: str = "session.toml"
    preflight: bool = True
    baseline: str = ""

    def __post_init__(self) -> None:
        if self.participants < 1:
            raise ValueError(
                f"a study has at least one participant, not {self.participants}"
            )
        if not self.name or not self.consent:
            raise ValueError("a study has a name and a consent text, not empty ones")
        valid_name(self.session, "a session file")
        if not self.session.endswith(".toml") or self.session == "study.toml":
            raise ValueError(
                f"session = {self.session!r} must be another TOML file beside the "
                "study file"
            )


@dataclass(frozen=True)
class Condition:
    """A table ``[conditions.NAME]``.

    Parameters
    ----------
    seconds
        Duration (s).
    prompt
        Instruction shown to the participant.
    place
        ``first`` or ``last`` for all participants, or ``balanced`` over them.
    questionnaires
        Questionnaires after the condition.
    """

    seconds: float
    prompt: str = ""
    place: Literal["first", "balanced", "last"] = "balanced"
    questionnaires: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise ValueError(f"a condition lasts more than 0 s, not {self.seconds:g}")


@dataclass(frozen=True)
class Contrast:
    """A table of ``[[contrasts]]``, planned before the first participant.

    Parameters
    ----------
    of, against
        Two conditions; the contrast is the first minus the second, within participants.
    outcomes
        Names of measures, as of `physio table`, or of scores: ``sam.arousal``.
    """

    of: str
    against: str
    outcomes: tuple[str, ...]


@dataclass(frozen=True)
class Design:
    """The plan of a study.

    Parameters
    ----------
    study, conditions, contrasts, exclusions
        The tables of the study file.
    tables
        The content of the study file.
    folder
        Folder of the study file, with the wording of questionnaires that others own.
    """

    study: Settings
    conditions: Mapping[str, Condition]
    contrasts: tuple[Contrast, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    tables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    folder: Path = Path()

    def __post_init__(self) -> None:
        if not self.conditions:
            raise ValueError("a study has conditions: add a table [conditions.NAME]")
        named = [("a contrast", c) for k in self.contrasts for c in (k.of, k.against)]
        if self.study.baseline:
            named.append(("the baseline", self.study.baseline))
        for kind, name in named:
            if name not in self.conditions:
                raise ValueError(
                    f"{kind} names the condition {name!r}; the study has "
                    f"{', '.join(self.conditions)}"
                )
        for contrast in self.contrasts:
            for name in contrast.outcomes:
                _check_measure(name)
        for condition in self.conditions.values():
            for name in condition.questionnaires:
                self.questionnaire(name)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a study file.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        ValueError
            If a key or a value is invalid.
        """
        tables = config.read(path)
        at = path.name
        config.allow(tables, TABLES, at, "a study file")
        for table in ("study", "conditions"):
            if not isinstance(tables.get(table), dict):
                raise ValueError(f"{at}: a study file needs a table [{table}]")
        conditions = {
            name: _from_table(Condition, parts, f"{at}: conditions.{name}")
            for name, parts in tables["conditions"].items()
        }
        several: list[tuple[Any, ...]] = []
        for kind, key in ((Contrast, "contrasts"), (Exclusion, "exclusions")):
            rows = tables.get(key, [])
            if not isinstance(rows, list):
                raise ValueError(f"{at}: {key} is a list of tables, [[{key}]]")
            several.append(
                tuple(
                    _from_table(kind, parts, f"{at}: {key}[{i}]")
                    for i, parts in enumerate(rows)
                )
            )
        settings = _from_table(Settings, tables["study"], f"{at}: study")
        try:
            return cls(
                settings, conditions, several[0], several[1], tables, path.parent
            )
        except ValueError as error:
            raise ValueError(f"{at}: {error}") from None

    def questionnaire(self, name: str) -> Questionnaire:
        """Return a questionnaire with its wording; errors as of `with_wording`."""
        return questionnaires.with_wording(name, self.folder)

    @property
    def worded(self) -> tuple[str, ...]:
        """Names of the questionnaires whose wording lies beside the study file."""
        asked = {n for c in self.conditions.values() for n in c.questionnaires}
        return tuple(n for n in sorted(asked) if questionnaires.load(n).rights)

    @property
    def hash(self) -> str:
        """SHA-256 of the content and wording, without white space and comments."""
        content = dict(self.tables)
        for name in self.worded:
            asked = self.questionnaire(name)
            content[f"{name}.toml"] = [*asked.anchors, *asked.items.values()]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def placed(self, place: str) -> tuple[str, ...]:
        """Return the conditions of a place."""
        return tuple(n for n, c in self.conditions.items() if c.place == place)


def _from_table(kind: type, parts: Any, at: str) -> Any:
    """Return the settings of a table of the file."""
    if not isinstance(parts, dict):
        raise ValueError(f"{at} = {parts!r} must be a table")
    return config.make(kind, config.build(parts, at), at)


def _check_measure(name: str) -> None:
    """Raise ValueError if a name is neither a measure nor a score."""
    stem = name.partition(".")[0]
    if is_measure(name) or stem in questionnaires.questionnaire_names():
        return
    raise ValueError(
        f"a contrast names the outcome {name!r}, which is no measure of a table "
        f"({', '.join(SHOWN)} ...) and no score"
    )
