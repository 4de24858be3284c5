"""Small folders in the exact formats in which data sets are published."""

import io
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import mne
import mne_bids
import numpy as np
import scipy.io

from python2 import dumped

QUEST = """# Subj;S2;;
# ORDER;Base;TSST;Medi 1;Fun;Medi 2;sRead;fRead;;
# START;0.1;0.2;0.3;0.4;0.5;1;1.1;;
# END;0.15;0.25;0.35;0.45;0.55;1.05;1.15;;
;;;
# PANAS;{24};;
# PANAS;{26}
# PANAS;{24};;
# PANAS;{24};;
# PANAS;{24};;
;;;
# STAI;3;2;1;4;2;3;;
# STAI;1;3;2;1;3;1;;
# STAI;4;1;1;4;2;4;;
# STAI;3;1;1;3;1;4;;
# STAI;4;1;1;4;1;4;;
;;;
# DIM;7;2;;
# DIM;5;4;;
# DIM;7;2;;
# DIM;8;1;;
# DIM;7;2;;
;;;
# SSSQ;5;5;4;4;3;5;;
"""


def quest() -> str:
    text = QUEST
    for n in (24, 26):
        text = text.replace(f"{{{n}}}", ";".join(["1"] * n))
    return text


def deap(root: Path) -> None:
    """One participant of `data_preprocessed_python`, whole: 40 x 40 x 8064 numbers."""
    data = np.zeros((40, 40, 8064))
    data[:] = np.sin(np.arange(8064) / 10)
    data[:, 36] = 200_000.0  # Ohm: 5 uS
    data[1, 36, :5] = [0.0, -3.0, 1e5, np.nan, 4e8]
    data[2, 0] = np.arange(8064)
    labels = np.full((40, 4), 5.0)
    labels[2] = [1.0, 9.0, 7.5, 3.0]
    root.mkdir(parents=True, exist_ok=True)
    (root / "s02.dat").write_bytes(dumped({"labels": labels, "data": data}))


def wesad_chest(root: Path) -> None:
    """One participant's pickle, 60 s long, of protocol 0, and the questionnaire."""
    rng = np.random.default_rng(5)
    n = 700 * 60
    chest = {
        "ACC": np.tile([0.0, 0.6, 0.8], (n, 1)),
        "ECG": rng.normal(0, 0.2, (n, 1)),
        "EMG": rng.normal(0, 0.01, (n, 1)),
        "EDA": np.full((n, 1), 5.5),
        "Temp": np.full((n, 1), 30.25, np.float32),
        "Resp": rng.normal(0, 2, (n, 1)),
    }
    wrist = {
        "ACC": np.tile([0.0, 0.0, 64.0], (32 * 60, 1)),
        "BVP": rng.normal(0, 30, (64 * 60, 1)),
        "EDA": np.full((4 * 60, 1), 0.5),
        "TEMP": np.full((4 * 60, 1), 33.5),
    }
    label = np.zeros(n, np.int32)
    for begin, code in ((5, 1), (15, 2), (25, 4), (35, 3), (45, 4), (52, 7)):
        label[begin * 700 : (begin + 5) * 700] = code
    folder = root / "S2"
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "subject": "S2",
        "signal": {"chest": chest, "wrist": wrist},
        "label": label,
    }
    (folder / "S2.pkl").write_bytes(dumped(content, 0))
    (folder / "S2_quest.csv").write_text(quest())


