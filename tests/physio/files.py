"""Small files of every text and binary format, as the makers' programs write them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import scipy.io

N = 320
UNIX = 1_700_000_000.0
SIGNAL = np.round(100 * np.sin(2 * np.pi * 1.2 * np.arange(N) / 64), 3)

Writer = Callable[[Path], Path]


def lines(path: Path, header: str, rows: list[str], newline: str = "\n") -> Path:
    path.write_text(newline.join([header, *rows]) + newline, newline="")
    return path


def plain(folder: Path) -> Path:
    rows = [f"{1000 * UNIX + 1000 * i / 64:.0f},{2 + i / N:.4f}" for i in range(N)]
    return lines(folder / "plain.csv", "timestamp_ms,GSR_uS", rows)


def shimmer(folder: Path) -> Path:
    names = [
        "Timestamp_Unix_CAL", "GSR_Skin_Conductance_CAL", "PPG_A13_CAL",
        "Accel_LN_X_CAL", "Accel_LN_Y_CAL", "Accel_LN_Z_CAL", "ECG_LL-RA_24BIT_CAL",
    ]  # fmt: skip
    units = ["ms", "uS", "mV", "m/(s^2)", "m/(s^2)", "m/(s^2)", "mV"]
    rows = [
        "\t".join(
            f"{v:.4f}"
            for v in (1000 * UNIX + 1000 * i / 64, 2.5, SIGNAL[i], 0, 0, 9.80665, 0.5)
        )
        for i in range(N)
    ]
    head = "\t".join(f"Shimmer_4B1C_{n}" for n in names)
    return lines(
        folder / "s.csv", f'"sep=\t"\n{head}\t\n' + "\t".join(units) + "\t", rows
    )


def polar_acc(folder: Path) -> Path:
    begin = 599_636_646_177_065_964
    rows = [
        f"2024-05-01T10:00:{i / 64:06.3f};{begin + i * 10**9 // 64};0;0;1000"
        for i in range(N)
    ]
    head = "Phone timestamp;sensor timestamp [ns];X [mg];Y [mg];Z [mg]"
    return lines(folder / "p.txt", head, rows)


def muselsl(folder: Path) -> Path:
    rows = [
        f"{UNIX + i / 256:.6f},1.5,{SIGNAL[i]},-3,4,0,{int(i == 10)}" for i in range(N)
    ]
    return lines(folder / "m.csv", "timestamps,TP9,AF7,AF8,TP10,Right AUX", rows)


def muselsl_acc(folder: Path) -> Path:
    rows = [f"{UNIX + i / 52:.6f},0.6,0,0.8" for i in range(N)]
    return lines(folder / "ACC_recording_x.csv", "timestamps,X,Y,Z", rows)


def muselsl_gyro(folder: Path) -> Path:
    rows = [f"{UNIX + i / 52:.6f},{SIGNAL[i]},0.5,-1" for i in range(N)]
    return lines(folder / "GYRO_recording_x.csv", "timestamps,X,Y,Z", rows)


def mind_monitor(folder: Path) -> Path:
    head = "TimeStamp,RAW_TP9,RAW_AF7,RAW_AF8,RAW_TP10,Accelerometer_X,Elements"
    stamps = [f"2024-03-01 10:00:{(i // 12 + 1) * 12 / 256:06.3f}" for i in range(N)]
    rows = [f"{t},800,{x},800,800,0.5," for t, x in zip(stamps, SIGNAL, strict=True)]
    rows.insert(64, "2024-03-01 10:00:00.260,,,,,,/Marker/1")
    return lines(folder / "mm.csv", head, rows)


def emotivpro(folder: Path) -> Path:
    head = (
        "title:s1, start timestamp:1700000000.0, sampling rate:eeg_128, version:2.2\n"
        "Timestamp,EEG.Counter,EEG.Interpolated,EEG.AF3,EEG.F7,EEG.RawCq,EEG.Battery,"
        "EEG.MarkerHardware"
    )
    rows = [
        f"{UNIX + i / 128:.6f},{i % 128}.0,0.0,{4200 + SIGNAL[i]},4200.5,0,4,0"
        for i in range(N)
    ]
    return lines(folder / "e.csv", head, rows)


def unicorn(folder: Path) -> Path:
    head = ",".join(f"EEG {i}" for i in range(1, 9))
    head += ",Accelerometer X,Accelerometer Y,Accelerometer Z,Gyroscope X,Gyroscope Y"
    head += ",Gyroscope Z,Battery Level,Counter,Validation Indicator"
    rows = [
        ",".join(map(str, [SIGNAL[i], *range(2, 9), 0, 0, 1, 0, 0, 0, 93.3, i, 1]))
        for i in range(N)
        if i not in range(100, 110)
    ]
    return lines(folder / "u.csv", head, rows)


def openmuse(folder: Path) -> Path:
    """Write packets of a Muse S Athena: EEG, optics, movement; part 5 of EEG is lost.

    Numbers are packed from the lowest bit on: 14 bits for EEG, 20 for optics.
    """
    rows = []
    moved = np.array([0, 0, 16384, 1000, 0, 0] * 3, "<i2").tobytes()
    for k in range(64):  # packets of 3/64 s
        ticks = (4_294_900_000 + 12_000 * k) % 2**32  # of 256 kHz; it turns
        number = k * 13 // 16  # of the parts with movement, 3 samples each
        body = b"".join(
            part(0x11, 3 * k + i, packed([k, 100, 8000, 16383] * 4, 14))
            for i in range(3)
            if 3 * k + i != 5
        )
        body += part(0x34, k, packed([262_144, 65_536, k, 0] * 3, 20))
        if number < (k + 1) * 13 // 16:
            body += part(0x47, number, moved)
        head = bytes([9 + len(body), k]) + ticks.to_bytes(4, "little") + b"\1\0\1"
        stamp = f"2023-11-14T22:13:{20 + k * 3 / 64:09.6f}+00:00"
        code = (head + body).hex()
        rows.append(f"{stamp}\t273e0013-4c4d-454d-96be-f03bac821358\t{code}")
    return lines(folder / "athena.txt", rows[0], rows[1:])


def part(tag: int, number: int, body: bytes) -> bytes:
    return bytes([tag, number, 1, 2, 3]) + body


def packed(values: list[int], bits: int) -> bytes:
    whole = sum(v << (bits * i) for i, v in enumerate(values))
    return whole.to_bytes((bits * len(values) + 7) // 8, "little")


def neurosity(folder: Path) -> Path:
    head = "unixTimestamp,CP3,C3,F5,PO3,PO4,F6,C4,CP4"
    rows = [
        f"{1000 * UNIX + 1000 * i / 256:.0f},{SIGNAL[i]},2,3,4,5,6,7,8"
        for i in range(N)
    ]
    return lines(folder / "n.csv", head, rows)


def max30102(folder: Path) -> Path:
    rows = [f"{10 * i},{88_000 + i % 9},{SIGNAL[i] + 110_000}" for i in range(N)]
    return lines(folder / "x.csv", "millis,red,ir", rows)


def intervals(folder: Path) -> Path:
    rows = [f"{800 + 20 * np.sin(i / 5):.0f}" for i in range(N)]
    return lines(folder / "rr.txt", rows[0], rows[1:])


def hrm(folder: Path) -> Path:
    head = "[Params]\nVersion=106\nDate=20080208\nStartTime=08:50:31.0\nInterval=238\n"
    rows = [f"{800 + i % 7}" for i in range(N)]
    return lines(folder / "x.hrm", f"{head}\n[Note]\n\n[HRData]", rows, "\r\n")


def kubios(folder: Path, separator: str = ",", unit: str = "s") -> Path:
    """A report as Kubios HRV 3 lays it out: two samples beside spectra."""
    scale = 1000 if unit == "ms" else 1
    head = [
        "HRV ANALYSIS RESULTS - 13-Sep-2018 13:15:19", "Kubios HRV Standard", "3.1",
        "", "Time-Domain Results           ,", "  Mean RR  (ms):  ,  800.0,",
        "", "RR INTERVAL DATA and SPECTRUM ESTIMATES,", " , SAMPLE 1, , , SAMPLE 2, ,",
        " ,  RR Data, , FFT spectrum, RR Data, ,",
        " ,  Time, RR interval,   Frequency, Time, RR interval,",
        f" , (s), ({unit}), (Hz), (s), ({unit}),",
    ]  # fmt: skip
    rows, t = [], 0.0
    for i in range(40):
        rr = 0.8 + 0.01 * (i % 7)
        t += rr
        second = f"{t + 100:.3f}, {scale * rr:.3f}," if i < 30 else ","
        rows.append(f"  , {t:8.3f}, {scale * rr:8.3f}, {i / 300:.3f}, {second}")
    if separator != ",":
        head[3:], rows = (
            [line.replace(",", separator) for line in part] for part in (head[3:], rows)
        )
        rows = [line.replace(".", ",") for line in rows]
    return lines(folder / "hrv.txt", "\n".join(head), rows)


def easy(folder: Path) -> Path:
    rows = [
        "\t".join(
            map(str, [int(1000 * SIGNAL[i]), *range(2, 9), 0, 0, 9800, int(i == 9)])
        )
        + f"\t{1000 * UNIX + 2 * i:.0f}"
        for i in range(N)
    ]
    (folder / "x.info").write_text(
        "".join(f"Channel {i}: {e}\n" for i, e in enumerate(EASY, start=1))
    )
    return lines(folder / "x.easy", rows[0], rows[1:])


EASY = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")


def emotibit(folder: Path) -> Path:
    rows, packet = [], 0
    for i in range(0, N, 4):
        at = 20_000 + 1000 * (i + 3) / 25
        for tag, n, values in (
            ("EA", 2, [f"{1 + i / N:.4f}"] * 2),
            *((t, 4, [f"{SIGNAL[i + k]}" for k in range(4)]) for t in ("PI", "PR")),
            *((t, 4, [f"{k / 4}" for k in range(4)]) for t in ("AX", "AY", "AZ")),
            ("T1", 1, ["31.5"]),
            ("BI", 1, ["812"]),
            ("TL", 1, ["2025-06-27_09-56-59-856773"]),
        ):
            packet += 1
            rows.append(f"{at:.0f},{packet},{n},{tag},1,100,{','.join(values)}")
    return lines(folder / "raw.csv", rows[0], rows[1:])


def emotibit_parsed(folder: Path) -> Path:
    head = (
        "LocalTimestamp,EmotiBitTimestamp,PacketNumber,DataLength,TypeTag,"
        "ProtocolVersion,DataReliability,"
    )
    for tag, rate in (("EA", 15), ("AX", 25), ("AY", 25), ("AZ", 25)):
        stamps = [f"{UNIX + i / rate:.6f},{1000 * i / rate:.3f}" for i in range(N)]
        rows = [f"{t},{i},1,{tag},1,100,{i / N}" for i, t in enumerate(stamps)]
        lines(folder / f"r_{tag}.csv", head + tag, rows)
    return folder / "r_AY.csv"


SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Session",
    "fields": [
        {"name": "deviceSn", "type": "string"},
        {
            "name": "rawData",
            "type": {
                "type": "record",
                "name": "RawData",
                "fields": [
                    {"name": "accelerometer", "type": {
                        "type": "record", "name": "Imu", "fields": [
                            {"name": "timestampStart", "type": "long"},
                            {"name": "samplingFrequency", "type": "float"},
                            {"name": "imuParams", "type": {
                                "type": "record", "name": "Params", "fields": [
                                    {"name": k, "type": "int"} for k in (
                                        "physicalMin", "physicalMax",
                                        "digitalMin", "digitalMax")]}},
                            *({"name": a, "type": {"type": "array", "items": "int"}}
                              for a in "xyz")]}},
                    *({"name": name, "type": {
                        "type": "record", "name": name.title(), "fields": [
                            {"name": "timestampStart", "type": "long"},
                            {"name": "samplingFrequency", "type": "float"},
                            {"name": "values",
                             "type": {"type": "array", "items": "float"}}]}}
                      for name in ("eda", "bvp", "temperature")),
                    {"name": "tags", "type": {
                        "type": "record", "name": "Tags", "fields": [
                            {"name": "tagsTimeMicros",
                             "type": {"type": "array", "items": "long"}}]}},
                    {"name": "systolicPeaks", "type": {
                        "type": "record", "name": "Peaks", "fields": [
                            {"name": "peaksTimeNanos",
                             "type": {"type": "array", "items": "long"}}]}},
                ],
            },
        },
    ],
}  # fmt: skip


def embraceplus(folder: Path, begin: float = UNIX, name: str = "x.avro") -> Path:
    """Write 10 s of an EmbracePlus, with sensors that start at different times."""

    def sensor(rate: float, late: float) -> dict[str, Any]:
        return {
            "timestampStart": round(1e6 * (begin + late)),
            "samplingFrequency": rate,
            "values": [2.5] * int(10 * rate),
        }

    imu = {
        "timestampStart": round(1e6 * begin),
        "samplingFrequency": 64.0,
        "imuParams": {
            "physicalMin": -16, "physicalMax": 16,
            "digitalMin": -32768, "digitalMax": 32767,
        },
        "x": [0] * 640, "y": [0] * 640, "z": [2048] * 640,
    }  # fmt: skip
    raw = {
        "accelerometer": imu,
        "eda": sensor(4.0, 0.5),
        "bvp": sensor(64.0, 0.25),
        "temperature": sensor(1.0, 0.75),
        "tags": {"tagsTimeMicros": [round(1e6 * (begin + 3))]},
        "systolicPeaks": {
            "peaksTimeNanos": [round(1e9 * (begin + 1 + 0.8 * i)) for i in range(11)]
        },
    }
    path = folder / name
    with path.open("wb") as file:
        fastavro.writer(
            file, fastavro.parse_schema(SCHEMA), [{"deviceSn": "x", "rawData": raw}]
        )
    return path


def labchart(folder: Path) -> Path:
    data = np.concatenate([SIGNAL, SIGNAL[: N // 4]])
    content = {
        "data": data[None, :],
        "datastart": np.array([[1.0], [N + 1.0]]),
        "dataend": np.array([[float(N)], [N + N // 4]]),
        "samplerate": np.array([[64.0], [16.0]]),
        "tickrate": np.array([[64.0]]),
        "titles": np.array(["ECG", "GSR"]),
        "unittext": np.array(["mV", "uS"]),
        "unittextmap": np.array([[1.0], [2.0]]),
        "blocktimes": np.array([[739_000.5]]),
        "com": np.array([[-1.0, 1.0, 128.0, 1.0, 1.0]]),
        "comtext": np.array(["film begins"]),
    }
    scipy.io.savemat(folder / "lab.mat", content)
    return folder / "lab.mat"


def acqknowledge(folder: Path) -> Path:
    content = {
        "data": np.column_stack([SIGNAL, SIGNAL]),
        "isi": 1000 / 64,
        "isi_units": "ms",
        "labels": np.array(["EDA100C", "RSP100C"]),
        "units": np.array(["microsiemens", "Volts"]),
    }
    scipy.io.savemat(folder / "acq.mat", content)
    return folder / "acq.mat"


def opensignals(folder: Path) -> Path:
    device = {
        "device": "biosignalsplux", "sensor": ["ECG"], "column": ["nSeq", "DI", "CH1"],
        "label": ["CH1"], "resolution": [16, 1, 16], "sampling rate": 100,
    }  # fmt: skip
    head = (
        f"# OpenSignals Text File Format\n# {json.dumps({'x': device})}\n# EndOfHeader"
    )
    rows = [f"{i}\t0\t{int(32_768 + 9 * SIGNAL[i])}\t" for i in range(N)]
    return lines(folder / "o.txt", head, rows)


def openbci(folder: Path) -> Path:
    head = (
        "%OpenBCI Raw EXG Data\n%Number of channels = 1\n%Sample Rate = 250 Hz\n"
        "%Board = OpenBCI_GUI$BoardCytonSerial\n"
        "Sample Index, EXG Channel 0, Timestamp, Marker Channel"
    )
    rows = [f"{i % 256}, {SIGNAL[i]}, {UNIX + i / 250}, 0" for i in range(N)]
    return lines(folder / "gui.txt", head, rows)


def e4(folder: Path) -> Path:
    out = folder / "e4"
    out.mkdir(exist_ok=True)
    lines(out / "EDA.csv", f"{UNIX}\n4.0", [f"{2 + i / N:.3f}" for i in range(N)])
    lines(out / "IBI.csv", f"{UNIX}, IBI", [f"{i + 1},0.8" for i in range(20)])
    return out


WRITERS: dict[str, Writer] = {
    f.__name__: f
    for f in (
        *(plain, shimmer, polar_acc, muselsl, muselsl_acc, muselsl_gyro),
        *(mind_monitor, emotivpro, unicorn),
        *(
            openmuse,
            neurosity,
            max30102,
            intervals,
            hrm,
            kubios,
            easy,
            emotibit,
            emotibit_parsed,
        ),
        *(embraceplus, labchart, acqknowledge, opensignals, openbci, e4),
    )
}
"""Writer of a file of each format."""
