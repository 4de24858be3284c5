"""TOML becomes settings, or one clear sentence."""

from fractions import Fraction
from pathlib import Path

import pytest

from physio.config import build, read
from physio.core.aligner import TickGrid
from physio.core.stage import Chain, Fork

CHAIN = {"use": "physio.core.stage:Chain"}
JOIN = {"use": "physio.core.aligner:TickGrid"}


def test_tables_become_objects_and_lists_tuples() -> None:
    got = build({"use": "physio.core.stage:Fork", "stages": [CHAIN, CHAIN]}, "a.toml")
    assert got == Fork((Chain(), Chain()))


def test_numbers_become_exact_fractions() -> None:
    assert build({**JOIN, "rate": 2.5}, "a.toml") == TickGrid(rate=Fraction(5, 2))


def test_given_values_fill_fields_that_are_there() -> None:
    assert build(JOIN, "a.toml", given={"hold": 2.0, "name": "x"}) == TickGrid(hold=2.0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {**JOIN, "holt": 1.0},
            "a.toml: Join has no setting 'holt'; it has rate, hold",
        ),
        (
            {**JOIN, "hold": "1"},
            "a.toml.hold = '1': input should be a valid number",
        ),
        (
            {"use": "physio.core.stage:Chain", "stages": ["notch"]},
            "a.toml.stages[0] = 'notch': input should be an instance of Stage",
        ),
        (
            {"use": "os:system"},
            "a.toml: use = 'os:system' is outside physio, devices; "
            "--trust os would allow it",
        ),
        (
            {"use": "physio.core.stage:StageRunner"},
            "a.toml: 'physio.core.stage:StageRunner' is not a class of settings",
        ),
        ({"use": "Chain"}, "a.toml: use = 'Chain' must be 'package.module:Name'"),
        ({"use": 3}, "a.toml: use = 3 must be 'package.module:Name'"),
        (
            {"use": "physio.core.stage:Chian"},
            "a.toml: there is no 'physio.core.stage:Chian': module "
            "'physio.core.stage' has no attribute 'Chian'",
        ),
        (
            {"use": "physio.core.protocols:FastClock", "_zero": 1.0},
            "a.toml: FastClock has no setting '_zero'; it has time",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=r".*") as caught:
        build(value, "a.toml")
    assert str(caught.value) == message


def test_a_trusted_package_may_be_named() -> None:
    with pytest.raises(ValueError, match="is not a class of settings"):
        build({"use": "json:JSONDecoder"}, "a.toml", trust=("json",))


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    with pytest.raises(FileNotFoundError, match=f"there is no file {path}"):
        read(path)
    path.write_text("rate = ", "utf-8")
    with pytest.raises(ValueError, match=f"{path} is not TOML: Invalid value"):
        read(path)
    path.write_text("[session]\nrate = 4\n", "utf-8")
    assert read(path) == {"session": {"rate": 4}}
