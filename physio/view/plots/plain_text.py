"""Figure that draws all text literally, without mathematical notation."""

from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text

from physio.core.printable import printable


class PlainTextFigure(Figure):
    r"""Matplotlib figure in which ``$`` is a dollar sign and controls are escaped.

    Names of streams, markers, conditions and participants come from recordings.
    Interpreted as mathematics, ``$x_1$`` would be drawn differently, and an unknown
    command such as ``$\foo$`` would raise an error.
    """

    def draw(self, renderer: Any) -> None:
        """Draw the figure; see `matplotlib.figure.Figure.draw`."""
        for text in self.findobj(Text):
            text.set_parse_math(False)
            text.set_text(printable(text.get_text()))
        with mpl.rc_context({"text.parse_math": False}):  # texts created while drawing
            super().draw(renderer)
