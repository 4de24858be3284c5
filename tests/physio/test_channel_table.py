"""A table of channels corrects streams, live and in recordings, or says why not."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import physio
from physio.cli import app
from physio.core.block import Block, Channel, StreamInfo
from physio.core.protocols import FastClock
from physio.core.recording import Arrival, Recording
from physio.io import xdf
from physio.io.channel_table import ChannelTable
from physio.online import session_config
from physio.online.session_config import SessionConfig

NAMES = ("EEG1", "EEG2", "AUX1", "AUX2", "Code")


def recording(names: tuple[str, ...] = NAMES, n: int = 800) -> Recording:
    channels = tuple(Channel(name, "misc", "1") for name in names)
    info = StreamInfo("amp.data", Fraction(200), channels)
    rng = np.random.default_rng(2)
    data = rng.normal(0, 0.015, (n, len(names)))
    data[:, -1] = np.where(np.arange(n) // 100 % 2, 7, 0)
    return Recording({"amp.data": (Block(info, 0, 0.0, data),)})


TABLE = {
    "amp": {
        "data": {
            "rename": {"EEG1": "Fz", "EEG2": "C3"},
            "type": {"EEG1": "eeg", "EEG2": "eeg", "AUX1": "gsr", "Code": "stim"},
            "unit": {"EEG1": "mV", "EEG2": "mV", "AUX1": "uS"},
            "drop": ["AUX2"],
            "reference": "M2",
        }
    }
}


def test_names_kinds_units_and_reference_are_those_of_the_table() -> None:
    before = recording()
    after = ChannelTable.parse(TABLE, "channels").correct(before)
    (block,) = after.streams["amp.data"]
    assert block.info.channels == (
        Channel("Fz", "eeg", "uV"),
        Channel("C3", "eeg", "uV"),
        Channel("AUX1", "gsr", "uS"),
        Channel("Code", "stim", "1"),
    )
    assert block.info.reference == "M2"
    original = before.streams["amp.data"][0].data
    np.testing.assert_array_equal(block.data[:, 0], original[:, 0] * 1e3)
    np.testing.assert_array_equal(block.data[:, 2], original[:, 2])
    codes = after.events["amp.triggers"]
    assert codes.times.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert set(codes.labels) == {"7"}


def test_a_table_is_applied_once_and_recorded(tmp_path: Path) -> None:
    table = ChannelTable.parse(TABLE, "channels")
    once = table.correct(recording())
    assert table.correct(once) is once
    again = ChannelTable.parse(json.loads(once.metadata["channels"]), "channels")
    assert again.streams == table.streams
    xdf.write(tmp_path / "a.xdf", once)
    back = physio.read(tmp_path / "a.xdf")
    assert table.correct(back) is back


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"rename": {"EEG9": "Fz"}},
         r"^channels\.amp\.data\.rename: amp\.data has no channel 'EEG9'; it has "),
        ({"drop": ["x"]}, r"^channels\.amp\.data\.drop: .* has no channel 'x'; "),
        ({"drop": list(NAMES)}, r"drop leaves no channel of amp\.data$"),
        ({"drop": "EEG1"}, r"drop = 'EEG1' must be a list of names, as \["),
        ({"rename": {"EEG1": "AUX1"}}, r"two channels would be called 'AUX1'$"),
        ({"type": {"EEG1": "brain"}},
         r"type: EEG1 cannot be 'brain'; a channel is one of eeg, eog, "),
        ({"unit": {"EEG1": "furlong"}}, r"the unit 'furlong' of EEG1 is not known"),
        ({"montage": "cap"}, r"there is no montage 'cap'; MNE has .*biosemi64"),
        ({"montage": "biosemi128"}, r"positions outside the 10-05 system"),
        ({"type": {"EEG1": "eeg"}, "montage": "biosemi32"},
         r"biosemi32 has 32 electrodes, but the stream has 1 EEG channels"),
        ({"reference": 3}, r"reference = 3 must be a text$"),
        ({"rename": {"EEG1": ""}}, r"must be a table of texts, as \{EEG1 = "),
        ({"renam": {}, "drop": []},
         r"^channels\.amp\.data has no setting 'renam'; it has rename, type, unit, "),
        (3, r"^channels\.amp\.data = 3 must be a table$"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_in_a_sentence(table: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        ChannelTable.parse({"amp": {"data": table}}, "channels").correct(recording())
    assert "\n" not in str(error.value)


def test_a_stream_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"no stream 'amp\.eeg'; there is amp"):
        ChannelTable.parse({"amp": {"eeg": {"drop": ["a"]}}}, "c").correct(recording())


def test_biosemi_names_become_those_of_the_cap() -> None:
    names = ("A1", "A32", "B1", "B32", "EXG1", "Status")
    kinds = dict.fromkeys(names[:4], "eeg")
    table = {"amp": {"data": {"type": kinds, "montage": "biosemi64"}}}
    (block,) = (
        ChannelTable.parse(table, "c").correct(recording(names)).streams["amp.data"]
    )
    assert block.info.names == ("Fp1", "CPz", "Fpz", "O2", "EXG1", "Status")


SESSION = """
[devices.headset]
use = "devices.simulated.headset:Headset"
seed = 3

