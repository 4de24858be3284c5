"""A session file: what records, what is computed, where it goes."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

import physio.assets
from physio import config
from physio.core import filename
from physio.core.aligner import TickGrid
from physio.core.block import Origin, StreamInfo
from physio.core.protocols import Clock, Device, Sink
from physio.core.recording import Recording
from physio.core.stage import Chain
from physio.inference.estimator import Estimator, Expert
from physio.models import model_card
from physio.online.engine import ChainConfig, PersonPipeline, PipelineConfig

CHAINS: Final = Path(physio.assets.__file__).parent / "chains.toml"
XDF: Final = "physio.sinks.xdf:Xdf"
EXAMPLE: Final = {"devices": "devices.board:Board", "sinks": XDF}
PUBLISHED: Final = "published-"
"""What the names of weights begin with that were trained on effects as published."""

TABLES: Final = ("session", "devices", "chains", "estimator", "sinks")
COMPUTING: Final = (
    "physio.core.aligner",
    "physio.core.stage",
    "physio.dsp",
    "physio.features",
    "physio.inference.estimator",
    "physio.inference.expert",
)
"""Where the classes are that ``use`` may name in what a recording carries."""

_INSTEAD: Final = "a session file, --config, can say instead what is to be computed"
_DEEPEST: Final = 24  # tables within tables, of what a recording carries

OWN: Final = ("features", "estimates", "session")
"""What no device may be called: the session's own streams begin with it."""


@dataclass(frozen=True)
class SessionSettings:
    """The ``[session]`` table.

    Parameters
    ----------
    participant
        Code of the participant, never a name.
    rate
        Ticks and estimates a second (Hz).
    patience
        After how many seconds without a sample a stream is declared silent.
    consent
        Name and version of the consent text that was given.
    realtime
        Whether the loop asks for real-time scheduling: see `physio.online.scheduling`.
    record
        Whether the session is recorded: only False leaves the recording out.
    """

    participant: str = ""
    rate: Fraction = Fraction(4)
    stall_timeout: float = 0.9  # so that a stall is told within a second
    consent: str = ""
    realtime: bool = False
    record: bool = True

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"rate must be above 0 Hz, not {self.rate}")
        if self.stall_timeout <= 0:
            raise ValueError(f"patience must be above 0 s, not {self.stall_timeout}")


