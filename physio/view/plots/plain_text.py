"""Figure that draws every text as it is written, without mathematics."""

from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text

from physio.core.printable import printable


class PlainTextFigure(Figure):
    r"""Matplotlib figure in which ``$`` is a dollar sign and controls are escaped.

    Names of streams, markers, conditions and participants come from recordings. As
    mathematics, ``$x_1$`` would be drawn as something else and an unknown command such
    as ``$\foo$`` would be an error.
    """

    def draw(self, renderer: Any) -> None:
        """Draw the figure; see `matplotlib.figure.Figure.draw`."""
        for text in self.findobj(Text):
            text.set_parse_math(False)
            text.set_text(printable(text.get_text()))
        with mpl.rc_context({"text.parse_math": False}):  # texts made while drawing
            super().draw(renderer)