[channels.headset.eeg]
rename = {{ {old} = "Cz" }}
drop = ["{drop}"]
reference = "nose"
"""


def test_devices_are_corrected_before_anything_reads_them(tmp_path: Path) -> None:
    file = SessionConfig(
        {"devices": {"headset": {"use": "devices.simulated.headset:Headset"}}}
    )
    clock = FastClock()
    (device,) = file.devices(clock)
    with device:
        names = next(i for i in device.streams if i.name == "headset.eeg").names
    path = tmp_path / "s.toml"
    path.write_text(SESSION.format(old=names[0], drop=names[1]))
    clock = FastClock()
    read = session_config.read(path)
    (device,) = read.devices(clock)
    with device:
        info = next(i for i in device.streams if i.name == "headset.eeg")
        clock.wait(1.0)
        blocks = [i for i in device.read() if i.info.name == "headset.eeg"]
    assert info.names == ("Cz", *names[2:])
    assert info.reference == "nose"
    assert blocks
    assert all(block.info == info for block in blocks)
    assert read.recording_only().channels == read.channels
    for table in ('[channels.hat.eeg]\ndrop = ["a"]\n', "channels = 3\n"):
        path.write_text(f'{table}[devices.headset]\nuse = "devices.simulated.headset:'
                        'Headset"\n')  # fmt: skip
        with pytest.raises(ValueError, match=r"s\.toml"):
            session_config.read(path).devices(FastClock())


def test_commands_take_the_table_and_a_replay_obeys_it(tmp_path: Path) -> None:
    xdf.write(tmp_path / "a.xdf", recording(n=2400))
    path = tmp_path / "channels.toml"
    path.write_text(
        "[channels.amp.data]\n"
        'rename = { EEG1 = "Fz", EEG2 = "C3" }\n'
        'type = { EEG1 = "eeg", EEG2 = "eeg", AUX1 = "misc" }\n'
        'unit = { EEG1 = "mV", EEG2 = "mV" }\n'
        'drop = ["AUX2"]\n'
    )
    run = CliRunner()
    source, option = str(tmp_path / "a.xdf"), ["--channels", str(path)]
    done = run.invoke(app, ["replay", source, "--fast", "--out", str(tmp_path / "s"),
                            *option])  # fmt: skip
    assert done.exit_code == 0, done.output
    replayed = physio.read(tmp_path / "s" / "recording.xdf")
    info = replayed.streams["amp.data"][0].info
    assert info.names == ("Fz", "C3", "AUX1", "Code")
    assert ChannelTable.parse(json.loads(replayed.metadata["channels"]), "c")
    stored = pd.read_parquet(tmp_path / "s" / "features.parquet")
    again = physio.to_pandas(
        physio.compute_features(replayed, tmp_path / "s" / "session.toml")
    )
    assert "eeg.de.alpha.Fz" in stored
    shared = ["eeg.de.alpha.Fz", "eeg.de.alpha.C3"]
    n = min(len(stored), len(again))
    assert n > 20
    np.testing.assert_array_equal(stored[shared].iloc[:n], again[shared].iloc[:n])
    done = run.invoke(app, ["export", source, str(tmp_path / "csv"), "--format", "csv",
                            *option])  # fmt: skip
    assert done.exit_code == 0, done.output
    head = (tmp_path / "csv" / "amp.data.csv").read_text().splitlines()[0]
    assert head == "time,Fz,C3,AUX1,Code"
    checked = run.invoke(app, ["check", source, *option])
    assert "Fz" in checked.output
    path.write_text("[other]\n")
    wrong = run.invoke(app, ["check", source, *option])
    assert "there is no table [channels.DEVICE.STREAM]" in str(wrong.exception)


def test_new_codes_arrive_with_their_blocks() -> None:
    whole = recording()
    (block,) = whole.streams["amp.data"]
    blocks = tuple(block.split([150, 350, 400]))
    timeline = tuple(Arrival("amp.data", b.start, len(b), b.t0) for b in blocks)
    before = Recording({"amp.data": blocks}, {}, timeline)
    after = ChannelTable.parse(TABLE, "channels").correct(before)
    order = [(i.info.name, len(i)) for i in after.arrivals()]
    assert order == [
        ("amp.data", 150), ("amp.triggers", 1), ("amp.data", 200), ("amp.triggers", 1),
        ("amp.data", 50), ("amp.data", 400), ("amp.triggers", 2),
    ]  # fmt: skip
    assert "amp.triggers" in {info.name for info in after.inputs}
