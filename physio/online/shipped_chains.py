"""Shipped chains: stages by kind of channel, fitted to the streams of a session."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import physio.assets
from physio import config
from physio.core.block import Channel, StreamInfo
from physio.core.events import is_point
from physio.core.stage import Chain
from physio.online.engine import PipelineConfig
from physio.online.interval_rows import readable

CHAINS: Final = Path(physio.assets.__file__).parent / "chains.toml"
"""File of the shipped chains, with the stages for each kind of channel."""

_ACTIGRAPHY: Final = "physio.features.actigraphy:Actigraphy"
_ENTROPY: Final = "physio.features.eeg.differential_entropy:DifferentialEntropy"
_INTERPOLATE: Final = "physio.dsp.interpolate:Interpolate"
_SELECT: Final = "physio.dsp.select_channels:SelectChannels"
_WINDOW: Final = "physio.dsp.window:Window"
_AXES: Final = ("acc.x", "acc.y", "acc.z")
_STEPS: Final = (0.25, 0.5, 1.0)  # s, from one movement to the next

_TRACKED: Final = 32.0  # Hz, of a pulse wave that is tracked beside acceleration
_FASTEST: Final = 128.0  # Hz, up to which it is read at that rate without a mean
_SLOWEST: Final = 16.0  # Hz, of acceleration that says something of each beat

Table = Mapping[str, Any]


class FittedChain(NamedTuple):
    """A shipped chain for one stream: its stages, or none with the reason in `note`.

    ``note`` is a sentence on what of the stream is not computed; empty if all is.
    ``complete``: whether it has all features of the shipped chain. ``joined`` and
    ``rate``: see `physio.online.chain_runner.ChainConfig`.
    """

    name: str
    stream: StreamInfo
    stages: list[Any]
    note: str
    complete: bool = True
    joined: tuple[str, ...] = ()
    rate: float = _TRACKED


def default_chains(
    streams: Iterable[StreamInfo], on_demand: Collection[str] = ()
) -> dict[str, Any]:
    """Return the tables of the chains that suit ``streams``.

    A chain that cannot run on a stream is omitted, and all others remain: see
    `chain_notes`.

    Parameters
    ----------
    streams
        The streams of the devices.
    on_demand
        Names of the chains to include among those marked ``on_demand`` in `CHAINS`.

    Returns
    -------
    dict
        Chains by name. Further streams of a kind are numbered, ``eda``, ``eda2``: first
        chains with all their features, and of these the ones of devices that measure
        skin conductance. If several participants wear devices, each has separate
        chains, ``p1.eda``, ``p2.eda``, and streams without a participant are not read.
    """
    chains: dict[str, Any] = {}
    for code, worn in streams_by_participant(tuple(streams)).items():
        every = sorted(fitted_chains(worn, on_demand), key=lambda f: not f.complete)
        for fitted in _numbered(every):
            table: dict[str, Any] = {"stream": fitted.stream.name}
            if fitted.joined:
                table |= {"joined": list(fitted.joined), "rate": fitted.rate}
            table["stages"] = fitted.stages
            key = PipelineConfig.key(code, fitted.name)
            chains[key] = {**table, "participant": code} if code else table
    return chains


def import_stages() -> None:
    """Import the modules of all shipped chains, which takes a second or more."""
    tables: list[Any] = [config.read(CHAINS)]
    while tables:
        table = tables.pop()
        if isinstance(table, list):
            tables += table
        elif isinstance(table, dict):
            tables += table.values()
            if "use" in table:
                config.load_object(table["use"], CHAINS.name)


def chain_notes(streams: Iterable[StreamInfo]) -> dict[str, list[str]]:
    """Return, by stream, a sentence on each part that no default chain computes."""
    streams = tuple(streams)
    notes: dict[str, list[str]] = defaultdict(list)
    groups = streams_by_participant(streams)
    worn = {info.name for infos in groups.values() for info in infos}
    for info in streams:
        if info.rate and info.name not in worn:
            notes[info.name].append(
                "it has no participant, and the session has several: set the "
                "participant of its device"
            )
    for infos in groups.values():
        same: dict[tuple[str, str], list[str]] = defaultdict(list)
        for fitted in fitted_chains(infos):
            same[fitted.stream.name, fitted.note].append(fitted.name)
        for (stream, note), names in same.items():
            if note:
                notes[stream].append(f"{', '.join(names)}: {note}")
        for info in infos:
            if reason := _unread(info):
                notes[info.name].append(reason)
    return dict(notes)


def fitted_chains(
    streams: Sequence[StreamInfo], on_demand: Collection[str] = ()
) -> Iterator[FittedChain]:
    """Yield each shipped chain for each stream whose kind and unit it reads."""
    shipped = config.read(CHAINS)
    streams = list(readable(streams).values())
    with_eda = {
        device_name(i) for i in streams if any(c.kind == "gsr" for c in i.channels)
    }
    for info in sorted(streams, key=lambda i: device_name(i) not in with_eda):
        for name, table in shipped.items():
            if table.get("on_demand") and name not in on_demand:
                continue
            if not _is_truth(info) and _suitable(table, info):
                fitted = _fitted(table.get("name", name), table, info)
                if table.get("with_axes") and fitted.stages:
                    fitted = _tracked(fitted, _suitable(table, info)[0], streams)
                yield fitted


def device_name(info: StreamInfo) -> str:
    """Return the name of the device that sends a stream."""
    return info.name.partition(".")[0]


def streams_by_participant(
    streams: tuple[StreamInfo, ...],
) -> dict[str, tuple[StreamInfo, ...]]:
    """Return the streams of each participant; all under ``""`` with fewer than two."""
    codes = dict.fromkeys(i.participant for i in streams if i.rate and i.participant)
    if len(codes) < 2:
        return {"": streams}
    return {c: tuple(i for i in streams if i.participant == c) for c in codes}


def _numbered(chains: Iterable[FittedChain]) -> Iterator[FittedChain]:
    """Yield the chains that can run, each with a name of its own."""
    names: set[str] = set()
    for chain in chains:
        if chain.stages:
            numbers = (f"{chain.name}{i}" for i in count(2))
            name = chain.name if chain.name not in names else next(
                n for n in numbers if n not in names
            )  # fmt: skip
            names.add(name)
            yield chain._replace(name=name)


def _fitted(name: str, table: Table, info: StreamInfo) -> FittedChain:
    """Return a chain with the stages that suit the rate and channels of a stream."""
    channels = _suitable(table, info)
    if table.get("single"):
        channels = channels[:1]
    lowest = table.get("above", {}).get(channels[0].kind, 0.0)
    if info.rate <= lowest:
        return FittedChain(
            name,
            info,
            [],
            f"{info.name} has {float(info.rate):g} samples/s, and more than "
            f"{lowest:g} are needed: send it at a higher rate",
        )
    stages, note = [dict(stage) for stage in table["stages"]], ""
    if (slow := table.get("interpolated", 0.0)) > info.rate:
        # A mask of bad samples belongs before it, at the rate of the sensor.
        first = int("MaskBadSamples" in stages[0]["use"])
        stages.insert(first, {"use": _INTERPOLATE, "rate": slow})
    if info.rate > (fast := table.get("averaged", info.rate)):
        step = 1 / fast
        stages.append({"use": _WINDOW, "window": step, "step": step})
    for i, stage in enumerate(stages):
        if stage["use"] == _ENTROPY:
            stages[i], note = _with_bands(stage, info)
        elif stage["use"] == _ACTIGRAPHY:
            stages[i], note = _with_axes(stage, info, channels)
    complete = not note
    if len(channels) < len(info.channels) and not is_point(info):
        names = [c.name for c in channels]
        stages.insert(0, {"use": _SELECT, "channels": names})
    joins = table.get("with_axes", False)  # it is checked when all are joined
    if not joins and (reason := _refusal(stages, info)):
        return FittedChain(name, info, [], reason)
    alike = [c.name for c in _suitable(table, info) if c not in channels]
    if alike:
        note = f"{', '.join(alike)} not read: one channel is, {channels[0].name}"
    return FittedChain(name, info, stages, note, complete)


def _with_bands(stage: Table, info: StreamInfo) -> tuple[dict[str, Any], str]:
    """Return the entropy of the bands that lie below half the sampling rate."""
    from physio.features.eeg.differential_entropy import BANDS  # loads kernels

    bands = [band for band in BANDS if 2 * band[2] < info.rate]
    if len(bands) == len(BANDS):
        return dict(stage), ""
    lost = ", ".join(f"{n} ({lo:g}-{hi:g} Hz)" for n, lo, hi in BANDS[len(bands) :])
    note = (
        f"without {lost}, as {info.name} has {float(info.rate):g} samples/s: more than "
        f"{2 * BANDS[-1][2]:g} are needed for all bands"
    )
    return {**stage, "bands": [list(band) for band in bands]}, note


def _with_axes(
    stage: Table, info: StreamInfo, channels: Sequence[Channel]
) -> tuple[dict[str, Any], str]:
    """Return the movement of three axes, or the deviation of each of fewer."""
    step = next((s for s in _STEPS if info.rate * s >= 1), _STEPS[-1])
    pace = {"step": step} if step != _STEPS[0] else {}
    axes = _axes([c.name for c in channels])
    if axes == _AXES:
        return {**stage, **pace}, ""
    if axes:
        return {**stage, **pace, "axes": list(axes)}, ""
    names = ", ".join(c.name for c in channels)
    note = (
        f"the standard deviation of {names} over 10 s; activity and posture need "
        f"three axes in g: name them {', '.join(_AXES)}"
    )
    return {"use": _WINDOW, "statistics": ["deviation"], **pace}, note


def _axes(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the three axes of one accelerometer; none if uncertain."""
    if set(_AXES) <= set(names):
        return _AXES
    if len(names) == 3:
        return tuple(names)
    ends = [[n for n in names if n.lower().endswith(axis)] for axis in "xyz"]
    return tuple(n[0] for n in ends) if all(len(n) == 1 for n in ends) else ()


