"""Files with EEG in BIDS: formats that hold samples to the bit, and their sidecars."""

import re
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.io.bids.sidecars import HARDWARE, MISSING, task_metadata, write_table
from physio.io.edf_export import write_edf

FORMATS: Final = ("auto", "BrainVision", "EEGLAB", "EDF", "BDF")
"""Formats of EEG: ``auto`` is BrainVision if it holds each sample, else EEGLAB."""

_EXTENSIONS: Final = {"BrainVision": ".vhdr", "EEGLAB": ".set", "EDF": ".edf",
                      "BDF": ".bdf"}  # fmt: skip
_TYPES: Final = {"eeg": "EEG", "eog": "EOG", "ecg": "ECG", "emg": "EMG", "gsr": "GSR",
                 "temperature": "TEMP", "resp": "RESP", "bio": "PPG", "stim": "TRIG",
                 "misc": "MISC", "quality": "MISC"}  # fmt: skip
_KINDS: Final = {"eeg": "eeg", "veog": "eog", "heog": "eog", "eog": "eog", "ecg": "ecg",
                 "emg": "emg", "gsr": "gsr", "temp": "temperature", "resp": "resp",
                 "ppg": "bio", "trig": "stim", "misc": "misc", "ref": "misc",
                 "audio": "misc", "eyegaze": "misc", "pupil": "misc",
                 "sysclock": "misc", "other": "misc", "pulse": "bio",
                 "eda": "gsr"}  # fmt: skip

UNITS: Final = {"uV": "\N{MICRO SIGN}V", "uS": "\N{MICRO SIGN}S", "degC": "oC"}
"""Units of this package as BIDS writes them."""


def eeg_format(choice: str, data: Array) -> str:
    """Return the format for samples, shape (n, channels)."""
    if choice != "auto":
        return choice
    present = data[~np.isnan(data)]
    exact = bool((present.astype(np.float32).astype(np.float64) == present).all())
    return "BrainVision" if exact else "EEGLAB"


def write_samples(
    path: Path,
    blocks: Sequence[Block],
    data: Array,
    chosen: str,
    began: datetime | None,
) -> Path:
    """Write samples, shape (n, channels); return the file of the recording.

    Parameters
    ----------
    path
        Path without extension.
    blocks
        Blocks of the stream.
    data
        Its samples; lost ones are NaN.
    chosen
        Format: one of `FORMATS` but ``auto``.
    began
        Date of the first sample, for EDF and BDF.
    """
    info = blocks[0].info
    target = path.with_name(path.name + _EXTENSIONS[chosen])
    if chosen == "BrainVision":
        _write_brainvision(path, data, info)
    elif chosen == "EEGLAB":
        _write_eeglab(target, data, info)
    else:
        write_edf(target, blocks, began=began)
    return target


def _write_brainvision(path: Path, data: Array, info: StreamInfo) -> None:
    try:
        import pybv
    except ImportError:
        raise ValueError(
            "EEG goes into BIDS through pybv: pip install 'physio-affect[bids]'"
        ) from None
    volts = [c.unit == "uV" for c in info.channels]
    scaled = data * np.where(volts, 1e-6, 1.0)  # pybv multiplies volts by 1e6
    units = [UNITS.get(c.unit, c.unit) if c.unit != "1" else "n/a"
             for c in info.channels]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units that are none of volts
        pybv.write_brainvision(
            data=scaled.T, sfreq=float(info.rate), ch_names=list(info.names),
            fname_base=path.name, folder_out=path.parent, resolution=1.0, unit=units,
            fmt="binary_float32",
        )  # fmt: skip


def _write_eeglab(path: Path, data: Array, info: StreamInfo) -> None:
    """Write a ``.set`` file with samples in double precision, in their own units."""
    import scipy.io

    locations = np.zeros(
        len(info.channels), [("labels", object), ("type", object), ("ref", object)]
    )
    for i, channel in enumerate(info.channels):
        locations[i] = (channel.name, _TYPES.get(channel.kind, "MISC"), "")
    n, width = data.shape
    rate = float(info.rate)
    empty = np.empty((0, 0))
    table = {
        "setname": path.stem, "filename": path.name, "filepath": "", "subject": "",
        "group": "", "condition": "", "session": empty, "comments": "",
        "nbchan": float(width), "trials": 1.0, "pnts": float(n), "srate": rate,
        "xmin": 0.0, "xmax": (n - 1) / rate, "times": empty, "data": data.T,
        "icaact": empty, "icawinv": empty, "icasphere": empty, "icaweights": empty,
        "icachansind": empty, "chanlocs": locations, "urchanlocs": empty,
        "chaninfo": {"plotrad": empty, "nosedir": "+X", "nodatchans": empty},
        "ref": info.reference or "common", "event": empty,
        "urevent": empty, "eventdescription": empty, "epoch": empty, "reject": empty,
        "stats": empty, "specdata": empty, "specicaact": empty, "splinefile": "",
        "icasplinefile": "", "dipfit": empty, "history": "", "saved": "yes",
        "etc": empty,
    }  # fmt: skip
    scipy.io.savemat(path, {"EEG": table}, appendmat=False, oned_as="column")
    # The header of a MATLAB file states platform and date of writing.
    with path.open("r+b") as file:
        file.write(b"MATLAB 5.0 MAT-file".ljust(116))


