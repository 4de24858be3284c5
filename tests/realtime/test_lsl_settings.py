"""The settings of LSL that we ship: quiet, in few ports, and the user's own win."""

import os
import re
import subprocess
import sys
from pathlib import Path

from physio.cli.doctor_checks import CONFIG, LSL_PORTS, clocks, configure_lsl, ports

ROOT = Path(__file__).parents[2]
OUTLET = """
import os, pylsl
told = pylsl.StreamInfo("it", "EEG", 1, 10.0, pylsl.cf_float32, "id")
outlet = pylsl.StreamOutlet(told)
inodes = {os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
          if os.path.exists(f"/proc/self/fd/{n}")}
for kind in ("tcp", "tcp6", "udp", "udp6"):
    for line in open(f"/proc/net/{kind}").readlines()[1:]:
        parts = line.split()
        if f"socket:[{parts[9]}]" in inodes:
            print(kind, int(parts[1].rpartition(":")[2], 16), parts[1].split(":")[0])
"""


def test_a_users_own_settings_win(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"LSLAPICFG": "mine.cfg"}
    assert configure_lsl(environ) == environ["LSLAPICFG"] == "mine.cfg"
    environ = {}
    (tmp_path / "lsl_api.cfg").touch()
    assert configure_lsl(environ) == "lsl_api.cfg"
    assert environ == {}
    (tmp_path / "lsl_api.cfg").unlink()
    monkeypatch.setenv("HOME", str(tmp_path))
    if not Path("/etc/lsl_api/lsl_api.cfg").exists():
        assert configure_lsl(environ) == environ["LSLAPICFG"] == str(CONFIG)


def test_an_outlet_keeps_to_the_ports_that_a_firewall_is_told() -> None:
    environ = {**os.environ, "LSLAPICFG": str(CONFIG)}
    done = subprocess.run(
        [sys.executable, "-c", OUTLET], env=environ, capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    assert "INFO" not in done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    listening = {(kind, int(port)) for kind, port, _ in lines}
    assert listening, "the outlet has no socket"
    own = {port for _, port in listening} - {16571}
    assert own <= set(LSL_PORTS)
    assert {kind for kind, _ in listening} <= {"tcp", "udp"}  # none of IPv6
    # It listens for everybody, whatever it is told: so says the page on devices.
    assert {address for kind, _, address in lines if kind == "tcp"} == {"00000000"}


def test_the_page_names_the_ports() -> None:
    page = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
    assert re.search(r"ufw deny proto tcp .* port 16572:16603", page)
    assert re.search(r"ufw deny proto udp .* port 16571:16603", page)


def test_clocks_and_ports_are_looked_at() -> None:
    assert clocks().ok
    assert ports().text.endswith("of 32 LSL ports free (16572 to 16603)")
