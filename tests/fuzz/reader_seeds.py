"""Small whole files of every format that is read, for the mutations to begin with."""

import gzip
import json
import os
import pickle as pickles
import shutil
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

import miniatures
from miniatures import quest
from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.recording import MARKERS, Recording
from physio.inference.calibration import Calibration, ExpertBaseline

Seed = Callable[[Path], Path]
"""Function that writes a recording into an empty folder and returns its path."""

ROOT: Final = Path(__file__).resolve().parents[2]
RNG: Final = np.random.default_rng(11)


def recording() -> Recording:
    eeg = StreamInfo(
        "cap.eeg",
        Fraction(64),
        (Channel("Fz", "eeg", "uV"), Channel("Cz", "eeg", "uV")),
    )
    eda = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
    markers = Events(
        event_stream(MARKERS), 9.0, np.array([1.0, 4.0]), np.empty((2, 0)), ("a", "b")
    )
    streams = {
        "cap.eeg": (Block(eeg, 0, 0.0, RNG.normal(0, 9, (200, 2))),),
        "band.eda": (
            Block(eda, 0, 0.0, np.full((20, 1), 0.5)),
            Block(eda, 24, 0.0, np.full((12, 1), 0.7)),
        ),
    }
    return Recording(streams, {MARKERS: markers}, (), {"participant": "p1"})


E4: Final = {
    "EDA.csv": "1500000000.000000\n4.000000\n" + "0.5\n0.25\n" * 20,
    "BVP.csv": "1500000000.000000\n64.000000\n" + "-1.5\n3.25\n" * 200,
    "ACC.csv": "1500000000.0, 1500000000.0, 1500000000.0\n32.0, 32.0, 32.0\n"
    + "-1,65,5\n" * 150,
    "TEMP.csv": "1500000000.000000\n4.000000\n" + "33.13\n" * 20,
    "IBI.csv": "1500000000.000000, IBI\n14.5,0.75\n15.25,0.765625\n",
    "tags.csv": "1500000003.25\n",
}


def e4_folder(root: Path) -> Path:
    path = root / "e4"
    path.mkdir()
    for name, text in E4.items():
        (path / name).write_text(text, "utf-8")
    return path


def e4_zip(root: Path) -> Path:
    path = root / "e4.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in E4.items():
            file.writestr(name, text)
    return path


def own_xdf(root: Path) -> Path:
    from physio.io import xdf

    path = root / "r.xdf"
    xdf.write(path, recording())
    return path


def packed_xdf(root: Path) -> Path:
    path = own_xdf(root)
    out = root / "r.xdfz"
    out.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()
    return out


