"""The workbench in a real browser: from an E4 zip to a table and a report."""

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from miniatures import wristbands
from physio.view.web.page_server import PageServer
from physio.view.workbench.workbench_site import Workbench

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 120_000  # ms: the machine may be busy with all else
sync_api = pytest.importorskip("playwright.sync_api")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    wristbands(folder)
    return folder


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    bench = Workbench(tmp_path_factory.mktemp("lab"))
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def page(bench: Workbench) -> Iterator[Any]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with (
        PageServer(bench.site(), name="app") as server,
        sync_api.sync_playwright() as play,
    ):
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        made = context.new_page()
        made.set_default_timeout(PATIENCE)
        made.faults = []
        made.on("pageerror", lambda error: made.faults.append(str(error)))
        made.goto(server.urls["app"])
        made.wait_for_selector("#empty:not([hidden])")
        yield made
        browser.close()


def act(page: Any, label: str) -> Any:
    """Start an action, and return its card once the command has ended."""
    number = page.locator(".job").count() + 1
    page.get_by_role("button", name=label, exact=True).click()
    card = page.locator(f".job[data-number='{number}']")
    card.locator(".state:not(:text-is('running'))").wait_for()
    assert "failed" not in card.locator(".state").inner_text(), card.inner_text()
    return card


def correct(page: Any) -> None:
    """Mark two artifacts of the first signal as bad, in the page of corrections."""
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Correct", exact=True).click()
    tab = opened.value
    tab.set_default_timeout(PATIENCE)
    tab.wait_for_selector("#channels label")
    for number, pause in enumerate((0, 30), 1):
        for key in (*["."] * pause, "b", *["."] * 15, "b"):
            tab.keyboard.press(key)
        tab.wait_for_selector(f"#entries li:nth-child({number})")
    tab.locator("#saved", has_text="saved").wait_for()
    tab.close()
    card = page.locator(".job").first
    card.get_by_role("button", name="Stop Correct").click()
    card.locator(".state:text-is('closed')").wait_for()


def drop(page: Any, path: Path) -> None:
    """Drop a file into the page, as from a window of files."""
    data = page.evaluate_handle(
        """async ([name, text]) => {
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], name));
          return data;
        }""",
        [path.name, encoded(path)],
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    page.wait_for_function(
        "name => document.querySelector('#upload-state').textContent === "
        "`${name}: in the folder`",
        arg=path.name,
    )


def encoded(path: Path) -> str:
    import base64

    return base64.b64encode(path.read_bytes()).decode()


def test_a_zip_becomes_a_table_and_a_report(
    page: Any, bench: Workbench, inputs: Path
) -> None:
    drop(page, inputs / "conditions.csv")
    drop(page, inputs / "raw" / "S01.zip")
    assert (bench.folder / "S01.zip").read_bytes() == (
        inputs / "raw" / "S01.zip"
    ).read_bytes()
    page.get_by_label("Choose S01.zip").wait_for()
    assert page.get_by_label("Choose S01.zip").is_checked()
    assert page.locator("#chosen").inner_text() == "S01.zip"
    card = act(page, "Check")
    card.locator("pre", has_text="e4.eda").wait_for()
    correct(page)
    assert list(bench.folder.glob("*S01*edits*"))
    page.get_by_label("Baseline").first.fill("rest")
    command = "physio table S01.zip --output S01-table.csv --conditions conditions.csv"
    page.get_by_text(f"{command} --baseline rest", exact=True).first.wait_for()
    card = act(page, "Table by condition")
    card.locator("pre", has_text="edited by eye").wait_for()
    card.get_by_role("button", name="Show S01-table.csv").click()
    page.locator("#preview-table td", has_text="task").first.wait_for()
    with (bench.folder / "S01-table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    level = {
        r["condition"]: float(r["value"])
        for r in rows
        if r["measure"] == "scl" and r["baseline_role"] in ("", "primary")
    }
    assert level["task"] - level["rest"] == pytest.approx(1.0, abs=0.2)  # uS, as made
    card = act(page, "Report")
    with page.context.expect_page() as opened:
        card.get_by_role("link", name="Show S01-report.html").click()
    report = opened.value
    report.wait_for_load_state()
    assert "Recorded on 2022-02-07" in report.locator("body").inner_text()
    report.close()
    assert page.faults == []


def test_the_viewer_opens_in_a_tab_and_stops(page: Any) -> None:
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="View", exact=True).click()
    tab = opened.value
    tab.set_default_timeout(PATIENCE)
    tab.wait_for_function("() => window.Bokeh && Bokeh.documents.length > 0")
    assert "/look" in tab.url
    tab.close()
    card = page.locator(".job").first
    card.get_by_role("button", name="Stop View").click()
    card.locator(".state:text-is('closed')").wait_for()


def test_files_are_not_overwritten(page: Any, bench: Workbench, inputs: Path) -> None:
    path = inputs / "raw" / "S01.zip"
    page.set_input_files("#upload", str(path))
    page.wait_for_function(
        "() => document.querySelector('#upload-state').textContent === "
        "'S01.zip: in the folder as S01-2.zip'"
    )
    assert (bench.folder / "S01-2.zip").read_bytes() == path.read_bytes()
    assert [p for p in bench.folder.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_and_nothing_is_clipped(page: Any, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    for width, height in ((1280, 800), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        time.sleep(0.1)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    findings = Axe().run(page).response["violations"]
    serious = [f for f in findings if f["impact"] in ("serious", "critical")]
    assert [(f["id"], f["nodes"][0]["html"]) for f in serious] == []
