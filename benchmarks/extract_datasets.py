"""Feature extraction of data sets beside NeuroKit2 and reading, on 1 and 2 cores."""

import json
import pickle
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from physio.core.block import Array
from physio.datasets.deap import SHAPE, Deap
from physio.datasets.wesad import Wesad
from physio.offline import parallel
from physio.offline.extract import Windowed, Windows, extract, of

_PEAK: Final = (
    "import sys\n"
    "from pathlib import Path\n"
    "from tempfile import TemporaryDirectory\n"
    "from benchmarks.extract_datasets import Some\n"
    "from physio.offline.extract import Windows, extract\n"
    "with TemporaryDirectory() as out:\n"
    "    extract(Some(Path(sys.argv[1]), int(sys.argv[2])), Path(out), Windows())\n"
    "status = Path('/proc/self/status').read_text()\n"
    "print(status.split('VmHWM:')[1].split()[0])\n"  # getrusage tells the parent's too
)

_PAIRS: Final = {"eda.tonic": "eda_process", "heart.rate": "ppg_process"}


class Some(Wesad):
    """The first ``n`` participants of WESAD."""

    def __init__(self, root: Path, n: int) -> None:
        super().__init__(root)
        object.__setattr__(self, "n", n)

    def trials(self) -> Any:
        """Return the first trials."""
        n: int = self.n  # type: ignore[attr-defined]
        return super().trials()[:n]


def rows(data: Path | None) -> list[dict[str, Any]]:
    """Return the rows of the benchmark.

    Parameters
    ----------
    data
        The folder of real recordings, with the folder ``wesad``; None for the rows that
        need no recording.

    Notes
    -----
    Each participant's windows are computed by this package and, right after, by
    neurokit2. Only every 100th window of neurokit2 is timed; the time is scaled to all
    windows. Coverage is the proportion of windows with a finite number. neurokit2 gives
    a pulse rate for any signal, such as motion artifacts; the rate of this package is
    missing where beats differ in shape.
    """
    with parallel.single_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # neurokit2 warns of short windows, each time
        if data is None or not (data / "wesad").is_dir():
            return [_participant()]
        root = data / "wesad"
        return [*_windows(root), _participant(), _memory(root), _two(root)]


def _windows(root: Path) -> list[dict[str, Any]]:
    """Compare with neurokit2 on the same windows, participant by participant."""
    wesad, settings = Wesad(root), Windows(60.0, 5.0)
    of(wesad.load(wesad.trials()[0]), settings)  # compiles
    ours, theirs, n = 0.0, 0.0, 0
    known: dict[str, list[Array]] = {}
    answered: dict[str, list[bool]] = {"eda_process": [], "ppg_process": []}
    worn: list[Any] = []
    rates: list[tuple[float, float, float]] = []
    for trial in wesad.trials():
        recording = wesad.load(trial)
        began = time.perf_counter()
        table = of(recording, settings)
        ours += time.perf_counter() - began
        count = len(table["start_sample"])
        n += count
        for name in _PAIRS:
            known.setdefault(name, []).append(np.isfinite(table[name]))
        eda, bvp = (recording.streams[s][0].data[:, 0] for s in ("e4.eda", "e4.bvp"))
        covered, beats = _maker_coverage(root, trial.subject, table["start_s"])
        worn.append(covered >= 0.5)
        picked = range(0, count, 100)
        began = time.perf_counter()
        for k in picked:
            answered["eda_process"].append(_skin(eda[20 * k : 20 * k + 240]))
            rate = _heart(bvp[320 * k : 320 * k + 3840])
            answered["ppg_process"].append(bool(np.isfinite(rate)))
            band = beats[k] if covered[k] >= 0.5 else np.nan
            rates.append((table["heart.rate"][k], rate, band))
        theirs += (time.perf_counter() - began) * count / len(picked)
    participants = len(wesad.trials())
    table = {
        "work": f"WESAD wrist, {participants} participants, {n} windows of 60 s "
        "every 5 s",
        "peer": "neurokit2 eda_process + ppg_process",
        "ours_s": ours,
        "peer_s": theirs,
        "ratio": theirs / ours,
    }
    pairs = [(k, f"neurokit2 {v}", known[k], answered[v]) for k, v in _PAIRS.items()]
    band = "the wristband's own intervals, for half of the window"
    pairs.append(("heart.rate", band, known["heart.rate"], list(np.concatenate(worn))))
    return [table, *(_coverage(*pair) for pair in pairs), _off(np.array(rates))]


def _off(rates: Array) -> dict[str, Any]:
    """Compare both rates in the timed windows with the rate of the wristband."""
    ours, theirs, band = rates.T
    both = np.isfinite(ours) & np.isfinite(band)
    nobody = np.isnan(ours) & np.isnan(band)
    return {
        "work": "pulse rate, off the wristband's own where that and ours are there "
        f"(1/min, median of {both.sum()} windows)",
        "peer": "neurokit2 ppg_process in the same windows",
        "ours_off": float(np.median(np.abs(ours - band)[both])),
        "peer_off": float(np.median(np.abs(theirs - band)[both])),
        "peer_where_neither_tells": f"{theirs[nobody].mean():.0f} with a deviation of "
        f"{theirs[nobody].std():.0f} in {nobody.sum()} windows",
    }


