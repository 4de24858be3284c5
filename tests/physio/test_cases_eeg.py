"""Real-world recordings of EEG: each is read rightly, or refused with the reason.

Add a check with `reads` or `refuses`, in a section of its kind.
"""

from itertools import chain

import numpy as np
import pytest

from physio.core.recording import Recording
from tests.physio.cases import (
    EXPECTED,
    inputs,
    reads,
    run,
    samples,
    warned,
)

OPEN = {
    *("15", "16", "17", "18", "19", "20", "21", "22", "23", "24", "25", "43", "44"),
    *("29", "30", "34", "35", "40"),
    *("03", "06", "07", "09", "11", "12", "13", "14", "27", "28", "33", "37"),
    *("38", "39", "45"),
}
"""Numbers of the cases that have no check yet."""


def channels(recording: Recording) -> dict[str, tuple[str, str]]:
    """Return kind and unit of every channel."""
    streams = recording.streams.values()
    return {
        c.name: (c.kind, c.unit)
        for c in chain.from_iterable(blocks[0].info.channels for blocks in streams)
    }


def sd(recording: Recording, stream: str) -> list[float]:
    """Return the standard deviation of each channel."""
    return np.nanstd(samples(recording, stream), axis=0).tolist()


# Signals, units and names of EDF and BDF


@reads("eeg/01-edf-plus-d-gap", "gap.edf")
def _(recording: Recording) -> None:
    first, second = recording.streams["eeg.eeg"]
    assert len(first) == len(second) == 1000
    assert second.start - first.stop == 5000
    assert second.complete_until == pytest.approx(69.99)
    events = recording.events["eeg.annotations"]
    assert dict(zip(events.labels, events.times, strict=True))["after"] == 62.0


_SAME = ("UV", "mV", "micro", "microvolt", "mu_utf8", "uV")


@reads("eeg/02-edf-units", *(f"{unit}.edf" for unit in _SAME))
def _(recording: Recording) -> None:
    assert channels(recording) == {"Fp1": ("eeg", "uV")}
    assert sd(recording, "eeg.eeg") == pytest.approx([14.9], abs=0.1)


@reads("eeg/02-edf-units", "empty.edf")
def _(recording: Recording) -> None:
    assert channels(recording) == {"Fp1": ("eeg", "1")}
    assert warned(recording, "states no unit for Fp1")


@reads("eeg/04-edf-emotiv-export", "emotiv.edf")
def _(recording: Recording) -> None:
    electrodes = [n for n, (kind, _) in channels(recording).items() if kind == "eeg"]
    assert len(electrodes) == 14
    assert not any("COUNTER" in n or "CQ" in n for n in electrodes)


@reads("eeg/05-edf-non-eeg-labels", "psg.edf")
def _(recording: Recording) -> None:
    kinds = channels(recording)
    assert kinds["GSR"] == kinds["EDA"] == ("gsr", "uS")
    assert kinds["Pleth"][0] == "bio"
    assert kinds["SpO2"] == ("misc", "%")
    assert kinds["EKG1"] == ("ecg", "uV")
    assert kinds["Temp"] == ("temperature", "degC")
    assert kinds["LEOG"][0] == "eog"
    assert kinds["CHIN1"][0] == "emg"
    assert sd(recording, "eeg.gsr") == pytest.approx([0.0707] * 3, abs=0.001)


@reads("eeg/08-edf-mixed-rates", "mixed.edf")
def _(recording: Recording) -> None:
    rates = {n: float(b[0].info.rate) for n, b in recording.streams.items()}
    assert sorted(rates.values()) == [1, 8, 32, 256]
    assert rates["eeg.gsr"] == 32
    assert len(samples(recording, "eeg.temperature")) == 20


@reads("eeg/10-edf-annotations-only", "hypno.edf")
def _(recording: Recording) -> None:
    assert not recording.streams
    assert len(recording.events["eeg.annotations"]) == 3


@reads("eeg/32-chbmit-labels", "chb.edf")
def _(recording: Recording) -> None:
    assert list(channels(recording)) == ["FP1-F7", "T8-P8-0", "T8-P8-1"]
    assert warned(recording, "left out")


# The table is whole


@pytest.mark.parametrize("name", EXPECTED)
def test_the_case_is_read_or_refused(name: str) -> None:
    run(name)


def test_every_case_has_a_check() -> None:
    there = inputs("eeg")
    if not there:
        pytest.skip("no inputs beside the recordings: PHYSIO_DATA names no folder")
    lacking = [
        name
        for name in there
        if name not in EXPECTED and name.split("/")[1][:2] not in OPEN
    ]
    assert not lacking
