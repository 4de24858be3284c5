"""A session is recorded unless its file says that it is not to be."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from physio.cli import app

DEVICE = '[devices.band]\nuse = "devices.simulated:Wristband"\nseconds = 4.0\n'
SINK = '[sinks.mine]\nuse = "physio.sinks.jsonl:JsonLines"\n'


@pytest.mark.parametrize(
    ("session", "sinks", "recorded"),
    [("", SINK, True), ("record = false", SINK, False), ("record = false", "", False)],
)
def test_a_session_with_a_sink_of_its_own(
    session: str, sinks: str, recorded: bool, tmp_path: Path
) -> None:
    config = tmp_path / "s.toml"
    config.write_text(f'[session]\nconsent = "none"\n{session}\n{DEVICE}{sinks}')
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["live", str(config), "--out", str(out)])
    assert done.exit_code == 0, done.output
    names = {path.name for path in out.iterdir()}
    assert ("recording.xdf" in names) is recorded
    assert ("Nothing is recorded: s.toml has" in done.output) is not recorded
    assert ("estimates.jsonl" in names) is bool(sinks)
    assert {"features.parquet", "estimates.parquet"} <= names


def test_what_only_records_refuses_to_record_nothing(tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    config.write_text(f'[session]\nconsent = "none"\nrecord = false\n{DEVICE}')
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["record", str(config), "--out", str(out)])
    assert str(done.exception).startswith("s.toml: session.record = false, but this only records")
    assert not out.exists()
