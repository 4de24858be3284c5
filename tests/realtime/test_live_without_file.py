"""Sessions without a file: what answers is proposed, and its file runs again."""

import json
import os
import pty
import select
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from devices.empatica import MockServer
from devices.simulated import Wristband
from physio.cli import app, device_search
from physio.cli.device_search import _radio, search
from physio.cli.propose_session import draft
from physio.cli.session_draft import SessionDraft
from physio.io import xdf
from physio.online import session_config

OUTLETS = Path(__file__).with_name("outlets.py")
EEG = [(name, "microvolts", "EEG") for name in ("F3", "F4", "T7", "T8")]
AMP = {"name": "Amp", "type": "EEG", "rate": 256, "source_id": "a", "channels": EEG}
BAND = [
    {"name": "Band_EDA", "type": "EDA", "rate": 16, "source_id": "e", "channels": 1},
    {"name": "Band_BVP", "type": "BVP", "rate": 64, "source_id": "b", "channels": 1},
    {"name": "Band_ACC", "type": "ACC", "rate": 32, "source_id": "m",
     "channels": [(axis, "g", "ACC") for axis in "xyz"]},
]  # fmt: skip
SECOND = {**AMP, "name": "Second", "source_id": "s"}
MARKERS = {
    "name": "Psycho", "type": "Markers", "rate": 0, "source_id": "p", "channels": 1,
    "format": "string",
}  # fmt: skip
WHO = ("--participant", "p07", "--consent", "form-3")


@contextmanager
def sending(*tables: dict[str, Any]) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, str(OUTLETS), json.dumps(tables)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            process.kill()


@pytest.fixture(scope="module")
def streams() -> Iterator[None]:
    """Send the EEG of an amplifier, three streams of a wristband, and markers."""
    with sending(AMP, *BAND, MARKERS):
        yield


def physio(*line: object) -> tuple[int, str]:
    """Run a command without a terminal; return its status and all its text."""
    result = CliRunner().invoke(app, [str(part) for part in line])
    error = result.exception
    if isinstance(error, ValueError | OSError):
        return 2, f"{result.output}{error}"
    assert error is None or isinstance(error, SystemExit), error
    return result.exit_code, result.output


@pytest.mark.usefixtures("streams")
def test_the_proposal_has_names_units_and_what_is_guessed() -> None:
    status, text = physio("devices", "--toml")
    assert status == 0
    tables = tomllib.loads(text.partition("\n")[2])
    assert tables["session"] == {"participant": "", "consent": "", "rate": 4}
    assert tables["devices"] == {
        "amp": {"use": "devices.lsl:Inlet", "source_id": "a"},
        "band-acc": {"use": "devices.lsl:Inlet", "source_id": "m", "name": "band"},
        "band-bvp": {"use": "devices.lsl:Inlet", "source_id": "b", "name": "band"},
        "band-eda": {"use": "devices.lsl:Inlet", "source_id": "e", "name": "band"},
        "psycho": {"use": "devices.lsl:Inlet", "source_id": "p"},
    }
    assert "#   amp.eeg: F3, F4, T7, T8 (uV), 256 Hz\n" in text
    assert "# Guessed: band.eda states no unit for eda: values are taken as uS" in text
    assert "heart (band.bvp, band.acc)" in text  # the movement of the same wristband
    assert "# weights: wrist (eda" in text


