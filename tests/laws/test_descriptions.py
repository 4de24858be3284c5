"""A channel means the same in XDF, EDF, BDF, BrainVision and FIF."""

from pathlib import Path
from xml.sax.saxutils import escape

import mne
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from physio.core.block import Array, Channel
from physio.core.recording import Recording
from physio.datasets.open_recording import read
from physio.io.xdf.chunks import MAGIC, Tag, chunk, numbers

RATE = 4
MICRO = "\N{MICRO SIGN}V"
VALUES = np.array([-90.0, -30.0, 30.0, 90.0])
"""Values in the unit of the header, as 16 and 24 bits hold them exactly."""

ELECTRODES = (
    "Fp1",
    "FPZ",
    "TP9",
    "C3-M2",
    "O1-LE",
    "Cz-Ref",
    "A1",
    "Fp1-F7",
    "EEG 001",
)
OTHERS = (
    *(("EKG1", "mV"), ("ECG", "uV"), ("LEOG", "uV"), ("CHIN1", "uV"), ("GSR", "uS")),
    *(("Temp", "C"), ("COUNTER", ""), ("Battery", "%"), ("CQ_AF3", ""), ("HR", "bpm")),
)
VOLTS = ("uV", "mV", "nV", MICRO, "microV", "V")
CHANNELS = st.one_of(
    st.tuples(st.sampled_from(ELECTRODES), st.sampled_from(VOLTS)),
    st.sampled_from(OTHERS),
)


def to_xdf(path: Path, channels: list[tuple[str, str]]) -> Path:
    rows = "".join(
        f"<channel><label>{escape(label)}</label><unit>{unit}</unit></channel>"
        for label, unit in channels
    )
    xml = (
        "<info><name>eeg</name><type>EEG</type>"
        f"<channel_count>{len(channels)}</channel_count>"
        "<channel_format>double64</channel_format>"
        f"<nominal_srate>{RATE}</nominal_srate>"
        f"<desc><channels>{rows}</channels></desc></info>"
    )
    data = np.repeat(VALUES[:, None], len(channels), axis=1)
    parts = [chunk(Tag.FILE_HEADER, b"<info><version>1.0</version></info>")]
    parts += [chunk(Tag.STREAM_HEADER, xml.encode(), 1)]
    parts += [numbers(1, 100 + np.arange(4) / RATE, data)]
    path.write_bytes(MAGIC + b"".join(parts))
    return path


def to_edf(path: Path, channels: list[tuple[str, str]]) -> Path:
    """Write EDF or, by the suffix, BDF, with one record of a second."""
    n, is_bdf = len(channels), path.suffix == ".bdf"
    most = 8388607 if is_bdf else 32767
    head = (b"\xffBIOSEMI" if is_bdf else b"0".ljust(8)) + b"X".ljust(160)
    head += b"01.01.20" + b"00.00.00" + str(256 * (n + 1)).encode().ljust(8)
    head += (b"24BIT" if is_bdf else b"").ljust(44) + b"1".ljust(8) + b"1".ljust(8)
    head += str(n).encode().ljust(4)
    for width, texts in (
        (16, [label.encode("latin-1") for label, _ in channels]), (80, [b""] * n),
        (8, [unit.encode("latin-1") for _, unit in channels]), (8, [b"-90"] * n),
        (8, [b"90"] * n), (8, [str(-most).encode()] * n), (8, [str(most).encode()] * n),
        (80, [b""] * n), (8, [b"4"] * n), (32, [b""] * n),
    ):  # fmt: skip
        head += b"".join(text.ljust(width) for text in texts)
    codes = np.rint(VALUES / 90 * most).astype("<i4")
    wide = codes.view("u1").reshape(-1, 4)[:, : 3 if is_bdf else 2]
    path.write_bytes(head + wide.tobytes() * n)
    return path


def to_brainvision(path: Path, channels: list[tuple[str, str]]) -> Path:
    rows = "".join(
        f"Ch{i + 1}={label},,1,{unit}\n" for i, (label, unit) in enumerate(channels)
    )
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\n"
        f"Codepage=UTF-8\nDataFile={path.stem}.eeg\nDataFormat=BINARY\n"
        f"DataOrientation=MULTIPLEXED\nNumberOfChannels={len(channels)}\n"
        f"SamplingInterval={1_000_000 // RATE}\n\n[Binary Infos]\n"
        f"BinaryFormat=IEEE_FLOAT_32\n\n[Channel Infos]\n{rows}",
        "utf-8",
    )
    data = np.repeat(VALUES[:, None], len(channels), axis=1).astype("<f4")
    path.with_suffix(".eeg").write_bytes(data.tobytes())
    return path


def contents(recording: Recording) -> dict[str, tuple[Channel, Array]]:
    """Return each channel with its samples."""
    return {
        channel.name: (channel, block.data[:, i])
        for (block,) in recording.streams.values()
        for i, channel in enumerate(block.info.channels)
    }


def assert_same(one: Recording, other: Recording, tolerance: float) -> None:
    a, b = contents(one), contents(other)
    assert a.keys() == b.keys()
    for name, (channel, values) in a.items():
        assert b[name][0] == channel
        np.testing.assert_allclose(b[name][1], values, rtol=tolerance, atol=0)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(CHANNELS, min_size=1, max_size=4, unique_by=lambda c: c[0].lower()))
def test_a_channel_means_the_same_in_every_format(
    tmp_path: Path, channels: list[tuple[str, str]]
) -> None:
    as_xdf = read(to_xdf(tmp_path / "a.xdf", channels))
    # One step of 16 or 24 bits in 180 units; 24 bits of a float.
    for path, tolerance in (
        (to_edf(tmp_path / "a.edf", channels), 2e-4),
        (to_edf(tmp_path / "a.bdf", channels), 1e-6),
    ):
        assert_same(as_xdf, read(path), tolerance)
    assert_same(as_xdf, read(to_brainvision(tmp_path / "a.vhdr", channels)), 1e-6)


@pytest.mark.parametrize("label", ELECTRODES)
def test_an_electrode_means_the_same_in_fif(label: str, tmp_path: Path) -> None:
    as_xdf = read(to_xdf(tmp_path / "a.xdf", [(label, "uV")]))
    info = mne.create_info([label], RATE, "eeg")
    raw = mne.io.RawArray(VALUES[None] * 1e-6, info, verbose="error")
    raw.save(tmp_path / "a_raw.fif", fmt="double", verbose="error")
    assert_same(as_xdf, read(tmp_path / "a_raw.fif"), 1e-12)
