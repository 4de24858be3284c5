"""Columns of two participants, side by side on common axes of time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from bokeh.models import Label, Range1d

from physio.core.affect import DIMENSIONS
from physio.view.dashboard import html
from physio.view.dashboard.figures.eda_heart import EdaFigure, HeartFigure
from physio.view.dashboard.figures.theme import Theme
from physio.view.dashboard.figures.vad import VadHistory, ValenceArousalPlane
from physio.view.dashboard.panels import shown_dimensions, visible_panels
from physio.view.dashboard.session_state import SessionState

SIDES: Final = ("left", "right")
"""Names of the columns."""

_SECONDS: Final = 60.0  # length of the common axis of time
_PANELS: Final = ("plane", "histories", *DIMENSIONS, "eda", "heart")
_COMMON: Final = ("controls", "log", "latency")  # panels that stay beside the columns


@contextmanager
def showing(session: SessionState, code: str) -> Iterator[None]:
    """Select a participant inside a ``with`` block."""
    before, session.selected = session.selected, code
    try:
        yield
    finally:
        session.selected = before


@dataclass
class PersonFigures:
    """Figures of one participant: plane, histories, skin conductance, heart.

    Parameters
    ----------
    theme
        Colours.
    code
        Code of the participant.
    times
        Axis of time, common to all columns.
    """

    theme: Theme
    code: str
    times: Range1d

    def __post_init__(self) -> None:
        self.plane = ValenceArousalPlane(self.theme)
        self.histories = [VadHistory(self.theme, d, _SECONDS) for d in DIMENSIONS]
        self.eda = EdaFigure(self.theme, _SECONDS)
        self.heart = HeartFigure(self.theme, _SECONDS)
        lines = [history.root for history in self.histories]
        for root in (*lines, self.eda.root, self.heart.root):
            root.x_range = self.times
        for label in self.plane.root.select({"type": Label}):
            self.plane.root.center.remove(label)  # the reasons are beside the plane

    @property
    def roots(self) -> dict[str, Any]:
        """The figures by name."""
        histories = {history.name: history.root for history in self.histories}
        others = {
            "plane": self.plane.root,
            "eda": self.eda.root,
            "heart": self.heart.root,
        }
        return {**others, **histories}

    def show_span(self, seconds: float) -> None:
        """Show a span of this length (s)."""
        for history in self.histories:
            history.seconds = seconds
        self.eda.seconds = self.heart.seconds = seconds

    def draw(self, session: SessionState) -> None:
        """Draw the present state of the participant."""
        with showing(session, self.code):
            last = (shown_dimensions(session) or DIMENSIONS)[-1]
            for history in self.histories:
                history.update(session)
                history.root.xaxis.visible = history.name == last
            for figure in (self.plane, self.eda, self.heart):
                figure.update(session)


class SideBySide:
    """The columns of two participants; none in a session of fewer than two.

    Parameters
    ----------
    theme
        Colours.
    codes
        Codes of the participants of the session; the first two are displayed.
    """

    def __init__(self, theme: Theme, codes: Sequence[str]) -> None:
        times = Range1d(0, 1)
        shown = list(zip(SIDES, codes, strict=False)) if len(codes) > 1 else []
        self.columns = {s: PersonFigures(theme, code, times) for s, code in shown}
        self.active = False
        """True while the page shows the columns."""
        self.addressee = codes[0] if self.columns else ""
        """Code of the participant that ratings and baselines are about."""

    @property
    def roots(self) -> dict[str, Any]:
        """The figures by name, after the name of their column."""
        return {
            f"{side}-{name}": root
            for side, person in self.columns.items()
            for name, root in person.roots.items()
        }

    def show_span(self, seconds: float) -> None:
        """Show a span of this length (s) in all columns."""
        for person in self.columns.values():
            person.show_span(seconds)

    def draw(self, session: SessionState) -> None:
        """Draw all columns."""
        for person in self.columns.values():
            person.draw(session)

    def choose(self, name: str, code: str) -> None:
        """Show a participant in a column, or address the controls to one."""
        if name in self.columns:
            self.columns[name].code = code
        else:
            self.addressee = code

    def texts(self, session: SessionState, role: str) -> dict[str, str]:
        """Return the texts of the columns, and those that differ beside them."""
        panels = [n for n in visible_panels(session, role) if n in _COMMON]
        texts = {}
        for side, person in self.columns.items():
            with showing(session, person.code):
                basis = html.estimate_basis(session)
                texts[f"{side}-estimates"] = html.estimates(session) + basis
                shown = [n for n in visible_panels(session, role) if n in _PANELS]
            panels += [f"{side}-{name}" for name in ("person", *shown)]
        with showing(session, ""):
            texts["state"] = html.session_status(session)
        return {**texts, "panels": " ".join([*panels, "addressee"])}
