"""Text from elsewhere steers neither the operator's terminal nor the figures."""

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from physio.cli import app, main
from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import event_stream, single_event
from physio.core.printable import printable
from physio.core.recording import MARKERS, Recording
from physio.io import xdf
from physio.view.reports.html_report import HtmlReport
from physio.view.terminal.layout import status_line
from physio.view.terminal.live import Terminal

HOSTILE = "a\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2028\r\n$\\foo$ b_1"
STEERING = "\x1b\x07\x9b\u202e\u2028\r"


def hostile(name: str, participant: str = "") -> Block:
    channel = Channel(HOSTILE, "eeg", "uV")
    info = StreamInfo(name, Fraction(32), (channel,), participant=participant)
    return Block(info, 0, 0.0, np.zeros((320, 1)))


def recording() -> Recording:
    name = f"{HOSTILE}.eeg"
    markers = single_event(event_stream(MARKERS), 1.0, HOSTILE)
    return Recording({name: (hostile(name),)}, {MARKERS: markers})


def test_only_what_steers_is_escaped() -> None:
    assert printable("naïve 中文 \u200d $x_1$\tok\n") == "naïve 中文 \u200d $x_1$\tok\n"
    assert printable(HOSTILE).isprintable() is False  # the line feed stays
    assert printable(HOSTILE, keep="").isprintable()
    assert printable("\x1b[2J\x9b\u202e\udc80") == "\\x1b[2J\\x9b\\u202e\\udc80"
    for code in range(0x110000):
        assert not set(printable(chr(code), keep="")) & set(map(chr, range(32)))


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_terminal_view_escapes_every_name(is_terminal: bool) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=is_terminal, width=120, height=40)
    console.no_color = True
    block = hostile(f"{HOSTILE}.eeg", HOSTILE)
    terminal = Terminal([block.info], 0.0, HOSTILE, console)
    terminal.take(block, 10.0)
    terminal.take(single_event(event_stream(MARKERS), 1.0, HOSTILE), 10.0)
    terminal.take(single_event(event_stream("session.status"), 2.0, HOSTILE), 10.0)
    terminal.tell(HOSTILE)
    terminal.show(10.0)
    text = status_line(terminal.screen())
    assert text.isprintable()
    drawn = console.render_lines(terminal.screen(), console.options)
    text = "".join(part.text for line in drawn for part in line)
    assert "owned" in text
    assert not set(text) & set(STEERING)
    if not is_terminal:
        assert "owned" in file.getvalue()
        assert not set(file.getvalue()) & set(STEERING)


def run(*args: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in args])


def test_commands_print_and_draw_hostile_names(tmp_path: Path) -> None:
    source = tmp_path / "r.xdf"
    xdf.write(source, recording())
    for args in (
        ("replay", source, "--speed", "20", "--out", tmp_path / "s"),
        ("report", tmp_path / "s", "--figures", tmp_path / "figures"),
        ("check", source),
    ):
        done = run(*args)
        assert done.exit_code in (0, 1), done.output
        assert not isinstance(done.exception, ValueError)
        assert not set(done.output) & set(STEERING)
        assert args[0] == "report" or "owned" in done.output
        assert "no plot" not in done.output
    assert "no figure" not in (tmp_path / "s" / "report.html").read_text("utf-8")


def test_mathematics_in_names_is_drawn_as_text(data: Path, tmp_path: Path) -> None:
    source = data.parent / "cases" / "attack" / "dollar.xdf"
    if not source.is_file():
        pytest.skip(f"no recording {source}")
    done = run("replay", source, "--fast", "--out", tmp_path / "s")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "s" / "overview.png").is_file()
    done = run("report", tmp_path / "s", "--figures", tmp_path / "figures")
    assert done.exit_code == 0, done.output
    assert "no figure" not in (tmp_path / "s" / "report.html").read_text("utf-8")
    assert "$\\foo$" in (tmp_path / "s" / "report.html").read_text("utf-8")


def test_a_failing_plot_ends_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **_settings: object) -> None:
        raise RuntimeError("no \x1b[2J font")

    monkeypatch.setattr("physio.cli.summary.draw_overview", broken)
    out, figures = tmp_path / "s", tmp_path / "figures.json"
    done = run("demo", "--fast", "--seconds", "2", "--out", out, "--json", figures)
    assert done.exit_code == 0, done.output
    assert "no plot of the session: RuntimeError: no \\x1b[2J font" in done.output
    assert json.loads(figures.read_text("utf-8"))["state"] == "completed"

    class Figure:
        savefig = broken

    page = str(HtmlReport("r").figure(Figure(), "signals", "x"))  # type: ignore[arg-type]
    assert "no figure: signals (RuntimeError" in page


def test_errors_are_printed_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x\x1b[2J\x9b.toml"
    monkeypatch.setattr("sys.argv", ["physio", "live", str(path)])
    with pytest.raises(SystemExit, match="2"):
        main()
    message = capsys.readouterr().err
    assert "there is no file" in message
    assert "\\x1b[2J\\x9b.toml" in message
    assert not set(message) & set(STEERING)
