"""The picture of the README is the one that its command makes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_the_readme_shows_what_the_demo_draws(tmp_path: Path) -> None:
    """The pictures differ in the date alone."""
    command = [sys.executable, ROOT / "docs" / "pictures.py", "--no-browser"]
    subprocess.run([*command, "--out", tmp_path], check=True, timeout=600)
    made = imread(tmp_path / "demo.png")
    shown = imread(ROOT / "docs" / "images" / "demo.png")
    assert made.shape == shown.shape
    differing = np.abs(made - shown).max(axis=-1) > 0.1
    assert differing.mean() < 0.01
