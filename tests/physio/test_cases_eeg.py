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
    refuses,
    run,
    samples,
    warned,
)

OPEN = {
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


# Clocks and rates of XDF files


def lost(recording: Recording, stream: str) -> int:
    """Return the number of samples missing between the blocks of a stream."""
    blocks = recording.streams[stream]
    return blocks[-1].stop - blocks[0].start - sum(map(len, blocks))


def extent(recording: Recording, stream: str) -> tuple[int, float, float, float]:
    """Return number of samples, rate (Hz), first and last time (s) of a stream."""
    blocks = [b for b in recording.streams[stream] if len(b)]
    rate = float(blocks[0].info.rate)
    first, last = float(blocks[0].times[0]), blocks[-1].complete_until
    return sum(map(len, blocks)), rate, round(first, 2), round(last, 2)


_WRONG = ("double", "half", "zero", "minus", "empty")


@reads("eeg/15-xdf-rates", *(f"{name}.xdf" for name in _WRONG))
def _(recording: Recording) -> None:
    assert extent(recording, "muse.eeg") == (5120, 256, 1000, 1020)
    assert lost(recording, "muse.eeg") == 0
    assert warned(recording, "muse.eeg.* measures 256")


@reads("eeg/15-xdf-rates", "f128_0001.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "epoc.eeg")[1] == pytest.approx(128, abs=0.001)


@reads("eeg/15-xdf-rates", "f249_7_said250.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "cyton.eeg")[1] == 249.7
    assert lost(recording, "cyton.eeg") == 0


@reads("eeg/15-xdf-rates", "markers10k.xdf")
def _(recording: Recording) -> None:
    assert list(recording.streams) == ["muse.eeg"]
    assert len(recording.events["triggers.markers"]) == 40


@reads("eeg/16-xdf-two-hosts-unix", "with_offsets.xdf")
def _(recording: Recording) -> None:
    (at,) = recording.events["trig.markers"].times - recording.begin
    assert at == pytest.approx(5.0, abs=0.001)


@reads("eeg/16-xdf-two-hosts-unix", "no_offsets.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "gneed.eeg")[0] == 5120
    assert recording.seconds < 21
    assert warned(recording, "trig.markers: 1 of 1 events lie up to 52.9 years after")


@reads("eeg/17-xdf-one-early-sample", "early.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "dev.eeg") == (5120, 256, 992, 1020)
    assert lost(recording, "dev.eeg") == 8 * 256
    assert not len(recording.events["trig.markers"])


@reads("eeg/18-xdf-dsi-bursts", "dsi.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "ws_default.eeg")[:2] == (6000, 300)
    assert lost(recording, "ws_default.eeg") == 0


@reads("eeg/18-xdf-dsi-bursts", "obci.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "obci_eeg1.eeg")[:2] == (2500, 125)
    assert lost(recording, "obci_eeg1.eeg") == 0


@reads("eeg/19-xdf-jump-back", "back2s.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "liveamp.eeg") == (5120, 256, 1000, 1020)
    assert recording.events["stim.markers"].times.tolist() == [1005, 1015]
    assert warned(recording, "the clock of liveamp.eeg was set by -2.000 s")


@reads("eeg/19-xdf-jump-back", "swap.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "liveamp.eeg") == (5120, 256, 1000, 1020)


_EXACT = ("int8", "int16", "int32", "int64", "float32", "double64")


@reads("eeg/20-xdf-formats", *(f"{form}.xdf" for form in _EXACT))
def _(recording: Recording) -> None:
    assert extent(recording, "dev.eeg") == (5120, 256, 1000, 1020)


@reads("eeg/20-xdf-formats", "int64big.xdf")
def _(recording: Recording) -> None:
    assert warned(recording, "dev.trigger has whole numbers up to 900.* are rounded")


@reads("eeg/20-xdf-formats", "string_numbers.xdf")
def _(recording: Recording) -> None:
    assert warned(recording, "dev.eeg sends its values as texts")


refuses("eeg/20-xdf-formats", "undefined.xdf", "2 channels of 'undefined'")

_SPARSE = ("first_only", "nofooter", "nooffsets", "per_chunk")


@reads("eeg/21-xdf-stamps-sparse", *(f"{name}.xdf" for name in _SPARSE))
def _(recording: Recording) -> None:
    assert extent(recording, "dev.eeg") == (5120, 256, 1000, 1020)


@reads("eeg/21-xdf-stamps-sparse", "none.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "dev.eeg") == (5120, 256, 0, 20)


@reads("eeg/22-xdf-late-start-dup", "dups.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "android.eeg")[2:] == (1000, 1020)
    assert extent(recording, "android.eeg2")[2:] == (1000, 1010)
    assert extent(recording, "android.eeg3")[2:] == (1012, 1020)
    sizes = {name: len(e) for name, e in recording.events.items()}
    assert sizes == {"vis.markers": 2, "vis.markers2": 0, "txt.markers": 3}


@reads("eeg/23-xdf-offset-garbage", "garbage.xdf", "nan.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "dev.eeg") == (5120, 256, 1000, 1020)
    assert recording.events["stim.markers"].times.tolist() == [1005]
    assert warned(recording, "1 of 5 measurements of the clock of dev.eeg")


@reads("eeg/23-xdf-offset-garbage", "reset.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "dev.eeg") == (5120, 256, 1000, 1030)
    assert recording.events["stim.markers"].times.tolist() == [1025]


_BURSTS = ("dsi_10us_30pct", "dsi_10us_5pct", "dsi_us_rounded", "fixed1ms")


@reads(
    "eeg/24-xdf-burst-stamps",
    *(
        f"{name}.xdf"
        for name in (*_BURSTS, "fixed1ms_nojit", "pair2ms_500", "pylsl103")
    ),
)
def _(recording: Recording) -> None:
    n, rate, first, last = extent(recording, "dev.eeg")
    assert rate in {250, 256, 300, 500}
    assert last - first == pytest.approx(n / rate, abs=0.1)
    assert lost(recording, "dev.eeg") == 0


@reads("eeg/25-xdf-jump-200000", "jump.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "dev.eeg") == (5120, 256, 1000, 1020)
    assert recording.events["stim.markers"].times.tolist() == [1005, 1015]
    assert warned(recording, "the clock of dev.eeg was set by .200000")


@reads("eeg/25-xdf-jump-200000", "jumbled.xdf")
def _(recording: Recording) -> None:
    assert extent(recording, "dev.eeg") == (5120, 256, 1000, 1020)
    assert warned(recording, "the samples of dev.eeg are out of order")


@reads("eeg/43-live-unix-markers", "recorded.xdf")
def _(recording: Recording) -> None:
    e = recording.events["trig.markers"]
    true = np.array([float(label) for label in e.labels])
    assert np.abs(e.times[1:] - true[1:]).max() < 0.03
    assert warned(recording, "trig.markers: .* placed by their arrival")
    assert recording.seconds < 15


refuses("eeg/44-xdf-muselsl-unix", "with_eda.xdf", "their clocks do not belong")


@reads("eeg/44-xdf-muselsl-unix", "with_markers.xdf")
def _(recording: Recording) -> None:
    assert recording.seconds < 9
    assert warned(recording, "psychopy.markers: 2 of 2 events lie up to 53.5 years")


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
