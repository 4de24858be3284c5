"""The lock of the core: pinned as in constraints.txt, with hashes, and complete."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LINE = re.compile(r"([A-Za-z0-9._-]+)==(\S+) --hash=sha256:[0-9a-f]{64}")
SYSTEM = {
    "python_version": "3.11", "python_full_version": "3.11.7",
    "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix",
    "platform_machine": "x86_64", "implementation_name": "cpython",
    "platform_python_implementation": "CPython", "extra": "",
}  # fmt: skip


def lines(name: str) -> list[str]:
    rows = (ROOT / name).read_text("utf-8").splitlines()
    return [row for row in rows if row and not row.startswith("#")]


@pytest.fixture(scope="module")
def locked() -> dict[str, str]:
    """Return the version of each package of the lock."""
    matches = {line: LINE.fullmatch(line) for line in lines("requirements.lock")}
    assert [line for line, match in matches.items() if match is None] == []
    return {canonicalize_name(m[1]): m[2] for m in matches.values() if m}


def test_each_version_is_that_of_the_constraints(locked: dict[str, str]) -> None:
    pins = (line.split("==") for line in lines("constraints.txt"))
    versions = {canonicalize_name(name): version for name, version in pins}
    assert {name: versions.get(name) for name in locked} == locked
    assert len(locked) == len(lines("requirements.lock"))


def test_the_lock_is_complete(locked: dict[str, str]) -> None:
    """All that the core needs on the system of the lock, and what that needs."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    core = tomllib.loads(text)["project"]["dependencies"]
    needed: dict[str, None] = {}
    waiting = [Requirement(one) for one in core]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate(SYSTEM):
            continue
        assert name in locked, f"`make lock` was not run: {requirement} is not in it"
        assert locked[name] in requirement.specifier
        if name in needed:
            continue
        needed[name] = None
        try:
            waiting += [Requirement(one) for one in requires(name) or ()]
        except PackageNotFoundError:
            continue
    assert set(locked) == set(needed)
