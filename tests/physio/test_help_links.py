"""Where a message points to."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from physio.cli import app, help_links

ROOT = Path(__file__).resolve().parents[2]


def test_pages_and_packages_are_there() -> None:
    for module, page in help_links.PAGES.items():
        assert find_spec(module) is not None, module
        assert (ROOT / "docs" / f"{page}.md").is_file(), page


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("data", ["replay", "no-such.xdf"]),
        ("session", ["live", "wrong.toml"]),
        ("devices", ["live", "board.toml", "--seconds", "1"]),
        ("recording", ["replay", "cut.xdf", "--fast"]),
        ("evaluate", ["evaluate", "wrong.toml", "--out", "out"]),
        ("extract", ["audit", ".", "--protocol", "loso"]),
        ("dashboard", ["report", "nothing"]),
        ("study", ["study", "table", "nothing"]),
    ],
)
def test_what_is_refused_says_where_to_read_on(
    page: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.toml").write_text("[sesion]\nperson = 3\n")
    board = 'use = "devices.board:Board"\nboard = "no-such-board"\n'
    (tmp_path / "board.toml").write_text(
        f"[session]\nconsent = 'none'\n[devices.head]\n{board}"
    )
    (tmp_path / "cut.xdf").write_bytes(b"XDF:\x01\x03")
    (tmp_path / "recording.csv").write_text("a,b\n1,2\n")
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ValueError | OSError), result.output
    assert help_links.page(result.exception) == f"docs/{page}.md"


def test_a_rating_may_be_negative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["rate", "0.5", "-0.2", "nan", "--scale", "now"]
    result = CliRunner().invoke(app, words)
    told = "there is no session under sessions: name one with --session"
    assert str(result.exception) == told


def test_what_is_not_ours_points_nowhere() -> None:
    assert help_links.page(ValueError("made here")) == ""
