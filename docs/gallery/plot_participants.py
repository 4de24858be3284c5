"""
An evaluation, participant by participant
===============================

The result of ``physio evaluate experiments/eegmat/loso.toml``: each participant was
left out once, and each has a bar for each model. One number a model hides that some
participants are told perfectly and some not at all.
"""

import json
from pathlib import Path

from physio.view.plots.results import participants_figure

result = json.loads(Path("../../experiments/eegmat/results/loso.json").read_text("utf-8"))
figure = participants_figure(result["rows"], "AUC")
