"""HTML documents of the pages: common head, styles and scripts by address only."""

from collections.abc import Iterable
from html import escape


def html_page(
    title: str,
    body: str,
    styles: Iterable[str] = (),
    scripts: Iterable[str] = (),
) -> str:
    """Return a page; its policy allows neither scripts nor styles in the text.

    Parameters
    ----------
    title
        Title, escaped here.
    body
        HTML of the body, whose external texts are escaped already.
    styles, scripts
        Addresses below ``/static/``, such as ``edit/edit.js``; scripts are modules.
    """
    links = "".join(
        f'<link rel="stylesheet" href="/static/{name}">'
        for name in ("web/common.css", *styles)
    )
    modules = "".join(
        f'<script type="module" src="/static/{name}"></script>' for name in scripts
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,">'
        f"{links}{modules}</head><body>{body}</body></html>"
    )
