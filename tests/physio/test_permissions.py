"""What is recorded of a participant is readable by its owner alone."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.core.private_file import open_private, write_private
from physio.online.remote_control import ControlSocket
from physio.online.unix_control import runtime_folder, socket_address
from physio.study.study_folder import replace_folder

if os.name != "posix":  # pragma: no cover
    pytest.skip("this system has no permissions of POSIX", allow_module_level=True)


@pytest.fixture(params=[0o000, 0o022, 0o377], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("way", ["w", "x", "wb", "xb"])
def test_a_private_file_has_the_same_permissions_under_any_umask(
    way: str, tmp_path: Path
) -> None:
    with open_private(tmp_path / "a", way) as file:
        file.write(b"x" if "b" in way else "x")
    assert mode(tmp_path / "a") == 0o600


def test_an_existing_file_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old", "utf-8")
    (tmp_path / "a").chmod(0o644)
    write_private(tmp_path / "a", "new")
    assert mode(tmp_path / "a") == 0o600
    assert (tmp_path / "a").read_text("utf-8") == "new"


def test_files_of_a_session_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        out = tmp_path / "s"
        run = ["demo", "--fast", "--seconds", "3", "--out", str(out)]
        done = CliRunner().invoke(app, run)
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    modes = {p.name: mode(p) for p in out.iterdir()}
    assert {"recording.xdf", "features.parquet", "session.json"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert mode(out) == 0o700


def test_results_of_a_study_are_private(tmp_path: Path) -> None:
    with replace_folder(tmp_path / "r") as new:
        (new / "table.csv").write_text("participant", "utf-8")
    assert mode(tmp_path / "r" / "table.csv") == 0o600


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a folder whose path is short enough for a socket."""
    with TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("has_runtime", [True, False])
def test_sockets_lie_in_a_folder_of_the_user(
    has_runtime: bool, tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short) if has_runtime else "")
    with ControlSocket(tmp_path):
        path = socket_address(tmp_path)
        assert path.is_socket()
        assert path.parent.parent == short
        assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    runtime_folder().chmod(0o755)
    assert mode(runtime_folder()) == 0o700
    path = runtime_folder()
    path.rmdir()
    path.symlink_to(tmp_path)
    with pytest.raises(OSError, match="is not a folder of yours"):
        runtime_folder()