def dreamer(root: Path) -> None:
    """All 23 participants and 18 films, a second of each."""
    rng = np.random.default_rng(6)
    participants = np.empty((1, 23), object)
    for i in range(23):
        signals = {}
        for name, rate, width in (("EEG", 128, 14), ("ECG", 256, 2)):
            parts = {}
            for part, seconds in (("baseline", 1), ("stimuli", 2)):
                parts[part] = np.empty((18, 1), object)
                for film in range(18):
                    parts[part][film, 0] = rng.normal(0, 9, (rate * seconds, width))
            signals[name] = parts
        scores = np.tile(np.arange(1.0, 6.0), 4)[:18, None]
        participants[0, i] = {
            "Age": "22", "Gender": "male", **signals, "ScoreValence": scores,
            "ScoreArousal": scores[::-1], "ScoreDominance": np.full((18, 1), 3.0),
        }  # fmt: skip
    content = {
        "Data": participants, "EEG_SamplingRate": 128.0, "ECG_SamplingRate": 256.0,
        "noOfSubjects": 23.0, "noOfVideoSequences": 18.0, "Version": "1.0.2",
    }  # fmt: skip
    root.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(root / "DREAMER.mat", {"DREAMER": content}, do_compression=True)


def seed(root: Path) -> None:
    """One participant's two sessions, five seconds a film, and features beside."""
    rng = np.random.default_rng(7)
    root.mkdir(parents=True, exist_ok=True)
    for date in ("20131027", "20140404"):
        films = {f"djc_eeg{i}": rng.normal(0, 20, (62, 1000 + i)) for i in range(1, 16)}
        features = {f"de_LDS{i}": rng.normal(20, 2, (62, 5, 5)) for i in range(1, 16)}
        scipy.io.savemat(
            root / f"1_{date}.mat", {**films, **features}, do_compression=True
        )
    label = np.array([[1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1]])
    scipy.io.savemat(root / "label.mat", {"label": label})
    (root / "readme.txt").write_text("SEED\n")


def bids(
    root: Path, spans: tuple[tuple[float, float, str], ...] = ((2, 3, "eyes closed"),)
) -> None:
    """Two participants's rest as EDF, written by mne-bids itself.

    ``spans`` are begin and duration (s) of conditions, and their names.
    """
    rng = np.random.default_rng(8)
    for participant in ("01", "02"):
        info = mne.create_info(["Fz", "Cz", "EOG1"], 128.0, ["eeg", "eeg", "eog"])
        raw = mne.io.RawArray(
            rng.normal(0, 2e-5, (3, 128 * 120)), info, verbose="error"
        )
        begins, lengths, names = zip(*spans, strict=True)
        raw.set_annotations(mne.Annotations(begins, lengths, names))
        path = mne_bids.BIDSPath(participant, task="rest", root=root, datatype="eeg")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no line frequency, no dates
            mne_bids.write_raw_bids(
                raw, path, format="EDF", allow_preload=True, verbose="error"
            )


_RIGHT = ("O2", "P8", "T8", "FC6", "F4", "F8", "AF4")


def dasps(root: Path) -> None:
    """Two participants, six situations of 30 s every 40 s, and ratings."""
    rng = np.random.default_rng(9)
    names = [*("AF3", "F7", "F3", "FC5", "T7", "P7", "O1"), *_RIGHT]
    starts = np.array([[40 * k, 40 * k + 15] for k in range(6)]).ravel() * 128
    arrays = {"channels": np.array(names), "fs": np.array(128)}
    rows = ["person,situation,valence,arousal,recite_start_s,recall_start_s"]
    for who, shift in (("S01", 0.0), ("S16", 1.0)):
        offsets = np.where(np.arange(14) % 2, 85.0, 4225.0)[:, None]
        signal = offsets + rng.normal(0, 20, (14, 128 * 232))
        arrays[f"{who}_eeg"] = signal.astype(np.float32)
        arrays[f"{who}_seg_start"] = starts.astype(np.int32)
        arrays[f"{who}_cq_mean"] = np.full(14, 4.0, np.float32)
        rows += [
            f"{who},{k + 1},{1 + k % 3 + shift},{8 - k}.0,{40.0 * k},{40.0 * k + 15}"
            for k in range(6)
        ]
    root.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(root / "dasps_raw_eeg_128hz.npz", **arrays)
    (root / "ratings.csv").write_text("\n".join(rows) + "\n")
    (root / "participants.csv").write_text(
        "person,hamilton_before,hamilton_after\nS01,25:moderate,37:severe\n"
    )


