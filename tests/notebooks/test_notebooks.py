"""Every notebook runs, as a reader runs it, and stores small outputs."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def executed(path: Path) -> nbformat.NotebookNode:
    """Return a notebook after a kernel of its own has run it beside the others."""
    book = nbformat.read(path, 4)
    client = NotebookClient(
        book,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    return client.execute()


def shown(book: nbformat.NotebookNode) -> str:
    """Return the texts that the cells of a notebook put out, and say where pictures."""
    found = []
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text", "")})
            found += ["<picture>"] * ("image/png" in data) + [data.get("text/plain")]
    return "\n".join(str(text) for text in found)


@pytest.fixture(autouse=True)
def _kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lsl = tmp_path / "lsl_api.cfg"  # this machine alone, and a session of our own
    scope, session = "[multicast]\nResolveScope = machine\n", f"notebooks-{os.getpid()}"
    lsl.write_text(f"{scope}[lab]\nSessionID = {session}\n[log]\nlevel = -3\n")
    monkeypatch.setenv("LSLAPICFG", str(lsl))
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # a notebook has its own


def test_all_of_them_are_there() -> None:
    assert [path.stem[0] for path in NOTEBOOKS] == list("123456789")


@each
def test_notebooks_store_small_outputs(path: Path) -> None:
    """`docs/store_outputs.py` stores them."""
    book = nbformat.read(path, 4)
    nbformat.validate(book)
    assert path.stat().st_size < 300_000
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert not {o.output_type for o in outputs} - {
        "display_data", "execute_result", "stream"
    }  # fmt: skip
    kinds = {kind for o in outputs for kind in o.get("data", ())}
    assert kinds <= {"image/png", "text/html", "text/markdown", "text/plain"}
    texts = path.read_text("utf-8")
    places = ("'/tmp/", "/home/", "/root/", str(ROOT))
    assert not [place for place in places if place in texts]


SAID = {
    "1": ("arousal.missing", "<picture>", "wrist-demo - simulated"),
    "2": (
        "channels",
        "'completed: end of the notebook'",
        "'session.markers': 1.0",
    ),
    "3": ("poor quality", "True", "<picture>"),
    "4": ("duality gap", "solution:", "<picture>"),
    "5": ("(32, 4)", "(0.0, ", "<picture>"),
    "6": ("windows shuffled: leaks: True", "held-out participants: leaks: False"),
    "7": ("neuroscan.eeg", "'shrinkage LDA'"),
    "9": ("nothing leaks", 'ratings = { "effort"', "<picture>", "True"),
    "8": ("resp.amplitude", "breaks law 1", "'time only': 1.0"),
}
"""What a reader must have seen, by notebook."""


@each
def test_notebooks_run_on_simulated_participants(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHYSIO_QUICK", "1")
    monkeypatch.setenv("PHYSIO_DATA", str(tmp_path / "none"))
    text = shown(executed(path))
    assert [said for said in SAID[path.stem[0]] if said not in text] == []


@pytest.mark.long
@each
def test_notebooks_run_on_real_participants(
    path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHYSIO_DATA", str(data.resolve()))
    monkeypatch.delenv("PHYSIO_QUICK", raising=False)
    executed(path)