@pytest.mark.usefixtures("streams")
def test_the_session_runs_and_its_file_runs_again(tmp_path: Path) -> None:
    out = tmp_path / "s"
    line = ("live", "lsl", *WHO, "--seconds", "2", "--out", out)
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "physio", *map(str, line)], cwd=tmp_path,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = process.stdout.readline()
        took = time.monotonic() - began
        text = process.stdout.read().decode()
    assert process.returncode == 0, text
    assert first == b"looking for LSL streams ...\n"
    assert took < 3.0  # 0.3 s on an idle machine
    again = tmp_path / "s.toml"
    assert f"session file: {again}; again: physio live {again}" in text
    used = json.loads((out / "session.json").read_text("utf-8"))
    assert (used["participant"], used["consent"]) == ("p07", "form-3")
    recording = xdf.read(out / "recording.xdf")
    assert {i.name for i in recording.inputs} >= {
        "amp.eeg", "band.eda", "band.bvp", "band.acc",
    }  # fmt: skip
    assert recording.streams["amp.eeg"][0].info.channels[0].unit == "uV"
    before = again.read_text("utf-8")
    status, text = physio("record", again, "--seconds", "1", "--out", tmp_path / "t")
    assert status == 0, text
    assert (tmp_path / "t" / "recording.xdf").is_file()
    assert again.read_text("utf-8") == before
    assert session_config.read(again).session.participant == "p07"


@pytest.mark.usefixtures("streams")
def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    status, text = physio("init", "session", path, "--look-for", "lsl")
    assert status == 0, text
    assert f"{path}: next: physio live {path}" in text
    before = path.read_text("utf-8")
    for line in (
        ("init", "session", path),
        ("live", "lsl", *WHO, "--save", path),
    ):
        status, text = physio(*line)
        assert status == 2
        assert f"{path} exists: choose another" in text
    plan = draft(search("lsl"), "test")
    assert plan.write(path, "p1", "c") == tmp_path / "s-2.toml"
    assert path.read_text("utf-8") == before


@pytest.mark.usefixtures("streams")
def test_of_several_devices_that_measure_the_same_one_is_chosen(
    tmp_path: Path,
) -> None:
    with sending(SECOND):
        status, text = physio("live", *WHO, "--seconds", "1")
        assert status == 2
        assert (
            "amp and second measure EEG: choose with --device NAME (amp, second)"
        ) in text
        status, text = physio("live", "lsl", *WHO, "--device", "third")
        assert status == 2
        assert "no device 'third' answers: --device takes amp, band, " in text
        plan = draft(search("lsl"), "test", ["SECOND", "e"])  # a key, and a source_id
        assert [d.key for d in plan.devices] == ["band-eda", "second"]
        asked = questions(
            tmp_path, ["record", "lsl", "--seconds", "1", "--out", str(tmp_path / "t")],
            {b"Which? (or all)": b"second\n", b"Participant code": b"p 1\np1\n",
             b"Which consent text": b"form-3\n"},
        )  # fmt: skip
    assert "amp and second measure EEG. Which? (or all)" in asked
    assert "participant = 'p 1' is not a code" in asked
    tables = tomllib.loads((tmp_path / "t.toml").read_text("utf-8"))
    assert tables["session"]["participant"] == "p1"
    assert "second" in tables["devices"]
    assert "amp" not in tables["devices"]


