"""A session's folder: nothing is overwritten, and deleting it deletes it whole."""

from pathlib import Path

import pytest

from physio.cli import session_folder


def make(out: Path) -> Path:
    with session_folder.fresh(out, "p1") as made:
        return made


def test_a_new_folder_is_the_owners_alone(tmp_path: Path) -> None:
    made = make(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700


def test_where_no_session_begins_all_is_as_before(tmp_path: Path) -> None:
    out = make(tmp_path / "s")
    session_folder.describe(out, {}, ended="first")
    with pytest.raises(OSError, match="no board"), session_folder.fresh(out, "p1"):
        raise OSError("no board")
    assert "first" in (out / session_folder.ABOUT).read_text("utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    with (
        pytest.raises(OSError, match="no board"),
        session_folder.fresh(tmp_path / "t", "p1"),
    ):
        raise OSError("no board")
    assert not (tmp_path / "t").exists()


def test_a_session_that_is_there_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "s"
    for text in ("first", "second"):
        make(out)
        session_folder.describe(out, {}, ended=text)
    make(out)
    assert list(out.iterdir()) == []
    assert "first" in (tmp_path / "s_old1" / session_folder.ABOUT).read_text("utf-8")
    assert "second" in (tmp_path / "s_old2" / session_folder.ABOUT).read_text("utf-8")


def test_what_is_no_session_is_neither_used_nor_deleted(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("dear", "utf-8")
    with pytest.raises(
        ValueError,
        match=f"{tmp_path} holds other files: give a new folder",
    ):
        make(tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path} is not a session: it has"):
        session_folder.delete(tmp_path)
    assert (tmp_path / "mine.txt").is_file()


def test_a_session_is_deleted_whole(tmp_path: Path) -> None:
    out = make(tmp_path / "s")
    session_folder.describe(out, {"session": {"participant": "p1"}}, ended="")
    (out / "recording.xdf").write_bytes(b"XDF:")
    assert session_folder.delete(out) == 3
    assert not out.exists()


@pytest.mark.parametrize("participant", ["p07", "", "A-1.b_c"])
def test_codes(participant: str) -> None:
    assert session_folder.code(participant) == participant


@pytest.mark.parametrize("participant", ["Jane Doe", "ä", "../x", "p" * 40])
def test_names_are_refused(participant: str) -> None:
    with pytest.raises(ValueError, match="is not a code: use up to 32 letters"):
        session_folder.code(participant)
