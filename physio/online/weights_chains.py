"""Chains of weights: those of their training, fitted to the streams of a session."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from physio import config
from physio.core.block import StreamInfo
from physio.models import model_card
from physio.online.engine import PipelineConfig
from physio.online.shipped_chains import streams_by_participant

_SELECT: Final = "physio.dsp.select_channels:SelectChannels"
_RESAMPLE: Final = "physio.dsp.resample:Resample"
_LISTED: Final = 6  # channels in a message


def trained_chains(
    plan: PipelineConfig, streams: Sequence[StreamInfo], columns: Iterable[str]
) -> dict[str, Any]:
    """Return the chains that weights need, for `model_card.Weights.chains`.

    Parameters
    ----------
    plan
        The chains of the training.
    streams
        The streams that they read.
    columns
        Features of the weights, ``<chain>.<feature>``.

    Returns
    -------
    dict
        For each chain of a single stream: ``channels`` (names), ``kind`` and ``unit``
        of the channels, ``rate`` (Hz), and ``stages``.
    """
    known = {info.name: info for info in streams}
    needed = {column.partition(".")[0] for column in columns}
    chains: dict[str, Any] = {}
    for name, chain in plan.chains.items():
        if name not in needed or chain.joined or chain.stream not in known:
            continue
        info = known[chain.stream]
        if len({(c.kind, c.unit) for c in info.channels}) != 1 or not info.rate:
            continue
        chains[name] = {
            "channels": list(info.names),
            "kind": info.channels[0].kind,
            "unit": info.channels[0].unit,
            "rate": float(info.rate),
            "stages": config.describe(chain.stages),
        }
    return chains


def weights_chains(
    weights: Iterable[str], streams: Sequence[StreamInfo]
) -> dict[str, Any]:
    """Return the tables of the chains that weights bring, fitted to the streams.

    Channels of another order, and further ones, are selected; another sampling rate is
    resampled to that of the training.

    Raises
    ------
    ValueError
        If no stream has all channels of the training in their unit.
    """
    chains: dict[str, Any] = {}
    for code, worn in streams_by_participant(tuple(streams)).items():
        for name in weights:
            for chain, table in model_card.load(name).chains.items():
                fitted = _fitted(name, chain, table, worn)
                key = PipelineConfig.key(code, chain)
                chains[key] = {**fitted, "participant": code} if code else fitted
    return chains


def named_weights(estimator: Any) -> Iterator[str]:
    """Yield the weights that a table of an estimator names."""
    if not isinstance(estimator, Mapping):
        return
    for expert in estimator.get("experts", ()):
        if isinstance(expert, Mapping) and isinstance(expert.get("weights"), str):
            yield expert["weights"]
    for part in estimator.values():
        yield from named_weights(part)


def _fitted(
    weights: str, chain: str, table: Mapping[str, Any], streams: Sequence[StreamInfo]
) -> dict[str, Any]:
    """Return the table of a chain on the stream that suits it."""
    names = [str(n) for n in table["channels"]]
    alike = [i for i in streams if i.rate and _common(i, names)]
    info = max(alike, key=lambda i: len(_common(i, names)), default=None)
    if info is None or len(_common(info, names)) < len(names):
        raise ValueError(_refusal(weights, chain, table, names, info))
    stages = list(table["stages"])
    first: list[dict[str, Any]] = []
    if list(info.names) != names:
        first.append({"use": _SELECT, "channels": names})
    wrong = [c for c in info.channels if c.name in names and c.unit != table["unit"]]
    if wrong:
        raise ValueError(
            f"the weights {weights!r} read {table['unit'] or 'no unit'}, and "
            f"{wrong[0].name} of {info.name} is in {wrong[0].unit or 'no unit'}: state "
            "its unit in the table [channels] of the session file"
        )
    if float(info.rate) != float(table["rate"]):
        first.append({"use": _RESAMPLE, "rate": float(table["rate"])})
    return {"stream": info.name, "stages": [*first, *stages]}


def _common(info: StreamInfo, names: Sequence[str]) -> list[str]:
    return [n for n in names if n in info.names]


def _refusal(
    weights: str,
    chain: str,
    table: Mapping[str, Any],
    names: Sequence[str],
    info: StreamInfo | None,
) -> str:
    """Return why no stream suits a chain."""
    front = (
        f"the weights {weights!r} read {len(names)} channels ({table['kind']}, "
        f"{table['unit'] or 'no unit'})"
    )
    if info is None:
        return (
            f"{front}, {_first(names)}, and no stream has any of them: connect the "
            f"device, or give a table [chains.{chain}] in the session file"
        )
    lacking = [n for n in names if n not in info.names]
    return (
        f"{front}, and {info.name} lacks {_first(lacking)}: train with the channels of "
        f"this device, or name its channels alike in the table [channels]"
    )


def _first(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    text = ", ".join(names[:_LISTED])
    return f"{text} and {more} more" if more > 0 else text
