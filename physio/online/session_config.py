"""Session file: devices, chains, estimator and sinks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

from physio import config
from physio.core import filename
from physio.core.aligner import TickGrid
from physio.core.block import StreamInfo
from physio.core.json_table import json_table
from physio.core.protocols import Clock, Device, Sink
from physio.core.recording import Recording
from physio.core.stage import Chain, Stage
from physio.inference.estimator import Estimator
from physio.io.channel_table import ChannelTable
from physio.models import model_card
from physio.models.model_card import CHAINS
from physio.online.chain_runner import ChainConfig
from physio.online.corrected_device import corrected_devices
from physio.online.default_pipeline import default_estimator, on_demand_chains
from physio.online.engine import PipelineConfig
from physio.online.rules import Rule, parse_rules
from physio.online.shipped_chains import default_chains, import_stages
from physio.online.weights_chains import named_weights, weights_chains

XDF: Final = "physio.sinks.xdf:Xdf"
EXAMPLE: Final = {"devices": "devices.board:Board", "sinks": XDF}
_SECRET: Final = "token"  # setting of a sink that is stored nowhere
TABLES: Final = (
    "session", "devices", "channels", "chains", "estimator", "rules", "sinks",
)  # fmt: skip
SINKS: Final = {
    "callback": "physio.sinks.callback:Callback",
    "http": "physio.view.http_api:Http",
    "jsonl": "physio.sinks.jsonl:JsonLines",
    "lsl": "physio.sinks.lsl:Lsl",
    "osc": "physio.sinks.osc:Osc",
    "ttl": "physio.sinks.ttl:Ttl",
}
"""Short names of sinks: ``[sinks.osc]`` needs no ``use``, another name ``use = "osc"``.
"""

_ESTIMATOR: Final = "physio.inference.estimator:Estimator"
COMPUTING: Final = (
    "physio.core.aligner",
    "physio.core.stage",
    "physio.dsp",
    "physio.features",
    "physio.quality",
    "physio.inference.estimator",
    "physio.inference.expert",
)
"""Modules whose classes a recording's configuration may name."""

_INSTEAD: Final = "name the chains and the estimator in a session file with --config"
_DEEPEST: Final = 24  # nesting of tables in a recording's configuration

MAX_RATE: Final = 100
"""Largest rate of ticks and estimates (Hz): each tick is a row of every table."""

RESERVED: Final = ("features", "estimates", "session")
"""Names that devices must not have, as they are prefixes of the session's streams."""


@dataclass(frozen=True)
class SessionSettings:
    """The ``[session]`` table.

    Parameters
    ----------
    participant
        Code of the participant, never a name.
    rate
        Rate of ticks and estimates (Hz), at most `MAX_RATE`.
    stall_timeout
        Time without a sample after which a stream is declared silent (s).
    consent
        Name and version of the consent text.
    realtime
        Whether the loop requests real-time scheduling: see `physio.online.scheduling`.
    record
        Whether the session is recorded; only False disables the recording.
    """

    participant: str = ""
    rate: Fraction = Fraction(4)
    stall_timeout: float = 0.9  # so that a stall is reported within a second
    consent: str = ""
    realtime: bool = False
    record: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.rate <= MAX_RATE:
            raise ValueError(
                f"rate must be above 0 Hz and at most {MAX_RATE} Hz, "
                f"not {float(self.rate):g}"
            )
        if self.stall_timeout <= 0:
            raise ValueError(
                f"stall_timeout must be above 0 s, not {self.stall_timeout}"
            )


