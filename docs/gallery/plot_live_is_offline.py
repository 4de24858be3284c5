"""
Online equals offline
=====================

A live stream comes in blocks of any size. Every stage gives the same numbers for any
division into blocks, so that live and offline features agree. Here one EEG is processed
whole, and in four hundred blocks cut at random.
"""

import matplotlib.pyplot as plt
import numpy as np

from devices.simulated import Headset
from experiments.weights.demo import record
from physio.core.block import Block
from physio.core.stage import Chain, StageRunner, apply
from physio.core.stitch import stitched
from physio.dsp.iir import Notch
from physio.features.eeg.differential_entropy import DifferentialEntropy

recording = record(Headset(seed=5), 30)
times, samples = stitched(recording.streams["participant.eeg"])
raw = Block(recording.streams["participant.eeg"][0].info, 0, times[0], samples)
chain = Chain((Notch(freq=50.0), DifferentialEntropy(window=4.0, step=0.25)))
offline = apply(chain, raw)

rng = np.random.default_rng(1)
cuts = np.sort(rng.choice(len(raw), 400, replace=False)).tolist()
runner = StageRunner(chain, raw.info)
live = np.concatenate([runner.push(piece).data for piece in raw.split(cuts)])

# %%
# The results are equal to the last bit, and missing at the same times.

print("equal:", np.array_equal(live, offline.data, equal_nan=True))
figure, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
ax.plot(offline.times, offline.data[:, 0], "#56b4e9", lw=4, label="whole")
ax.plot(offline.times, live[:, 0], "#1a2029", lw=1, label="in 400 blocks")
ax.set(xlabel="time (s)", ylabel=f"{offline.info.names[0]} (bit)")
ax.legend(frameon=False)
