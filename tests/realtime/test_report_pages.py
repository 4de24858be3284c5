"""Reports as a browser shows them: tables fit the page, pictures are inside."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.view.plots.time_axes import ConditionInterval
from physio.view.reports.session import session_report

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = "/usr/bin/chromium"
MEASURES = (
    "eda.tonic", "eda.scr_rate", "eda.scr_amplitude", "eda.slope", "eda.activity",
    "heart.rate", "prv.rate", "prv.rmssd", "motion.activity", "temperature.level",
)  # fmt: skip


def report() -> str:
    """Return the report on a session of nine conditions."""
    rng = np.random.default_rng(0)
    info = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
    skin = Block(info, 0, 0.0, rng.normal(2, 0.1, (2160, 1)))
    channels = tuple(Channel(n, unit="uS/min", memory=60.0) for n in MEASURES)
    rows = Block(
        StreamInfo("features", Fraction(4), channels), 0, 0.0,
        rng.normal(0, 1e-4, (2160, len(MEASURES))),
    )  # fmt: skip
    parts = [
        ConditionInterval(f"condition with a name {i}", 60.0 * i, 60.0 * i + 55)
        for i in range(9)
    ]
    recording = Recording({"band.eda": (skin,)}, {}, (), {"participant": "p07"})
    return str(session_report(recording, rows, None, parts, name="p07.xdf"))


def test_tables_and_pictures_fit_the_page(tmp_path: Path) -> None:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    path = tmp_path / "report.html"
    path.write_text(report(), "utf-8")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (1280, 1920):
            page: Any = browser.new_page(viewport={"width": width, "height": 800})
            page.goto(path.as_uri())
            wider = page.evaluate(
                "[...document.querySelectorAll('div.wide, img, pre')].filter(e => "
                "e.scrollWidth > e.clientWidth + 1 || e.getBoundingClientRect().right "
                "> document.documentElement.clientWidth).length"
            )
            assert wider == 0
        browser.close()