def edf(root: Path, suffix: str = ".edf", width: int = 2) -> Path:
    labels, n = ("EEG Fpz-Cz", "GSR", "EDF Annotations"), 3
    records, tal = 4, 60
    head = b"0" if width == 2 else b"\xffBIOSEMI"
    head = head.ljust(8) + b"X X X X".ljust(80) + b"Startdate X X X X".ljust(80)
    head += b"01.01.20" + b"00.00.00" + str(256 * (n + 1)).encode().ljust(8)
    head += (b"EDF+D" if width == 2 else b"24BIT").ljust(44)
    head += str(records).encode().ljust(8) + b"1".ljust(8) + str(n).encode().ljust(4)
    top = 2 ** (8 * width - 1)
    for size, texts in (
        (16, [label.encode() for label in labels]), (80, [b""] * n),
        (8, [b"uV", b"uS", b""]), (8, [b"-100", b"0", b"-1"]),
        (8, [b"100", b"25", b"1"]), (8, [str(-top).encode()] * n),
        (8, [str(top - 1).encode()] * n), (80, [b""] * n),
        (8, [b"16", b"4", str(tal // width).encode()]), (32, [b""] * n),
    ):  # fmt: skip
        head += b"".join(text.ljust(size) for text in texts)
    body = b""
    for k in range(records):
        numbers = RNG.integers(-top, top, 20)
        body += b"".join(int(x).to_bytes(width, "little", signed=True) for x in numbers)
        note = f"+{2 * k}\x14\x14\0+{2 * k}.5\x151\x14eyes closed\x14\0"
        body += note.encode().ljust(tal // width * width, b"\0")
    path = root / f"a{suffix}"
    path.write_bytes(head + body)
    return path


def bdf(root: Path) -> Path:
    return edf(root, ".bdf", 3)


def brainvision(root: Path) -> Path:
    path = root / "a.vhdr"
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\n"
        "Codepage=UTF-8\nDataFile=a.eeg\nMarkerFile=a.vmrk\nDataFormat=BINARY\n"
        "DataOrientation=MULTIPLEXED\nNumberOfChannels=2\nSamplingInterval=4000\n\n"
        "[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n\n[Channel Infos]\n"
        "Ch1=Fp1,,1,uV\nCh2=GSR,,1,uS\n", "utf-8",
    )  # fmt: skip
    (root / "a.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n\n[Common Infos]\n"
        "Codepage=UTF-8\nDataFile=a.eeg\n\n[Marker Infos]\n"
        "Mk1=New Segment,,1,1,0,20200101120000000000\nMk2=Stimulus,S  1,50,1,0\n",
        "utf-8",
    )
    data = RNG.normal(0, 9, (250, 2)).astype("<f4")
    path.with_suffix(".eeg").write_bytes(data.tobytes())
    return path


def fif(root: Path) -> Path:
    import mne

    info = mne.create_info(["Fz", "Cz", "EOG1"], 64.0, ["eeg", "eeg", "eog"])
    raw = mne.io.RawArray(RNG.normal(0, 2e-5, (3, 128)), info, verbose="error")
    raw.set_annotations(mne.Annotations([0.5], [0.2], ["BAD_x"]))
    path = root / "a_raw.fif"
    raw.save(path, verbose="error")
    return path


def brainflow(root: Path) -> Path:
    table = np.zeros((60, 24))
    table[:, 0] = np.arange(60) % 256
    table[:, 1:9] = RNG.normal(0, 9, (60, 8))
    table[:, 22] = 1.6e9 + np.arange(60) / 250
    table[9, 23] = 7
    rows = ("\t".join(f"{v:.6f}" for v in row) for row in table)
    path = root / "a.csv"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


def openbci(root: Path) -> Path:
    head = (
        "%OpenBCI Raw EXG Data\n%Number of channels = 4\n%Sample Rate = 200 Hz\n"
        "%Board = OpenBCI_GUI$BoardGanglionBLE\n"
        "Sample Index, EXG Channel 0, EXG Channel 1, EXG Channel 2, EXG Channel 3, "
        "Accel Channel 0, Accel Channel 1, Accel Channel 2, Timestamp, "
        "Marker Channel, Timestamp (Formatted)\n"
    )
    rows = (
        f"{i % 256}, {i % 7}.5, -2.0, 3.0, 4.0, 0.0, 0.5, 1.0, "
        f"{1600000000 + i / 200}, 0, 2020-09-13 12:26:40.000\n"
        for i in range(80)
    )
    path = root / "a.txt"
    path.write_text(head + "".join(rows), "utf-8")
    return path


def opensignals(root: Path, device: str = "respiban") -> Path:
    sensors = {"respiban": (["ECG", "EDA"], 700), "bitalino_rev": (["RAW", "EDA"], 100)}
    sensor, rate = sensors[device]
    about = {
        "00:07:80:AA": {
            "sensor": sensor, "device name": "00:07:80:AA", "device": device,
            "column": ["nSeq", "DI", "CH1", "CH2"], "sync interval": 2, "time": "0:0:0",
            "date": "2020-1-1", "comments": "", "channels": [1, 2], "mode": 0,
            "digital IO": [0, 1], "firmware version": 1281,
            "resolution": [4, 1, 16, 16], "sampling rate": rate,
            "label": ["CH1", "CH2"],
        }
    }  # fmt: skip
    lines = [
        "# OpenSignals Text File Format",
        f"# {json.dumps(about)}",
        "# EndOfHeader",
    ]
    lines += [f"{i % 16}\t0\t{500 + i % 50}\t{400 + i % 9}" for i in range(140)]
    path = root / "a.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def bitalino(root: Path) -> Path:
    return opensignals(root, "bitalino_rev")


def mind_monitor(root: Path) -> Path:
    bands = ("Delta", "Theta", "Alpha", "Beta", "Gamma")
    sites = ("TP9", "AF7", "AF8", "TP10")
    names = ["TimeStamp", *(f"{b}_{s}" for b in bands for s in sites)]
    names += [f"RAW_{s}" for s in sites]
    names += ["AUX_RIGHT", *(f"Accelerometer_{a}" for a in "XYZ")]
    names += [f"Gyro_{a}" for a in "XYZ"]
    names += ["HeadBandOn", *(f"HSI_{s}" for s in sites), "Battery", "Elements"]
    rows = [",".join(names)]
    for i in range(60):
        at = f"2020-01-01 10:00:{i / 256:06.3f}"
        numbers = ["0.5"] * 20 + ["800.1"] * 4 + ["0.1"] * 7 + ["1"] * 5 + ["87"]
        rows.append(",".join([at, *numbers, "/muse/elements/blink" if i == 9 else ""]))
    path = root / "a.csv"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


def wesad(root: Path) -> Path:
    path = root / "S2"
    path.mkdir()
    shutil.move(e4_zip(root), path / "S2_E4_Data.zip")
    (path / "S2_quest.csv").write_text(quest(), "utf-8")
    span = {"S2": {"acc_off_s": 0.25, "n4": 16, "crop_s": 0.25}}
    (root / "e4_to_sync_offsets.json").write_text(json.dumps(span), "utf-8")
    return path


def bids(root: Path) -> Path:
    folder = root / "bids" / "sub-01" / "eeg"
    folder.mkdir(parents=True)
    (root / "bids" / "dataset_description.json").write_text(
        '{"Name": "x", "BIDSVersion": "1.9.0"}', "utf-8"
    )
    edf(folder).rename(folder / "sub-01_task-rest_eeg.edf")
    (folder / "sub-01_task-rest_eeg.json").write_text(
        '{"TaskName": "rest", "SamplingFrequency": 16, "EEGReference": "A1"}', "utf-8"
    )
    (folder / "sub-01_task-rest_channels.tsv").write_text(
        "name\ttype\tunits\tstatus\nEEG Fpz-Cz\tEEG\tuV\tgood\nGSR\tGSR\tuS\tbad\n",
        "utf-8",
    )
    (folder / "sub-01_task-rest_events.tsv").write_text(
        "onset\tduration\ttrial_type\n0.5\t1\teyes closed\n", "utf-8"
    )
    return root / "bids"


def csv_table(root: Path) -> Path:
    rows = ["time,eda (uS),temperature (degC)"]
    rows += [f"{i / 4},{0.5 + i % 3 / 10},33.1" for i in range(80)]
    path = root / "a.csv"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


def parquet_table(root: Path) -> Path:
    import pandas as pd

    path = root / "a.parquet"
    pd.read_csv(csv_table(root)).to_parquet(path, index=False)
    (root / "a.csv").unlink()
    return path


def exported(root: Path) -> Path:
    from typer.testing import CliRunner

    from physio.cli import app

    source, path = own_xdf(root), root / "tables"
    line = ["export", str(source), str(path), "--format", "csv"]
    assert CliRunner().invoke(app, line).exit_code == 0
    source.unlink()
    return path


def exported_bids(root: Path) -> Path:
    from typer.testing import CliRunner

    from physio.cli import app

    source, path = own_xdf(root), root / "study"
    assert CliRunner().invoke(app, ["export", str(source), str(path)]).exit_code == 0
    shutil.rmtree(path / "sourcedata")
    source.unlink()
    return path


def embraceplus(root: Path) -> Path:
    import fastavro

    number = {"type": "array", "items": "float"}
    whole = {"type": "array", "items": "int"}
    start = [
        {"name": "timestampStart", "type": "long"},
        {"name": "samplingFrequency", "type": "float"},
    ]
    imu = {
        "type": "record", "name": "Imu",
        "fields": [
            {"name": n, "type": "int"}
            for n in ("physicalMin", "physicalMax", "digitalMin", "digitalMax")
        ],
    }  # fmt: skip
    tables = {
        "eda": [*start, {"name": "values", "type": number}],
        "accelerometer": [
            *start, {"name": "imuParams", "type": imu},
            *({"name": a, "type": whole} for a in "xyz"),
        ],
        "tags": [
            {"name": "tagsTimeMicros", "type": {"type": "array", "items": "long"}}
        ],
    }  # fmt: skip
    fields = [
        {"name": n, "type": {"type": "record", "name": n.title(), "fields": f}}
        for n, f in tables.items()
    ]
    raw = {"type": "record", "name": "Raw", "fields": fields}
    schema = {
        "type": "record",
        "name": "Top",
        "fields": [{"name": "rawData", "type": raw}],
    }
    begin = {"timestampStart": 1_600_000_000_000_000, "samplingFrequency": 4.0}
    record = {
        "rawData": {
            "eda": {**begin, "values": [0.5, 0.6] * 20},
            "accelerometer": {
                **begin, "samplingFrequency": 64.0, **dict.fromkeys("xyz", [1, 2] * 90),
                "imuParams": {"physicalMin": -16, "physicalMax": 16,
                              "digitalMin": -32768, "digitalMax": 32767},
            },
            "tags": {"tagsTimeMicros": [1_600_000_003_000_000]},
        }
    }  # fmt: skip
    path = root / "a.avro"
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), [record])
    return path


def emotibit(root: Path) -> Path:
    lines = []
    for k in range(20):
        at = 1000 + 200 * k
        lines += [f"{at},{3 * k},3,EA,1,100,0.03,0.031,0.032"]
        lines += [f"{at},{3 * k + 1},2,PG,1,100,6304,6310"]
        lines += [f"{at},{3 * k + 2},1,TH,1,100,31.5"]
    path = root / "2025-06-27_09-56-59.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def openmuse(root: Path) -> Path:
    lines = []
    for k in range(30):
        body = b"".join(
            bytes([tag, k, 1, 2, 3]) + bytes(range(size))
            for tag, size in ((0x12, 28), (0x36, 40), (0x47, 36), (0x98, 20))
        )
        head = bytes([9 + len(body), k]) + (8000 * k).to_bytes(4, "little") + b"\1\0\1"
        stamp = f"2026-01-20T16:33:{k / 32:09.6f}+00:00"
        code = (head + body).hex()
        lines.append(f"{stamp}\t273e0013-4c4d-454d-96be-f03bac821358\t{code}\n")
    path = root / "athena.txt"
    path.write_text("".join(lines), "utf-8")
    return path


def muselsl_acc(root: Path) -> Path:
    rows = "".join(f"{1.7e9 + i / 52:.3f},0.01,0.02,0.98\n" for i in range(200))
    path = root / "ACC_recording.csv"
    path.write_text("timestamps,X,Y,Z\n" + rows, "utf-8")
    return path


def enobio(root: Path) -> Path:
    rows = [
        "\t".join(
            map(
                str,
                [*([15000 + i] * 8), 12, 9800, 30, 7 * (i == 9), 1600000000000 + 2 * i],
            )
        )
        for i in range(90)
    ]
    path = root / "a.easy"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    names = "".join(f"Channel {i + 1}: {n}\n" for i, n in enumerate(["C3", "C4"] * 4))
    path.with_suffix(".info").write_text(names, "utf-8")
    return path


def polar_hrm(root: Path) -> Path:
    path = root / "a.hrm"
    rows = "\n".join(str(800 + i % 30) for i in range(60))
    path.write_text(
        "[Params]\nVersion=106\nInterval=238\nDate=20200101\n"
        f"StartTime=10:00:00.0\n\n[HRData]\n{rows}\n", "utf-8",
    )  # fmt: skip
    return path


def kubios(root: Path) -> Path:
    path = root / "a.txt"
    rows = "\n".join(f" ,{0.8 * i + 0.8:9.3f},{0.8:9.3f},0.0,1.0," for i in range(60))
    path.write_text(
        "HRV ANALYSIS RESULTS - 01-Jan-2020\nKubios HRV Standard\n\n"
        "RR INTERVAL DATA and SPECTRUM ESTIMATES,\n , SAMPLE 1,,,,\n"
        " , Time, RR interval, Frequency, PSD,\n , (s), (s), (Hz), (ms^2/Hz),\n"
        f"{rows}\n", "utf-8",
    )  # fmt: skip
    return path


def matlab_export(root: Path) -> Path:
    import scipy.io

    path = root / "a.mat"
    scipy.io.savemat(
        path,
        {
            "data": RNG.normal(3, 0.1, (200, 2)), "isi": 2.0, "isi_units": "ms",
            "labels": ["EDA", "ECG"], "units": ["uS", "mV"], "start_sample": 0,
        },
    )  # fmt: skip
    return path


def biopac(root: Path) -> Path:
    """Copy the public file that the cases have: nothing here can write one."""
    data = Path(os.environ.get("PHYSIO_DATA", ROOT.parent / "shared" / "data"))
    path = data.parent / "cases" / "wear" / "09-biopac-acq" / "r35_test.acq"
    if not path.is_file():
        raise FileNotFoundError(f"no recording of a BIOPAC system: {path}")
    shutil.copyfile(path, root / path.name)
    return root / path.name


SEEDS: Final[dict[str, tuple[Seed, ...]]] = {
    "physio.io.empatica": (e4_folder, e4_zip),
    "physio.datasets.wesad": (wesad,),
    "physio.io.xdf": (own_xdf, packed_xdf),
    "physio.io.edf": (edf, bdf, brainvision, fif),
    "physio.io.brainflow": (brainflow,),
    "physio.io.openbci": (openbci,),
    "physio.io.opensignals": (opensignals, bitalino),
    "physio.io.mind_monitor": (mind_monitor,),
    "physio.datasets.bids": (bids, exported_bids),
    "physio.io.embraceplus": (embraceplus,),
    "physio.io.emotibit": (emotibit,),
    "physio.io.openmuse": (openmuse,),
    "physio.io.enobio": (enobio,),
    "physio.io.polar_hrm": (polar_hrm,),
    "physio.io.kubios": (kubios,),
    "physio.io.matlab_exports": (matlab_export,),
    "physio.io.biopac": (biopac,),
    "physio.io.tables": (csv_table, parquet_table, muselsl_acc),
    "physio.io.recording_tables": (exported,),
}
"""Seeds by the module that reads them: see `physio.datasets.open_recording.FORMATS`."""

OPTIONS: Final[dict[str, dict[str, Any]]] = {"physio.io.brainflow": {"board": "cyton"}}


def pickle(root: Path) -> Path:
    path = root / "a.pkl"
    value = {"data": np.arange(6.0).reshape(2, 3), "n": [1, 2.5, (None, True)]}
    path.write_bytes(pickles.dumps(value, 2))
    return path


def matlab(root: Path) -> Path:
    import scipy.io

    path, cells = root / "a.mat", np.empty((2, 1), object)
    cells[0, 0], cells[1, 0] = np.ones((2, 3)), "text"
    scipy.io.savemat(path, {"s": {"a": cells, "b": 4}, "t": np.arange(3)})
    return path


def feature_table(root: Path) -> Path:
    import pandas as pd

    place = {"subject": "S1", "session": "1", "trial": "", "segment": 0, "label": "a"}
    frame = pd.DataFrame({"eda.scl": np.arange(30.0)}).assign(
        **place,
        start_sample=np.arange(30), end_sample=np.arange(30) + 9,
        support_start_sample=np.arange(30), start_s=np.arange(30.0),
        end_s=np.arange(30.0) + 9,
    )  # fmt: skip
    path = root / "a.parquet"
    frame.to_parquet(path, index=False)
    return path


def session_file(root: Path) -> Path:
    import physio.assets

    path = root / "s.toml"
    shutil.copy(Path(physio.assets.__file__).parent / "demo.toml", path)
    return path


def audit_json(root: Path) -> Path:
    path = root / "a.json"
    finding = {"leak": True, "kind": "samples", "fold": "1", "text": "x"}
    about = {"protocol": "loso", "ok": False, "findings": [finding]}
    path.write_text(json.dumps(about), "utf-8")
    return path


def calibration(root: Path) -> Path:
    path = root / "c.json"
    baseline = ExpertBaseline("wrist", "0" * 64, ("eda.scl",), (9.0,), (9.0,), 120.0)
    rated = (0.1, 0.2, 0.3) * 2 + (0.5, None, None)
    Calibration("p1", (baseline,), (rated,)).write(path)
    return path


def study_file(root: Path) -> Path:
    import physio.assets

    for name in ("study.toml", "session.toml"):
        shutil.copy(Path(physio.assets.__file__).parent / "study" / name, root)
    return root / "study.toml"


def dasps(root: Path) -> Path:
    miniatures.dasps(root)
    return root / "dasps_raw_eeg_128hz.npz"


def sam40(root: Path) -> Path:
    miniatures.sam40(root)
    return root / "sam40_filtered_128hz.npz"


def seed_vii(root: Path) -> Path:
    miniatures.seed_vii(root)
    return root / "3.mat"


def refed(root: Path) -> Path:
    miniatures.refed(root)
    return root / "SAM_score.csv"


def dens(root: Path) -> Path:
    miniatures.dens(root)
    return root / "dataset_description.json"


def bids_ratings(root: Path) -> Path:
    miniatures.bids_ratings(root)
    return root / "dataset_description.json"


DATASETS: Final[dict[str, tuple[Seed, ...]]] = {
    "bids_ratings": (bids_ratings,),
    "dasps": (dasps,),
    "dens": (dens,),
    "refed": (refed,),
    "sam40": (sam40,),
    "seed_vii": (seed_vii,),
}
"""Seeds by the module in `physio.datasets` that reads the folder of the file.

Files of FACED and SEED-V are large: the pickle is that of `pickle`, the table that of
`matlab`, and MNE's part of the session is read by the seeds of `physio.io.edf`.
"""
