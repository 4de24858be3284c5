"""The command that serves the workbench of a folder."""

from pathlib import Path
from typing import Annotated

import typer

from physio.cli.browser_page import page_announcer


def workbench(
    folder: Annotated[
        Path, typer.Argument(help="Folder with recordings; default: this one.")
    ] = Path(),
    open_it: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Show the recordings, sessions and studies of a folder in the browser.

    Recordings are dropped in, checked, viewed, corrected, and become tables, reports
    and exports. The command of each action is shown beside it. Nothing is overwritten.

    Example: `physio app films`
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    from contextlib import closing

    from physio.view.web.page_server import serve
    from physio.view.workbench.workbench_site import Workbench

    with closing(Workbench(folder)) as bench:
        announce = page_announcer(folder, open_it=open_it, role="app")
        serve(bench.site(), announce, name="app")
