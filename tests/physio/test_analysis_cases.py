"""Whole-record analyses of real recordings whose right values are known."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from cases import CASES
from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.open_recording import read
from physio.offline.analysis import analyze

WEAR = CASES / "wear"
pytestmark = pytest.mark.skipif(
    not WEAR.is_dir(), reason=f"no real-world inputs in {WEAR}: set PHYSIO_DATA"
)


def measures(recording: Recording) -> pd.Series:
    table = analyze(recording).spans()
    return table.set_index("measure")["value"]


def turned(recording: Recording, sign: int) -> Recording:
    streams = {
        name: tuple(Block(b.info, b.start, b.t0, sign * b.data) for b in blocks)
        for name, blocks in recording.streams.items()
    }
    return Recording(streams, recording.events, (), recording.metadata)


def test_rates_do_not_depend_on_the_sign() -> None:
    for name, rate in (
        ("10-ecg-negative-qrs/ecg_100hz.xdf", 83.6),
        ("11-ppg-raw-counts/pi_100hz.xdf", 108.0),
    ):
        recording = read(WEAR / name)
        rates = [measures(turned(recording, s))["mean_heart_rate"] for s in (1, -1)]
        assert rates[0] == pytest.approx(rates[1], abs=0.01)
        assert rates[0] == pytest.approx(rate, abs=0.6)


@pytest.mark.parametrize(
    ("rhythm", "irregular"),
    [("bigeminy", True), ("trigeminy", True), ("af", True), ("apb", False)],
)
def test_an_irregular_rhythm_has_a_rate(rhythm: str, irregular: bool) -> None:
    with np.load(WEAR / "22-ectopic-and-af" / "rhythms_250hz.npz") as stored:
        x = stored[rhythm]
    info = StreamInfo("d.ecg", Fraction(250), (Channel("ecg", "ecg", "mV"),))
    block = Block(info, 0, 0.0, np.ascontiguousarray(x[:, None], float))
    values = measures(Recording({"d.ecg": (block,)}))
    assert 71 < values["mean_heart_rate"] < 81
    assert (values["irregular_share"] > 0.2) == irregular
    assert np.isnan(values["hrv_rmssd"]) == irregular


def test_lists_of_intervals() -> None:
    values = measures(read(WEAR / "12-rr-intervals-only" / "nn.txt"))
    assert values["mean_heart_rate"] == pytest.approx(83.5, abs=0.1)
    assert values["hrv_rmssd"] == pytest.approx(19.5, abs=0.1)
    assert values["hrv_sdnn"] == pytest.approx(43.1, abs=0.2)
    assert 40 < measures(read(WEAR / "12-rr-intervals-only" / "exercise_rri.hrm"))[
        "mean_heart_rate"
    ] < 200  # fmt: skip


def test_a_file_of_a_minute_loses_no_response() -> None:
    scrs = analyze(read(WEAR / "21-short-file-ends" / "as_e4")).scrs
    for onset in (0.8, 5.8, 17.2, 32.8, 39.8, 55.0):
        assert np.abs(scrs["onset"] - onset).min() < 1.6
    assert len(scrs) <= 8


def test_returns_from_contact_dips_are_no_responses() -> None:
    x = np.loadtxt(WEAR / "25-contact-dips" / "eda_4hz_300to550s.txt")
    info = StreamInfo("d.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
    block = Block(info, 0, 300.0, np.ascontiguousarray(x[:, None]))
    result = analyze(Recording({"d.eda": (block,)}))
    assert not (result.scrs["amplitude"] > 0.3).any()
    artifact = result.signals["d.eda/eda"]["artifact"]
    for dip in (361.0, 452.0):
        assert artifact.loc[dip - 2 : dip + 2].any()
    assert artifact.mean() < 0.15
