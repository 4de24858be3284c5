"""Sessions of different sensors, and a server of their dashboards for a browser."""

import asyncio
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tornado.ioloop import IOLoop, PeriodicCallback

from devices.simulated import Headset, Wristband
from physio import config
from physio.core.protocols import Device, FastClock
from physio.online.session import Session
from physio.online.session_config import SessionConfig
from physio.view.dashboard.commands import ROLES
from physio.view.dashboard.server import DashboardServer, create_server, warm_up
from physio.view.dashboard.session_state import SessionState
from physio.view.web.access import ServerAddress, new_tokens

SECONDS = 75.0
SIXTY_FOUR = [
    "Fp1",
    "Fpz",
    "Fp2",
    "AF7",
    "AF3",
    "AFz",
    "AF4",
    "AF8",
    "F7",
    "F5",
    "F3",
    "F1",
    "Fz",
    "F2",
    "F4",
    "F6",
    "F8",
    "FT7",
    "FC5",
    "FC3",
    "FC1",
    "FCz",
    "FC2",
    "FC4",
    "FC6",
    "FT8",
    "T7",
    "C5",
    "C3",
    "C1",
    "Cz",
    "C2",
    "C4",
    "C6",
    "T8",
    "TP7",
    "CP5",
    "CP3",
    "CP1",
    "CPz",
    "CP2",
    "CP4",
    "CP6",
    "TP8",
    "P7",
    "P5",
    "P3",
    "P1",
    "Pz",
    "P2",
    "P4",
    "P6",
    "P8",
    "PO7",
    "PO3",
    "POz",
    "PO4",
    "PO8",
    "O1",
    "Oz",
    "O2",
    "TP9",
    "TP10",
    "Iz",
]
MUSE = ("TP9", "AF7", "AF8", "TP10")


def simulated(case: str, clock: FastClock) -> list[Device]:
    """Return the devices of a case."""
    steps = (("baseline", SECONDS / 3), ("stress", SECONDS / 3), ("rest", SECONDS / 3))
    about: dict[str, Any] = {
        "seed": 7, "seconds": SECONDS, "clock": clock, "preset": "exaggerated",
        "steps": steps, "participant": "p07",
    }  # fmt: skip
    band = Wristband(name="band", ground_truth=case == "wristband", **about)
    if case == "wristband":
        return [band]
    electrodes = {"muse": MUSE, "eeg64": tuple(SIXTY_FOUR)}.get(case)
    some = {"channels": electrodes} if electrodes else {}
    head = Headset(name="headset", **about, **some)
    return [head, band] if case == "demo" else [head]


def session_state(case: str, *, markers: bool = True) -> SessionState:
    """Return the state at the end of a session of ``demo``, ``wristband`` ..."""
    tables = config.read(Path(config.__file__).parent / "assets" / "demo.toml")
    tables["estimator"]["baseline_seconds"] = SECONDS / 3
    experts = {"wristband": ["wrist-demo"]}.get(case, ["eeg-demo"])
    if case == "demo":
        experts = ["eeg-demo", "wrist-demo"]
    tables["estimator"]["experts"] = [{"weights": name} for name in experts]
    clock = FastClock()
    file = SessionConfig(
        {"session": tables["session"], "estimator": tables["estimator"]}
    )
    session = Session(file.plan, simulated(case, clock), [], clock, 0.25, SECONDS)
    state = SessionState(200.0)
    with session:
        resolved = file.resolved(session.plan)
        chains = {k: resolved[k] for k in ("chains", "estimator")}
        state.update({"begin": session.begin, "participant": "p07", "config": chains})
        state.update({"recorded_at": "recording.xdf", "compute": (2.0, 6.0)})
        for item in session:
            state.take(item, clock.now())
        state.update({"clock": (clock.now(), time.monotonic(), 1.0)})
    return state


def hold(states: Mapping[str, SessionState], ends: Mapping[str, float]) -> None:
    """Set the clock of each session back to its end, so that its time stands still."""
    for case, state in states.items():
        state.update({"clock": (ends[case], time.monotonic(), 1.0)})


@dataclass
class Served:
    """Addresses of the served dashboards by case."""

    urls: Mapping[str, str]


@contextmanager
def served(
    states: Mapping[str, SessionState], role: str = "control"
) -> Iterator[Served]:
    """Serve dashboards in a thread."""
    urls: dict[str, str] = {}
    ready, loops = Event(), []

    def work() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        loop = IOLoop.current()
        loops.append(loop)
        for case, state in states.items():
            address, tokens = ServerAddress(), new_tokens(ROLES)
            listening = socket.create_server((address.address, 0))
            port = listening.getsockname()[1]
            board = DashboardServer(state, lambda _: None)
            create_server(board, address, tokens, listening).start()
            urls[case] = f"http://127.0.0.1:{port}/?token={tokens[role]}"
        warm_up()
        ends = {case: state.end for case, state in states.items()}
        PeriodicCallback(lambda: hold(states, ends), 50).start()
        ready.set()
        loop.start()

    thread = Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(90)
    try:
        yield Served(urls)
    finally:
        loops[0].add_callback(loops[0].stop)
        thread.join(10)
