"""Settings and files of a wrong type, depth or size: one sentence and status 2."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from typer.testing import CliRunner

from physio.cli import app
from physio.core.json_table import is_nested_too_deep, json_table, stored_config
from physio.core.recording import Recording
from physio.io import xdf
from test_printable import recording

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
from physio.__main__ import main
sys.argv[0] = "physio"
main()
"""
"""Runs the command line with 6 GB of address space at most."""


def refused(*args: object) -> str:
    """Return the one sentence with which a command refuses its input."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, (args, done.stderr[-2000:])
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("physio: ")
    assert len(line) < 2100
    return line


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


SESSION = {
    "session": {"participant": "p1", "rate": 4, "consent": "none"},
    "devices": {"band": {"use": "devices.simulated:Wristband", "seconds": 1.0}},
}
BAD: tuple[Any, ...] = (
    1e9, -1, 0, "1e999999999", "1/0", "", "x" * 100_000, [], [1], nested(10),
    nested(200), {}, {"use": "os:system"}, {"use": ["a"]}, True, 10**300, float("nan"),
    float("inf"),
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "rate = 1e9",
        'rate = "1e999999999"',
        "rate = " + "[" * 300 + "]" * 300,
        "rate = " + "[" * 100_000 + "]" * 100_000,
        "rate = [4]",
        "rate = {use = 'physio.core.stage:Chain'}",
        "rate = " + "9" * 10_000,
    ],
    ids=range(7),
)
def test_a_wrong_rate_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        f"[session]\nconsent = 'none'\n{text}\n[devices.a]\n"
        "use = 'devices.simulated:Wristband'\n",
        "utf-8",
    )
    line = refused("live", path, "--seconds", "1", "--out", tmp_path / "out")
    assert "s.toml" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", ["r.xdf", "r.csv", "r.txt", "r.edf", "r.zip", "s.toml"]
)
def test_a_pipe_or_a_device_is_refused(name: str, tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):  # pragma: no cover
        pytest.skip("this system has no pipes with a path")
    os.mkfifo(tmp_path / name)
    (tmp_path / "zero").mkdir()
    (tmp_path / "zero" / name).symlink_to("/dev/zero")
    command = "live" if name == "s.toml" else "replay"
    assert "is a pipe or a device" in refused(command, tmp_path / name)
    assert "is a pipe or a device" in refused(command, tmp_path / "zero" / name)
    if name == "r.xdf":
        assert "is a pipe or a device" in refused("repair", tmp_path / name)


def places(table: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for key, value in table.items():
        yield table, key
        if isinstance(value, dict):
            yield from places(value)


def mutated(config: Any, rng: random.Random) -> Any:
    config = json.loads(json.dumps(config))
    table, key = rng.choice(list(places(config)))
    table[key] = rng.choice(BAD)
    return config


@pytest.mark.parametrize("times", [40, pytest.param(1000, marks=pytest.mark.long)])
def test_any_setting_of_another_type_is_refused(times: int, tmp_path: Path) -> None:
    from physio.online import session_config

    seed = random.SystemRandom().randrange(10**6)
    print("seed", seed)  # noqa: T201
    rng = random.Random(seed)
    path = tmp_path / "s.toml"
    for _ in range(times):
        config = mutated(SESSION, rng)
        path.write_text(tomli_w.dumps(config), "utf-8")
        try:
            file = session_config.read(path)
            file.session  # noqa: B018
        except ValueError:
            continue
        except Exception as error:
            raise AssertionError((seed, str(config)[:500])) from error


def stored(path: Path, config: str) -> Path:
    source = recording()
    xdf.write(
        path, Recording(source.streams, source.events, metadata={"config": config})
    )
    return path


@pytest.mark.parametrize(
    "config",
    [
        json.dumps({"session": {"rate": 1e9}}),
        json.dumps({"session": {"rate": "1e999999999"}}),
        json.dumps({"session": {"rate": [4]}}),
        json.dumps({"session": []}),
        json.dumps({"chains": [[{}]]}),
        json.dumps({"chains": {"a": 5}}),
        json.dumps({"chains": {"a": {"stream": 5, "stages": {}}}}),
        json.dumps({"chains": {"a": {"stages": nested(100)}}}),
        "[" * 100_000 + "]" * 100_000,
        '{"chains": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
    ids=range(10),
)
def test_settings_of_a_recording_are_refused_or_left_out(
    config: str, tmp_path: Path
) -> None:
    source = stored(tmp_path / "r.xdf", config)
    refused("replay", source, "--fast", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    about = stored_config({"config": config})
    assert all(isinstance(c, dict) for c in about["chains"].values())
    assert isinstance(about["estimator"], dict)


def test_a_report_and_a_page_need_no_valid_settings() -> None:
    from physio.view.dashboard.session_state import state_of_recording
    from physio.view.reports.methods import SessionFacts, methods_paragraph
    from physio.view.reports.session import session_report

    rng = random.Random(5)
    config: dict[str, Any] = {
        "chains": {"eda": {"stream": "a", "stages": [{"use": "a:Notch", "freq": 5}]}},
        "estimator": {"experts": [{"weights": "wrist"}], "baseline_seconds": 60},
        "sinks": {"a": {"use": "b"}},
    }
    texts = [json.dumps(mutated(config, rng)) for _ in range(30)]
    for text in ("[" * 10**5, "5", "null", '{"a":' * 10**5, *texts):
        source = recording()
        read = Recording(source.streams, source.events, metadata={"config": text})
        state = state_of_recording(read)
        assert isinstance(state.config["chains"], dict)
        facts = SessionFacts("1", ("eda",), ("arousal",))
        text, _ = methods_paragraph(state.config, "1", facts)
        assert text.startswith("Signals were recorded")
    assert "Methods" in str(session_report(read, None, None))


def test_the_deep_settings_of_a_file_break_no_command(
    data: Path, tmp_path: Path
) -> None:
    source = data.parent / "cases" / "attack" / "deep_json_config.xdf"
    if not source.is_file():
        pytest.skip(f"no recording {source}")
    out = tmp_path / "report.html"
    done = CliRunner().invoke(app, ["report", str(source), "--out", str(out)])
    assert done.exit_code == 0 or isinstance(done.exception, ValueError), done.output


def test_depth() -> None:
    assert not is_nested_too_deep(nested(24))
    assert is_nested_too_deep(nested(25))
    assert is_nested_too_deep({"a": [{"b": nested(24)}]})
    assert json_table('{"a": [1]}') == {"a": [1]}
    assert json_table("[1]") is None
    assert json_table("{") is None