def read_samples(path: Path, width: int) -> Array | None:
    """Return the samples that `write_samples` wrote, to the bit, shape (n, channels).

    None if the file is of another kind: it has other channels or another precision.
    """
    if path.suffix == ".set":
        return _read_eeglab(path, width)
    if path.suffix == ".vhdr":
        return _read_brainvision(path, width)
    return None


def _read_eeglab(path: Path, width: int) -> Array | None:
    import scipy.io

    try:
        content = scipy.io.loadmat(path, squeeze_me=False, struct_as_record=True)
    except Exception:  # of any kind, if it is damaged: MNE names what is wrong
        return None
    if "EEG" not in content or "data" not in (content["EEG"].dtype.names or ()):
        return None
    data = content["EEG"]["data"][0, 0]
    if data.dtype != np.float64 or data.ndim != 2 or len(data) != width:
        return None
    return np.ascontiguousarray(data.T)


def _read_brainvision(path: Path, width: int) -> Array | None:
    text = path.read_text("utf-8", "replace")
    values = dict(re.findall(r"(?m)^(\w+)=(.*?)\s*$", text))
    data = path.with_suffix(".eeg")
    is_plain = (
        values.get("BinaryFormat") == "IEEE_FLOAT_32"
        and values.get("DataOrientation") == "MULTIPLEXED"
        and values.get("NumberOfChannels") == str(width)
        and values.get("DataFile") == data.name
        and len(re.findall(r"(?m)^Ch\d+=[^,]*,[^,]*,1,", text)) == width
    )
    if not is_plain or not data.is_file():
        return None
    raw = np.fromfile(data, "<f4")
    return np.ascontiguousarray(raw.reshape(-1, width).astype(np.float64))


def channel_rows(
    info: StreamInfo, data: Array
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return header and rows of ``channels.tsv``; a channel marked as bad is bad."""
    codes = missing_reason(data)
    rows = []
    for i, channel in enumerate(info.channels):
        is_bad = bool(len(codes)) and bool(
            (codes[:, i] == MissingReason.MARKED_BAD).all()
        )
        rows.append([
            channel.name,
            _TYPES.get(channel.kind, "MISC"),
            unit_text(channel),
            MISSING,
            MISSING,
            channel.reference or info.reference or MISSING,
            f"{float(info.rate):.10g}",
            "bad" if is_bad else "good",
            "marked bad in the recording" if is_bad else MISSING,
        ])  # fmt: skip
    return _HEADER, rows


_HEADER: Final = ("name", "type", "units", "low_cutoff", "high_cutoff", "reference",
                  "sampling_frequency", "status", "status_description")  # fmt: skip


def unit_text(channel: Channel) -> str:
    """Return the unit of a channel as BIDS writes it."""
    return MISSING if channel.unit == "1" else UNITS.get(channel.unit, channel.unit)


def kind_of(bids_type: str) -> str:
    """Return the kind of a channel for a type of ``channels.tsv``; empty if unknown."""
    return _KINDS.get(bids_type.strip().lower(), "")


def write_channels(path: Path, info: StreamInfo, data: Array) -> None:
    """Write ``channels.tsv`` of EEG."""
    header, rows = channel_rows(info, data)
    write_table(path, header, rows)


def eeg_sidecar(info: StreamInfo, n: int, task: str) -> dict[str, Any]:
    """Return the required and recommended metadata of EEG, as far as known."""
    kinds = [c.kind for c in info.channels]
    counts: Sequence[tuple[str, tuple[str, ...]]] = (
        ("EEG", ("eeg",)), ("ECG", ("ecg",)), ("EMG", ("emg",)), ("EOG", ("eog",)),
        ("Trigger", ("stim",)),
    )  # fmt: skip
    table = {
        **task_metadata(task),
        **HARDWARE,
        "CapManufacturer": MISSING,
        "CapManufacturersModelName": MISSING,
        "SubjectArtefactDescription": "not described",
        "SamplingFrequency": float(info.rate),
        "EEGReference": info.reference or MISSING,
        "EEGGround": MISSING,
        "EEGPlacementScheme": info.placement or MISSING,
        "PowerLineFrequency": MISSING,
        "SoftwareFilters": MISSING,
        "HardwareFilters": MISSING,
        "RecordingType": "continuous",
        "RecordingDuration": n / float(info.rate),
    }
    for title, members in counts:
        table[f"{title}ChannelCount"] = sum(kind in members for kind in kinds)
    table["MISCChannelCount"] = len(kinds) - sum(
        kind in members for kind in kinds for _, members in counts
    )
    return table
