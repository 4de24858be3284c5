"""Site of the workbench: page, files, actions, commands."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

from physio.view.web.html_page import html_page
from physio.view.web.page_server import FileReply, PageRequest, Route, Site
from physio.view.workbench.actions import ACTIONS, PlannedCommand, planned
from physio.view.workbench.command_jobs import CommandJobs
from physio.view.workbench.folder_items import (
    FolderItem,
    item_of,
    list_items,
    resolved,
    table_rows,
)
from physio.view.workbench.uploads import PART, Uploads, part_of

STATIC: Final = Path(__file__).parent / "static"
MOST_CHOSEN: Final = 200
"""Maximum number of items of an action."""

_LARGEST_PAGE: Final = 256 * 2**20  # bytes of a page or picture that is shown
_KINDS: Final = {".html": "text/html; charset=utf-8", ".png": "image/png"}
_SANDBOX: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Policy of a shown page: no script of it runs, and it has no access to this one."""


class Workbench:
    """State of the workbench of a folder, and its routes.

    Parameters
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.jobs, self.uploads = CommandJobs(self.folder), Uploads(self.folder)

    def site(self) -> Site:
        """Return the site that a `physio.view.web.page_server.PageServer` serves."""
        routes = (
            Route("/app", self._page),
            Route("/app/wait", self._waiting_page),
            Route("/app/items", self._items),
            Route("/app/jobs", self._jobs),
            Route("/app/table", self._table),
            Route("/app/show", self._show),
            Route("/app/command", self._command, "POST"),
            Route("/app/run", self._run, "POST"),
            Route("/app/stop", self._stop, "POST"),
            Route("/app/upload", self._upload, "POST"),
        )
        return Site(
            {"app": frozenset({"app"})},
            routes,
            {"workbench": STATIC},
            max_body=2 * PART,
        )

    def close(self) -> None:
        """End all commands, and remove files that are not complete."""
        self.jobs.close()
        self.uploads.close()

    def _page(self, _: PageRequest) -> str:
        return html_page(
            f"physio: {self.folder.name}",
            _BODY.format(folder=escape(str(self.folder))),
            ("workbench/workbench.css",),
            ("workbench/workbench.js",),
        )

    def _waiting_page(self, _: PageRequest) -> str:
        return html_page(
            "physio: opening",
            _WAITING,
            ("workbench/workbench.css",),
            ("workbench/waiting.js",),
        )

    def _items(self, _: PageRequest) -> dict[str, Any]:
        items, is_cut = list_items(self.folder)
        return {
            "items": [item.to_dict() for item in items],
            "cut": is_cut,
            "actions": [action.to_dict() for action in ACTIONS.values()],
        }

    def _jobs(self, _: PageRequest) -> list[dict[str, Any]]:
        return self.jobs.to_list()

    def _table(self, request: PageRequest) -> dict[str, Any]:
        return table_rows(self._file(request.query))

    def _show(self, request: PageRequest) -> FileReply:
        """Return a report or a picture, in which no script can run."""
        path = self._file(request.query)
        kind = _KINDS.get(path.suffix.lower())
        if kind is None:
            raise ValueError(f"{path.name} is neither a report nor a picture")
        if path.stat().st_size > _LARGEST_PAGE:
            raise ValueError(f"{path.name} is too large to be shown: open it directly")
        return FileReply(path.read_bytes(), kind, _SANDBOX)

    def _command(self, request: PageRequest) -> dict[str, Any]:
        try:
            return {"command": self._planned(request.content).text}
        except ValueError as error:
            return {"error": str(error)}

    def _run(self, request: PageRequest) -> dict[str, Any]:
        return {"number": self.jobs.start(self._planned(request.content)).number}

    def _stop(self, request: PageRequest) -> dict[str, Any]:
        number = request.content.get("number")
        if not isinstance(number, int) or isinstance(number, bool):
            raise ValueError("the number of a command must be an integer")
        self.jobs.stop(number)
        return {"stopped": number}

    def _upload(self, request: PageRequest) -> dict[str, Any]:
        return part_of(request.content, self.uploads)

    def _planned(self, content: Mapping[str, Any]) -> PlannedCommand:
        """Return the command of a request, all of whose parts are checked."""
        paths, values = content.get("items"), content.get("values", {})
        if not isinstance(paths, list) or len(paths) > MOST_CHOSEN:
            raise ValueError(f"items must be a list of at most {MOST_CHOSEN} paths")
        if not isinstance(values, dict):
            raise ValueError("values must be an object")
        texts = {k: v for k, v in values.items() if isinstance(v, str)}
        if len(texts) < len(values):
            raise ValueError("every value must be a text")
        items = [self._item(path) for path in paths]
        sheet = texts.get("conditions", "")
        sheets = [sheet] if sheet and self._item(sheet).kind == "conditions" else []
        return planned(
            str(content.get("action", "")), items, texts, self.folder, sheets
        )

    def _item(self, path: Any) -> FolderItem:
        item = item_of(self.folder, resolved(self.folder, str(path)))
        if item is None:
            raise ValueError(f"no action applies to {str(path)[:200]!r}")
        return item

    def _file(self, query: Mapping[str, str]) -> Path:
        path = resolved(self.folder, query.get("path", ""))
        if not path.is_file():
            raise ValueError(f"{path.name} is a folder")
        return path


_BODY: Final = """
<header class="bar"><h1>physio</h1>
<p class="dim">Folder <code id="folder">{folder}</code></p></header>
<main>
<div class="column"><section class="card" aria-labelledby="files-title">
<h2 id="files-title">Files</h2>
<div id="drop" class="drop">
<label for="upload">Drop recordings here, or choose them:</label>
<input id="upload" type="file" multiple>
<p id="upload-state" role="status" aria-live="polite"></p></div>
<p><label for="filter">Show</label>
<select id="filter"><option value="">everything</option>
<option value="recording">recordings</option><option value="session">sessions</option>
<option value="dataset">data sets</option><option value="study">studies</option>
<option value="conditions">sheets of conditions</option>
<option value="table">tables</option><option value="page">reports</option>
<option value="settings">session files</option></select></p>
<div class="scroll" tabindex="0" role="region" aria-label="List of files">
<table id="items"><thead><tr><th scope="col"><span class="visually-hidden">Chosen</span>
</th><th scope="col">Name</th><th scope="col">Kind</th><th scope="col">Size</th>
<th scope="col">Changed</th></tr></thead><tbody></tbody></table></div>
<p id="empty" hidden>No recording yet: drop a file above, for example the zip of an
Empatica E4.</p><p id="cut" class="warn" hidden>Not all files are listed.</p>
</section>
<section class="card" aria-labelledby="results-title">
<h2 id="results-title">Commands and results</h2>
<p id="alert" role="alert"></p><div id="jobs"></div>
</section></div>
<section class="card" aria-labelledby="actions-title">
<h2 id="actions-title">Actions</h2>
<p id="chosen" role="status" aria-live="polite">Choose a file.</p>
<div id="actions"></div></section>
<section id="preview" class="card wide" aria-labelledby="preview-title" hidden>
<h2 id="preview-title"></h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="preview-title">
<table id="preview-table"><thead></thead><tbody></tbody></table></div>
</section></main>
"""

_WAITING: Final = """
<main class="waiting"><section class="card"><h1>Opening</h1>
<p id="wait-state" role="status" aria-live="polite">The command is starting.</p>
<progress aria-label="Opening"></progress>
<pre id="wait-lines"></pre></section></main>
"""
