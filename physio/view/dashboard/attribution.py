"""What an estimate rests on: said beside it, always."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from physio.models import model_card
from physio.models.model_card import ModelCard
from physio.view.dashboard.session_state import SessionState

_MOVEMENT_LIMIT = 0.08  # g: a limb that moves so much disturbs what is worn on it


class ExpertCard(NamedTuple):
    """Trained weights that are asked in a session."""

    name: str
    card: ModelCard


@lru_cache(maxsize=32)
def _card(name: str) -> ModelCard | None:
    try:
        return model_card.load(name).card
    except (ValueError, OSError):
        return None


def experts(config: Mapping[str, Any]) -> list[ExpertCard]:
    """Return the weights that a session asks, with their cards."""
    names = [e["weights"] for e in config.get("estimator", {}).get("experts", ())]
    cards = [(name.rstrip("/").rpartition("/")[2], _card(name)) for name in names]
    return [ExpertCard(name, card) for name, card in cards if card is not None]


def interval_coverage(session: SessionState, dimension: str) -> dict[int, str]:
    """Return what the nominal intervals of an estimate were measured to hold (%).

    Empty where it was never measured: no interval is shown then.
    """
    coverage: dict[int, str] = {}
    for expert in experts(session.config):
        for name, figure in expert.card.figures.items():
            match = re.fullmatch(rf"(.+): {dimension} coverage of (\d+)%", name)
            if match and match[1] in (expert.name, "fused"):
                coverage.setdefault(int(match[2]), str(figure))
    return coverage


def support_seconds(session: SessionState) -> float:
    """Return how long the time is that an estimate rests on (s); NaN without any."""
    track = session.estimates
    if track is None or "support.window_start" not in track.info.names:
        return float("nan")
    begin = track.last("support.window_start", session.now)
    return track.last("support.window_end", session.now) - begin


def expert_columns(session: SessionState) -> list[str]:
    """Return the columns of features that the experts read and that are there."""
    track = session.features
    if track is None:
        return []
    names = track.info.names
    wanted = [n for e in experts(session.config) for n in _card_columns(e.card, names)]
    return [n for n in dict.fromkeys(wanted) if n in names]


def _card_columns(card: ModelCard, names: Sequence[str]) -> list[str]:
    """Return the features that weights read: of any electrodes, if by their place."""
    columns = [name for name, _ in card.columns]
    if card.config.get("embedding") != "place" or set(columns) <= set(names):
        return columns
    fronts = {name.rpartition(".")[0] for name in columns}
    return [name for name in names if name.rpartition(".")[0] in fronts]


def valid_fraction(session: SessionState, seconds: float = 60.0) -> float:
    """Return which share of what the experts read was there in the last ``seconds``."""
    track, names = session.features, expert_columns(session)
    if track is None or not names:
        return float("nan")
    _, rows = track.window(session.now - seconds, session.now + 1e-6)
    at = [track.info.names.index(n) for n in names]
    return float(np.isfinite(rows[:, at]).mean()) if len(rows) else float("nan")


def contributions(session: SessionState, dimension: str) -> dict[str, float]:
    """Return by how much each modality moved an estimate away from its prior.

    Summed over the features of each chain; what the participant's own ratings did is
    ``participant``, what no feature accounts for ``other``.
    """
    track = session.estimates
    totals: dict[str, float] = {}
    for name in track.info.names if track is not None else ():
        head, by, feature = name.partition(".contribution.")
        if by and head == dimension and track is not None:
            value = track.last(name, session.now)
            if np.isfinite(value):
                chain = feature.partition(".")[0]
                totals[chain] = totals.get(chain, 0.0) + value
    return {k: v for k, v in totals.items() if abs(v) >= 0.005}


def strongest_movement(session: SessionState) -> tuple[str, float]:
    """Return the chain that moves most, and how much (g); ("", NaN) without any."""
    track = session.features
    best = ("", float("nan"))
    for channel in track.info.channels if track is not None else ():
        if channel.unit == "g" and track is not None:
            value = track.last(channel.name, session.now)
            if np.isfinite(value) and not value <= best[1]:
                best = (channel.name, value)
    return best


def is_moving(value: float) -> bool:
    """Tell whether so much movement (g) disturbs what is worn."""
    return value > _MOVEMENT_LIMIT
