"""Store the outputs of the notebooks: ``python docs/store_outputs.py [NAME ...]``.

Each notebook runs in a kernel of its own on simulated participants. Texts and pictures
are stored; pictures have 64 colours. Widgets, scripts and times of execution are not.
"""

import base64
import os
import sys
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT: Final = Path(__file__).resolve().parents[1]
MOST_TEXT: Final = 6_000
"""Characters of a text that are stored."""

_KINDS: Final = ("image/png", "text/html", "text/markdown", "text/plain")


def main(names: list[str]) -> None:
    """Run the notebooks whose names begin with one of these, or all."""
    os.environ |= {"PHYSIO_QUICK": "1", "PHYSIO_DATA": "none"}
    os.environ.pop("MPLBACKEND", None)  # a notebook has its own
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if names and not path.name.startswith(tuple(names)):
            continue
        book = nbformat.read(path, 4)
        client = NotebookClient(
            book,
            timeout=300,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
        )
        store(client.execute())
        nbformat.write(book, path)
        sys.stdout.write(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB\n")


def store(book: Any) -> None:
    """Reduce the outputs of an executed notebook to small texts and pictures."""
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in map(_reduced, cell.outputs) if o is not None]


def _reduced(output: Any) -> Any:
    """Return an output with its texts and pictures alone, or None."""
    if output.output_type == "stream":
        return None if output.name == "stderr" else _shortened(output)
    if output.output_type == "error":
        raise RuntimeError(f"{output.ename}: {output.evalue}")
    data = {
        kind: str(output.data[kind]).replace(str(ROOT), ".")
        for kind in _KINDS
        if kind in output.data
    }
    page = data.get("text/html", "")
    if "<script" in page or len(page) > MOST_TEXT:
        data.pop("text/html", None)
    if "image/png" in data:
        data["image/png"] = _small(data["image/png"])
    output.data = nbformat.from_dict(data)
    output.metadata = nbformat.from_dict({})
    return output if data else None


def _shortened(output: Any) -> Any:
    output.text = str(output.text).replace(str(ROOT), ".")[:MOST_TEXT]
    return output


def _small(png: str) -> str:
    """Return a picture with 64 colours."""
    picture = Image.open(BytesIO(base64.b64decode(png))).convert("RGB")
    content = BytesIO()
    picture.quantize(64).save(content, format="PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode("ascii") + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
