"""AcqKnowledge files of BIOPAC systems, through bioread."""

import warnings
from pathlib import Path

import numpy as np

from physio.core.input_file import existing_file
from physio.core.installation import install_hint
from physio.core.recording import Recording
from physio.io.even_channels import EvenChannel, recording_of


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a recording of a BIOPAC system.

    Streams ``biopac.ecg``, ``.eda`` (uS), ``.resp``, ``.ppg`` ... by the names of the
    channels, each at its rate; other channels are in ``biopac.misc``. Events
    ``biopac.markers``. Second 0 of the session clock is the first sample.

    Parameters
    ----------
    path
        The file, ``.acq``.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or bioread is not installed.
    """
    path = existing_file(path)
    try:
        import bioread
    except ImportError:
        raise ValueError(
            f"{path} is an AcqKnowledge file, which bioread reads"
            f"{install_hint('bioread')}"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = bioread.read_file(str(path))
            channels = [
                EvenChannel(
                    str(c.name).strip(),
                    str(c.units).strip(),
                    float(c.samples_per_second),
                    np.array(c.data, np.float64),
                )
                for c in file.channels
            ]
            rate = float(file.samples_per_second)
            marks = [
                (float(m.sample_index) / rate, " ".join(str(m.text).split()) or "mark")
                for m in file.event_markers or ()
            ]
    except Exception as error:  # bioread raises the errors of its parser unchanged
        text = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(f"{path} cannot be read: {text}") from None
    if not channels:
        raise ValueError(f"{path} has no channels")
    source = "AcqKnowledge, BIOPAC"
    return recording_of(
        "biopac", channels, marks, source=source, participant=participant
    )