@dataclass(frozen=True)
class SessionConfig:
    """A session as its file describes it.

    Parameters
    ----------
    tables
        The file as `tomllib` gives it.
    at
        The file's name, for messages.
    trust
        Packages that ``use`` may name beside our own.
    computes
        Whether chains and an estimator that the file does not name are chosen.
    """

    tables: Mapping[str, Any] = field(default_factory=dict)
    at: str = "config"
    trust: tuple[str, ...] = ()
    computes: bool = True

    def __post_init__(self) -> None:
        config.allow(self.tables, TABLES, self.at, "a session file")
        for name, what in (
            ("devices", "device"),
            ("chains", "chain"),
            ("sinks", "sink"),
        ):
            for key, value in self.table(name).items():
                filename.plain(key, f"{self.at}: a {what}")
                if not isinstance(value, Mapping):
                    raise ValueError(
                        f"{self.at}: {name}.{key} = {value!r} must be a table, "
                        f"[{name}.{key}]"
                    )
                for text in _names(name, value):
                    filename.plain(text, f"{self.at}: {name}.{key}: a {what}")
        for key in OWN:
            if key in self.table("devices"):
                raise ValueError(
                    f"{self.at}: no device may be called {key!r}, as streams of the "
                    f"session are: {', '.join(OWN)}"
                )

    def table(self, name: str) -> Mapping[str, Any]:
        """Return one of the file's tables, empty if it is not there."""
        found = self.tables.get(name, {})
        if not isinstance(found, Mapping):
            raise ValueError(f"{self.at}: {name} = {found!r} must be a table, [{name}]")
        return found

    def with_session(self, **settings: Any) -> Self:
        """Return this with other values in its ``[session]`` table."""
        tables = dict(self.tables)
        tables["session"] = {**self.table("session"), **settings}
        return replace(self, tables=tables)

    def with_sinks(self, sinks: Mapping[str, Any]) -> Self:
        """Return this with ``sinks`` beside its own.

        One whose class it names itself stays as it is there. Whatever it names, the
        recording is among them, unless ``record = false`` says otherwise.

        Raises
        ------
        ValueError
            If it names a recording and says that there is to be none.
        """
        record = self.session.record
        every = dict(self.table("sinks"))
        uses = {key: value.get("use") for key, value in every.items()}
        for key, use in uses.items():
            if use == XDF and not record:
                raise ValueError(
                    f"{self.at}: session.record = false leaves no recording, but "
                    f"sinks.{key} is one: take one of the two away"
                )
        for key, value in sinks.items():
            use = value["use"]
            if use in uses.values() or (use == XDF and not record):
                continue
            names = (f"{key}{i or ''}" for i in (0, *range(2, 100)))
            every[next(n for n in names if n not in every)] = value
        return replace(self, tables={**self.tables, "sinks": every})

    def recording_only(self) -> Self:
        """Return this with nothing computed, and a recording as its one sink.

        Raises
        ------
        ValueError
            If it says that there is to be none.
        """
        if not self.session.record:
            raise ValueError(
                f"{self.at}: session.record = false, and nothing is done here but to "
                "record: take it away"
            )
        own = {k: v for k, v in self.table("sinks").items() if v.get("use") == XDF}
        tables = {"session": self.table("session"), "devices": self.table("devices")}
        sinks = own or {"recording": {"use": XDF}}
        return replace(self, tables={**tables, "sinks": sinks}, computes=False)

    @property
    def session(self) -> SessionSettings:
        """The ``[session]`` table."""
        at = f"{self.at}: session"
        parts = self.table("session")
        made: SessionSettings = config.make(SessionSettings, parts, at)
        return made

    def devices(self, clock: Clock) -> list[Device]:
        """Return the devices, not open yet, on ``clock``."""
        given = {"clock": clock, "participant": self.session.participant}
        return self._built("devices", given)

    def sinks(self, given: Mapping[str, Any]) -> list[Sink]:
        """Return the sinks, not open yet; ``given`` fills the fields that they have."""
        return self._built("sinks", given)

    def plan(
        self, streams: Sequence[StreamInfo], *, demo_weights: bool = False
    ) -> PipelineConfig:
        """Return what is to be computed from ``streams``.

        Where the file has no chains, those that suit the streams are taken; where it
        has no estimator, the shipped weights that suit the features. Of several
        participants each has chains and an estimator of their own.
        """
        tables = _flat(self.table("chains"))
        if not tables and self.computes:
            tables = default_chains(streams, _remembered(self.table("estimator")))
        chains = {name: self._reader(name, table) for name, table in tables.items()}
        settings = self.session
        join = TickGrid(rate=settings.rate)
        plan = PipelineConfig(chains, join, stall_timeout=settings.stall_timeout)
        made = {
            participant: self._estimator(
                plan.of(participant), streams, participant, demo_weights=demo_weights
            )
            for participant in plan.participants
        }
        if plan.participants == ("",):
            return replace(plan, estimator=made[""])
        return replace(plan, estimators=made)

    def _estimator(
        self,
        plan: PipelineConfig,
        streams: Sequence[StreamInfo],
        participant: str,
        *,
        demo_weights: bool,
    ) -> Any:
        """Return what estimates of one participant."""
        table, at = self.table("estimator"), f"{self.at}: estimator"
        if "use" not in table and isinstance(table.get(participant), Mapping):
            table, at = table[participant], f"{at}.{participant}"
        if table:
            estimator = config.build(table, at, self.trust)
        else:
            estimator = default_estimator(plan, streams)
        if demo_weights and isinstance(estimator, Estimator):
            estimator = replace(estimator, demo_weights=True)
        return estimator

    def resolved(self, plan: PipelineConfig) -> dict[str, Any]:
        """Return the tables of a session file that says all that was decided here."""
        chains: dict[str, Any] = {}
        for name, r in plan.chains.items():
            participant, _, chain = name.rpartition(".")
            own = chains.setdefault(participant, {}) if participant else chains
            own[chain] = {"stream": r.stream, "stages": config.describe(r.stages)}
        estimators = {p: config.describe(e) for p, e in plan.estimators.items()}
        session = config.describe(self.session)
        del session["use"]
        return {
            "session": session,
            "devices": dict(self.table("devices")),
            "chains": chains,
            "estimator": estimators or config.describe(plan.estimator),
            "sinks": dict(self.table("sinks")),
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
                    f"{EXAMPLE[kind]!r}"
                )
        return [
            config.build(
                value, f"{self.at}: {kind}.{key}", self.trust, {**given, "name": key}
            )
            for key, value in self.table(kind).items()
        ]


def read(path: Path, trust: tuple[str, ...] = ()) -> SessionConfig:
    """Return the session that a TOML file describes."""
    return SessionConfig(config.read(path), path.name, trust)