def _tracked(
    fitted: FittedChain, pulse: Channel, streams: Sequence[StreamInfo]
) -> FittedChain:
    """Return a chain on a pulse wave that reads the acceleration of its device too.

    The acceleration lies in the same stream, or in another with other names of
    channels. Between 32 and 128 samples/s, joined streams are read at 32 Hz.
    """
    info, other = fitted.stream, None
    axes = _three_axes(info)
    if not axes:
        for stream in streams:
            three = _three_axes(stream)
            near = stream.rate >= _SLOWEST and device_name(stream) == device_name(info)
            if near and three and not set(stream.names) & set(info.names):
                other, axes = stream, three
                break
    rate = float(info.rate)
    given = info.channels
    if other is not None:
        rate = _TRACKED if _TRACKED <= rate <= _FASTEST else rate
        given = (*given, *other.channels)
    names = [pulse.name, *axes]
    stages = [s for s in fitted.stages if s["use"] != _SELECT]
    if rate < _TRACKED:  # after the mask of bad samples
        stages.insert(1, {"use": _INTERPOLATE, "rate": _TRACKED})
    elif rate > 2 * _TRACKED:
        step = 1 / _TRACKED
        stages.insert(1, {"use": _WINDOW, "window": step, "step": step})
    if names != [c.name for c in given]:
        stages.insert(0, {"use": _SELECT, "channels": names})
    joined = (other.name,) if other is not None else ()
    source = info.with_channels(Fraction(str(rate)) if joined else None, *given)
    if reason := _refusal(stages, source):
        return FittedChain(fitted.name, info, [], reason)
    return fitted._replace(stages=stages, joined=joined, rate=rate)


