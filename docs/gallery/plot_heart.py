"""
Heart rate with missing beats
==============================

ECG of a chest strap, and below it the heart rate over the last ten seconds. The strap
comes off for six seconds: as soon as the window contains too few beats the rate is
missing, not held, until there are enough beats again.
"""

import matplotlib.pyplot as plt
import numpy as np

from devices.simulated import Chest
from experiments.weights.demo import record
from physio.core.block import Block
from physio.core.stage import Chain, apply
from physio.core.stitch import stitched
from physio.features.cardiac.heart_rate import BeatDetection, HeartRate

recording = record(Chest(seed=2), 60)
name = next(n for n in recording.streams if n.endswith(".ecg"))
times, samples = stitched(recording.streams[name])
info = recording.streams[name][0].info
rate = float(info.rate)
samples = samples.copy()
samples[int(30 * rate) : int(36 * rate)] = np.nan
ecg = Block(info, 0, times[0], samples)

heart = apply(Chain((BeatDetection(), HeartRate())), ecg)

# %%

figure, (above, below) = plt.subplots(2, 1, figsize=(9, 4), layout="constrained")
shown = slice(int(26 * rate), int(40 * rate))
above.plot(ecg.times[shown], ecg.data[shown, 0], "#34495e", lw=0.7)
above.set(ylabel=info.channels[0].unit)
below.plot(heart.times, heart.column("rate"), "#d55e00")
below.set(xlabel="time (s)", ylabel="heart rate (1/min)")
for ax in (above, below):
    ax.spines[["top", "right"]].set_visible(False)
