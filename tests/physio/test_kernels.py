"""Kernels compiled before they are needed, and the command that does it."""

import subprocess
import sys
from pathlib import Path

from physio.cli.doctor_checks import kernels
from physio.core.protocols import FastClock
from physio.core.stage import Chain
from physio.online.chain_runner import ChainConfig
from physio.online.compile_kernels import compile_kernels
from physio.online.engine import PipelineConfig
from physio.online.session_config import SessionConfig

ROOT = Path(__file__).resolve().parents[2]


def test_each_chain_then_the_estimator_is_reported() -> None:
    from devices.simulated import Wristband

    with Wristband(name="band", clock=FastClock()) as band:
        streams = band.streams
    plan = SessionConfig({}).plan(streams)
    parts: list[tuple[str, int, int]] = []
    compile_kernels(plan, streams, lambda *part: parts.append(part))
    n = len(plan.chains) + 1
    names = [*plan.chains, "estimator"]
    assert parts == [(name, i, n) for i, name in enumerate(names, 1)]


def test_a_chain_that_cannot_be_built_is_passed_over() -> None:
    from devices.simulated import Wristband
    from physio.dsp.select_channels import SelectChannels

    with Wristband(name="band", clock=FastClock()) as band:
        streams = band.streams
    bad = ChainConfig(streams[0].name, (SelectChannels(("no such channel",)),))
    compile_kernels(PipelineConfig({"bad": bad}, estimator=Chain()), streams)


def test_the_command_compiles_and_says_where() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "physio", "doctor", "--warm"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    finding = kernels()
    assert done.returncode == (0 if finding.ok else 1), done.stderr
    lines = done.stdout.splitlines()
    n = len(lines) - 2 - (not finding.ok)
    assert [line.split(":")[0] for line in lines[1 : n + 1]] == [
        f"  {k} of {n}" for k in range(1, n + 1)
    ]
    assert finding.text in done.stdout
