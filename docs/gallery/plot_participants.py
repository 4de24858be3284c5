"""
Results by participant
======================

The result of ``physio evaluate experiments/eegmat/loso.toml`` (leave-one-subject-out):
a bar for each held-out participant and model. A single mean per model would hide that
classification is perfect in some participants and at chance in others.
"""

import json
from pathlib import Path

from physio.view.plots.results import participants_figure

result = json.loads(
    Path("../../experiments/eegmat/results/loso.json").read_text("utf-8")
)
figure = participants_figure(result["rows"], "AUC")
