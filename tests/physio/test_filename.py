"""Names that become names of files: refused, or made safe and told apart."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from physio.core.filename import (
    UniqueFilenames,
    distinct_filenames,
    invalid_reason,
    to_filename,
    valid_name,
)
from physio.online.session_config import SessionConfig
from physio.sinks.xdf import Xdf

HOSTILE = {
    "../../x": "it holds the path separator '/'",
    "/abs": "it holds the path separator '/'",
    "a\\b": r"it holds the path separator '\\'",
    "C:x": "it holds ':'",
    "..": "it begins or ends with '.'",
    ".": "it begins or ends with '.'",
    ".hidden": "it begins or ends with '.'",
    "-rf": "it begins or ends with '-'",
    "end.": "it begins or ends with '.'",
    " x": "it begins or ends with ' '",
    "x ": "it begins or ends with ' '",
    "": "it is empty",
    "a\0b": "it holds the control character U+0000",
    "a\nb": "it holds the control character U+000A",
    "a\x1bb": "it holds the control character U+001B",
    "a\x7f": "it holds the control character U+007F",
    "a\u202eb": "it holds the control character U+202E",
    "a\u2028b": "it holds the control character U+2028",
    "a\ud800b": "it holds the control character U+D800",
    "x" * 101: "it is longer than 100 bytes",
    "\u00e4" * 51: "it is longer than 100 bytes",
    "x" * 5000: "it is longer than 100 bytes",
    "CON": "Windows takes it for a device",
    "nul.eeg": "Windows takes it for a device",
    "Com1.x": "Windows takes it for a device",
    "LPT9": "Windows takes it for a device",
    "a*b": "it holds '*'",
    "a|b": "it holds '|'",
}
GOOD = ("headset.eeg", "band", "p1.skin2", "k\u00f6rper.temp", "a b", "x" * 100, "E4-2")


@pytest.mark.parametrize(("name", "reason"), HOSTILE.items(), ids=range(len(HOSTILE)))
def test_what_cannot_be_a_name_is_refused_with_the_reason(
    name: str, reason: str
) -> None:
    assert invalid_reason(name) == reason
    with pytest.raises(ValueError, match="as files are called after it: ") as caught:
        valid_name(name, "f.toml: a sink")
    text = str(caught.value)
    assert text.startswith("f.toml: a sink cannot be called ")
    assert text.endswith(reason)
    assert "\n" not in text
    assert len(text) < 200


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_a_name_stays(name: str) -> None:
    assert (valid_name(name, "a device"), to_filename(name)) == (name, name)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_any_name_has_a_file_in_the_folder(name: str, tmp_path: Path) -> None:
    file = to_filename(name)
    assert invalid_reason(file) == ""
    path = tmp_path / f"{file}.parquet.part"
    path.write_bytes(b"")
    assert list(tmp_path.iterdir()) == [path]


@given(st.lists(st.text(max_size=120) | st.sampled_from(list(HOSTILE)), unique=True))
def test_files_are_distinct_whatever_the_names(names: list[str]) -> None:
    files = distinct_filenames(names)
    assert list(files) == names
    assert len({file.casefold() for file in files.values()}) == len(names)
    for file in files.values():
        assert not set(file) & set("/\\:\0")
        assert file not in ("", ".", "..")


def test_none_takes_the_file_of_another() -> None:
    clash = to_filename("../x")
    assert clash.startswith("_x-")
    for names in (["../x", clash], [clash, "../x"]):
        files = distinct_filenames(names)
        assert files == {clash: clash, "../x": f"{clash}-2"}
    assert set(distinct_filenames(["a/b", "a\\b", "a_b"]).values()) == {
        "a_b", to_filename("a/b"), to_filename("a\\b"),
    }  # fmt: skip
    assert distinct_filenames(["Eeg", "eeg", "EEG"]) == {
        "Eeg": "Eeg", "eeg": "eeg-2", "EEG": "EEG-3",
    }  # fmt: skip
    composed, apart = "k\u00f6", "ko\u0308"
    assert distinct_filenames([composed, apart])[apart] == f"{apart}-2"
    files = UniqueFilenames()
    assert files["../x"] == files["../x"] == clash


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("kind", ["device", "chain", "sink"])
def test_a_session_file_names_nothing_so(kind: str, name: str) -> None:
    tables = {f"{kind}s": {name: {"use": "physio.core.stage:Chain"}}}
    with pytest.raises(ValueError, match=rf"^f.toml: a {kind} cannot be called "):
        SessionConfig(tables, "f.toml")


@pytest.mark.parametrize(
    ("tables", "place"),
    [
        ({"chains": {"p1": {"../x": {"stream": "s"}}}}, "chains.p1: a chain"),
        ({"devices": {"a": {"use": "u", "name": "../x"}}}, "devices.a: a device"),
        ({"sinks": {"a": {"use": "u", "name": "/x"}}}, "sinks.a: a sink"),
    ],
)
def test_nor_deeper_in_its_tables(tables: dict[str, Any], place: str) -> None:
    with pytest.raises(ValueError, match=rf"^f: {place} cannot be called "):
        SessionConfig(tables, "f")


@pytest.mark.parametrize("name", ["../victim.txt", "/abs.xdf", "a/b.xdf", "..", ""])
def test_a_recording_is_called_without_a_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^a recording cannot be called "):
        Xdf(tmp_path, filename=name)
