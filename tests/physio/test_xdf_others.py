"""Our recordings in the eyes of programs that read LabRecorder's."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import pyxdf

from physio.core.block import Block, Channel, StreamInfo
from physio.io.xdf import Writer
from physio.io.xdf.chunks import Tag, walk
from sessions import items


def loaded(path: Path) -> dict[str, Any]:
    streams, _ = pyxdf.load_xdf(path)
    return {s["info"]["name"][0]: s for s in streams}


def names(path: Path, tag: Tag) -> list[set[str]]:
    """Return the elements below the root of each chunk of a kind."""
    raw = path.read_bytes()
    found = []
    for c in walk(memoryview(raw)):
        if c.tag == tag:
            text = bytes(c.content).decode("utf-8")
            root = ElementTree.fromstring(text[text.index("<") :])
            found.append({element.tag for element in root})
    return found


OF_THE_NETWORK = {
    "hostname", "uid", "session_id", "created_at", "v4address", "v4data_port",
    "v4service_port", "v6address", "v6data_port", "v6service_port", "clock_offsets",
}  # fmt: skip
"""What tells of the network and its clocks, of which a recording of ours has none."""


def test_headers_and_footers_have_what_labrecorder_writes_of_a_stream(
    data: Path, tmp_path: Path
) -> None:
    theirs = data / "xdf" / "sub-P001_ses-S001_task-Default_run-001_eeg.xdf"
    ours = tmp_path / "a.xdf"
    with Writer(ours, {"began": "2026-04-12T10:15:00.000+00:00"}) as writer:
        for item in items():
            writer.write(item)
    for tag in (Tag.FILE_HEADER, Tag.STREAM_HEADER, Tag.STREAM_FOOTER):
        wanted = set.intersection(*names(theirs, tag)) - OF_THE_NETWORK
        assert wanted
        for own in names(ours, tag):
            assert wanted <= own, tag
            assert not own & OF_THE_NETWORK


def test_mne_lsl_makes_its_info_of_our_headers(tmp_path: Path) -> None:
    """The part of MNE-LSL that reads what pyxdf loaded of a file."""
    pytest.importorskip("mne_lsl")
    from mne_lsl.utils.meas_info import create_info

    wrist = StreamInfo("band.eda", 4, (Channel("eda", "gsr", "uS"),))
    eeg = StreamInfo(
        "head.eeg", 250, tuple(Channel(n, "eeg", "uV") for n in ("Fz", "Cz", "Oz"))
    )
    pulse = StreamInfo("band.bvp", 64, (Channel("bvp", "bio", "1"),))
    with Writer(tmp_path / "a.xdf") as writer:
        for info in (wrist, eeg, pulse):
            rows = np.ones((8, len(info.channels)))
            writer.write(Block(info, 0, 100.0, rows), arrived=True)
    streams = loaded(tmp_path / "a.xdf")
    for info, kinds, power in (
        (eeg, ["eeg"] * 3, -6), (wrist, ["gsr"], -6), (pulse, ["bio"], 0)
    ):  # fmt: skip
        about = streams[info.name]["info"]
        made = create_info(
            int(about["channel_count"][0]), float(about["nominal_srate"][0]),
            about["type"][0].lower(), about["desc"][0],
        )  # fmt: skip
        assert made.ch_names == list(info.names)
        assert made["sfreq"] == info.rate
        assert made.get_channel_types() == kinds
        assert {int(ch["unit_mul"]) for ch in made["chs"]} == {power}


def test_streams_that_may_lose_samples_say_so(tmp_path: Path) -> None:
    """Or pyxdf lays what is left evenly over the gaps: see its dejittering."""
    block = StreamInfo("head.eeg", 250, (Channel("Fz", "eeg", "uV"),))
    with Writer(tmp_path / "a.xdf") as writer:
        for start in (0, 350):  # 0.4 s are lost, less than pyxdf takes for a break
            writer.write(Block(block, start, 100.0, np.zeros((250, 1))), arrived=True)
    got = loaded(tmp_path / "a.xdf")["head.eeg"]["time_stamps"]
    want = 100.0 + np.r_[np.arange(250), 350 + np.arange(250)] / 250
    assert got.tobytes() == want.tobytes()
