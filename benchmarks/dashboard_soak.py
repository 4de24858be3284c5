"""Memory growth of the dashboard over an hour, in the browser and in the server."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.dashboard_browser import Shown, shown

SPEED: Final = 20.0
RATE: Final = 128
LOOKS: Final = 19


def rows(data: Path | None) -> list[dict[str, Any]]:  # noqa: ARG001 needs no data
    """Return memory over an hour, simulated at 20 times the speed."""
    with shown(SPEED, RATE) as live:
        live.page.wait_for_timeout(15_000)  # caches and windows fill
        looks = [_look(live)]
        for _ in range(LOOKS - 1):
            live.page.wait_for_timeout(3600e3 / SPEED / (LOOKS - 1))
            looks.append(_look(live))
    minutes = np.linspace(0, 60, LOOKS)
    result: dict[str, Any] = {
        "work": f"an hour at {SPEED:g} times the speed, 32 channels x {RATE} Hz",
        "peer": "",
    }
    for i, who in enumerate(("browser", "server")):
        sizes = np.array([look[i] for look in looks])
        slope = float(np.polyfit(minutes, sizes, 1)[0])
        result |= {
            f"{who}_begin_mb": float(np.median(sizes[:3])),
            f"{who}_end_mb": float(np.median(sizes[-3:])),
            f"{who}_growth_mb_per_hour": 60 * slope,
        }
    return [result]


def _look(live: Shown) -> tuple[float, float]:
    """Return the memory of the page's heap, after collection, and the server (MB)."""
    client = live.page.context.new_cdp_session(live.page)
    client.send("HeapProfiler.collectGarbage")
    client.detach()
    heap = live.page.evaluate("performance.memory.usedJSHeapSize")
    status = Path(f"/proc/{live.board.process_id}/status").read_text("utf-8")
    size = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return heap / 1e6, int(size.split()[1]) / 1e3
