"""The views of the dashboard as components of a notebook, live and of recordings."""

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import panel as pn

from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Sink, WallClock
from physio.core.recording import Recording
from physio.view.dashboard import html
from physio.view.dashboard.document import FigureSet
from physio.view.dashboard.figures.theme import THEMES
from physio.view.dashboard.session_state import SessionState, state_of_recording
from physio.view.dashboard.sink import session_about

_EVERY: Final = 200  # ms between two drawings
_ROOM: Final = 20_000  # items that wait for a notebook that does not draw
_BEGIN: Final = """<script>
let tries = 20
const draw = setInterval(() => {
  const models = Bokeh.documents.flatMap((one) => [...one._all_models.values()])
  for (const model of models)
    if (model.name === "frames") model.properties.data.change.emit()
  if (!--tries || models.some((model) => model.tape)) clearInterval(draw)
}, 300)
</script>"""
"""What has the signals drawn that came with a page, before any news of them."""

_STYLE: Final = """
:host { font: 12px system-ui, sans-serif; } table { border-collapse: collapse; }
th { text-align: left; padding-right: 8px; } .figure { font-weight: 700; }
.badge { font-weight: 700; padding: 2px 8px; margin-right: 6px; border-radius: 4px;
  background: #e69f00; color: #000; }
.badge.abstains { background: none; color: inherit; outline: 2px dashed; }
.bar { display: none; } small { display: block; color: #5b6675; }
"""


def show(
    recording: Recording, computed: Iterable[Item] = (), theme: str = "light"
) -> Any:
    """Return the dashboard's views of a recording, with a slider for the time.

    Parameters
    ----------
    recording
        What to look at.
    computed
        Features and estimates, where the recording does not hold them: blocks, as
        `physio.features` and `physio.estimate` return them.
    theme
        ``light`` or ``dark``.

    Returns
    -------
    panel.Column
        What a notebook shows when it is the last line of a cell.
    """
    session = state_of_recording(recording, computed)
    views = FigureSet.of(session, THEMES[theme])
    text_pane = pn.pane.HTML("", stylesheets=[_STYLE])
    slider = pn.widgets.FloatSlider(
        label="at (s)", start=0.0, end=max(recording.seconds, 0.1), step=0.25,
        value=recording.seconds / 2, sizing_mode="stretch_width",
    )  # fmt: skip

    def look(at: float) -> None:
        session.at = recording.begin + at
        _draw(views, session, text_pane)

    slider.param.watch(lambda event: look(event.new), "value")
    look(slider.value)
    return pn.Column(slider, *_layout(views, text_pane))


@dataclass
class NotebookSink(Sink):
    """A sink whose views a notebook shows while the session runs.

    Give it to a `physio.Session` that runs in a thread, and let ``panel()`` be the
    last line of a cell. It never makes the session wait: what a notebook does not draw
    in time is dropped.

    Parameters
    ----------
    about, clock
        The session's; a session file's settings in ``about["config"]`` tell what the
        estimates rest on.
    """

    about: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=WallClock)
    session: SessionState = field(default_factory=SessionState, init=False)
    _pending: deque[tuple[Item, float]] = field(
        default_factory=lambda: deque(maxlen=_ROOM), init=False, repr=False
    )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.session.ended = self.session.ended or "ended"

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Hear what flows."""
        speed = self.clock.speed
        now = self.clock.now()
        self.session.update({**session_about(self.about, now)})
        self.session.update({"clock": (now, time.monotonic(), speed)})
        for info in streams:
            self.session.add_stream(info)

    def write(self, item: Item) -> None:
        """Take an item; the oldest that waits gives way."""
        self._pending.append((item, self.clock.now()))

    def end(self, outcome: str) -> None:
        """Hear how it ended."""
        self.session.ended = outcome or "ended"

    def panel(self, theme: str = "light") -> Any:
        """Return the views, redrawn five times a second in a notebook that runs."""
        views = FigureSet.of(self.session, THEMES[theme])
        text_pane = pn.pane.HTML("", stylesheets=[_STYLE])

        def draw() -> None:
            self.take()
            _draw(views, self.session, text_pane)

        draw()
        column = pn.Column(*_layout(views, text_pane))
        pn.state.add_periodic_callback(draw, _EVERY)
        return column

    def take(self) -> None:
        """Put what came into the session."""
        while self._pending:
            self.session.take(*self._pending.popleft())


def _draw(views: FigureSet, session: SessionState, text_pane: Any) -> None:
    views.draw(session)
    parts = html.badges(session), html.estimates(session), html.estimate_basis(session)
    text_pane.object = "<br>".join(parts)


def _layout(views: FigureSet, text_pane: Any) -> list[Any]:
    """Return rows of figures and words."""
    roots = {name: pn.pane.Bokeh(root) for name, root in views.roots.items()}
    for pane in roots.values():
        pane.sizing_mode = "stretch_both"

    def cell(name: str, height: int) -> Any:
        return pn.Column(roots[name], height=height, sizing_mode="stretch_width")

    histories = [cell(name, 120) for name in ("valence", "arousal", "dominance")]
    signal_names = ["signals", *(["others"] if views.eeg and views.others else [])]
    return [
        pn.Row(*(cell(name, 320) for name in signal_names)),
        pn.Row(cell("plane", 360), pn.Column(*histories), text_pane),
        pn.Row(cell("skin", 180), cell("heart", 180), cell("scalp", 180)),
        pn.pane.HTML(_BEGIN, width=0, height=0, margin=0),
    ]