def _maker_coverage(root: Path, participant: str, begins: Array) -> tuple[Array, Array]:
    """Return the proportion of each window covered by the maker's intervals, and rate.

    The source is the maker's ``IBI.csv``, which omits beats of low confidence.
    """
    offsets = json.loads((root / "e4_to_sync_offsets.json").read_text("utf-8"))
    with zipfile.ZipFile(root / participant / f"{participant}_E4_Data.zip") as file:
        name = next(n for n in file.namelist() if n.endswith("IBI.csv"))
        beats = np.loadtxt(file.open(name), delimiter=",", skiprows=1)
    ends = np.cumsum(beats[:, 1])
    times = beats[:, 0] - offsets[participant]["acc_off_s"]

    ends = np.concatenate([[0.0], ends])
    first, last = (np.searchsorted(times, begins + t) for t in (0.0, 60.0))
    seconds = ends[last] - ends[first]
    rate = 60 * (last - first) / np.where(seconds > 0, seconds, np.nan)
    return seconds / 60.0, rate


def _coverage(
    feature: str, peer: str, known: list[Array], answered: list[bool]
) -> dict[str, Any]:
    ours, theirs = float(np.concatenate(known).mean()), float(np.mean(answered))
    return {
        "work": f"coverage: share of these windows with {feature}",
        "peer": peer,
        "ours_share": ours,
        "peer_share": theirs,
        "ratio": ours / theirs,
    }


def _skin(eda: Array) -> bool:
    import neurokit2

    try:
        signals, _ = neurokit2.eda_process(eda, sampling_rate=4)
    except (ValueError, IndexError, ZeroDivisionError):
        return False
    return bool(np.isfinite(signals["EDA_Tonic"]).all())


def _heart(bvp: Array) -> float:
    import neurokit2

    try:
        signals, _ = neurokit2.ppg_process(bvp, sampling_rate=64)
    except (ValueError, IndexError, ZeroDivisionError):
        return float("nan")
    return float(signals["PPG_Rate"].mean())


def _participant() -> dict[str, Any]:
    """Compare the features of a participant of DEAP's shape with reading the file."""
    settings = Windows(4.0, 2.0)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "s01.dat"
        path.write_bytes(_simulated())
        reading, computing = [], []
        for i in range(3):
            began = time.perf_counter()
            dataset = Deap(Path(folder))
            recordings = [dataset.load(trial) for trial in dataset.trials()]
            reading.append(time.perf_counter() - began)
            if not i:
                of(recordings[0], settings)  # compiles
            began = time.perf_counter()
            windowed = Windowed(settings)
            for recording in recordings:
                windowed.of(recording)
            computing.append(time.perf_counter() - began)
            path.touch()  # so that the reader reads again
    return {
        "work": "a participant of DEAP's shape (simulated, 40 x 40 x 8064): features",
        "peer": "reading the file",
        "ours_s": min(computing),
        "peer_s": min(reading),
        "ratio": min(reading) / min(computing),
    }


def _simulated() -> bytes:
    """Return a file of DEAP's shape with random numbers."""
    rng = np.random.default_rng(1)
    data = rng.normal(0, 10, SHAPE)
    steps = rng.normal(0, 0.001, (SHAPE[0], SHAPE[2]))
    data[:, 36] = 1e6 / (5 + np.abs(np.cumsum(steps, axis=1)))  # Ohm
    beats = np.sin(2 * np.pi * 1.2 * np.arange(SHAPE[2]) / 128)
    data[:, 38] = 100 * beats + rng.normal(0, 3, (SHAPE[0], SHAPE[2]))
    labels = rng.uniform(1, 9, (SHAPE[0], 4))
    return pickle.dumps({"data": data, "labels": labels}, protocol=2)


def _memory(root: Path) -> dict[str, Any]:
    """Compare peak memory for three and for all participants, each in a process."""
    participants = len(Wesad(root).trials())
    peaks = []
    for n in (3, participants):
        code = [sys.executable, "-c", _PEAK, str(root), str(n)]
        result = subprocess.run(code, capture_output=True, text=True, check=True)
        peaks.append(float(result.stdout) / 1024)
    return {
        "work": f"memory of {participants} participants (MiB)",
        "peer": "of 3 participants",
        "ours_mib": peaks[1],
        "peer_mib": peaks[0],
        "ratio": peaks[1] / peaks[0],
    }


def _two(root: Path) -> dict[str, Any]:
    """Compare two worker processes with one, by turns."""
    wesad = Wesad(root)
    spent: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(4):
        for n in (2, 1) if turn % 2 else (1, 2):
            some = wesad if turn else Some(root, 2)  # the first starts the processes
            with TemporaryDirectory() as out:
                began = time.perf_counter()
                extract(some, Path(out), Windows(), backend=f"loky:{n}")
                spent[n] += [time.perf_counter() - began] if turn else []
    single, two = (min(spent[n]) for n in (1, 2))
    return {
        "work": "WESAD wrist, two worker processes",
        "peer": "one",
        "ours_s": two,
        "peer_s": single,
        "ratio": single / two,
    }
