"""Default pipeline: the experts that suit the chains of a session."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from physio.core.aligner import aligned_info
from physio.core.block import Origin, StreamInfo
from physio.core.events import is_point
from physio.core.stage import Chain, Stage
from physio.inference.estimator import Estimator, Expert
from physio.inference.expert import FeatureBinding
from physio.inference.forecast import trace_column
from physio.inference.montage_adaptation import read
from physio.models import model_card
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig
from physio.online.interval_rows import readable
from physio.online.shipped_chains import device_name
from physio.online.weights_chains import named_weights

PUBLISHED: Final = "published-"
"""Prefix of the names of weights that were trained on published effects."""


def on_demand_chains(estimator: Any) -> set[str]:
    """Return the chains that a table of an estimator reads sample by sample."""
    return {_trace(name) for name in named_weights(estimator)} - {""}


def feature_info(plan: PipelineConfig, streams: Sequence[StreamInfo]) -> StreamInfo:
    """Return the stream of features of a plan for one participant.

    Nothing is built or compiled. A chain that fails is omitted, as in the engine.

    Raises
    ------
    ValueError
        If a chain reads a stream that no device sends.
    """
    known = readable(streams)
    outputs = tuple(_chain_outputs(plan.chains, known))
    return aligned_info(plan.join, tuple(i for i in outputs if not is_point(i)))


def default_estimator(plan: PipelineConfig, streams: Sequence[StreamInfo]) -> Estimator:
    """Return an estimator with the shipped weights that suit a plan's features.

    On simulated input, the weights trained on simulated participants are used, if any
    suit the features. On measured input, weights trained on simulated participants are
    used only for chains that no other weights read. Weights of `PUBLISHED` effects are
    used only in sessions that name them, as `configs/affect.toml`, and so are weights
    of conditions alone, as ``eeg-load``.
    """
    info = feature_info(plan, streams)
    known = {i.name: i for i in streams}
    sources = {chain: known[c.stream] for chain, c in plan.chains.items()}
    names = [n for n in model_card.shipped_names() if not n.startswith(PUBLISHED)]
    names = [n for n in names if model_card.load(n).card.supports]
    experts = [e for n in names if (e := _default_expert(n, sources, info))]
    demo = [e for e in experts if _is_demo(e)]
    real = [e for e in experts if e not in demo]
    if info.origin is not Origin.MEASURED:
        return Estimator(tuple(demo or real))
    read_chains = {chain for e in real for chain in e.features}
    return Estimator((*real, *(e for e in demo if not read_chains & set(e.features))))


def unused_chains(plan: PipelineConfig, origin: Origin = Origin.MEASURED) -> list[str]:
    """Return a sentence on each chain and each expert that does not enter the estimate.

    The inputs of estimators other than `Estimator` are unknown: they give no sentence.
    """
    if plan.participants != ("",):
        return [
            f"{participant}: {sentence}"
            for participant in plan.participants
            for sentence in unused_chains(plan.of(participant), origin)
        ]
    estimators = _estimators(plan.estimator)
    if not estimators and plan.estimator != Chain():
        return []
    experts = [expert for estimator in estimators for expert in estimator.experts]
    read_chains = {c for e in experts for c in e.features or _chains(e.weights)}
    sentences = [
        f"{name} ({chain.stream}): {_not_read(name)}"
        for name, chain in plan.chains.items()
        if name not in read_chains
    ]
    if origin is not Origin.MEASURED:
        return sentences
    return sentences + [
        f"{expert.name}: no answer on measured input, as it was trained on simulated "
        "participants; --demo-weights allows it, apart from all others; for weights of "
        "your own, record six people with ratings (about 20 minutes each) and run "
        "`physio init train FOLDER` and `physio train FILE` (minutes)"
        for estimator in estimators
        if not estimator.demo_weights
        for expert in estimator.experts
        if _is_demo(expert)
    ]


def _chain_outputs(
    chains: Mapping[str, ChainConfig], known: Mapping[str, StreamInfo]
) -> Iterator[StreamInfo]:
    """Yield the output of each chain that works, under the chain's name."""
    for name, chain in chains.items():
        for stream in chain.streams:
            if stream not in known:
                raise ValueError(
                    f"chains.{name} reads {stream!r}, but no device sends it; there "
                    f"is {', '.join(sorted(known)) or 'no stream at all'}"
                )
        try:
            output = Chain(chain.stages).output_info(chain.input_info(known))
        except Exception:  # the engine stops the chain and reports it
            continue
        yield replace(output, name=name)


def _default_expert(
    name: str, sources: Mapping[str, StreamInfo], info: StreamInfo
) -> Expert | None:
    """Return an expert with shipped weights for the features ``info``, or None.

    The chain that the card names first must be present. Other chains are read only if
    they are on the same device or the same body site, as the movement of a headset is
    not that of a wrist.
    """
    first, *others = _chains(name)
    trace = _trace(name)
    if first not in sources or (trace and trace not in sources):
        return None
    chains = [c for c in others if c in sources]
    chains = [c for c in chains if _on_same_body_part(sources[first], sources[c])]
    expert = Expert(name, (first, *chains))
    try:
        columns = read(model_card.load(name), info.names)
        FeatureBinding.bind(expert, columns, info)
        if trace:
            trace_column(name, trace, info)
    except ValueError:
        return None
    return expert


def _not_read(chain: str) -> str:
    """Return the reason for which no weights read a chain."""
    for name in model_card.shipped_names():
        if name.startswith(PUBLISHED) or chain not in _chains(name)[:1]:
            continue
        try:
            model_card.load(name).model_class()
        except ValueError as error:  # a package of an extra is not installed
            return f"no estimate, as {error}"
    return "no shipped or named weights read these features"


def _estimators(stage: Stage) -> list[Estimator]:
    """Return the estimators in a stage: itself, or those of a chain."""
    if isinstance(stage, Estimator):
        return [stage]
    if isinstance(stage, Chain):
        return [e for inner in stage.stages for e in _estimators(inner)]
    return []


def _is_demo(expert: Expert) -> bool:
    return model_card.load(expert.weights).card.origin is not Origin.MEASURED


def _chains(name: str) -> tuple[str, ...]:
    """Return the chains that weights read, in the order of their card."""
    columns = model_card.load(name).card.columns
    names = [*(column.partition(".")[0] for column, _ in columns), _trace(name)]
    return tuple(dict.fromkeys(filter(None, names)))


def _trace(name: str) -> str:
    """Return the chain that weights read sample by sample; empty for none."""
    return str(model_card.load(name).card.config.get("trace", ""))


def _on_same_body_part(a: StreamInfo, b: StreamInfo) -> bool:
    return device_name(a) == device_name(b) or bool(a.site and a.site == b.site)
