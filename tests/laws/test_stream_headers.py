"""A description means the same live as it does from a file."""

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.lsl.stream_info import read_description
from physio.core.block import Array, StreamInfo
from physio.io.xdf import read
from physio.io.xdf.chunks import MAGIC, Tag, chunk, numbers

TYPES = (
    *("EEG", "eeg", "EEG ", "ExG", "GSR", "EDA", "ECG", "EKG", "PPG", "BVP", "ACC"),
    *("Accelerometer", "GYRO", "RSP", "SKT", "Temperature", "HR", "Markers", "Stim"),
    *("", "Data", "Signal", "Gaze & pupil", "Biosignal"),
)
UNITS = (
    *("", "uV", "microvolts", "\N{MICRO SIGN}V", "\N{GREEK SMALL LETTER MU}V", "mV"),
    *("volts", "V", "nV", "nanovolts", "uVolts", "-6", "-3", "0", "none", "counts"),
    *("uS", "siemens", "nS", "kOhm", "g", "mg", "m/s^2", "dps", "celsius", "degF"),
    *("\N{DEGREE SIGN}C", "K", "bpm", "%", ".V", "NA", "furlongs", "[uV]", "\x07V"),
)
CHANNEL_TYPES = ("", "EEG", "MISC", "REF", "ECG", "TRIGGER", "stim", "whatever")
LABELS = (
    *("", "Fp1", "Fp1", "TP9 ", "A&B", "a<b", "R&D; &amp", "ACC_X", "x", "CNT"),
    *("TRIGGER", "GSR", "EKG1", "\x01Cz", "F\x00z", "&#7;Oz", "Fp1#2", "\ud7ff\ufffd"),
    *("Fp1-M2", "C3-A2", "HardwareMarker", "Timestamp", "Status", "EEG.Battery"),
    *("L" * 100_000, "\N{GREEK SMALL LETTER ALPHA}1", "two\nlines"),
)
CHANNELS = st.fixed_dictionaries(
    {},
    optional={
        "label": st.sampled_from(LABELS) | st.text(max_size=8),
        "name": st.sampled_from(LABELS[:6]),
        "unit": st.sampled_from(UNITS),
        "type": st.sampled_from(CHANNEL_TYPES),
    },
)


def header(
    kind: str,
    channels: list[dict[str, str]],
    more: int = 0,
    rate: str = "250",
    form: str = "double64",
    *,
    escaped: bool = True,
) -> str:
    """Return the XML of a stream; ``more`` channels are not described."""

    def written(text: str) -> str:
        text = text.encode("utf-8", "replace").decode()
        return escape(text) if escaped else text

    rows = "".join(
        "<channel>"
        + "".join(f"<{k}>{written(v)}</{k}>" for k, v in c.items())
        + "</channel>"
        for c in channels
    )
    return (
        f'<?xml version="1.0"?><info><name>D</name><type>{escape(kind)}</type>'
        f"<channel_count>{len(channels) + more}</channel_count>"
        f"<channel_format>{form}</channel_format><nominal_srate>{rate}</nominal_srate>"
        f"<desc><channels>{rows}</channels></desc></info>"
    )


def from_file(path: Path, xml: str, rows: Array) -> tuple[StreamInfo, Array, str]:
    """Return stream, samples and warnings of an XDF file with this description."""
    stamps = 100.0 + np.arange(len(rows)) / 250
    parts = [chunk(Tag.FILE_HEADER, b"<info><version>1.0</version></info>")]
    parts += [chunk(Tag.STREAM_HEADER, xml.encode(), 1), numbers(1, stamps, rows)]
    path.write_bytes(MAGIC + b"".join(parts))
    recording = read(path)
    warnings = recording.metadata.get("warnings", "")
    for blocks in recording.streams.values():
        return blocks[0].info, blocks[0].data, warnings
    (events,) = recording.events.values()
    return events.info, events.data, warnings


def assert_same(path: Path, xml: str) -> None:
    live = read_description(xml, "d")
    n = len(live.info.channels)
    rows = np.arange(8.0 * n).reshape(8, n)
    info, data, warnings = from_file(path, xml, rows)
    assert info == live.info
    np.testing.assert_array_equal(data, rows * np.array(live.factors))
    assert all(note in warnings for note in live.notes)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from(TYPES),
    st.lists(CHANNELS, min_size=1, max_size=6),
    st.integers(0, 2),
    st.sampled_from(["250", "250.0000000000000", "249.99999999999997", "0"]),
)
def test_live_and_file_read_the_same(
    tmp_path: Path, kind: str, channels: list[dict[str, str]], more: int, rate: str
) -> None:
    assert_same(tmp_path / "a.xdf", header(kind, channels, more, rate))


@pytest.mark.parametrize("label", ["A&B", "A&#1;B", "A\x01B", "&", "&&amp;", "&#0;x"])
def test_characters_that_no_parser_accepts(tmp_path: Path, label: str) -> None:
    """As programs write them that put their XML together by hand."""
    xml = header("EEG", [{"label": label, "unit": "uV"}], escaped=False)
    assert_same(tmp_path / "a.xdf", xml)
    (name,) = read_description(xml, "d").info.names
    assert name == {"A&B": "A&B", "&": "&", "&&amp;": "&&", "&#0;x": "x"}.get(
        label, "AB"
    )


def test_a_label_of_100_kb_is_cut(tmp_path: Path) -> None:
    xml = header("EEG", [{"label": "L" * 100_000}, {"label": "L" * 100_001}])
    assert_same(tmp_path / "a.xdf", xml)
    names = read_description(xml, "d").info.names
    assert len(set(names)) == 2
    assert max(map(len, names)) < 70


def test_numeric_markers(tmp_path: Path) -> None:
    assert_same(tmp_path / "a.xdf", header("Markers", [{}], rate="0"))


@pytest.mark.parametrize("rate", ["nan", "inf", "fast", "1e999", "1/0"])
def test_a_rate_that_is_no_number_is_refused(tmp_path: Path, rate: str) -> None:
    xml = header("EEG", [{}], rate=rate)
    with pytest.raises(ValueError, match=r"the rate of d\.eeg is no number"):
        read_description(xml, "d")
    with pytest.raises(ValueError, match=r"the rate of d\.eeg is no number"):
        from_file(tmp_path / "a.xdf", xml, np.zeros((2, 1)))