def default_chains(
    streams: Iterable[StreamInfo], asked: Collection[str] = ()
) -> dict[str, Any]:
    """Return the tables of the chains that suit ``streams``.

    The shipped ``chains.toml`` says which kind of channel is read how. A second stream
    of a kind gets a number: ``skin``, ``skin2``; those of a device that measures the
    skin come first. Where several participants wear devices, the code of each stands
    before their chains, ``p1.skin``, ``p2.skin``, and what nobody wears is not read. A
    chain that says so there is taken only where it is in ``asked``.
    """
    streams = tuple(streams)
    participants = dict.fromkeys(
        i.participant for i in streams if i.rate and i.participant
    )
    if len(participants) > 1:
        return {
            f"{participant}.{chain}": table
            for participant in participants
            for chain, table in default_chains(
                (i for i in streams if i.participant == participant), asked
            ).items()
        }
    known = config.read(CHAINS)
    found: dict[str, Any] = {}
    skin = {_device(i) for i in streams if any(c.kind == "gsr" for c in i.channels)}
    for info in sorted(streams, key=lambda i: _device(i) not in skin):
        for name, table in known.items():
            if not info.rate or not _reads(table, info):
                continue
            if table.get("on_demand") and name not in asked:
                continue
            names = (f"{name}{i or ''}" for i in (0, *range(2, 100)))
            new = next(n for n in names if n not in found)
            found[new] = {"stream": info.name, "stages": _stages(table, info)}
    return found


def recorded(recording: Recording) -> SessionConfig | None:
    """Return the chains and the estimator that a recording of ours carries, if it does.

    With them come the rate of ticks and the patience, without which the numbers would
    not be the same; nothing else, as a recording may come from anybody: what devices
    or sinks it names is ignored, and ``use`` may name `COMPUTING` modules alone. One of
    a session that only recorded leaves open what is to be computed.

    Raises
    ------
    ValueError
        If what it carries is not what chains and an estimator are written as.
    """
    if "config" not in recording.metadata:
        return None
    at = "the recording's config"
    try:
        tables = json.loads(recording.metadata["config"])
    except (TypeError, ValueError, RecursionError):
        tables = None
    if not isinstance(tables, dict):
        raise ValueError(f"{at} holds no tables of settings; {_INSTEAD}")
    session = tables.get("session", {})
    if not isinstance(session, dict):
        raise ValueError(f"{at}: session must be a table; {_INSTEAD}")
    computed: dict[str, Any] = {
        "session": {k: session[k] for k in ("rate", "patience") if k in session}
    }
    if tables.get("chains"):
        parts = ("chains", "estimator")
        computed |= {k: tables[k] for k in parts if k in tables}
        for part in parts:
            _only_computing(computed.get(part, {}), f"{at}: {part}")
    return SessionConfig(computed, at)


def _only_computing(value: Any, at: str, depth: int = 0) -> None:
    """Refuse tables of a recording that name anything but what computes."""
    if depth > _DEEPEST:
        raise ValueError(f"{at.partition('.')[0]} is nested too deep; {_INSTEAD}")
    if isinstance(value, list):
        for i, part in enumerate(value):
            _only_computing(part, f"{at}[{i}]", depth + 1)
    if not isinstance(value, Mapping):
        return
    for key, part in value.items():
        _only_computing(part, f"{at}.{key}", depth + 1)
    if "use" not in value:
        return
    module = str(value["use"]).partition(":")[0]
    if not any(module == m or module.startswith(f"{m}.") for m in COMPUTING):
        raise ValueError(
            f"{at}: use = {value['use']!r} is no stage, and a recording may name "
            f"nothing else; {_INSTEAD}"
        )


def default_estimator(plan: PipelineConfig, streams: Sequence[StreamInfo]) -> Estimator:
    """Return an estimator with the shipped weights that suit a plan's features.

    On simulated input these are the ones trained on simulated participants, if any
    suits; on measured input, of those only the ones that read what no other weights
    read. Those of `PUBLISHED` effects are for sessions that name them:
    `configs/affect.toml`.
    """
    info = features(plan, streams)
    names = [n for n in model_card.shipped_names() if not n.startswith(PUBLISHED)]
    experts = [e for n in names if (e := _expert(n, plan, streams))]
    demo = [e for e in experts if model_card.load(e.weights).card.origin != "measured"]
    real = [e for e in experts if e not in demo]
    if info.origin is not Origin.MEASURED:
        return Estimator(tuple(demo or real))
    read = {chain for e in real for chain in e.features}
    return Estimator((*real, *(e for e in demo if not read & set(e.features))))


