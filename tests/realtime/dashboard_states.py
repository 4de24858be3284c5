"""Sessions of different sensors, and a server of their dashboards for a browser."""

import asyncio
import socket
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tornado.ioloop import IOLoop

from devices.simulated import Headset, Wristband
from physio import config
from physio.core.protocols import Device, FastClock
from physio.online.session import Session
from physio.online.session_config import SessionConfig
from physio.view.dashboard.commands import ROLES
from physio.view.dashboard.server import DashboardServer, create_server, warm_up
from physio.view.dashboard.session_state import SessionState
from physio.view.web.access import ServerAddress, new_tokens

SECONDS = 60.0
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


class StandingState(SessionState):
    """State of a session whose time stands still at its newest sample."""

    @property
    def now(self) -> float:
        return self.end if self.at is None else self.at


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
    if case == "dyad":
        return [
            Wristband(name=f"band{k}", **{**about, "seed": k, "participant": f"p{k}"})
            for k in (1, 2)
        ]
    electrodes = {"muse": MUSE, "eeg64": tuple(SIXTY_FOUR)}.get(case)
    some = {"channels": electrodes} if electrodes else {}
    head = Headset(name="headset", **about, **some)
    return [head, band] if case == "demo" else [head]


def session_state(case: str) -> SessionState:
    """Return the state at the end of a session of ``demo``, ``dyad`` ..."""
    tables = config.read(Path(config.__file__).parent / "assets" / "demo.toml")
    tables["estimator"]["baseline_seconds"] = SECONDS / 3
    experts = ["wrist-demo" if case in ("wristband", "dyad") else "eeg-demo"]
    if case == "demo":
        experts = ["eeg-demo", "wrist-demo"]
    tables["estimator"]["experts"] = [{"weights": name} for name in experts]
    clock = FastClock()
    file = SessionConfig(
        {"session": tables["session"], "estimator": tables["estimator"]}
    )
    session = Session(file.plan, simulated(case, clock), [], clock, 0.25, SECONDS)
    state = StandingState(200.0)
    with session:
        resolved = file.resolved(session.plan)
        chains = {k: resolved[k] for k in ("chains", "estimator")}
        state.update({"begin": session.begin, "participant": "p07", "config": chains})
        state.update({"recorded_at": "recording.xdf", "compute": (2.0, 6.0)})
        for item in session:
            state.take(item, clock.now())
    return state


@dataclass
class DashboardHost:
    """Dashboards of simulated sessions, served in a thread; times stand still."""

    role: str = "control"

    def __post_init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._ready = Event()
        self._thread = Thread(target=self._work, daemon=True)

    def __enter__(self) -> "DashboardHost":
        self._thread.start()
        assert self._ready.wait(90)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.add_callback(self._loop.stop)
        self._thread.join(10)

    def url(self, case: str) -> str:
        """Return the address of a case: a session, or a recording.

        ``view`` is the recording of ``demo``, ``dyad-view`` that of ``dyad``.
        """
        if case not in self._urls:
            session = {"view": "demo", "dyad-view": "dyad"}.get(case, case)
            state = session_state(session)
            state.at = None if session == case else state.end
            done = Event()
            self._loop.add_callback(self._serve, case, state, done)
            assert done.wait(30)
        return self._urls[case]

    def _serve(self, case: str, state: SessionState, done: Event) -> None:
        address, tokens = ServerAddress(), new_tokens(ROLES)
        listening = socket.create_server((address.address, 0))
        port = listening.getsockname()[1]
        board = DashboardServer(state, lambda _: None)
        create_server(board, address, tokens, listening).start()
        self._urls[case] = f"http://127.0.0.1:{port}/?token={tokens[self.role]}"
        done.set()

    def _work(self) -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        self._loop = IOLoop.current()
        warm_up()
        self._ready.set()
        self._loop.start()
