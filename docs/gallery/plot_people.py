"""
An evaluation, person by person
===============================

The result of ``physio evaluate configs/eegmat-loso.toml``: each person was left out once, and each has a bar for each
model. One number a model hides that some people are told perfectly and some not at all.
"""

import json
from pathlib import Path

from physio.view.plots.results import people_figure

result = json.loads(Path("../results/eegmat-loso.json").read_text("utf-8"))
figure = people_figure(result["rows"], "AUC")
