"""Self-contained HTML report with embedded figures."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import pandas as pd
from matplotlib.figure import Figure

from physio.core.filename import distinct_filenames

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto;
  padding: 0 1rem; color: #1b1f24; background: #fff; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #d0d7de; }
p.notice { background: #fff4ce; border-left: 4px solid #b8860b; padding: .6rem 1rem; }
p.small, figcaption { color: #57606a; font-size: .9rem; }
figure { margin: 1.5rem 0; } img { max-width: 100%; height: auto; }
div.wide { overflow-x: auto; } div.wide tbody th { white-space: nowrap; }
div.wide td { overflow-wrap: break-word; } div.wide td.long { white-space: pre-wrap; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: .9rem; margin: 1rem 0; }
th, td { padding: .2rem .4rem; vertical-align: top; text-align: right;
  border-bottom: 1px solid #eaeef2; }
thead th { border-bottom: 2px solid #8c959f; } tbody th { text-align: left; }
table.cells thead th:first-child, td:has(span.left) { text-align: left; }
span.share { display: inline-block; min-width: 3.2rem; border-radius: .2rem; }
tr.leak td:first-child { color: #b42318; font-weight: 600; }
pre { background: #f6f8fa; padding: .8rem 1rem; overflow-x: auto; font-size: .85rem;
  white-space: pre-wrap; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } }
"""


@dataclass
class HtmlReport:
    """Report under construction; each method appends to it.

    Parameters
    ----------
    title
        Title of the report.
    """

    title: str
    figures: dict[str, Figure] = field(default_factory=dict, init=False)
    """Named figures, which `save_figures` writes."""
    _parts: list[str] = field(default_factory=list)

    def heading(self, text: str) -> Self:
        """Begin a section."""
        return self._add(f"<h2>{escape(text)}</h2>")

    def text(self, text: str, *, small: bool = False) -> Self:
        """Add a paragraph."""
        kind = ' class="small"' if small else ""
        return self._add(f"<p{kind}>{escape(text)}</p>")

    def notice(self, text: str) -> Self:
        """Add a highlighted notice, such as for simulated data or leakage."""
        return self._add(f'<p class="notice" role="note">{escape(text)}</p>')

    def table(
        self, table: pd.DataFrame, shown: Callable[[Any], str] | None = None
    ) -> Self:
        """Add a table; ``shown`` formats each of its cells."""
        formatters = None if shown is None else [shown] * len(table.columns)
        html = table.rename_axis(None).rename_axis(None, axis=1).to_html(
            border=0, justify="right", formatters=formatters, na_rep="-"
        )  # fmt: skip
        return self._add(f'<div class="wide">{html}</div>')

    def code(self, text: str) -> Self:
        """Add preformatted text, as of a settings file."""
        return self._add(f"<pre>{escape(text)}</pre>")

    def cells(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Self:
        """Add a table whose cells are HTML; a shorter row ends in a wide cell."""
        head = "".join(f"<th>{escape(name)}</th>" for name in header)
        lines = []
        for row in rows:
            first, *others = row
            rest = len(header) - len(row)
            cells = [f"<td>{cell}</td>" for cell in others]
            if rest and cells:
                cells[-1] = f'<td colspan="{rest + 1}">{others[-1]}</td>'
            lines.append(f"<tr><th>{first}</th>{''.join(cells)}</tr>")
        return self._add(
            f'<div class="wide"><table class="cells"><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(lines)}</tbody></table></div>"
        )

    def figure(self, figure: Figure, caption: str, name: str = "") -> Self:
        """Add a figure with a caption, which is also its alternative text."""
        content = BytesIO()
        try:
            figure.savefig(content, format="png", dpi=140)
        except Exception as error:  # the rest of the report is valid
            return self.notice(
                f"no figure: {caption} ({type(error).__name__}: {error})"
            )
        if name:
            self.figures[name] = figure
        data = base64.b64encode(content.getvalue()).decode("ascii")
        text = escape(caption)
        return self._add(
            f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
            f"<figcaption>{text}</figcaption></figure>"
        )

    def save_figures(self, folder: Path) -> list[Path]:
        """Write the named figures as PNG, SVG and PDF; return the files."""
        folder.mkdir(parents=True, exist_ok=True)
        written, files = [], distinct_filenames(self.figures)
        for name, figure in self.figures.items():
            for kind in ("png", "svg", "pdf"):
                path = folder / f"{files[name]}.{kind}"
                figure.savefig(path, dpi=200)
                written.append(path)
        return written

    def audit(self, audit: Mapping[str, Any]) -> Self:
        """Add the leakage audit of a split, of `physio.evaluation.leakage.audit`."""
        verdict = "no leakage found" if audit["ok"] else "this split has leakage"
        self.heading("Leakage audit")
        add = self.text if audit["ok"] else self.notice
        add(f"{audit['protocol']}: {verdict}.")
        rows = [
            f'<tr class="{"leak" if f["leak"] else "note"}">'
            f"<td>{'leak' if f['leak'] else 'note'}</td><td>{escape(f['kind'])}</td>"
            f"<td>{escape(f['fold'])}</td>"
            f'<td style="text-align:left">{escape(f["text"])}</td></tr>'
            for f in audit["findings"]
        ]
        if rows:
            self._add(f"<table><tbody>{''.join(rows)}</tbody></table>")
        if control := audit.get("time_only"):
            self.text(
                "A random forest with the time since the start as its only feature "
                f"reaches macro-F1 {control['reached']:.2f}, mean over "
                f"{len(control['per_participant'])} participants (majority class: "
                f"{control['guess']:.2f})."
            )
        return self

    def __str__(self) -> str:
        title = escape(self.title)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>{title}</title><style>{_STYLE}</style></head><body>"
            f"<h1>{title}</h1>\n" + "\n".join(self._parts) + "\n</body></html>\n"
        )

    def _add(self, html: str) -> Self:
        self._parts.append(html)
        return self