@dataclass(frozen=True)
class SessionConfig:
    """Configuration of a session, as in a session file.

    Parameters
    ----------
    tables
        Tables of the file, as `tomllib` returns them.
    at
        Name of the file, for messages.
    trust
        Packages, beside this library, that ``use`` and the cards of weights may name.
    computes
        Whether to use defaults for chains and an estimator missing from the file.
    channels_at
        Place of the table of channels, for messages, if it is of another file.
    """

    tables: Mapping[str, Any] = field(default_factory=dict)
    at: str = "config"
    trust: tuple[str, ...] = ()
    computes: bool = True
    channels_at: str = ""

    def __post_init__(self) -> None:
        config.allow(self.tables, TABLES, self.at, "a session file")
        for name, entry in (
            ("devices", "device"),
            ("chains", "chain"),
            ("sinks", "sink"),
        ):
            for key, value in self.table(name).items():
                filename.valid_name(key, f"{self.at}: a {entry}")
                if not isinstance(value, Mapping):
                    raise ValueError(
                        f"{self.at}: {name}.{key} = {value!r} must be a table, "
                        f"[{name}.{key}]"
                    )
                for text in _names(name, value):
                    filename.valid_name(text, f"{self.at}: {name}.{key}: a {entry}")
        for key in RESERVED:
            if key in self.table("devices"):
                raise ValueError(
                    f"{self.at}: no device may be called {key!r}, as streams of the "
                    f"session are: {', '.join(RESERVED)}"
                )

    def table(self, name: str) -> Mapping[str, Any]:
        """Return a table of the file, empty if missing."""
        table = self.tables.get(name, {})
        if not isinstance(table, Mapping):
            raise ValueError(f"{self.at}: {name} = {table!r} must be a table, [{name}]")
        if name == "sinks":
            return {key: _with_use(key, value) for key, value in table.items()}
        return table

    def with_session(self, **settings: Any) -> Self:
        """Return a copy with other values in its ``[session]`` table."""
        tables = dict(self.tables)
        tables["session"] = {**self.table("session"), **settings}
        return replace(self, tables=tables)

    def with_sinks(self, sinks: Mapping[str, Any]) -> Self:
        """Return a copy with additional ``sinks``.

        A sink whose class occurs in the file keeps the settings of the file. The
        recording is always included, unless ``record = false``.

        Raises
        ------
        ValueError
            If the file names a recording and has ``record = false``.
        """
        record = self.session.record
        every = dict(self.table("sinks"))
        uses = {key: value.get("use") for key, value in every.items()}
        for key, use in uses.items():
            if use == XDF and not record:
                raise ValueError(
                    f"{self.at}: session.record = false leaves no recording, but "
                    f"sinks.{key} is one: remove one of the two"
                )
        for key, value in sinks.items():
            use = value["use"]
            if use in uses.values() or (use == XDF and not record):
                continue
            names = (f"{key}{i or ''}" for i in (0, *range(2, 100)))
            every[next(n for n in names if n not in every)] = value
        return replace(self, tables={**self.tables, "sinks": every})

    def recording_only(self) -> Self:
        """Return a copy without computation, and with a recording as the only sink.

        Raises
        ------
        ValueError
            If the file has ``record = false``.
        """
        if not self.session.record:
            raise ValueError(
                f"{self.at}: session.record = false, but this only records: remove "
                "that line"
            )
        recordings = {
            k: v for k, v in self.table("sinks").items() if v.get("use") == XDF
        }
        names = ("session", "devices", "channels")
        tables = {key: self.table(key) for key in names if self.table(key)}
        sinks = recordings or {"recording": {"use": XDF}}
        return replace(self, tables={**tables, "sinks": sinks}, computes=False)

    @property
    def session(self) -> SessionSettings:
        """The ``[session]`` table."""
        at = f"{self.at}: session"
        parts = self.table("session")
        settings: SessionSettings = config.make(SessionSettings, parts, at)
        return settings

    @property
    def channels(self) -> ChannelTable:
        """The ``[channels]`` table: corrections of streams."""
        at = self.channels_at or f"{self.at}: channels"
        return ChannelTable.parse(self.table("channels"), at)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The ``[rules]`` table."""
        return parse_rules(self.table("rules"), f"{self.at}: rules")

    def devices(self, clock: Clock) -> list[Device]:
        """Return the devices, not yet open, with the clock ``clock``.

        Their streams are corrected by the table of channels.

        Raises
        ------
        ValueError
            If a setting is not valid, or the table names a stream of no device.
        """
        given = {"clock": clock, "participant": self.session.participant}
        devices: list[Device] = self._built("devices", given)
        return corrected_devices(devices, self.channels, clock)

    def sinks(self, given: Mapping[str, Any]) -> list[Sink]:
        """Return the sinks, not yet open; ``given`` sets the fields that they have."""
        return self._built("sinks", given)

    def plan(
        self, streams: Sequence[StreamInfo], *, demo_weights: bool = False
    ) -> PipelineConfig:
        """Return the computation on ``streams``.

        Without chains in the file, the default chains of the streams are used; without
        an estimator, the shipped weights that suit the features. With several
        participants, each has separate chains and a separate estimator. Nothing is
        built or compiled here; the engine does that.

        Parameters
        ----------
        streams
            The streams of the devices.
        demo_weights
            Whether weights trained on simulated participants may be used on measured
            input.
        """
        tables = _flat(self.table("chains"))
        if not tables and self.computes:
            tables = default_chains(streams, on_demand_chains(self.table("estimator")))
        tables = {**self._weights_chains(streams), **tables}
        chains = {name: self._reader(name, table) for name, table in tables.items()}
        settings = self.session
        plan = PipelineConfig(
            chains,
            TickGrid(rate=settings.rate),
            stall_timeout=settings.stall_timeout,
            rules=self.rules,
        )
        estimators = {
            participant: self._estimator(
                plan.of(participant), streams, participant, demo_weights=demo_weights
            )
            for participant in plan.participants
        }
        if plan.participants == ("",):
            return replace(plan, estimator=estimators[""])
        return replace(plan, estimators=estimators)

    def _weights_chains(self, streams: Sequence[StreamInfo]) -> dict[str, Any]:
        """Return the chains that the named weights bring and the file does not have."""
        if not self.computes:
            return {}
        given = {name.rpartition(".")[2] for name in _flat(self.table("chains"))}
        names = [
            name for name in dict.fromkeys(named_weights(self.table("estimator")))
            if not set(model_card.load(name).chains) <= given
        ]  # fmt: skip
        for name in names:
            tables = dict(model_card.load(name).chains)
            _only_computing(tables, f"the weights {name!r}: {CHAINS}", self.trust)
        return weights_chains(names, streams)

    def prepare(self) -> None:
        """Build the chains and the estimator of the file, and import what they need.

        No stream is needed for this, so that it can be done while devices open.

        Raises
        ------
        ValueError
            If one of them is not valid.
        """
        chains = _flat(self.table("chains"))
        if self.computes and not chains:
            import_stages()
        for name, table in chains.items():
            self._reader(name, table)
        table = self.table("estimator")
        for part in (table,) if "use" in table else table.values():
            config.build(part, f"{self.at}: estimator", self.trust)

    def _estimator(
        self,
        plan: PipelineConfig,
        streams: Sequence[StreamInfo],
        participant: str,
        *,
        demo_weights: bool,
    ) -> Any:
        """Return the estimator of one participant."""
        table, at = self.table("estimator"), f"{self.at}: estimator"
        if "use" not in table and isinstance(table.get(participant), Mapping):
            table, at = table[participant], f"{at}.{participant}"
        if table:
            estimator = _with_trust(config.build(table, at, self.trust), self.trust)
        else:
            estimator = default_estimator(plan, streams)
        if demo_weights and isinstance(estimator, Estimator):
            estimator = replace(estimator, demo_weights=True)
        return estimator

    def resolved(self, plan: PipelineConfig) -> dict[str, Any]:
        """Return the tables with explicit default values, without tokens of sinks."""
        chains: dict[str, Any] = {}
        for name, r in plan.chains.items():
            participant = r.participant
            target = chains.setdefault(participant, {}) if participant else chains
            chain = name.removeprefix(PipelineConfig.key(participant, ""))
            joined = {"joined": list(r.joined), "rate": r.rate} if r.joined else {}
            stages = config.describe(r.stages)
            target[chain] = {"stream": r.stream, **joined, "stages": stages}
        estimators = {p: config.describe(e) for p, e in plan.estimators.items()}
        session = config.describe(self.session)
        del session["use"]
        return {
            "session": session,
            "devices": dict(self.table("devices")),
            **({"channels": self.channels.to_table()} if self.channels else {}),
            "chains": chains,
            "estimator": estimators or config.describe(plan.estimator),
            **({"rules": _rule_tables(plan.rules)} if plan.rules else {}),
            "sinks": {
                name: {k: v for k, v in sink.items() if k != _SECRET}
                for name, sink in self.table("sinks").items()
            },
        }

    def _reader(self, name: str, table: Mapping[str, Any]) -> ChainConfig:
        at = f"{self.at}: chains.{name}"
        parts = {k: config.build(v, f"{at}.{k}", self.trust) for k, v in table.items()}
        reader: ChainConfig = config.make(ChainConfig, parts, at)
        return reader

    def _built(self, kind: str, given: Mapping[str, Any]) -> list[Any]:
        for key, value in self.table(kind).items():
            if "use" not in value:
                raise ValueError(
                    f"{self.at}: {kind}.{key} needs a key 'use', an import path like "
                    f"{EXAMPLE[kind]!r}{_or_short(kind)}"
                )
        return [
            config.build(
                value, f"{self.at}: {kind}.{key}", self.trust, {**given, "name": key}
            )
            for key, value in self.table(kind).items()
        ]


def read(path: Path, trust: tuple[str, ...] = ()) -> SessionConfig:
    """Return the session that a TOML file describes, or a folder of weights alone.

    Of a folder of weights, it is the session with these weights, and no device.
    """
    if (path / "card.json").is_file():
        weights = f"{path.as_posix()}/" if "/" not in path.as_posix() else str(path)
        estimator = {"use": _ESTIMATOR, "experts": [{"weights": weights}]}
        return SessionConfig({"estimator": estimator}, path.name, trust)
    return SessionConfig(config.read(path), path.name, trust)


def recorded(recording: Recording, trust: tuple[str, ...] = ()) -> SessionConfig | None:
    """Return the chains and the estimator in a recording's configuration, or None.

    The rate of ticks and the stall timeout are included, because they affect the
    results. All other settings are ignored, as recordings are not trusted: devices and
    sinks are not read, and ``use`` may name only `COMPUTING` modules. The configuration
    of a session without computation leaves chains and estimator undefined.

    Parameters
    ----------
    recording
        The recording.
    trust
        Additional packages that ``use`` may name.

    Raises
    ------
    ValueError
        If the configuration has no valid chains and estimator.
    """
    if "config" not in recording.metadata:
        return None
    at = "the recording's config"
    tables = json_table(recording.metadata["config"])
    if tables is None:
        raise ValueError(
            f"{at} holds no tables of settings, or they are nested too deep; {_INSTEAD}"
        )
    session = tables.get("session", {})
    if not isinstance(session, dict):
        raise ValueError(f"{at}: session must be a table; {_INSTEAD}")
    computed: dict[str, Any] = {
        "session": {k: session[k] for k in ("rate", "stall_timeout") if k in session}
    }
    if tables.get("chains") and "patience" in session:
        raise ValueError(
            f"{at} was written by version 0.1, and its chains and estimator have other "
            f"names now; {_INSTEAD}"
        )
    if tables.get("chains"):
        parts = ("chains", "estimator")
        computed |= {k: tables[k] for k in parts if k in tables}
        for part in parts:
            _only_computing(computed.get(part, {}), f"{at}: {part}", trust)
    if "rules" in tables:
        computed["rules"] = tables["rules"]  # plain texts and numbers
    return SessionConfig(computed, at, trust)


def _only_computing(
    value: Any, at: str, trust: tuple[str, ...], depth: int = 0
) -> None:
    """Refuse tables that name a class outside `COMPUTING` and the trusted packages."""
    if depth > _DEEPEST:
        raise ValueError(f"{at.partition('.')[0]} is nested too deep; {_INSTEAD}")
    if isinstance(value, list):
        for i, part in enumerate(value):
            _only_computing(part, f"{at}[{i}]", trust, depth + 1)
    if not isinstance(value, Mapping):
        return
    for key, part in value.items():
        _only_computing(part, f"{at}.{key}", trust, depth + 1)
    if "use" not in value:
        return
    module = str(value["use"]).partition(":")[0]
    allowed = (*COMPUTING, *trust)
    if not any(module == m or module.startswith(f"{m}.") for m in allowed):
        raise ValueError(
            f"{at}: use = {value['use']!r} is no stage, and a recording may name "
            f"nothing else; {_INSTEAD}"
        )


def _with_use(key: str, table: Any) -> Any:
    """Return the table of a sink whose ``use`` is an import path, not a short name."""
    if not isinstance(table, Mapping):
        return table
    use = table.get("use", key if key in SINKS else None)
    if use is None:
        return table
    return {
        "use": SINKS.get(use, use) if isinstance(use, str) else use,
        **{k: v for k, v in table.items() if k != "use"},
    }


def _or_short(kind: str) -> str:
    return f" or one of {', '.join(SINKS)}" if kind == "sinks" else ""


def _rule_tables(rules: Sequence[Rule]) -> dict[str, dict[str, Any]]:
    """Return the tables that `physio.online.rules.parse_rules` reads."""
    tables = {}
    for rule in rules:
        table = config.describe(rule)
        tables[rule.name] = {k: v for k, v in table.items() if k not in {"use", "name"}}
    return tables


def _names(kind: str, table: Mapping[str, Any]) -> list[str]:
    """Return the name of a table, or the names of a participant's chains in it."""
    if kind == "chains":
        return [k for k, v in table.items() if isinstance(v, Mapping)]
    return [v for k, v in table.items() if k == "name" and isinstance(v, str)]


def _flat(chains: Mapping[str, Any]) -> dict[str, Any]:
    """Return chains by key; chains in a participant's table have the code as prefix."""
    flat: dict[str, Any] = {}
    for key, table in chains.items():
        if _is_participant(table):
            for name, part in table.items():
                chain = {**part, "participant": key}
                flat[PipelineConfig.key(key, name)] = chain
        else:
            flat[key] = table
    return flat


def _is_participant(table: Mapping[str, Any]) -> bool:
    """Return whether a table contains a participant's chains and is not a chain."""
    if not table or not {"stream", "stages"}.isdisjoint(table):
        return False
    return all(isinstance(part, Mapping) for part in table.values())


def _with_trust(stage: Stage, trust: tuple[str, ...]) -> Stage:
    """Return a stage whose experts may have models of the trusted packages."""
    if isinstance(stage, Estimator):
        return stage.trusting(trust)
    if isinstance(stage, Chain):
        return replace(stage, stages=tuple(_with_trust(s, trust) for s in stage.stages))
    return stage
