"""The page of a session is there at once, and shows signals soon after."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 120_000  # ms: the machine may be busy with all else
INK = """() => {
  const s = window.Bokeh?.documents[0]?.get_model_by_name("signals")?.panel;
  if (!s?.strip || s.strip.width < 10) return false;
  const pixels = s.pen.getImageData(0, 0, s.strip.width, s.strip.height).data;
  let n = 0;
  for (let i = 3; i < pixels.length; i += 4) n += pixels[i] > 0;
  return n > 500;
}"""
sync_api = pytest.importorskip("playwright.sync_api")


def test_a_session_without_a_file_opens_its_page_first(tmp_path: Path) -> None:
    """5 s are asked for until the first picture, on a machine that is not busy."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\necho "$1" > {opened}.part\nmv {opened}.part {opened}\n'
    )
    browser.chmod(0o755)
    line = ["live", "synthetic", "--open", "--out", str(tmp_path / "s")]
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page: Any = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE)
        texts: list[str] = []
        page.on("response", lambda answer: texts.append(answer.url))
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "physio", *line], cwd=tmp_path,
            env={**os.environ, "BROWSER": str(browser)}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            while not opened.exists():
                assert process.poll() is None, process.communicate()[0]
                assert time.monotonic() < began + PATIENCE / 1000
                time.sleep(0.02)
            at_page = time.monotonic() - began
            page.goto(opened.read_text("utf-8").strip())
            page.wait_for_function(INK, polling=50)
            at_picture = time.monotonic() - began
            process.send_signal(signal.SIGINT)
            output = process.communicate(timeout=120)[0]
        chromium.close()
    assert process.returncode == 0, output
    assert any(url.endswith("/control/progress") for url in texts)
    print(f"page after {at_page:.2f} s, picture after {at_picture:.2f} s")  # noqa: T201
    assert at_page < at_picture
    assert (tmp_path / "s" / "recording.xdf").is_file()
