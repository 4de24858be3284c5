"""Basis of the estimates: weights, coverage, input, movement, contributions."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from physio.inference.contributions import (
    MIDDLE,
    change_contributions,
    modality_contributions,
)
from physio.models import model_card
from physio.models.model_card import ModelCard
from physio.view.dashboard.session_state import SessionState

RECENT: Final = 60.0
"""Time within which a change of an estimate is explained (s)."""

_MOVEMENT_LIMIT = 0.08  # g: stronger movement disturbs sensors on that limb
_LEAST: Final = 0.005  # smallest contribution that is shown
_CHANGED: Final = 0.1  # smallest change that is explained


class ExpertCard(NamedTuple):
    """Trained weights of a session, with their model card."""

    name: str
    card: ModelCard


@lru_cache(maxsize=32)
def _card(name: str) -> ModelCard | None:
    try:
        return model_card.load(name).card
    except (ValueError, OSError):
        return None


def experts(config: Mapping[str, Any]) -> list[ExpertCard]:
    """Return the weights that a session's estimator uses, with their cards."""
    names = [e["weights"] for e in config.get("estimator", {}).get("experts", ())]
    cards = [(name.rstrip("/").rpartition("/")[2], _card(name)) for name in names]
    return [ExpertCard(name, card) for name, card in cards if card is not None]


def interval_coverage(session: SessionState, dimension: str) -> dict[int, str]:
    """Return the measured coverage of an estimate's intervals by nominal level (%).

    Empty if it was not measured; in that case no interval is shown. ``dimension`` may
    be a named scale.
    """
    name = re.escape(dimension)
    by_expert = re.compile(rf"(.+): {name} coverage of (\d+)%")
    by_training = re.compile(rf"{name}: ratings in intervals of (\d+) %")
    coverage: dict[int, str] = {}
    for expert in experts(session.config):
        for key, figure in expert.card.figures.items():
            match = by_expert.fullmatch(key)
            if match and match[1] in (expert.name, "fused"):
                coverage.setdefault(int(match[2]), str(figure))
            elif match := by_training.fullmatch(key):
                coverage.setdefault(int(match[1]), str(figure))
    return coverage


def support_seconds(session: SessionState) -> float:
    """Return the length of the window of the newest estimate (s); NaN without any."""
    buffer = session.estimates
    if buffer is None or "support.window_start" not in buffer.info.names:
        return float("nan")
    begin = buffer.last("support.window_start", session.now)
    return buffer.last("support.window_end", session.now) - begin


def expert_columns(session: SessionState) -> list[str]:
    """Return the columns of the features that the experts read, if present."""
    buffer = session.features
    if buffer is None:
        return []
    names = buffer.info.names
    columns = [n for e in experts(session.config) for n in card_columns(e.card, names)]
    return [n for n in dict.fromkeys(columns) if n in names]


def card_columns(card: ModelCard, names: Sequence[str]) -> list[str]:
    """Return the features that weights read; of any channel, if they use positions."""
    columns = [name for name, _ in card.columns]
    size = card.config.get("size")  # that of a network of tokens
    settings = size if isinstance(size, Mapping) else card.config
    if settings.get("embedding") != "place" or set(columns) <= set(names):
        return columns
    fronts = {name.rpartition(".")[0] for name in columns}
    return [name for name in names if name.rpartition(".")[0] in fronts]


def valid_fraction(session: SessionState, seconds: float = 60.0) -> float:
    """Return the fraction of the experts' inputs that was valid in the last seconds."""
    buffer, names = session.features, expert_columns(session)
    if buffer is None or not names:
        return float("nan")
    _, rows = buffer.window(session.now - seconds, session.now + 1e-6)
    at = [buffer.info.names.index(n) for n in names]
    return float(np.isfinite(rows[:, at]).mean()) if len(rows) else float("nan")


def contributions(session: SessionState, dimension: str) -> dict[str, float]:
    """Return the contribution of each modality to an estimate, relative to its prior.

    Sums over the features of each chain; ``participant`` is the contribution of the
    participant's ratings, and ``other`` the part that no feature explains.
    """
    columns = _columns(session, session.now, dimension)
    totals = modality_contributions(columns, dimension)
    return {k: v for k, v in totals.items() if abs(v) >= _LEAST}


def change_reasons(session: SessionState, dimension: str) -> dict[str, float]:
    """Return what changed an estimate in the last `RECENT` s, by modality.

    Largest first; empty where the estimate hardly changed or was missing.
    """
    before, after = (
        _columns(session, t, dimension) for t in (session.now - RECENT, session.now)
    )
    totals = change_contributions(before, after, dimension)
    if not totals or abs(after[dimension] - before[dimension]) < _CHANGED:
        return {}
    ranked = sorted(totals.items(), key=lambda item: -abs(item[1]))
    return {k: v for k, v in ranked if abs(v) >= _LEAST}


def _columns(session: SessionState, time: float, dimension: str) -> dict[str, float]:
    """Return an estimate before a time, and its contributions, by column."""
    buffer = session.estimates
    if buffer is None:
        return {}
    front = f"{dimension}{MIDDLE}"
    names = [n for n in buffer.info.names if n == dimension or n.startswith(front)]
    return {name: buffer.last(name, time) for name in names}


def strongest_movement(session: SessionState) -> tuple[str, float]:
    """Return the feature with the most movement, and its value (g); else ("", NaN)."""
    buffer = session.features
    best = ("", float("nan"))
    for channel in buffer.info.channels if buffer is not None else ():
        if channel.unit == "g" and buffer is not None:
            value = buffer.last(channel.name, session.now)
            if np.isfinite(value) and not value <= best[1]:
                best = (channel.name, value)
    return best


def is_moving(value: float) -> bool:
    """Return whether a movement (g) is likely to disturb the sensors."""
    return value > _MOVEMENT_LIMIT
