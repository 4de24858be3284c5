"""Boxes of the dashboard's pages in a real browser: nothing is cut off or overlaps."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from tests.realtime.dashboard_states import DashboardHost

CHROMIUM = "/usr/bin/chromium"
OTHERS = ("wristband", "muse", "eeg64")
THEMES = ("light", "dark")
SMALL, LARGE = (1280, 800), (1920, 1080)
sync_api = pytest.importorskip("playwright.sync_api")

CUT_OFF = """() => {
  const bad = [], scrolls = (e) => /auto|scroll/.test(getComputedStyle(e).overflowY)
  for (const e of document.querySelectorAll("body, body *")) {
    if (!e.clientWidth || e.closest("svg")) continue
    if (/^(INPUT|SELECT|OPTION)$/.test(e.tagName)) continue
    if (getComputedStyle(e).display === "inline") continue
    const wide = e.scrollWidth > e.clientWidth + 1
    const high = e.scrollHeight > e.clientHeight + 1 && !scrolls(e)
    const inner = `${e.scrollWidth} x ${e.scrollHeight}`
    const outer = `${e.clientWidth} x ${e.clientHeight}`
    if (wide || high) bad.push(`${e.tagName} ${e.className}: ${inner} in ${outer}`)
    if (getComputedStyle(e).textOverflow === "ellipsis") bad.push(e.tagName)
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
def pages() -> Iterator[DashboardHost]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with DashboardHost() as host:
        yield host


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


def open_page(
    browser: Any, pages: DashboardHost, case: str, theme: str = "light"
) -> Any:
    context = browser.new_context(
        viewport={"width": SMALL[0], "height": SMALL[1]}, color_scheme=theme
    )
    page = context.new_page()
    page.set_default_timeout(45_000)
    page.goto(pages.url(case))
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
        """() => [...document.querySelectorAll(".plot, #strip")]
          .filter((e) => e.offsetWidth && e.offsetHeight)
          .map((e) => { const b = e.getBoundingClientRect(), part = e.closest("section")
            return [part.className, b.left, b.top, b.right, b.bottom] })"""
    )
    assert canvases
    for name, *edges in canvases:
        left, top, right, bottom = (round(e) for e in edges)
        part = picture[top + 1 : bottom - 1, left + 1 : right - 1]
        rims = {"left": part[:, 0], "right": part[:, -1], "bottom": part[-1]}
        for side, rim in rims.items():
            assert np.ptp(rim, axis=0).max() < 0.02, (name, side)


_LONG = pytest.mark.long


@pytest.mark.parametrize(
    ("case", "theme"),
    [
        pytest.param("demo", "light"),
        pytest.param("view", "dark"),
        *(pytest.param(c, t, marks=_LONG) for c in OTHERS for t in THEMES),
        pytest.param("demo", "dark", marks=_LONG),
        pytest.param("view", "light", marks=_LONG),
    ],
)
def test_nothing_is_cut_off_and_no_panels_overlap(
    browser: Any, pages: DashboardHost, case: str, theme: str
) -> None:
    page = open_page(browser, pages, case, theme)
    for size in (SMALL, LARGE):
        check_layout(page, size)
    if case == "view":
        assert page.locator("#stalled").is_hidden()
    page.context.close()


@pytest.mark.parametrize(
    ("case", "theme"),
    [
        pytest.param("dyad-view", "light"),
        pytest.param("dyad", "dark"),
        pytest.param("dyad-view", "dark", marks=_LONG),
    ],
)
def test_two_participants_fit_side_by_side(
    browser: Any, pages: DashboardHost, case: str, theme: str
) -> None:
    page = open_page(browser, pages, case, theme)
    page.locator("[data-view=participant]").select_option("side by side")
    for side, code in (("left", "p1"), ("right", "p2")):
        page.locator(f"#{side}-estimates td").first.wait_for()
        assert page.locator(f"[data-panel={side}-person] h2").inner_text() == code
    page.wait_for_timeout(1_000)  # all figures are drawn
    for size in (SMALL, LARGE):
        check_layout(page, size)
    frames = page.evaluate(FRAMES)
    wide, high = frames["left-plane"]
    assert abs(wide - high) <= 1
    assert frames["left-eda"] == frames["right-eda"]
    page.locator("[data-view=participant]").select_option("p2")
    page.locator("#streams").wait_for()
    assert page.locator("#left-estimates").is_hidden()
    page.context.close()


def test_panels_without_content_leave(browser: Any, pages: DashboardHost) -> None:
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


def test_colours_follow_the_system(browser: Any, pages: DashboardHost) -> None:
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


@pytest.mark.long
def test_all_64_channels_are_reachable(browser: Any, pages: DashboardHost) -> None:
    page = open_page(browser, pages, "eeg64")
    host = "Bokeh.documents[0].get_model_by_name('signals')"
    names = f"{host}.panel.canvas.getAttribute('aria-label')"
    page.wait_for_function(f"{names}?.includes('Fp1')")
    page.get_by_label("page", exact=True).select_option("1")
    page.wait_for_function(f"{names}.includes('Iz') && !{names}.includes('Fp1')")
    assert "32 signals" in page.evaluate(names)
    page.context.close()


def test_controls_fit_the_kind_of_signal(browser: Any, pages: DashboardHost) -> None:
    page = open_page(browser, pages, "wristband")
    page.get_by_label("kind of signal").select_option("EDA")
    choices = page.get_by_label("height of a row of EDA").inner_text()
    assert "\xb5S" in choices
    assert "\xb5V" not in choices
    filters = page.get_by_label("filter of EDA").inner_text()
    assert "below 1 Hz" in filters
    assert "1 to 40" not in filters
    page.get_by_label("height of a row of EDA").select_option("2")
    host = "Bokeh.documents[0].get_model_by_name('signals')"
    names = f"{host}.panel.canvas.getAttribute('aria-label')"
    page.wait_for_function(f"{names}.includes('eda \xb5S, scale 2 \xb5S')")
    page.context.close()


@pytest.mark.parametrize("case", ["demo", "view"])
def test_pages_are_accessible(browser: Any, pages: DashboardHost, case: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for theme in ("light", "dark"):
        page = open_page(browser, pages, case, theme)
        found = axe.run(page).response["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert [(v["id"], v["nodes"][0]["html"]) for v in serious] == []
        page.context.close()


def test_the_strip_selects_a_span_of_the_session(
    browser: Any, pages: DashboardHost
) -> None:
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
    assert 11 < seconds < 13  # of 60
    shown = "Bokeh.documents[0].get_model_by_name('signals').panel.cleared"
    page.wait_for_function(f"Math.abs({shown} - 36) < 0.6")
    strip.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function(f"Math.abs({shown} - 48) < 0.6")
    page.keyboard.press("+")
    assert page.evaluate("physioStrip.to - physioStrip.from") < 55
    page.get_by_role("button", name="all", exact=True).click()
    assert page.evaluate("physioStrip.to") > 59
    page.context.close()
