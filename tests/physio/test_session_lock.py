"""One session a folder; what a killed session left is announced and cleared."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from physio.cli import session_folder
from physio.cli.session_lock import FolderLock, unfinished
from physio.online.remote_control import ControlSocket
from physio.online.unix_control import socket_address

pytest.importorskip("fcntl")

HOLD = """
import sys
from pathlib import Path
from physio.cli import session_folder
from physio.online.remote_control import ControlSocket
with session_folder.fresh(Path(sys.argv[1]), "p07") as folder, ControlSocket(folder):
    session_folder.describe(folder, {}, state="running")
    (folder / "recording.xdf").write_bytes(b"XDF:")
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(out: Path) -> Iterator[Callable[[], None]]:
    """Hold a session's folder in another process; yield what kills that process."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def kill() -> None:
        child.send_signal(signal.SIGKILL)
        child.wait()

    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield kill
    finally:
        kill()
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            pipe.close()


def cli(*args: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "physio.cli", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_second_session_is_refused_until_the_first_has_died(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "s" / "p07"
    with held(out) as kill:
        before = sorted(p.name for p in out.iterdir())
        status, text = cli("demo", "--fast", "--seconds", "2", "--out", out)
        assert status == 2
        assert text.splitlines()[-1].startswith(f"physio: a session runs in {out}: ")
        assert "Traceback" not in text
        with pytest.raises(OSError, match="a session runs in"):
            session_folder.delete(out)
        assert sorted(p.name for p in out.iterdir()) == before
        assert [p.name for p in out.parent.iterdir()] == ["p07"]
        assert list(unfinished(out.parent)) == []
        kill()
        with session_folder.fresh(out, "p07"):
            message = " ".join(capsys.readouterr().out.split())
    old = out.with_name("p07_old1") / "recording.xdf"
    assert (
        f"ended without its record; save what it holds with: physio repair {old}"
        in (message)
    )
    old.with_stem("recording_repaired").touch()
    with session_folder.fresh(tmp_path / "s" / "next", "p08"):
        assert capsys.readouterr().out == ""


def test_no_other_path_leads_into_a_folder_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "s" / "p07"
    link, alias = tmp_path / "link", tmp_path / "alias"
    with held(out):
        link.symlink_to(out)
        alias.symlink_to(out.parent)
        monkeypatch.chdir(out.parent)
        for path in (out, link, alias / "p07", Path("p07"), Path("../s/p07")):
            with pytest.raises(OSError, match="a session runs in"):
                session_folder.fresh(path, "p08").__enter__()
        assert [p.name for p in out.parent.iterdir()] == ["p07"]
    with session_folder.fresh(out, "p07"), pytest.raises(OSError, match="session runs"):
        session_folder.fresh(out, "p08").__enter__()


def test_a_lock_follows_the_folder_and_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with FolderLock(tmp_path / "a"):
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "a").mkdir()
        FolderLock(tmp_path / "a").release()
        with pytest.raises(OSError, match="a session runs in"):
            FolderLock(tmp_path / "b")
    FolderLock(tmp_path / "b").release()


@pytest.mark.parametrize(
    "about", ["[" * 100_000, "[]", "\x00", '{"state": "completed"}', "{}"]
)
def test_other_files_are_no_unfinished_session(tmp_path: Path, about: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "recording.xdf").touch()
    (tmp_path / "s" / "session.json").write_text(about, "utf-8")
    assert list(unfinished(tmp_path)) == []
    (tmp_path / "s" / "session.json").write_text(json.dumps({"state": "running"}))
    assert list(unfinished(tmp_path)) == [tmp_path / "s" / "recording.xdf"]


def test_sockets_of_killed_sessions_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "run"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    with held(tmp_path / "a") as kill, ControlSocket(tmp_path / "b"):
        kill()
        assert socket_address(tmp_path / "a").exists()
        with ControlSocket(tmp_path / "c"):
            assert not socket_address(tmp_path / "a").exists()
            assert socket_address(tmp_path / "b").exists()


def test_a_long_runtime_folder_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ("long" * 30)
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    with ControlSocket(tmp_path):
        assert socket_address(tmp_path).exists()
        assert place not in socket_address(tmp_path).parents
