"""Panels of the page that have something to show."""

from physio.core.missing import MissingReason, missing_reason
from physio.view.dashboard import evidence
from physio.view.dashboard.figures.eda_heart import first_chain_with, selected_streams
from physio.view.dashboard.figures.power_by_band import columns_by_band
from physio.view.dashboard.session_state import SessionState


def shown_dimensions(session: SessionState) -> tuple[str, ...]:
    """Return the dimensions with a figure: those that the estimator can give.

    Empty without an estimator. A dimension without training data has no figure.
    """
    buffer = session.estimates
    if buffer is None:
        has_experts = bool(session.config.get("estimator", {}).get("experts"))
        return session.dimensions if has_experts else ()
    untrained = MissingReason.UNTRAINED
    codes = {
        d: int(missing_reason(buffer.last(d, session.now)).item())
        for d in session.dimensions
    }
    return tuple(d for d, code in codes.items() if code != untrained)


def listed_features(session: SessionState) -> list[str]:
    """Return the features that the estimator reads, without those of electrodes."""
    return [n for n in evidence.expert_columns(session) if ".de." not in n]


def visible_panels(session: SessionState, role: str) -> list[str]:
    """Return the names of the panels that have something to show.

    Parameters
    ----------
    session
        State of the session.
    role
        ``control`` or ``look``.
    """
    dimensions = shown_dimensions(session)
    channels = [c for s in session.sources.values() for c in s.buffer.info.channels]
    kinds = {c.kind for c in channels}
    per_stream = [
        {c.kind for c in s.buffer.info.channels} for s in session.sources.values()
    ]
    features = session.features
    is_live = session.at is None
    has_bands = bool(columns_by_band(features))
    shown = {
        "signals": True,
        "others": "eeg" in kinds and any("eeg" not in k for k in per_stream),
        "streams": True,
        "plane": {"valence", "arousal"} <= set(dimensions),
        "summary": bool(dimensions) or session.estimates is not None,
        "features": bool(listed_features(session)),
        "histories": bool(dimensions),
        **{name: name in dimensions for name in ("valence", "arousal", "dominance")},
        "eda": any(
            c.kind == "gsr"
            for s in selected_streams(session)
            for c in s.buffer.info.channels
        ),
        "heart": bool(
            first_chain_with(features, "rate", "rmssd")
            or first_chain_with(features, "rate", "rate.sd")
        ),
        "bands": has_bands,
        "topomap": has_bands,
        "controls": role == "control",
        "conditions": bool(session.conditions),
        "log": bool(session.log.entries),
        "latency": is_live,
        "strip": not is_live,
    }
    return [name for name, is_shown in shown.items() if is_shown]