def questions(folder: Path, line: list[str], replies: dict[bytes, bytes]) -> str:
    """Run a command on a terminal, and answer its questions; return its text."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "physio", *line], cwd=folder, stdin=theirs,
        stdout=theirs, stderr=theirs, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        text = b""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if not select.select([ours], [], [], 0.5)[0]:
                continue
            try:
                text += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            for question in [q for q in replies if q in text]:
                os.write(ours, replies.pop(question))
        os.close(ours)
    assert process.returncode == 0, text.decode()
    return text.decode()


@pytest.mark.usefixtures("streams")
def test_without_a_terminal_options_answer() -> None:
    status, text = physio("live", "lsl", "--consent", "form-3")
    assert status == 2
    assert (
        "there is no terminal to ask for the participant's code and consent: give "
        "--participant CODE"
    ) in text


def test_nothing_that_answers_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "lsl_api.cfg"
    settings = Path(os.environ["LSLAPICFG"]).read_text("utf-8")
    file.write_text(settings.replace("SessionID = ", "SessionID = empty-"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "physio", "live"],
        env={**os.environ, "LSLAPICFG": str(file)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no device answers; looked for LSL streams on this network, " in done.stderr
    assert "or try `physio live demo`" in done.stderr


def test_a_word_that_is_neither_file_nor_device_is_refused() -> None:
    status, text = physio("live", "musse")
    assert status == 2
    assert "there is no file musse, and it is no word for a device: demo, " in text
    status, text = physio("live", "configs/simulated.toml", "--device", "x")
    assert status == 2
    assert "configs/simulated.toml is a session file" in text


@pytest.mark.parametrize(
    ("word", "use", "participant"),
    [
        ("synthetic", "devices.board:Board", "p00"),
        ("demo", "devices.simulated:Headset", "demo"),
    ],
)
def test_nobody_is_asked_where_nobody_is_measured(
    word: str, use: str, participant: str, tmp_path: Path
) -> None:
    out = tmp_path / "s"
    status, text = physio("record", word, "--seconds", "1", "--out", out)
    assert status == 0, text
    tables = tomllib.loads((tmp_path / "s.toml").read_text("utf-8"))
    assert next(iter(tables["devices"].values()))["use"] == use
    assert tables["session"]["participant"] == participant
    assert tables["session"]["consent"] == "none: no participant is measured"


def test_wristbands_of_a_server_are_proposed() -> None:
    band = Wristband(name="x", ground_truth=False)
    with MockServer({"9ff167": band, "51a7ed": band}) as server:
        result = search("e4", 0.1, server.port)
    first, second = sorted(result.devices, key=lambda d: str(d.settings["serial"]))
    assert first.settings["simulated"] is True
    assert second.settings == {
        "use": "devices.empatica:E4", "serial": "9ff167", "port": server.port,
    }  # fmt: skip
    assert not second.is_simulated
    assert second.main_kinds == {"gsr"}
    assert {first.key, second.key} == {"wrist", "wrist2"}
    plan = SessionDraft(result.devices).config().devices
    assert callable(plan)


def test_alike_streams_are_not_used() -> None:
    with sending(AMP), sending(AMP):
        result = search("lsl")
    alike = [d for d in result.devices if d.key.startswith("amp")]
    assert len(alike) >= 2
    assert all("stop all but one" in d.problem for d in alike)


def test_strange_names_stay_in_comments(tmp_path: Path) -> None:
    name = "x\ny = 1\n[sinks.z]\nuse='physio.sinks.xdf:Xdf' \x1b[2J"
    hostile = {**AMP, "name": name, "source_id": "q\"'\n", "channels": [
        ("F3\n[a]\x07", "uV", "EEG")]}  # fmt: skip
    with sending(hostile):
        result = search("lsl")
        devices = [d for d in result.devices if d.settings.get("source_id") == "q\"'\n"]
        plan = SessionDraft(tuple(devices))
        path = plan.write(tmp_path / "a.toml", "p1", "c")
    tables = tomllib.loads(path.read_text("utf-8"))
    assert set(tables) == {"session", "devices"}
    (device,) = tables["devices"].values()
    assert device == {"use": "devices.lsl:Inlet", "source_id": "q\"'\n"}
    assert "\x1b" not in path.read_text("utf-8")
    session_config.read(path)


def test_bluetooth_names_and_serial_ports_are_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strap = _radio("Polar H10 8B3F2A1C")
    assert strap.settings == {"use": "devices.polar:H10", "address": "8B3F2A1C"}
    assert strap.main_kinds == {"ecg"}
    muse = _radio("MuseS-1A2B")
    assert muse.settings["board"] == "muse_s"
    assert muse.settings["serial_number"] == "MuseS-1A2B"
    assert "muse_s_athena" in muse.guesses[0]
    port = tmp_path / "serial" / "by-id" / "usb-FTDI_FT231X_USB_UART_D200-if00-port0"
    port.parent.mkdir(parents=True)
    port.touch()
    monkeypatch.setattr(device_search, "DEVICE_FILES", tmp_path)
    (board,) = search("openbci", 0.1).devices
    assert board.settings["board"] == "cyton"
    assert board.settings["serial_port"] == str(port)
    assert "cyton_daisy" in board.guesses[0]