def sam40(root: Path) -> None:
    """Two participants with three of their trials, and the ratings of tasks."""
    rng = np.random.default_rng(10)
    trials = [
        f"{p}/{t}/1" for p in ("03", "21") for t in ("Relax", "Arithmetic", "Stroop")
    ]
    arrays = {name: rng.normal(0, 6, (32, 3200)).astype(np.float16) for name in trials}
    root.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(root / "sam40_filtered_128hz.npz", fs=np.array(128), **arrays)
    rows = ["person,task,trial,stress_1_10,sd,absmax,nan"]
    for name in trials:
        person, task, trial = name.split("/")
        rows.append(
            f"{int(person)},{task},{trial},{'' if task == 'Relax' else 7},6,30,0"
        )
    (root / "records.csv").write_text("\n".join(rows) + "\n")


def faced(root: Path) -> None:
    """One participant's pickle, whole, and the ratings in the order of presentation."""
    rng = np.random.default_rng(12)
    data = np.zeros((28, 32, 7500), np.float32)
    data[:] = 9 * np.sin(np.arange(7500) / 12)
    data[4, 0] = np.arange(7500) / 100
    order = rng.permutation(28) + 1
    remarks = np.empty((28, 1), [("score", object), ("trial", object), ("vid", object)])
    for place, video in enumerate(order):
        score = np.full((1, 12), 3.5)
        score[0, 8:10] = 7.0, video / 4  # arousal, valence
        remarks[place, 0] = (
            score,
            np.array([[place + 1.0]]),
            np.array([[video * 1.0]]),
        )
    for folder in ("Processed_data", "Data/sub003"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "Processed_data" / "sub003.pkl").write_bytes(pickle.dumps(data, 4))
    scipy.io.savemat(
        root / "Data" / "sub003" / "After_remarks.mat", {"After_remark": remarks}
    )


