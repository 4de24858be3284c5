"""Correction by eye in a real browser, by keys alone; then the table has changed."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from typer.testing import CliRunner

from physio.cli import app
from physio.core.recording import Recording
from physio.io import xdf
from physio.offline.conditions import recorded_conditions
from physio.offline.edit_marks import EditMarks
from physio.offline.edits_file import (
    EditedRecording,
    now,
    read_history,
    write_history,
)
from physio.view.editor.edit_session import EditorSource, EditSession
from physio.view.editor.editor_site import editor_site
from physio.view.web.page_server import PageServer
from synthetic_signals import beat_times, block, recording, session, skin, waves

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 45_000  # ms: the machine may be busy with all else
sync_api = pytest.importorskip("playwright.sync_api")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


def served(path: Path, whole: Recording) -> PageServer:
    """Return the server of a page that corrects a recording."""
    place = EditedRecording.of(path)
    source = EditorSource(
        whole, recorded_conditions(whole), EditMarks(whole),
        partial(write_history, place.path("r1")), now,
    )  # fmt: skip
    return PageServer(editor_site(EditSession(source, place.begin())))


def table(path: Path, folder: Path) -> pd.DataFrame:
    target = folder / "t.csv"
    result = CliRunner().invoke(
        app, ["table", str(path), "-o", str(target), "--no-estimates"]
    )
    assert result.exit_code == 0, result.output
    assert "edited by eye" in result.output + result.stderr
    return pd.read_csv(target).set_index(["condition", "measure"])


def test_a_recording_is_corrected_by_keys_and_the_table_changes(
    browser: Any, tmp_path: Path
) -> None:
    path = tmp_path / "p07.xdf"
    whole = session()
    xdf.write(path, whole)
    before = path.read_bytes()
    file = EditedRecording.of(path).path("r1")
    with served(path, whole) as server:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda m: faults.append(m.text) if m.type == "error" else None,
        )
        page.goto(server.urls["edit"])
        page.wait_for_selector("#channels label")
        drive(page)
        check_page(page)
        assert faults == []
        context.close()
    edits = read_history(file)
    kinds = [e.kind for e in edits.entries]
    assert kinds == ["bad", "delete beat", "add scr", "add scr", "undo", "exclude",
                     "undo"]  # fmt: skip
    assert [e.kind for e in edits.active] == ["bad", "delete beat", "add scr"]
    assert edits.active[0].why == "loose electrode"
    assert path.read_bytes() == before
    rows = table(path, tmp_path)
    heart = rows.xs("mean_heart_rate", level="measure")
    assert (heart["value"] != heart["value_without_edits"]).any()
    assert heart["marked_share"].sum() > 0
    scrs = rows.xs("scr_per_minute", level="measure")
    more = scrs["value"] - scrs["value_without_edits"]
    assert more.sum() == pytest.approx(1.0, abs=0.05)


def status(page: Any, text: str) -> None:
    """Wait until the page states something."""
    page.locator("#status").filter(has_text=text).wait_for()


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def drive(page: Any) -> None:
    """Mark a span, delete a beat, add two SCRs and undo one, exclude and undo."""
    press(page, "y")
    page.keyboard.type("loose electrode")
    press(page, "Enter", "b", *["."] * 15, "b")
    status(page, "Bad span of ecg: 3.00 s")
    press(page, *["."] * 5, "n", "d")
    status(page, "Deleted a beat of ecg")
    press(page, "ArrowDown", *["."] * 5, "i")
    status(page, "Added an SCR on gsr")
    press(page, *["."] * 20, "i")
    page.wait_for_selector("#entries li:nth-child(4)")
    press(page, "u")
    status(page, "Undone")
    press(page, "x")
    status(page, "Excluded this condition")
    page.click("#entries li:first-child button")
    status(page, "Edit 6: undo")
    page.focus("#signals")
    assert page.inner_text("#blind") == "blind"
    assert page.inner_text("#saved").startswith("saved ")


def check_page(page: Any) -> None:
    """Nothing is clipped at two sizes, and axe finds nothing serious in both themes."""
    page.wait_for_timeout(300)
    for width, height in ((1280, 800), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        boxes = page.evaluate(
            "[...document.querySelectorAll('button, #status, .card, canvas, header')]"
            ".filter(e => e.offsetParent).map(e => { const b ="
            " e.getBoundingClientRect(); return [e.id || e.className, b.left, b.top,"
            " b.right, b.bottom] })"
        )
        assert len(boxes) > 8
        for name, left, top, right, bottom in boxes:
            if name:
                assert left >= 0, name
                assert top >= 0, name
                assert right <= width + 0.5, name
                assert bottom <= height + 0.5, name
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page).response["violations"]
        serious = [v["id"] for v in found if v["impact"] in ("serious", "critical")]
        assert serious == [], scheme
    press(page, "?")
    assert page.is_visible("#key-table")
    page.click("#close")


RECORD_FRAMES = """() => {
  window.frameTimes = []
  let last = null
  const note = now => {
    if (last !== null) window.frameTimes.push(now - last)
    last = now
    requestAnimationFrame(note)
  }
  requestAnimationFrame(note)
}"""


def hour(seconds: int = 3600) -> Recording:
    """Return 32 channels at 512 Hz, an ECG and skin conductance."""
    minute = np.random.default_rng(1).normal(size=(60 * 512, 32)).cumsum(0)
    eeg = np.tile(minute - minute[::-1], (seconds // 60, 1))
    ecg = np.tile(waves(beat_times(60.0), 60.0, 256, "ecg"), seconds // 60)
    eda = skin([20.0, 50.0, 80.0], seconds)
    return recording(
        block("head.eeg", "eeg", "uV", 512, eeg, *(f"E{i}" for i in range(32))),
        block("chest.ecg", "ecg", "uV", 256, ecg),
        block("band.eda", "gsr", "uS", 4, eda),
    )


@pytest.mark.long
def test_an_hour_at_full_rate_scrolls_and_zooms_smoothly(
    browser: Any, tmp_path: Path
) -> None:
    """A frame costs the page a part of 1/60 s, whatever else the machine does."""
    path = tmp_path / "p07.xdf"
    path.write_bytes(b"any")
    with served(path, hour()) as server:
        page = browser.new_context().new_page()
        page.goto(server.urls["edit"], timeout=PATIENCE)
        page.wait_for_selector("#channels label", timeout=PATIENCE)
        page.wait_for_timeout(4000)
        link = page.context.new_cdp_session(page)
        link.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate(RECORD_FRAMES)
        for key in ("ArrowRight", "[", "ArrowLeft", "]"):
            page.evaluate("window.frameTimes.length = 0")
            before = busy_seconds(link)
            page.keyboard.down(key)
            page.wait_for_timeout(4000)
            times = page.evaluate("window.frameTimes.slice()")
            cost = 1e3 * (busy_seconds(link) - before) / len(times)
            page.keyboard.up(key)
            worst = np.percentile(times, 95)
            assert cost < 10.0, f"{key}: {cost:.1f} ms of work, p95 {worst:.1f} ms"
            assert np.median(times) < 34.0, f"{key}: p95 {worst:.1f} ms"


def busy_seconds(link: Any) -> float:
    """Return the processor time that the page's thread has used (s)."""
    metrics = link.send("Performance.getMetrics")["metrics"]
    return float({m["name"]: m["value"] for m in metrics}["TaskDuration"])
