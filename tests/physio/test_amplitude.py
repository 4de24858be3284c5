"""A missing unit is proposed where the amplitude fits one alone, and never applied."""

from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Array
from physio.io.amplitude import unit_note_by_amplitude
from physio.io.xdf import read
from physio.io.xdf.chunks import MAGIC, Tag, chunk, numbers


def eeg(scale: float) -> Array:
    t = np.arange(1000) / 250
    alpha = np.sin(2 * np.pi * 10 * t)[:, None] * np.array([20.0, 21.0])
    return (alpha + 4200) * scale


@pytest.mark.parametrize(
    ("scale", "unit"), [(1e-6, "V"), (1e-3, "mV"), (1.0, "uV"), (1e3, ""), (0.0, "")]
)
def test_the_unit_is_that_of_the_amplitude(scale: float, unit: str) -> None:
    text = unit_note_by_amplitude("d.eeg", ("Fz", "Cz"), eeg(scale), 250, "1")
    assert (f"is that of EEG in {unit}: if so, state this" in text) == (unit != "")
    assert bool(text) == bool(unit)
    alike = unit_note_by_amplitude("d.eeg", ("Fz", "Cz"), eeg(scale), 250, unit or "uV")
    assert not alike


def test_nothing_is_said_of_nothing() -> None:
    for data in (np.empty((0, 2)), np.empty((999, 0)), np.full((999, 2), np.nan)):
        assert not unit_note_by_amplitude("d.eeg", ("a", "b"), data, 250, "1")


def test_volts_without_a_unit_are_said_and_not_scaled(tmp_path: Path) -> None:
    xml = ("<info><name>D</name><type>EEG</type><channel_count>2</channel_count>"
           "<channel_format>double64</channel_format><nominal_srate>250"
           "</nominal_srate><desc/></info>")  # fmt: skip
    rows = eeg(1e-6)
    parts = [chunk(Tag.FILE_HEADER, b"<info><version>1.0</version></info>")]
    parts += [chunk(Tag.STREAM_HEADER, xml.encode(), 1)]
    parts += [numbers(1, 100 + np.arange(1000) / 250, rows)]
    (tmp_path / "a.xdf").write_bytes(MAGIC + b"".join(parts))
    recording = read(tmp_path / "a.xdf")
    np.testing.assert_array_equal(recording.streams["d.eeg"][0].data, rows)
    assert "is that of EEG in V" in recording.metadata["warnings"]
