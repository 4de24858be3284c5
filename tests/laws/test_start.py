"""What a session may load and compile before its first sample."""

import os
import subprocess
import sys
from pathlib import Path

HEAVY = ("numba", "scipy", "pandas", "pyarrow", "torch", "mne", "bokeh", "matplotlib")

DRIVERS = ("devices.lsl", "devices.board", "devices.empatica", "devices.polar")

PLAN = """
from physio.core.protocols import FastClock
from physio.dsp.jit import refused_compilation
from physio.online.session_config import SessionConfig
from devices.simulated import Headset, Wristband
from devices.simulated.chest import Chest

clock = FastClock()
devices = [Headset(clock=clock), Wristband(clock=clock), Chest(clock=clock)]
with refused_compilation():
    for device in devices:
        device.__enter__()
    clock.wait(1.0)
    for device in devices:
        device.read()
    file = SessionConfig()
    plan = file.plan([info for device in devices for info in device.streams])
    file.resolved(plan)
print(len(plan.chains))
"""


def test_devices_open_before_heavy_packages_are_imported() -> None:
    """Only what opens and reads devices is imported first; the rest is later."""
    modules = ", ".join(
        ("physio.cli.run_session", "physio.online.remote_control",
         "physio.view.terminal.live", "physio.sinks.xdf", *DRIVERS)
    )  # fmt: skip
    code = f"import sys, {modules}; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    assert _output(code) == ""


def test_a_page_is_served_before_heavy_packages_are_imported() -> None:
    """The page of progress needs none; the dashboard behind it draws by itself."""
    light = "physio.view.dashboard.serve_session, physio.view.dashboard.sink"
    code = f"import sys, {light}; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    assert _output(code) == ""
    code = code.replace(light, "physio.view.dashboard.server")
    assert set(_output(code).split()) <= {"bokeh", "numba", "pandas", "scipy"}


def test_a_plan_compiles_nothing(tmp_path: Path) -> None:
    assert int(_output(PLAN, tmp_path / "kernels")) >= 5


def _output(code: str, kernels: Path | None = None) -> str:
    environ = dict(os.environ)
    if kernels is not None:
        environ["NUMBA_CACHE_DIR"] = str(kernels)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
