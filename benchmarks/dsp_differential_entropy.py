"""Differential entropy beside TorchEEG and SciPy, and growth of its cost."""

import json
import subprocess
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import scipy.signal

from benchmarks.timing import PEERS, Row, compiling, interleaved, peak, row, seconds
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.stage import Stage, StageRunner
from physio.features.eeg.differential_entropy import BANDS, DifferentialEntropy

CONTINUOUS: Final = 4 * 5 + 4.0
"""Operations per sample: an addition and two fused multiply-adds in each of four
sections, and the weighted updates of two sums. A textbook section has nine operations.
"""

PAPER: Final = 6 + 5 + 2 * 10 + 2 + 3.0
"""Operations per sample: six nonzero coefficients of the numerator, ten of the
denominator, the mean, and the squared deviation from it.
"""

WINDOWS: Final = 60  # of 1 s that TorchEEG is timed on, and again each round
_TORCHEEG: Final = """
import json, sys, time
import numpy as np
import torch
from torcheeg.transforms import BandDifferentialEntropy
torch.set_num_threads(1)
x = np.load(sys.argv[1])
de = BandDifferentialEntropy(
    sampling_rate=128, order=5,
    band_dict={"theta": [4, 8], "alpha": [8, 14], "beta": [14, 31], "gamma": [31, 49]})
y = [de(eeg=w)["eeg"] for w in x[:2]]
print("ready", flush=True)
for line in sys.stdin:
    begin = time.perf_counter()
    y = [de(eeg=w)["eeg"] for w in x]
    print(json.dumps(time.perf_counter() - begin), flush=True)
np.save(sys.argv[2], np.array(y))
"""


def rows(data: Path | None) -> list[Row]:  # noqa: ARG001 every bench is called alike
    """Return the rows of EEG."""
    return [*_scipy(), *_torcheeg(), *_growth(), _compile()]


def _info(rate: int, channels: int) -> StreamInfo:
    names = (f"E{i}" for i in range(channels))
    return StreamInfo(
        "bench.eeg", Fraction(rate), tuple(Channel(n, "eeg", "uV") for n in names)
    )


def _signal(rate: int, channels: int, length: int) -> Array:
    rng = np.random.default_rng(1)
    return 20 * rng.standard_normal((rate * length, channels))


def _work(stage: Stage, info: StreamInfo, x: Array) -> Callable[[], Array]:
    flow = StageRunner(stage, info)

    def work() -> Array:
        flow.reset()
        return flow.push(Block(info, 0, 0.0, x)).data

    return work


def _flops(samples: int, per_sample: float) -> float:
    """Return the operations on all samples in all bands, of ``each`` that many."""
    return samples * len(BANDS) * per_sample


def _scipy() -> list[Row]:
    info, x = _info(128, 32), _signal(128, 32, 600)
    sos = [
        scipy.signal.butter(4, edge, "bandpass", fs=128, output="sos")
        for _, *edge in BANDS
    ]
    across = np.ascontiguousarray(x.T)  # the layout that SciPy is fastest on

    def peer() -> Array:
        return np.array(
            [
                scipy.signal.sosfilt(s, across, axis=1).reshape(32, 600, 128).var(2)
                for s in sos
            ]
        )

    stage = DifferentialEntropy(window=1.0, step=1.0)
    ours, theirs = interleaved(_work(stage, info, x), peer)
    work = "DE continuous, 32 ch x 10 min, 128 Hz, 1 s windows, 4 bands"
    result = row(
        work,
        "scipy sosfilt + var, vectorised",
        ours,
        theirs,
        _flops(x.size, CONTINUOUS),
    )
    return [{**result, "peak_gflops": peak() / 1e9}]


def _torcheeg() -> list[Row]:
    """Return times of both modes and of TorchEEG, which runs in its own process."""
    info, x = _info(128, 32), _signal(128, 32, 600)
    modes = {
        "paper": _work(
            DifferentialEntropy(window=1.0, step=1.0, mode="paper"), info, x
        ),
        "continuous": _work(DifferentialEntropy(window=1.0, step=1.0), info, x),
    }
    name = "TorchEEG 1.1.3 BandDifferentialEntropy per window"
    works = {m: f"DE {m}, 32 ch x 10 min, 1 s windows, 4 bands" for m in modes}
    if not PEERS.exists():
        name += f" (not measured: no {PEERS}, run `make peers`)"
        return [row(works[m], name, seconds(w), None) for m, w in modes.items()]
    # The stage's windows: each ends with the sample with which its output is due.
    cut = x[1 : 1 + WINDOWS * 128].reshape(WINDOWS, 128, 32).transpose(0, 2, 1).copy()
    flat = cut.reshape(WINDOWS, -1)
    cut = (cut - flat.mean(1)[:, None, None]) / flat.std(1)[:, None, None]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        source, two = Path(folder) / "x.npy", Path(folder) / "y.npy"
        np.save(source, cut)
        command = [str(PEERS), "-W", "ignore", "-c", _TORCHEEG, str(source), str(two)]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            lines, ask = process.stdout, process.stdin
            if lines is None or ask is None or "ready" not in lines.readline():
                raise OSError(f"{PEERS} cannot run TorchEEG: run `make peers` again")
            theirs: list[float] = []

            def peer() -> None:
                ask.write("go\n")
                ask.flush()
                theirs.append(json.loads(lines.readline()))

            times = {m: interleaved(w, peer, 3)[0] for m, w in modes.items()}
            ask.close()
            process.wait()
        expected = np.load(two)
    got = modes["paper"]()[1 : WINDOWS + 1].reshape(WINDOWS, 4, 32).transpose(0, 2, 1)
    off = float(np.abs(got - expected).max())
    for mode, ours in times.items():
        flops = _flops(x.size, PAPER if mode == "paper" else CONTINUOUS)
        more = {"greatest_difference_bit": off} if mode == "paper" else {}
        results.append(row(works[mode], name, ours, min(theirs) * 10, flops, **more))
    return results


def _growth() -> list[Row]:
    """Return the growth with twice the channels, rate and duration; 2 is linear."""
    stage = DifferentialEntropy()
    reference = _work(stage, _info(128, 32), _signal(128, 32, 600))
    results = []
    for quantity, (rate, channels, length) in {
        "channels": (128, 64, 600),
        "rate": (256, 32, 600),
        "time": (128, 32, 1200),
    }.items():
        two = _work(stage, _info(rate, channels), _signal(rate, channels, length))
        two()
        base, twice = interleaved(reference, two)
        results.append(
            row(
                f"DE once; the peer has twice the {quantity}: 2 is linear",
                "twice",
                base,
                twice,
            )
        )
    return results


def _compile() -> Row:
    return compiling(
        "physio.features.eeg.differential_entropy",
        "from fractions import Fraction\n"
        "from physio.core.stage import Flow\n"
        "from physio.features.eeg.differential_entropy import DifferentialEntropy\n"
        "import numpy as np\n"
        "from physio.core.block import Block, Channel, Info\n"
        "i = Info('bench.eeg', Fraction(128), tuple(\n"
        "    Channel(c, 'eeg', 'uV') for c in 'abcd'))\n"
        "Flow(DifferentialEntropy(), i).push(Block(i, 0, 0.0, np.ones((2000, 4))))\n",
    )
