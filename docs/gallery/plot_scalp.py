"""
Topographic maps of differential entropy
========================================

Differential entropy, the input of RBTransformer and related models: half the binary
logarithm of 2πe times the variance in a band, here over four seconds. MNE draws the
maps.
"""

import matplotlib.pyplot as plt
import mne
import numpy as np

from devices.simulated import Headset
from experiments.weights.demo import record
from physio.core.block import Block
from physio.core.stage import Chain, apply
from physio.core.stitch import stitched
from physio.dsp.iir import Notch
from physio.features.eeg.differential_entropy import DifferentialEntropy

names = ["Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8"]
names += ["P7", "P3", "Pz", "P4", "P8", "O1", "Oz", "O2"]
recording = record(Headset(seed=3, channels=tuple(names)), 20)
times, samples = stitched(recording.streams["participant.eeg"])
info = recording.streams["participant.eeg"][0].info
chain = Chain((Notch(freq=50.0), DifferentialEntropy(window=4.0, step=0.25)))
entropy = apply(chain, Block(info, 0, times[0], samples))

# %%
# Columns are called ``de.<band>.<electrode>``; the last row is based on the newest four
# seconds.

bands = ("theta", "alpha", "beta", "gamma")
montage = mne.create_info(names, float(info.rate), "eeg")
montage.set_montage("colin27_1005")
figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
for ax, band in zip(axes, bands, strict=True):
    values = np.array([entropy.column(f"de.{band}.{n}")[-1] for n in names])
    image, _ = mne.viz.plot_topomap(
        values, montage, axes=ax, show=False, cmap="cividis"
    )
    ax.set_title(band)
    figure.colorbar(image, ax=ax, shrink=0.6, label="bit")
