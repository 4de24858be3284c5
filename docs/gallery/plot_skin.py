"""
Decomposition of skin conductance
=================================

The skin conductance level (SCL, tonic), the responses (SCR, phasic) and their driver
are the solution of one convex problem, solved each second while a session runs (here
for the whole recording at once).
"""

import matplotlib.pyplot as plt

from devices.simulated import Wristband
from experiments.weights.demo import record
from physio.core.stitch import stitched
from physio.features.eda.decomposition import decompose

recording = record(Wristband(seed=40), 240)
times, samples = stitched(recording.streams["participant.eda"])
parts = decompose(samples[:, 0], rate=4.0)

# %%
# The driver is non-negative and mostly zero, which makes the decomposition unique.

figure, axes = plt.subplots(
    3, 1, figsize=(9, 5.5), sharex=True, layout="constrained", height_ratios=(2, 1, 1)
)
t = times - times[0]
axes[0].plot(t, samples[:, 0], "0.6", label="measured")
axes[0].plot(t, parts.tonic, "#0072b2", label="tonic (SCL)")
axes[0].plot(t, parts.tonic + parts.phasic, "#d55e00", lw=0.8, label="tonic + phasic")
axes[0].legend(frameon=False, ncols=3)
axes[1].fill_between(t, parts.phasic, color="#cc6699", alpha=0.5)
axes[2].plot(t, parts.driver, "#1a2029", lw=0.8)
for ax, name in zip(axes, ("uS", "phasic (uS)", "driver (uS/s)"), strict=True):
    ax.set_ylabel(name)
    ax.spines[["top", "right"]].set_visible(False)
axes[-1].set_xlabel("time (s)")