def seed_v(root: Path) -> None:
    """One participant's first session, 103 s of a Neuroscan file: the first film."""
    from physio.datasets.seed import EEG

    root.mkdir(parents=True, exist_ok=True)
    names = [*EEG[:31], "M1", *EEG[31:], "M2", "VEO", "HEO"]
    data = np.zeros((103_000, len(names)), "<i2")
    data[:, 0] = np.arange(103_000) // 1000
    data[:, names.index("CB2")] = -7
    head = bytearray(900 + 75 * len(names))
    for at, kind, value in (
        (370, "<u2", len(names)), (376, "<u2", 1000), (864, "<i4", len(data)),
        (886, "<i4", len(head) + data.nbytes),
    ):  # fmt: skip
        raw = np.array(value, kind).tobytes()
        head[at : at + len(raw)] = raw
    head[225:247] = b"01/02/18\0\x0010:00:00".ljust(22, b"\0")
    for i, name in enumerate(names):
        at = 900 + 75 * i
        head[at : at + len(name)] = name.encode()
        for offset, value in ((19, i % 9), (23, i // 9), (59, 204.8), (71, 1.0)):
            head[at + offset : at + offset + 4] = np.array(value, "<f4").tobytes()
    table = b"\x01" + np.array([0, 0], "<i4").tobytes()
    (root / "7_1_20180416.cnt").write_bytes(bytes(head) + data.tobytes() + table)


def seed_vii(root: Path) -> None:
    """One participant's 80 films, a second each."""
    root.mkdir(parents=True, exist_ok=True)
    wave = 20 * np.sin(np.arange(200) / 7)
    films = {str(k): np.tile(wave, (62, 1)) + k for k in range(1, 81)}
    scipy.io.savemat(root / "3.mat", films, do_compression=True)


def refed(root: Path, rate: int = 200) -> None:
    """One participant's 15 videos, six seconds each, and a second of rest before."""
    from physio.datasets.seed import EEG

    folder = root / "data" / "2"
    for place in (folder, root / "annotations"):
        place.mkdir(parents=True, exist_ok=True)
    wave = np.tile(20 * np.sin(np.arange(6 * rate) / 9), (64, 1))
    videos = {f"video_{k}": wave + k for k in range(1, 16)}
    scipy.io.savemat(folder / "EEG_videos.mat", videos, do_compression=True)
    rest = {f"video_{k}": wave[:, :rate] for k in range(1, 16)}
    scipy.io.savemat(folder / "EEG_baselines.mat", rest, do_compression=True)
    drawn = {
        f"video_{k}": np.column_stack([np.full(6, 128 + k), [1, 64, 128, 192, 255, 1]])
        for k in range(1, 16)
    }
    scipy.io.savemat(root / "annotations" / "2_label.mat", drawn)
    names = [*(e for e in EEG if not e.startswith("CB")), "F9", "F10", "TP9", "TP10"]
    (root / "EEG_channels.csv").write_text(
        "index,name\n" + "".join(f"{i},{n}\n" for i, n in enumerate(names, 1))
    )
    columns = [
        (f"Video_{k}_{q}", str(1 + (k + j) % 9))
        for k in range(1, 16)
        for j, q in enumerate(("Valence", "Arousal", "Dominance", "Familiarity"))
    ]
    (root / "SAM_score.csv").write_text(
        "sub_id," + ",".join(c for c, _ in columns) + "\n2,"
        + ",".join(v for _, v in columns) + "\n"
    )  # fmt: skip


def eeglab(path: Path, names: list[str], rate: float, data: np.ndarray) -> None:
    """Write ``.set`` and ``.fdt`` as EEGLAB does (uV)."""
    places = np.empty((1, len(names)), [("labels", object)])
    for i, name in enumerate(names):
        places[0, i] = (name,)
    eeg = {
        "setname": "m", "nbchan": float(len(names)), "trials": 1.0, "srate": rate,
        "pnts": float(data.shape[1]), "xmin": 0.0, "xmax": data.shape[1] / rate,
        "times": np.array([]), "data": f"{path.stem}.fdt", "chanlocs": places,
        "event": np.array([]), "epoch": np.array([]), "icawinv": np.array([]),
        "icasphere": np.array([]), "icaweights": np.array([]),
        "icachansind": np.array([]), "urevent": np.array([]),
        "ref": "common", "comments": "", "history": "", "filename": path.name,
    }  # fmt: skip
    scipy.io.savemat(path, {"EEG": eeg})
    path.with_suffix(".fdt").write_bytes(data.astype("<f4").tobytes("F"))


def dens(root: Path) -> None:
    """One participant, two films of which one was rated; onsets in samples."""
    stem = "sub-mit003_task-Emotion"
    for folder in ("eeg", "beh"):
        (root / "sub-mit003" / folder).mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text(
        '{"Name": "DENS", "BIDSVersion": "1.6.0", "License": "CC0"}'
    )
    (root / "participants.tsv").write_text("participant_id\tage\nsub-mit003\t22\n")
    eeg = root / "sub-mit003" / "eeg"
    data = np.random.default_rng(13).normal(0, 9, (4, 250 * 140))
    eeglab(eeg / f"{stem}_eeg.set", ["E1", "E2", "E3", "E4"], 250.0, data)
    (eeg / f"{stem}_eeg.json").write_text(
        '{"TaskName": "Emotion", "SamplingFrequency": 250}'
    )
    (eeg / f"{stem}_channels.tsv").write_text(
        "name\ttype\tunits\n" + "".join(f"E{k}\tEEG\tuV\n" for k in range(1, 5))
    )
    (eeg / f"{stem}_events.tsv").write_text(
        "onset\tduration\ttrial_type\tlabel\n0\t0\tfix\tfixation\n"
        "1250\t15000\tstm\tHappy_clip_1\n18750\t15000\tstm\tSad_clip_2\n"
    )
    (root / "sub-mit003" / "beh" / f"{stem}_beh.tsv").write_text(
        "stimuliName\tvalence\tarousal\tdominance\tliking\tfamiliarity\trelevance\n"
        "Sad_clip.mp4\t2\t7.5\t4\t3\t1\t2\n"
    )


def bids_ratings(root: Path) -> None:
    """The two participants of `bids`, whose events have ratings from 0 to 100."""
    bids(root)
    for who, (first, second) in (("01", (20, 80)), ("02", (0, 100))):
        path = root / f"sub-{who}" / "eeg" / f"sub-{who}_task-rest_events.tsv"
        path.write_text(
            "onset\tduration\ttrial_type\tself_valence\tarousal\n"
            f"2\t30\tfilm a\t{first}\t50\n40\t0\tbutton\tn/a\tn/a\n"
            f"60\t30\tfilm b\t{second}\tn/a\n"
        )
    (root / "task-rest_events.json").write_text(
        '{"self_valence": {"Minimum": 0, "Maximum": 100},'
        ' "arousal": {"Levels": {"0": "calm", "50": "-", "100": "excited"}}}'
    )


MINIATURES: dict[str, Callable[[Path], None]] = {
    "Bids": bids,
    "BidsRatings": bids_ratings,
    "Dasps": dasps,
    "Deap": deap,
    "Dens": dens,
    "Dreamer": dreamer,
    "Faced": faced,
    "Refed": refed,
    "Sam40": sam40,
    "Seed": seed,
    "SeedV": seed_v,
    "SeedVii": seed_vii,
    "WesadChest": wesad_chest,
}
"""By class, for data sets that nobody may pass on."""


def wristband(path: Path, *, shift: float = 0.0, seed: int = 1) -> None:
    """Write an E4 export (zip) of 180 s from 2022-02-07 10:00 UTC.

    Rest for 90 s with 60 beats a minute and a level of 2 uS; a task for 90 s with 80
    beats and 3 uS; a response of 0.5 uS at 20 s, and every 15 s from 100 s on.
    ``shift`` is added to the level of the skin (uS), and tenfold to the heart rate.
    """
    rng = np.random.default_rng(seed)
    skin_t, pulse_t = np.arange(4 * 180) / 4, np.arange(64 * 180) / 64
    skin = 2 + shift + 1 / (1 + np.exp(-(skin_t - 92) / 1.5))
    for at in (20.0, *np.arange(100.0, 170.0, 15.0)):
        since = np.clip(skin_t - at, 0, None)
        skin += 0.93 * (np.exp(-since / 2.0) - np.exp(-since / 0.75))
    beats = np.where(pulse_t < 90, 1.0, 80 / 60) + shift / 6
    phase = np.cumsum(beats) / 64
    wave = 40 * np.sin(2 * np.pi * phase) + 12 * np.sin(4 * np.pi * phase + 0.6)
    tables = {
        "EDA": (4, skin + rng.normal(0, 0.002, len(skin))),
        "BVP": (64, wave + rng.normal(0, 0.5, len(wave))),
        "TEMP": (4, 33 + 0.002 * skin_t),
        "ACC": (32, np.round(rng.normal((0, 0, 64), 0.6, (32 * 180, 3)))),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (rate, values) in tables.items():
            rows = values.reshape(len(values), -1)
            head = [[1_644_228_000.0] * rows.shape[1], [rate] * rows.shape[1]]
            text = io.StringIO()
            np.savetxt(text, np.vstack([head, rows]), "%.6f", delimiter=", ")
            archive.writestr(f"{name}.csv", text.getvalue())
        tags = "".join(f"{1_644_228_000 + t:.2f}\n" for t in (100, 115, 130))
        archive.writestr("tags.csv", tags)


def wristbands(root: Path) -> None:
    """Write three wristbands, ``raw/S01.zip`` ..., and their sheet of conditions."""
    rows = ["participant,condition,begin,end"]
    for number in range(1, 4):
        code = f"S0{number}"
        wristband(root / "raw" / f"{code}.zip", shift=0.3 * number - 0.3, seed=number)
        rows.append(f"{code},rest,2022-02-07T10:00:00Z,2022-02-07T10:01:10Z")
        rows.append(f"{code},task,10:01:39,10:03:00")
    (root / "conditions.csv").write_text("\n".join(rows) + "\n", "utf-8")
