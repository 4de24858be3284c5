"""TOML becomes settings, or one clear sentence."""

import sys
from fractions import Fraction
from pathlib import Path

import pytest

from physio import config
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
            "a.toml: TickGrid has no setting 'holt'; it has rate, hold",
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
            "a.toml: 'os' is outside physio, devices; --trust os would allow it",
        ),
        (
            {"use": "physio.core.stage:StageRunner"},
            "a.toml: 'physio.core.stage:StageRunner' is not a class of settings",
        ),
        ({"use": "Chain"}, "a.toml: use = 'Chain' must be 'package.module:Name'"),
        ({"use": 3}, "a.toml: use = 3 must be 'package.module:Name'"),
        (
            {"use": "physio.core.stage:Chian"},
            "a.toml: 'physio.core.stage' defines no 'Chian'",
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


@pytest.mark.parametrize(
    ("use", "key", "name"),
    [
        ("devices.board:Board", "ring", "buffer_seconds"),
        ("devices.board:Board", "only", "streams_used"),
        ("devices.simulated:Wristband", "truth", "ground_truth"),
        ("physio.inference.expert:Expert", "reads", "features"),
        ("physio.inference.estimator:Estimator", "recall", "rating_lookback"),
        ("physio.offline.extract:Windows", "hop", "step"),
        ("physio.offline.extract:Windows", "share", "min_valid"),
        ("physio.online.session_config:SessionSettings", "patience", "stall_timeout"),
        ("physio.evaluation.feature_benchmark:FeatureBenchmark", "gap", "embargo"),
        ("physio.study.design:Contrast", "measures", "outcomes"),
    ],
)
def test_a_setting_of_version_0_1_is_told_its_present_name(
    use: str, key: str, name: str
) -> None:
    with pytest.raises(ValueError, match=f"; '{key}' is now called '{name}'"):
        build({"use": use, key: 1}, "a.toml")


def test_a_trusted_package_may_be_named() -> None:
    with pytest.raises(ValueError, match="is not a class of settings"):
        build({"use": "json:JSONDecoder"}, "a.toml", trust=("json",))


def test_a_trusted_module_may_lie_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    source = "from dataclasses import dataclass\n@dataclass\nclass Mine:\n    gain: int"
    (tmp_path / "my_gain.py").write_text(source, "utf-8")
    (tmp_path / "my_fault.py").write_text("import not_there\n", "utf-8")
    value = {"use": "my_gain:Mine", "gain": 2}
    with pytest.raises(ValueError, match="--trust my_gain would allow it"):
        build(value, "a.toml")
    assert build(value, "a.toml", trust=("my_gain",)).gain == 2
    with pytest.raises(ValueError, match=f"'my_gian' is installed or in {tmp_path}"):
        build({"use": "my_gian:Mine"}, "a.toml", trust=("my_gian",))
    with pytest.raises(ValueError, match="'my_fault' needs 'not_there', which is not"):
        build({"use": "my_fault:Mine"}, "a.toml", trust=("my_fault",))


def test_research_is_loaded_from_the_checkout_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = config.load_module("experiments.weights", "a.toml")
    root = config.checkout()
    assert root is not None
    assert Path(module.__path__[0]) == root / "experiments" / "weights"
    monkeypatch.setattr(config, "checkout", lambda: None)
    with pytest.raises(ValueError, match="'experiments' is part of the source reposit"):
        config.load_module("experiments.weights", "a.toml")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    with pytest.raises(FileNotFoundError, match=f"there is no file {path}"):
        read(path)
    path.write_text("rate = ", "utf-8")
    with pytest.raises(ValueError, match=f"{path} is not TOML: Invalid value"):
        read(path)
    path.write_text("[session]\nrate = 4\n", "utf-8")
    assert read(path) == {"session": {"rate": 4}}


def written(folder: Path, **files: str) -> Path:
    """Write TOML files; return the path of the first."""
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text, "utf-8")
    return folder / f"{next(iter(files))}.toml"


def test_an_included_file_is_merged_and_the_including_one_wins(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        a='include = "b.toml"\n[x]\nlist = [3]\n[x.y]\nq = 2\n[z]\nuse = "m:B"\nv = 1',
        b='include = "c.toml"\n[x]\np = 1\nlist = [1, 2]\n[x.y]\nq = 1\nr = 1',
        c='[w]\nk = 0\n[x]\np = 0\n[z]\nuse = "m:A"\nu = 1',
    )
    tables = read(path)
    assert tables == {
        "w": {"k": 0},
        "x": {"p": 1, "list": [3], "y": {"q": 2, "r": 1}},
        "z": {"use": "m:B", "v": 1},
    }
    assert list(tables) == ["w", "x", "z"]


@pytest.mark.parametrize(
    ("include", "message"),
    [
        ('"../b.toml"', r"^a.toml: include = '../b.toml' must be the name of a TOML "),
        ('"/tmp/b.toml"', r"^a.toml: include = '/tmp/b.toml' must be the name of a "),
        ('"b.json"', r"^a.toml: include = 'b.json' must be the name of a TOML file"),
        ('["b.toml"]', r"^a.toml: include = \['b.toml'\] must be the name of a TOML "),
        ('"a.toml"', r"^a.toml: it includes itself: a.toml > a.toml$"),
        ('"b.toml"', r"^b.toml: it includes itself: a.toml > b.toml > a.toml$"),
    ],
)
def test_a_wrong_include_is_refused(tmp_path: Path, include: str, message: str) -> None:
    path = written(tmp_path, a=f"include = {include}", b='include = "a.toml"')
    with pytest.raises(ValueError, match=message):
        read(path)


def test_an_included_file_that_is_missing_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, a='include = "b.toml"')
    with pytest.raises(FileNotFoundError, match=r"^a.toml: include = 'b.toml': there "):
        read(path)