def _three_axes(info: StreamInfo) -> tuple[str, ...]:
    """Return the names of the axes of an accelerometer in g; none without three."""
    axes = _axes([c.name for c in info.channels if c.unit == "g"])
    return axes if len(axes) == 3 and not _is_truth(info) else ()


def _refusal(stages: Sequence[Any], info: StreamInfo) -> str:
    """Return the reason why the stages cannot run on a stream; empty if they can."""
    try:
        built = [config.build(stage, "chains.toml") for stage in stages]
        chain = Chain(tuple(built))
        chain.output_info(info)
        chain.schedule(info)
    except Exception as error:  # the other chains of the session are independent
        return f"{error}" or type(error).__name__
    return ""


def _suitable(table: Table, info: StreamInfo) -> list[Channel]:
    """Return the channels of a stream that a chain reads."""
    kinds, units = table["kinds"], table["units"]
    return [c for c in info.channels if c.kind in kinds and c.unit in units]


def _is_truth(info: StreamInfo) -> bool:
    return info.name.endswith(".truth")


def _unread(info: StreamInfo) -> str:
    """Return the reason why channels of a stream suit no chain; empty if all do."""
    if not info.rate:
        return ""
    if _is_truth(info):
        return "the ground truth of a simulation is not an input"
    shipped = [t for t in config.read(CHAINS).values() if not t.get("on_demand")]
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for c in info.channels:
        if c.kind != "stim" and not any(
            _suitable(t, info.with_channels(None, c)) for t in shipped
        ):
            groups[c.kind, c.unit].append(c.name)
    reasons = []
    for (kind, unit), names in groups.items():
        units = [u for t in shipped if kind in t["kinds"] for u in t["units"]]
        words = dict.fromkeys("no unit" if u in {"", "1"} else u for u in units)
        known = f"{kind} is read in {', '.join(words)}"
        reason = known if units else "no chain reads this kind"
        reason = "no chain reads this quantity" if kind == "misc" else reason
        more = f" and {len(names) - 4} more" if len(names) > 5 else ""
        listed = ", ".join(names[: 4 if more else 5])
        unit = "no unit" if unit in {"", "1"} else unit
        reasons.append(f"{listed}{more} ({kind}, {unit}) not read: {reason}")
    return "; ".join(reasons)
