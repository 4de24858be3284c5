"""Boxes of the dashboard's pages in a real browser: nothing is cut off or overlaps."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from physio.view.dashboard.session_state import SessionState
from tests.realtime.dashboard_states import Served, served, session_state

CHROMIUM = "/usr/bin/chromium"
CASES = ("demo", "wristband", "muse", "eeg64")
SMALL, LARGE = (1280, 800), (1920, 1080)
sync_api = pytest.importorskip("playwright.sync_api")

CUT_OFF = """() => {
  const bad = [], scrolls = (e) => /auto|scroll/.test(getComputedStyle(e).overflowY)
  for (const e of document.querySelectorAll("body, body *")) {
    if (!e.clientWidth || e.closest("svg") || /^(INPUT|SELECT|OPTION)$/.test(e.tagName)) continue
    if (getComputedStyle(e).display === "inline") continue
    const wide = e.scrollWidth > e.clientWidth + 1
    const high = e.scrollHeight > e.clientHeight + 1 && !scrolls(e)
    if (wide || high) bad.push(`${e.tagName} ${e.id} ${e.className}: ${e.scrollWidth} x `
      + `${e.scrollHeight} in ${e.clientWidth} x ${e.clientHeight}`)
    if (getComputedStyle(e).textOverflow === "ellipsis") bad.push(`${e.tagName}: ellipsis`)
  }
  for (const e of document.querySelectorAll(".scroll")) // the keyboard reaches it
    if (e.clientHeight && e.tabIndex !== 0) bad.push(`${e.id}: not focusable`)
  return bad
}"""

BOXES = """() => [...document.querySelectorAll("section, header")]
  .filter((e) => e.offsetWidth).map((e) => {
    const { left, top, right, bottom } = e.getBoundingClientRect()
    return { name: e.className, left, top, right, bottom } })"""

FRAMES = """() => Object.fromEntries([...Bokeh.index.roots]
  .filter((v) => v.frame && v.el.offsetWidth)
  .map((v) => [v.model.name, [v.frame.bbox.width, v.frame.bbox.height]]))"""


@pytest.fixture(scope="module")
def states() -> dict[str, SessionState]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    states = {case: session_state(case) for case in CASES}
    states["view"] = session_state("demo")
    states["view"].at = states["view"].end
    return states


@pytest.fixture(scope="module")
def pages(states: dict[str, SessionState]) -> Iterator[Served]:
    with served(states) as addresses:
        yield addresses


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


def open_page(browser: Any, pages: Served, case: str, theme: str = "light") -> Any:
    context = browser.new_context(
        viewport={"width": SMALL[0], "height": SMALL[1]}, color_scheme=theme
    )
    page = context.new_page()
    page.set_default_timeout(45_000)
    page.goto(pages.urls[case])
    page.wait_for_function(
        "window.physio && physio.count > 0 && document.querySelector('#streams td')"
    )
    page.wait_for_timeout(1_500)  # all figures are drawn
    return page


def check_layout(page: Any, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.wait_for_timeout(1_000)
    assert page.evaluate(CUT_OFF) == []
    boxes = page.evaluate(BOXES)
    for i, a in enumerate(boxes):
        assert a["left"] >= 0
        assert a["right"] <= size[0]
        assert a["bottom"] <= size[1]
        for b in boxes[i + 1 :]:
            apart = (
                a["right"] <= b["left"] + 0.5
                or b["right"] <= a["left"] + 0.5
                or a["bottom"] <= b["top"] + 0.5
                or b["bottom"] <= a["top"] + 0.5
            )
            assert apart, (a, b)
    frames = page.evaluate(FRAMES)
    if "plane" in frames:
        wide, high = frames["plane"]
        assert abs(wide - high) <= 1
    for name, (wide, high) in frames.items():
        assert min(wide, high) >= 24, name
    check_rims(page)


def check_rims(page: Any) -> None:
    """Check that no label reaches the edge of its canvas, where it would be cut."""
    picture = imread(io.BytesIO(page.screenshot()), format="png")[..., :3]
    canvases = page.evaluate(
        """() => [...document.querySelectorAll(".plot"), document.getElementById("strip")]
          .filter((e) => e && e.offsetWidth && e.offsetHeight)
          .map((e) => { const b = e.getBoundingClientRect()
            return [e.closest("section").className, b.left, b.top, b.right, b.bottom] })"""
    )
    assert canvases
    for name, *edges in canvases:
        left, top, right, bottom = (round(e) for e in edges)
        part = picture[top + 1 : bottom - 1, left + 1 : right - 1]
        rims = {"left": part[:, 0], "right": part[:, -1], "bottom": part[-1]}
        for side, rim in rims.items():
            assert np.ptp(rim, axis=0).max() < 0.02, (name, side)


@pytest.mark.parametrize("case", [*CASES, "view"])
def test_nothing_is_cut_off_and_no_panels_overlap(
    browser: Any, pages: Served, case: str
) -> None:
    page = open_page(browser, pages, case)
    for size in (SMALL, LARGE):
        check_layout(page, size)
    if case == "view":
        assert page.locator("#stalled").is_hidden()
    page.context.close()


@pytest.mark.long
@pytest.mark.parametrize("case", [*CASES, "view"])
def test_nothing_is_cut_off_in_dark_colours(
    browser: Any, pages: Served, case: str
) -> None:
    page = open_page(browser, pages, case, "dark")
    for size in (SMALL, LARGE):
        check_layout(page, size)
    page.context.close()


def test_panels_without_content_leave(browser: Any, pages: Served) -> None:
    shown = {}
    for case in ("wristband", "muse"):
        page = open_page(browser, pages, case)
        shown[case] = page.evaluate(
            "[...document.querySelectorAll('[data-panel]')]"
            ".filter((e) => e.offsetWidth).map((e) => e.dataset.panel)"
        )
        page.context.close()
    assert {"eda", "heart", "features"} <= set(shown["wristband"])
    assert not {"others", "bands", "topomap"} & set(shown["wristband"])
    assert {"bands", "topomap"} <= set(shown["muse"])
    assert not {"others", "eda", "heart", "features"} & set(shown["muse"])


def test_colours_follow_the_system(browser: Any, pages: Served) -> None:
    page = open_page(browser, pages, "muse", "dark")
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "dark"
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{theme} === 'light'")
    page.get_by_role("link", name="dark").click()
    page.wait_for_function(f"{theme} === 'dark'")
    page.emulate_media(color_scheme="dark")
    page.emulate_media(color_scheme="light")
    page.wait_for_timeout(300)
    assert page.evaluate(theme) == "dark"  # a chosen theme stays
    page.context.close()


def test_all_64_channels_are_reachable(browser: Any, pages: Served) -> None:
    page = open_page(browser, pages, "eeg64")
    label = "document.querySelector('.signals canvas')"
    host = "Bokeh.documents[0].get_model_by_name('signals')"
    names = f"{host}.panel.canvas.getAttribute('aria-label')"
    page.wait_for_function(f"{names}?.includes('Fp1')")
    assert label
    page.get_by_label("page", exact=True).select_option("1")
    page.wait_for_function(f"{names}.includes('Iz') && !{names}.includes('Fp1')")
    assert "32 signals" in page.evaluate(names)
    page.context.close()


def test_controls_fit_the_kind_of_signal(browser: Any, pages: Served) -> None:
    page = open_page(browser, pages, "wristband")
    page.get_by_label("kind of signal").select_option("EDA")
    choices = page.get_by_label("height of a row of EDA").inner_text()
    assert "µS" in choices
    assert "µV" not in choices
    filters = page.get_by_label("filter of EDA").inner_text()
    assert "below 1 Hz" in filters
    assert "1 to 40" not in filters
    page.get_by_label("height of a row of EDA").select_option("2")
    host = "Bokeh.documents[0].get_model_by_name('signals')"
    names = f"{host}.panel.canvas.getAttribute('aria-label')"
    page.wait_for_function(f"{names}.includes('eda µS, scale 2 µS')")
    page.context.close()


@pytest.mark.parametrize("case", ["demo", "view"])
def test_pages_are_accessible(browser: Any, pages: Served, case: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for theme in ("light", "dark"):
        page = open_page(browser, pages, case, theme)
        found = axe.run(page).response["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert [(v["id"], v["nodes"][0]["html"]) for v in serious] == []
        page.context.close()


def test_the_strip_selects_a_span_of_the_session(browser: Any, pages: Served) -> None:
    page = open_page(browser, pages, "view")
    strip = page.locator("#strip")
    box = strip.bounding_box()
    wide = box["width"] - 86
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 74 + 0.4 * wide, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 74 + 0.5 * wide, y, steps=4)
    page.mouse.move(box["x"] + 74 + 0.6 * wide, y)
    page.mouse.up()
    seconds = page.evaluate("physioStrip.wide")
    assert 14 < seconds < 16  # of 75
    shown = "Bokeh.documents[0].get_model_by_name('signals').panel.cleared"
    page.wait_for_function(f"Math.abs({shown} - 45) < 0.6")
    strip.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function(f"Math.abs({shown} - 60) < 0.6")
    page.keyboard.press("+")
    assert page.evaluate("physioStrip.to - physioStrip.from") < 70
    page.get_by_role("button", name="all", exact=True).click()
    assert page.evaluate("physioStrip.to") > 74
    page.context.close()
