"""A session file: what records, what is computed, where it goes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from physio import config
from physio.core.block import Info
from physio.core.join import Join
from physio.core.ports import Clock, Device, Sink
from physio.core.stage import Chain
from physio.online.engine import Plan, Reader

TABLES = ("session", "devices", "chains", "estimator", "sinks")


@dataclass(frozen=True)
class SessionSettings:
    """The ``[session]`` table.

    Parameters
    ----------
    person
        Code of the participant, never a name.
    rate
        Ticks and estimates a second (Hz).
    patience
        After how many seconds without a sample a stream is declared silent.
    consent
        Name and version of the consent text that was given.
    """

    person: str = ""
    rate: Fraction = Fraction(4)
    patience: float = 1.0
    consent: str = ""

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"rate must be above 0 Hz, not {self.rate}")
        if self.patience <= 0:
            raise ValueError(f"patience must be above 0 s, not {self.patience}")


@dataclass(frozen=True)
class SessionFile:
    """A session as its file describes it.

    Parameters
    ----------
    tables
        The file as `tomllib` gives it.
    at
        The file's name, for messages.
    trust
        Packages that ``use`` may name beside our own.
    """

    tables: Mapping[str, Any] = field(default_factory=dict)
    at: str = "config"
    trust: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        config.allow(self.tables, TABLES, self.at, "a session file")
        for name in ("devices", "chains", "sinks"):
            for key, value in self.table(name).items():
                if not isinstance(value, Mapping):
                    raise ValueError(
                        f"{self.at}: {name}.{key} = {value!r} must be a table, "
                        f"[{name}.{key}]"
                    )

    def table(self, name: str) -> Mapping[str, Any]:
        """Return one of the file's tables, empty if it is not there."""
        found = self.tables.get(name, {})
        if not isinstance(found, Mapping):
            raise ValueError(f"{self.at}: {name} = {found!r} must be a table, [{name}]")
        return found

    @property
    def session(self) -> SessionSettings:
        """The ``[session]`` table."""
        at = f"{self.at}: session"
        parts = self.table("session")
        made: SessionSettings = config.make(SessionSettings, parts, at)
        return made

    def devices(self, clock: Clock) -> list[Device]:
        """Return the devices, not open yet, on ``clock``."""
        given = {"clock": clock, "person": self.session.person}
        return self._built("devices", given)

    def sinks(self, given: Mapping[str, Any]) -> list[Sink]:
        """Return the sinks, not open yet; ``given`` fills the fields that they have."""
        return self._built("sinks", given)

    def plan(self) -> Plan:
        """Return what is to be computed."""
        chains = {
            name: self._reader(name, table)
            for name, table in self.table("chains").items()
        }
        table = dict(self.table("estimator"))
        at = f"{self.at}: estimator"
        estimator = config.build(table, at, self.trust) if table else Chain()
        settings = self.session
        join = Join(rate=settings.rate)
        return Plan(chains, join, estimator, settings.patience)

    def _reader(self, name: str, table: Mapping[str, Any]) -> Reader:
        at = f"{self.at}: chains.{name}"
        parts = {k: config.build(v, f"{at}.{k}", self.trust) for k, v in table.items()}
        reader: Reader = config.make(Reader, parts, at)
        return reader

    def _built(self, kind: str, given: Mapping[str, Any]) -> list[Any]:
        return [
            config.build(
                value, f"{self.at}: {kind}.{key}", self.trust, {**given, "name": key}
            )
            for key, value in self.table(kind).items()
        ]


def read(path: Path, trust: tuple[str, ...] = ()) -> SessionFile:
    """Return the session that a TOML file describes."""
    return SessionFile(config.read(path), path.name, trust)


# Which chains read which kind of channel, if nothing else is said.
_CHAINS: Mapping[str, tuple[str, Sequence[str]]] = {
    "eeg": ("eeg", ("artifact:EegQuality", "eeg:DifferentialEntropy")),
    "gsr": ("skin", ()),
}


def suit(streams: Iterable[Info]) -> dict[str, Any]:
    """Return the tables of chains that suit ``streams``: features of each sensor."""
    del streams
    return {}
