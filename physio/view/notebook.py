"""The dashboard's figures in a notebook, live and for recordings."""

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

try:
    import panel as pn
except ModuleNotFoundError:
    raise ImportError(
        "views of a notebook need panel: pip install 'physio-affect[notebook]'"
    ) from None

from physio.core.affect import DIMENSIONS
from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Sink, WallClock
from physio.core.recording import Recording
from physio.view.dashboard import html
from physio.view.dashboard.document import FigureSet
from physio.view.dashboard.figures.theme import THEMES
from physio.view.dashboard.session_state import SessionState, state_of_recording
from physio.view.dashboard.sink import session_about
from physio.view.plots.time_axes import display_unit

_INTERVAL: Final = 200  # ms between two updates
_CAPACITY: Final = 20_000  # maximum number of items waiting for the next update
_START_SCRIPT: Final = """<script>
let tries = 20
const draw = setInterval(() => {
  const models = Bokeh.documents.flatMap((doc) => [...doc._all_models.values()])
  for (const model of models)
    if (model.name === "frames") model.properties.data.change.emit()
  if (!--tries || models.some((model) => model.panel)) clearInterval(draw)
}, 300)
</script>"""
"""Script that draws the signals of a new page, before any further samples."""

_TITLES: Final = {
    "eda": f"EDA ({display_unit('uS')}), SCL (dashed), phasic part, SCRs",
    "heart": "Heart rate (1/min), RMSSD (ms, dashed)",
    "bands": f"EEG power (dB of 1 {display_unit('uV')}²) by band",
    "topomap": "EEG entropy (bit) by band",
}
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
    """Return the dashboard's figures of a recording, with a slider for the time.

    Parameters
    ----------
    recording
        The recording.
    computed
        Features and estimates, if the recording does not contain them: blocks, as
        `physio.compute_features` and `physio.estimate` return them.
    theme
        ``light`` or ``dark``.

    Returns
    -------
    panel.Column
        Component that a notebook shows as the result of a cell.
    """
    session = state_of_recording(recording, computed)
    figures = FigureSet.of(session, THEMES[theme])
    text_pane = pn.pane.HTML("", stylesheets=[_STYLE])
    slider = pn.widgets.FloatSlider(
        label="time (s)", start=0.0, end=max(recording.seconds, 0.1), step=0.25,
        value=recording.seconds / 2, sizing_mode="stretch_width",
    )  # fmt: skip

    def show_time(at: float) -> None:
        session.at = recording.begin + at
        _draw(figures, session, text_pane)

    slider.param.watch(lambda event: show_time(event.new), "value")
    show_time(slider.value)
    return pn.Column(slider, *_layout(figures, text_pane))


@dataclass
class NotebookSink(Sink):
    """Sink that shows a running session in a notebook.

    Pass it to a `physio.Session` that runs in a thread, and make ``panel()`` the last
    line of a cell. The session never waits: items that the notebook does not draw in
    time are dropped.

    Parameters
    ----------
    about, clock
        Metadata and clock of the session. ``about["config"]``, the settings of the
        session file, contains the weights and the baseline of the estimates.
    """

    about: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=WallClock)
    session: SessionState = field(default_factory=SessionState, init=False)
    _pending: deque[tuple[Item, float]] = field(
        default_factory=lambda: deque(maxlen=_CAPACITY), init=False, repr=False
    )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.session.ended = self.session.ended or "ended"

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Add the streams of the devices."""
        now = self.clock.now()
        self.session.update(session_about(self.about, now))
        self.session.update({"clock": (now, time.monotonic(), self.clock.speed)})
        for info in streams:
            self.session.add_stream(info)

    def write(self, item: Item) -> None:
        """Queue an item; a full queue drops its oldest."""
        self._pending.append((item, self.clock.now()))

    def end(self, outcome: str) -> None:
        """Show the outcome of the session."""
        self.session.ended = outcome or "ended"

    def panel(self, theme: str = "light") -> Any:
        """Return the figures, updated five times a second in a running notebook."""
        figures = FigureSet.of(self.session, THEMES[theme])
        text_pane = pn.pane.HTML("", stylesheets=[_STYLE])

        def draw() -> None:
            self.take()
            _draw(figures, self.session, text_pane)

        draw()
        column = pn.Column(*_layout(figures, text_pane))
        pn.state.add_periodic_callback(draw, _INTERVAL)
        return column

    def take(self) -> None:
        """Add the queued items to the session's state."""
        while self._pending:
            self.session.take(*self._pending.popleft())


def _draw(figures: FigureSet, session: SessionState, text_pane: Any) -> None:
    figures.draw(session)
    parts = html.badges(session), html.estimates(session), html.estimate_basis(session)
    text_pane.object = "<br>".join(parts)


def _layout(figures: FigureSet, text_pane: Any) -> list[Any]:
    """Return the rows of figures and texts."""
    roots = {name: pn.pane.Bokeh(root) for name, root in figures.roots.items()}
    for pane in roots.values():
        pane.sizing_mode = "stretch_both"

    def cell(name: str, height: int) -> Any:
        parts = [roots[name]]
        if title := _TITLES.get(name):
            parts.insert(0, pn.pane.HTML(f"<b>{title}</b>", height=18))
        return pn.Column(*parts, height=height, sizing_mode="stretch_width")

    histories = [cell(name, 120) for name in DIMENSIONS]
    signal_names = ["signals", *(["others"] if figures.eeg and figures.others else [])]
    return [
        pn.Row(*(cell(name, 320) for name in signal_names)),
        pn.Row(cell("plane", 360), pn.Column(*histories), text_pane),
        pn.Row(*(cell(name, 180) for name in _TITLES)),
        pn.pane.HTML(_START_SCRIPT, width=0, height=0, margin=0),
    ]
