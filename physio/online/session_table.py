"""Table at the end of a session: streams, computed values, reasons for missing ones."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from physio.core.block import Array, Block, StreamInfo
from physio.core.events import Item
from physio.core.json_table import stored_config
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording, computed
from physio.online.engine import PipelineConfig
from physio.online.shipped_chains import chain_notes
from physio.quality.stream_summary import StreamSummary

_PENDING: Final = 64  # ticks that are summarized at once
_SUPPORT: Final = (".window_start", ".window_end")
_JUDGED: Final = 15.0  # s after warming up; beats need as many to be accepted


class SessionTable:
    """Summary of every stream of a session and of every chain that reads one.

    Parameters
    ----------
    streams
        The streams of the devices, or of a recording.
    """

    def __init__(self, streams: Iterable[StreamInfo] = ()) -> None:
        self._streams: dict[str, StreamSummary] = {}
        self._chains: dict[str, _ChainValues] = {}
        self._pending: dict[str, list[Block]] = {}
        for info in streams:
            if not info.name.startswith("session.") and not computed(info.name):
                self._streams[info.name] = StreamSummary(info)

    def take(self, item: Item) -> None:
        """Take in an item of the session, raw or computed."""
        name = item.info.name
        if name in self._streams:
            self._streams[name].push(item)
        elif computed(name) == "features" and isinstance(item, Block) and len(item):
            blocks = self._pending.setdefault(name, [])
            blocks.append(item)
            if len(blocks) >= _PENDING:
                self._take_features(self._pending.pop(name))

    def rows(
        self,
        chains: Mapping[str, tuple[str, ...]],
        notes: Mapping[str, Iterable[str]] | None = None,
        end: float = float("nan"),
    ) -> list[dict[str, Any]]:
        """Return an entry for each stream.

        Parameters
        ----------
        chains
            Streams that each chain reads, by the key of the chain.
        notes
            Sentences by stream on what is not computed of it: see
            `physio.online.shipped_chains.chain_notes`.
        end
            Time up to which samples could come (s, session clock); by default that of
            the last sample of any stream.

        Returns
        -------
        list of dict
            ``name``, ``rate``, ``samples``, ``lost`` and ``channels`` (see
            `StreamSummary.to_dict`); ``computed``: chain, column, unit, duration (s),
            share of it with a value, median, and the reasons for missing values with
            their shares; ``faults``: sentences on values that no sensor on a body
            gives; ``notes``: sentences on what is not computed.
        """
        while self._pending:
            self._take_features(self._pending.popitem()[1])
        ends = [s.end for s in self._streams.values() if s.samples and s.info.rate]
        end = max(ends, default=float("nan")) if np.isnan(end) else end
        rows = []
        for name, summary in self._streams.items():
            reads = [key for key, streams in chains.items() if name in streams]
            parts = [self._computed(key) for key in reads]
            given = list((notes or {}).get(name, ()))
            if summary.info.rate and chains and not reads and not given:
                given = ["no chain of the session reads it"]
            rows.append(
                {
                    **summary.to_dict(),
                    "computed": parts,
                    "faults": summary.faults(end),
                    "notes": given,
                }
            )
        return rows

    def _take_features(self, blocks: list[Block]) -> None:
        info = blocks[0].info
        ticks = np.vstack([block.data for block in blocks])
        participant = info.name.partition(".")[2]
        for chain in dict.fromkeys(n.partition(".")[0] for n in info.names):
            key = PipelineConfig.key(participant, chain)
            values = self._chains.get(key)
            if values is None:
                values = self._chains[key] = _ChainValues(info, chain)
            values.push(ticks)

    def _computed(self, key: str) -> dict[str, Any]:
        values = self._chains.get(key)
        if values is None:
            empty = {"column": "", "unit": "", "seconds": 0.0, "share": 0.0}
            return {"chain": key, **empty, "median": None, "missing": {}}
        return {"chain": key, **values.to_dict()}


class _ChainValues:
    """Values of the leading column of a chain, or of its group, as `de.*`."""

    def __init__(self, info: StreamInfo, chain: str) -> None:
        prefix = f"{chain}."
        columns = [
            i for i, n in enumerate(info.names)
            if n.startswith(prefix) and not n.endswith((*_SUPPORT, ".sd"))
        ]  # fmt: skip
        first = info.names[columns[0]].removeprefix(prefix) if columns else ""
        group = first.partition(".")[0]
        self._columns = [
            i for i in columns
            if info.names[i].removeprefix(prefix).partition(".")[0] == group
        ]  # fmt: skip
        self.column = group
        self.unit = info.channels[columns[0]].unit if columns else ""
        info = info.with_channels(None, *(info.channels[i] for i in self._columns))
        self._values = StreamSummary(info)
        self._reasons: Counter[int] = Counter()
        self._ticks = 0

    def push(self, ticks: Array) -> None:
        """Take in rows of features, shape (n, columns of all chains)."""
        x = np.ascontiguousarray(ticks[:, self._columns])
        codes, counts = np.unique(missing_reason(x), return_counts=True)
        self._reasons.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
        self._values.push(Block(self._values.info, self._ticks, 0.0, x))
        self._ticks += len(x)

    def to_dict(self) -> dict[str, Any]:
        """Return the share of values, their median, and the reasons for the others."""
        total = max(sum(self._reasons.values()), 1)
        medians = self._values.medians()
        medians = medians[np.isfinite(medians)]
        shares = {
            MissingReason(code).words: round(n / total, 4)
            for code, n in self._reasons.most_common()
            if code
        }
        return {
            "column": self.column,
            "unit": self.unit,
            "seconds": round(self._ticks / float(self._values.info.rate), 3),
            "share": round(self._reasons[0] / total, 4),
            "median": float(f"{np.median(medians):.4g}") if len(medians) else None,
            "missing": shares,
        }


def recording_rows(
    recording: Recording, features: Block | None = None
) -> list[dict[str, Any]]:
    """Return the entries of `SessionTable.rows` for a recording.

    Parameters
    ----------
    recording
        The recording, with the configuration that its features were computed with.
    features
        Features computed from it, if it holds none.
    """
    streams = recording.inputs
    table = SessionTable(streams)
    for info in streams:
        for block in recording.streams.get(info.name, ()):
            table.take(block)
        if info.name in recording.events:
            table.take(recording.events[info.name])
    stored = [b for n, b in recording.streams.items() if computed(n) == "features"]
    for blocks in stored or ([(features,)] if features is not None else []):
        for block in blocks:
            table.take(block)
    chains = _stored_chains(stored_config(recording.metadata).get("chains", {}))
    return table.rows(chains, chain_notes(streams))


def _stored_chains(tables: Any, participant: str = "") -> dict[str, tuple[str, ...]]:
    """Return the streams of each chain in a stored configuration, by key."""
    chains: dict[str, tuple[str, ...]] = {}
    for name, table in tables.items() if isinstance(tables, Mapping) else ():
        if not isinstance(table, Mapping):
            continue
        if "stream" in table:
            others = table.get("joined")
            others = map(str, others) if isinstance(others, list) else ()
            key = PipelineConfig.key(participant, name)
            chains[key] = (str(table["stream"]), *others)
        elif not participant:
            chains |= _stored_chains(table, name)
    return chains


def without_values(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence on each chain that never gave a value, but should have."""
    return [
        f"{row['name']}: {part['chain']} has no value: {reasons_text(part)}"
        for row in rows
        for part in row["computed"]
        if not part["share"] and not _is_too_soon(row, part)
    ]


def not_judged(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the chains that had not enough signal yet for a first value."""
    chains = (
        part["chain"]
        for row in rows
        for part in row["computed"]
        if not part["share"] and _is_too_soon(row, part)
    )
    return list(dict.fromkeys(chains))


def reasons_text(part: Mapping[str, Any]) -> str:
    """Return the reasons for missing values with their shares, in words."""
    if not part["seconds"]:
        return "nothing was computed"
    reasons = part["missing"].items()
    return ", ".join(f"{percent(share)} {words}" for words, share in reasons)


def percent(share: float) -> str:
    """Return a share in percent; ``<1%`` and ``>99%`` where rounding would hide it."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def _is_too_soon(row: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    """Return whether a chain had less signal than it needs for a first value.

    So has one of events without any, as of an empty ``IBI.csv`` beside a pulse wave.
    """
    if not row["rate"] and not row["samples"]:
        return True
    if not part["seconds"]:
        return bool(row["samples"] < 2 * _JUDGED * row["rate"])
    warm = 1 - part["missing"].get(MissingReason.WARMING_UP.words, 0.0)
    return bool(part["seconds"] * warm < _JUDGED)
