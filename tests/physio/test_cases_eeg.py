"""Real-world recordings of EEG: each is read rightly, or refused with the reason.

Add a check with `reads` or `refuses`, in a section of its kind.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest

from cases import EXPECTED, inputs, reads, refuses, run, samples, warned
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.io.montage import places


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


def triggers(recording: Recording, stream: str) -> list[tuple[float, str]]:
    """Return time (s) and label of each trigger."""
    events = recording.events[stream]
    return list(zip(events.times.tolist(), events.labels, strict=True))


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


_REFERENCES = {"a1": "A1", "a1a2": "A1A2", "ant": "CPz", "avg": "AVG", "eegprefix": "",
               "hyphenref": "ref", "le": "LE", "m1": "M1", "physionet": "", "plain": "",
               "upper": ""}  # fmt: skip


def _electrodes(reference: str) -> Callable[[Recording], None]:
    """Return a check of eight electrodes with a reference, at their places."""

    def check(recording: Recording) -> None:
        info = recording.streams["eeg.eeg"][0].info
        plain = ("Fp1", "Fp2", "C3", "C4", "T3", "T4", "O1", "O2")
        assert np.array_equal(places(info.names), places(plain))
        assert info.reference == reference
        assert {c.reference for c in info.channels} == {reference}

    return check


for _name, _reference in _REFERENCES.items():
    reads("eeg/03-electrode-names", f"{_name}.edf")(_electrodes(_reference))


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


@reads("eeg/06-edf-phys-min-equals-max", "comma.edf", "inverted.edf")
def _(recording: Recording) -> None:
    assert sd(recording, "eeg.eeg") == pytest.approx([14.9, 14.8], abs=0.1)


_LEFT_OUT = ("digequal.edf", "emptyrange.edf", "physequal.edf")


@reads("eeg/06-edf-phys-min-equals-max", *_LEFT_OUT)
def _(recording: Recording) -> None:
    assert sd(recording, "eeg.eeg") == pytest.approx([14.9], abs=0.1)
    assert warned(recording, "left out, .*: EEG Fp2")


_DURATIONS = ("d01", "d025", "d10", "d25", "dur_comma")


@reads("eeg/07-edf-record-length", *(f"{name}.edf" for name in _DURATIONS))
def _(recording: Recording) -> None:
    assert recording.streams["eeg.eeg"][0].info.rate == 100
    assert len(samples(recording, "eeg.eeg")) == 2000


@reads("eeg/07-edf-record-length", "f249_7.edf")
def _(recording: Recording) -> None:
    assert recording.streams["eeg.eeg"][0].info.rate == Fraction("249.7")


@reads("eeg/07-edf-record-length", "f255_9.edf")
def _(recording: Recording) -> None:
    assert recording.streams["eeg.eeg"][0].info.rate == Fraction("255.9")


refuses("eeg/07-edf-record-length", "dur_zero.edf", "its records last 0 s")


@reads("eeg/09-edf-header-oddities", "date0.edf", "dateX.edf")
def _(recording: Recording) -> None:
    assert sd(recording, "eeg.eeg") == pytest.approx([14.9], abs=0.1)
    assert "begin_unix" not in recording.metadata


@reads("eeg/09-edf-header-oddities", "date85.edf", "minus1.edf", "nul.edf")
def _(recording: Recording) -> None:
    assert list(channels(recording)) == ["Fp1"]
    assert len(samples(recording, "eeg.eeg")) == 2000
    begin = datetime.fromtimestamp(float(recording.metadata["begin_unix"]), UTC)
    assert begin.year in (1985, 2020)


@reads("eeg/11-bdf-status", "status.bdf")
def _(recording: Recording) -> None:
    assert triggers(recording, "eeg.triggers") == [(2.0, "10"), (5.0, "20")]
    assert channels(recording)["Status"][0] == "stim"


@reads("eeg/33-edf-subsecond-start", "sub.edf")
def _(recording: Recording) -> None:
    begin = float(recording.metadata["begin_unix"])
    assert begin % 1 == pytest.approx(0.3945, abs=1e-6)
    events = recording.events["eeg.annotations"]
    assert events.times == pytest.approx([1.6055])


# BrainVision


@reads("eeg/37-brainvision-variants", "gsr.vhdr")
def _(recording: Recording) -> None:
    assert channels(recording)["GSR"] == ("gsr", "uS")
    assert sd(recording, "eeg.gsr") == pytest.approx([0.0516], abs=1e-3)
    labels = recording.events["eeg.annotations"].labels
    assert "Comment/eyes closed, again" in labels


@reads("eeg/37-brainvision-variants", "nomark.vhdr", "plain.vhdr")
def _(recording: Recording) -> None:
    assert sd(recording, "eeg.eeg") == pytest.approx([17.5, 17.4, 17.1], abs=0.1)


@reads("eeg/37-brainvision-variants", "renamed.vhdr")
def _(recording: Recording) -> None:
    assert sd(recording, "eeg.eeg") == pytest.approx([17.5, 17.4, 17.1], abs=0.1)
    assert warned(recording, "renamed.eeg is read in its place")


@reads("eeg/37-brainvision-variants", "nounit.vhdr")
def _(recording: Recording) -> None:
    assert set(channels(recording).values()) == {("eeg", "1")}
    assert warned(recording, "states no unit for Fp1, Fp2, Cz")


@reads("eeg/37-brainvision-variants", "points.vhdr")
def _(recording: Recording) -> None:
    assert len(samples(recording, "eeg.eeg")) == 500
    assert warned(recording, "declares 1000 samples, but the file has 500")


# Bad channels and spans


@reads("eeg/39-mne-bads", "bads_raw.fif")
def _(recording: Recording) -> None:
    reason = missing_reason(samples(recording, "eeg.eeg"))
    assert (reason[:, 1] == MissingReason.MARKED_BAD).all()
    at = {0: 3.9, 1: 4.1, 2: 5.9, 3: 6.1, 4: 8.05, 5: 8.2, 6: 10.5, 7: 12.2}
    rows = [round(second * 128) for second in at.values()]
    marked = reason[rows, 0] == MissingReason.MARKED_BAD
    assert marked.tolist() == [False, True, True, False, True, False, True, False]
    assert [label for _, label in triggers(recording, "eeg.triggers")] == ["1", "2"] * 2
    assert warned(recording, "Fp2 as bad")


@reads("eeg/39-mne-bads", "bids")
def _(recording: Recording) -> None:
    reason = missing_reason(samples(recording, "eeg.eeg"))
    assert (reason[:, 1] == MissingReason.MARKED_BAD).all()
    assert not reason[:, [0, 2]].any()
    assert channels(recording)["EDA"] == ("gsr", "uS")


# Units, labels and types of XDF

_STATED = ("V", "mV", "microV", "microvolts", "millivolts", "minus6", "mu", "nV", "uV",
           "volts", "zero")  # fmt: skip


@reads("eeg/12-xdf-units", *(f"{unit}.xdf" for unit in _STATED))
def _(recording: Recording) -> None:
    assert set(channels(recording).values()) == {("eeg", "uV")}
    assert sd(recording, "muse.eeg") == pytest.approx([14.7] * 4, abs=0.2)
    assert "warnings" not in recording.metadata


@reads("eeg/12-xdf-units", "missing.xdf", "none.xdf")
def _(recording: Recording) -> None:
    assert sd(recording, "muse.eeg") == pytest.approx([14.7] * 4, abs=0.2)
    assert warned(recording, "states no unit for TP9, AF7, AF8, TP10")


@reads("eeg/12-xdf-units", "eda_nounit.xdf")
def _(recording: Recording) -> None:
    assert channels(recording) == {"GSR": ("gsr", "uS")}
    assert warned(recording, "states no unit for GSR")


@reads("eeg/13-xdf-labels", "name.xdf", "padded.xdf")
def _(recording: Recording) -> None:
    assert list(channels(recording)) == ["TP9", "AF7", "AF8", "TP10"]


@reads("eeg/13-xdf-labels", "dup.xdf", "fewer.xdf", "nodesc.xdf")
def _(recording: Recording) -> None:
    names = list(channels(recording))
    assert len(set(names)) == 4
    assert {kind for kind, _ in channels(recording).values()} == {"eeg"}


_TYPES = ("0_EEG", "1_eeg", "2_ExG", "3_EEG", "5_empty", "6_Data", "8_Raw")


@reads("eeg/14-xdf-types", *(f"type{name}.xdf" for name in _TYPES))
def _(recording: Recording) -> None:
    assert set(channels(recording).values()) == {("eeg", "uV")}
    assert len(channels(recording)) == 4


_UNICORN = ("eeg_typed", "nodesc", "own_types")


@reads("eeg/27-xdf-unicorn-lsl", *(f"unicorn_{name}.xdf" for name in _UNICORN))
def _(recording: Recording) -> None:
    kinds = [kind for kind, _ in channels(recording).values()]
    units = [unit for _, unit in channels(recording).values()]
    assert kinds == ["eeg"] * 8 + ["misc"] * 9
    assert units[:14] == ["uV"] * 8 + ["g"] * 3 + ["deg/s"] * 3


_TRIGGERS = ("eeg.xdf", "eeg_nounit.xdf", "stim.xdf", "trig.xdf")


@reads("eeg/28-xdf-trigger-in-eeg", *_TRIGGERS)
def _(recording: Recording) -> None:
    begin = recording.begin
    codes = [
        (t - begin, label) for t, label in triggers(recording, "actichamp.triggers")
    ]
    assert codes == [(pytest.approx(5.0), "1"), (pytest.approx(10.0), "2")]
    assert channels(recording)["TRIGGER"][0] == "stim"


_XML = ("amp.xdf", "latin1.xdf", "nul.xdf", "upper.xdf", "plain.xdf", "plain.xdf.gz",
        "plain.xdfz")  # fmt: skip


@reads("eeg/38-xdf-gzip-xml", *_XML)
def _(recording: Recording) -> None:
    assert set(channels(recording).values()) == {("eeg", "uV")}
    for stream in recording.streams:
        assert sd(recording, stream) == pytest.approx([17.4, 17.2], abs=0.1)


@reads("eeg/45-low-rate-eeg", "eeg64_eda4.xdf")
def _(recording: Recording) -> None:
    rates = {name: b[0].info.rate for name, b in recording.streams.items()}
    assert rates == {"head.eeg": 64, "band.eda": 4}


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


# Text exports


def gaps(recording: Recording, stream: str) -> tuple[float, int, int]:
    """Return the rate (Hz) and the number of samples and losses of a stream."""
    blocks = recording.streams[stream]
    n = sum(map(len, blocks))
    return float(blocks[0].info.rate), n, blocks[-1].stop - blocks[0].start - n


_MUSE = ("TP9", "AF7", "AF8", "TP10")


@reads(
    "eeg/29-text-exports",
    *("mm_full.csv", "mm_rawonly.csv", "mm_semicolon.csv", "mm_unixms.csv"),
    "mm_museS_optics.csv",
)
def _(recording: Recording) -> None:
    assert gaps(recording, "muse.eeg") == (256, 399, 0)
    assert recording.streams["muse.eeg"][0].info.names == _MUSE
    first = samples(recording, "muse.eeg")[0].tolist()
    assert first == [796.963, 802.859, 808.1912, 808.3211]
    assert samples(recording, "muse.acc")[0].tolist() == [0.01, 0.02, 0.98]


@reads("eeg/29-text-exports", "mm_muse2014.csv")
def _(recording: Recording) -> None:
    assert recording.streams["muse.eeg"][0].info.names == ("TP9", "TP10")
    assert gaps(recording, "muse.eeg") == (256, 399, 0)


@reads("eeg/29-text-exports", "muselsl.csv", "muselsl_marker.csv")
def _(recording: Recording) -> None:
    assert gaps(recording, "muse.eeg") == (256, 399, 0)
    assert recording.streams["muse.eeg"][0].info.names == _MUSE
    assert samples(recording, "muse.eeg")[0].tolist() == [-3.037, 2.859, 8.191, 8.321]


@reads("eeg/29-text-exports", "emotivpro.csv")
def _(recording: Recording) -> None:
    assert gaps(recording, "emotiv.eeg")[::2] == (128, 0)
    assert len(recording.streams["emotiv.eeg"][0].info.names) == 14
    assert samples(recording, "emotiv.eeg")[0, 0] == 4201.886


@reads("eeg/29-text-exports", "unicorn.csv")
def _(recording: Recording) -> None:
    assert gaps(recording, "unicorn.eeg") == (250, 399, 0)
    names = recording.streams["unicorn.eeg"][0].info.names
    assert names == ("Fz", "C3", "Cz", "C4", "Pz", "PO7", "Oz", "PO8")


@reads("eeg/29-text-exports", "enobio.easy")
def _(recording: Recording) -> None:
    assert gaps(recording, "enobio.eeg")[::2] == (500, 0)
    assert samples(recording, "enobio.eeg")[0, :2].tolist() == [15.527, 11.919]
    acc = samples(recording, "enobio.acc")[0]
    assert acc.tolist() == pytest.approx([0, 0, 1], abs=0.001)


@reads("eeg/29-text-exports", "openbci_v4.txt")
def _(recording: Recording) -> None:
    assert gaps(recording, "cyton.eeg")[::2] == (250, 0)
    assert samples(recording, "cyton.eeg")[0, :2].tolist() == [-3.4, 12.91]


@reads(
    "eeg/29-text-exports",
    *("brainflow_pandas.csv", "brainflow_pandas_index.csv", "brainflow_space.txt"),
    board="cyton",
)
def _(recording: Recording) -> None:
    assert gaps(recording, "cyton.eeg")[::2] == (250, 0)
    assert samples(recording, "cyton.eeg")[0, :2].tolist() == [-3.403598, 12.910912]


@reads("eeg/30-mindmonitor-dropout", "big.csv", "small.csv", "none.csv")
def _(recording: Recording) -> None:
    rate, n, gone = gaps(recording, "muse.eeg")
    assert (rate, n + gone) == (256, 5120)
    assert gone in (0, 256, 1024)
    whole = max(recording.streams["muse.eeg"], key=len).data[:, 0]
    power = np.abs(np.fft.rfft((whole - whole.mean()) * np.hanning(len(whole))))
    peak = np.fft.rfftfreq(len(whole), 1 / 256)[power.argmax()]
    assert peak == pytest.approx(10, abs=0.2)
    marker = recording.events["muse.markers"].times[0]
    last = recording.streams["muse.eeg"][-1]
    at = last.t0 + 19 * 256 / rate  # the sample 19.0 s after the first
    assert marker == pytest.approx(at, abs=0.02)


# BrainFlow and the OpenBCI GUI


_COUNTED = {
    "athena": ("muse_s_athena", 256, 2560),
    "brainbit": ("brainbit", 250, 2500),
    "constant": ("brainbit", 250, 2500),
    "crown": ("crown", 256, 2560),
    "daisy": ("cyton_daisy", 125, 1250),
    "emotibit_default": ("emotibit", 25, 750),
    "explore": ("explore_8_chan", 250, 2496),
    "ganglion_fw2": ("ganglion", 200, 4020),
    "ganglion_fw3": ("ganglion", 200, 4000),
    "muse_2": ("muse_2", 256, 2560),
    "unicorn": ("unicorn", 250, 2500),
}

for _name, (_board, _rate, _n) in _COUNTED.items():

    @reads("eeg/34-brainflow-counters", f"{_name}.csv", board=_board)
    def _(recording: Recording, rate: int = _rate, n: int = _n) -> None:
        for stream in recording.streams:
            assert gaps(recording, stream) == (rate, n, 0)


_PRESETS = {
    "callibri_ecg": ("callibri_ecg", "ecg", 125, [0.0]),
    "emotibit_anc_eda": ("emotibit:anc", "eda", 15, [1.0]),
    "emotibit_aux_ppg": ("emotibit:aux", "ppg", 25, [1.0, 2.0, 3.0]),
    "galea_aux": ("galea:aux", "eda", 50, [1.0, 2.0]),
    "muse2_anc_ppg": ("muse_2:anc", "ppg", 64, [1.0, 2.0, 3.0]),
    "muse2_aux_acc": ("muse_2:aux", "acc", 52, [1.0, 2.0, 3.0]),
    "shimmer3": ("shimmer3", "eda", 512, [14.0]),
}

for _name, (_board, _part, _rate, _values) in _PRESETS.items():

    @reads("eeg/35-brainflow-presets", f"{_name}.csv", board=_board)
    def _(
        recording: Recording,
        part: str = _part,
        rate: int = _rate,
        values: list[float] = _values,
    ) -> None:
        (stream,) = (s for s in recording.streams if s.endswith(f".{part}"))
        assert gaps(recording, stream)[::2] == (rate, 0)
        assert samples(recording, stream)[0, -len(values) :].tolist() in (values, [1.0])
        unit = recording.streams[stream][0].info.channels[0].unit
        assert unit == {"eda": "uS", "ecg": "uV", "acc": "g", "ppg": "1"}[part]


_GUI = ("crlf", "idx_1_to_250", "idx_const", "no_ts", "ts_zero")


@reads("eeg/40-openbci-gui-variants", *(f"{name}.txt" for name in _GUI))
def _(recording: Recording) -> None:
    assert gaps(recording, "cyton.eeg") == (250, 804, 0)


@reads("eeg/40-openbci-gui-variants", "ganglion_19bit.txt", "ganglion_fw3.txt")
def _(recording: Recording) -> None:
    (eeg,) = (s for s in recording.streams if s.endswith(".eeg"))
    assert gaps(recording, eeg) == (200, 804, 0)


@reads("eeg/40-openbci-gui-variants", "annotations.txt")
def _(recording: Recording) -> None:
    assert gaps(recording, "cyton_daisy.eeg") == (125, 804, 0)
    assert recording.events["cyton_daisy.annotations"].labels == ("T1",)


# The table is whole


@pytest.mark.parametrize("name", EXPECTED)
def test_the_case_is_read_or_refused(name: str) -> None:
    run(name)


def test_every_case_has_a_check() -> None:
    there = inputs("eeg")
    if not there:
        pytest.skip("no inputs beside the recordings: PHYSIO_DATA names no folder")
    assert [name for name in there if name not in EXPECTED] == []
