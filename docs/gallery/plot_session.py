"""
A session at a glance
=====================

A simulated participant wears a wristband for three minutes. Signals are drawn above;
below, valence, arousal and dominance with bands of one standard deviation and of 95 %.
Panels are hatched, with the reason, where there is no estimate.
"""

import physio
from devices.simulated import Wristband
from experiments.weights.demo import record
from physio.view.plots.session import session_figure

recording = record(Wristband(seed=7, preset="exaggerated"), 180)
features = physio.compute_features(recording)
estimates = physio.estimate(recording)

# %%
# For a file of your own: ``recording = physio.read("my_e4_export.zip")``.

figure = session_figure(recording, features, estimates)