def unused_chains(plan: PipelineConfig, origin: Origin = Origin.MEASURED) -> list[str]:
    """Return a sentence on each chain, and all weights, that tell nothing here."""
    if plan.participants != ("",):
        participants = (
            (p, unused_chains(plan.of(p), origin)) for p in plan.participants
        )
        return [
            f"{participant}: {told}"
            for participant, idle in participants
            for told in idle
        ]
    experts = getattr(plan.estimator, "experts", ())
    read = {chain for e in experts for chain in e.reads or _chains(e.weights)}
    idle = [
        f"{chain} ({reader.stream}): no weights at hand read these features"
        for chain, reader in plan.chains.items()
        if chain not in read
    ]
    allowed = getattr(plan.estimator, "demo_weights", False)
    if allowed or origin is not Origin.MEASURED:
        return idle
    held = [e for e in experts if model_card.load(e.weights).card.origin != "measured"]
    return idle + [
        f"{e.name}: held back on measured input, being trained on simulated participants; "
        "--demo-weights lets them answer, apart from all others"
        for e in held
    ]


def _expert(
    name: str, plan: PipelineConfig, streams: Sequence[StreamInfo]
) -> Expert | None:
    """Return shipped weights that can read a plan's features, if they can.

    The chain that their card names first must be there, and only chains on the same
    device or the same site of the body are read with it: the movement of a headset is
    not that of a wrist.
    """
    known = {info.name: info for info in streams}
    worn = {chain: known[reader.stream] for chain, reader in plan.chains.items()}
    first, *others = _chains(name)
    trace = _trace(name)
    if first not in worn or (trace and trace not in worn):
        return None
    reads = [c for c in others if c in worn and _together(worn[first], worn[c])]
    expert = Expert(name, (first, *reads))
    try:
        Estimator((expert,)).output_info(features(plan, streams))
    except ValueError:
        return None
    return expert


def _chains(name: str) -> tuple[str, ...]:
    """Return the chains that weights read, in the order of their card."""
    columns = model_card.load(name).card.columns
    names = [*(column.partition(".")[0] for column, _ in columns), _trace(name)]
    return tuple(dict.fromkeys(filter(None, names)))


def _trace(name: str) -> str:
    """Return the chain that weights remember sample by sample; empty for none."""
    return str(model_card.load(name).card.config.get("trace", ""))


def _remembered(estimator: Any) -> set[str]:
    """Return the chains that an estimator's weights remember sample by sample."""
    if not isinstance(estimator, Mapping):
        return set()
    found: set[str] = set()
    for expert in estimator.get("experts", ()):
        if isinstance(expert, Mapping) and isinstance(expert.get("weights"), str):
            found.add(_trace(expert["weights"]))
    return found.union(*(_remembered(own) for own in estimator.values())) - {""}


def _together(a: StreamInfo, b: StreamInfo) -> bool:
    return _device(a) == _device(b) or bool(a.site and a.site == b.site)


def _device(info: StreamInfo) -> str:
    return info.name.partition(".")[0]


def features(plan: PipelineConfig, streams: Sequence[StreamInfo]) -> StreamInfo:
    """Return the stream of features that a plan computes."""
    known = {info.name: info for info in streams if info.rate}
    return PersonPipeline(replace(plan, estimator=Chain()), known, 0.0).junction.info


def _names(kind: str, table: Mapping[str, Any]) -> list[str]:
    """Return what a table names by itself: what it describes, or a participant's chains."""
    if kind == "chains":
        return [k for k, v in table.items() if isinstance(v, Mapping)]
    return [v for k, v in table.items() if k == "name" and isinstance(v, str)]


def _flat(chains: Mapping[str, Any]) -> dict[str, Any]:
    """Return chains by name; those in a participant's table get the code before theirs."""
    found: dict[str, Any] = {}
    for key, table in chains.items():
        participant = {"stream", "stages"}.isdisjoint(table) and table
        own = participant and all(isinstance(part, Mapping) for part in table.values())
        parts = {f"{key}.{name}": part for name, part in table.items()} if own else {}
        found |= parts or {key: table}
    return found


def _stages(table: Mapping[str, Any], info: StreamInfo) -> list[Any]:
    """Return a chain's stages; before those for one channel, the first that suits."""
    suiting = [c.name for c in info.channels if c.kind in table["kinds"]]
    if not table.get("single") or len(suiting) == 1:
        return list(table["stages"])
    pick = {"use": "physio.dsp.select_channels:SelectChannels", "channels": suiting[:1]}
    return [pick, *table["stages"]]


def _reads(table: Mapping[str, Any], info: StreamInfo) -> bool:
    return not info.name.endswith(".truth") and any(
        c.kind in table["kinds"] and c.unit in table["units"] for c in info.channels
    )
