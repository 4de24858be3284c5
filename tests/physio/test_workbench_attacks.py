"""The workbench under attack: its routes, its paths, its arguments, its uploads."""

import base64
import http.client
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from physio.view.web.page_server import PageServer
from physio.view.workbench import command_jobs, uploads
from physio.view.workbench.actions import ACTIONS, planned
from physio.view.workbench.folder_items import FolderItem, item_of, list_items
from physio.view.workbench.workbench_site import Workbench

GET = ("/app", "/app/wait", "/app/items", "/app/jobs", "/app/table", "/app/show")
POST = ("/app/command", "/app/run", "/app/stop", "/app/upload")
FILES = ("/static/workbench/workbench.js", "/static/web/common.css")


@dataclass
class Target:
    bench: Workbench
    server: PageServer

    @property
    def folder(self) -> Path:
        return self.bench.folder

    def ask(self, path: str, content: Any = None, **headers: str) -> tuple[int, Any]:
        port = self.server.port
        sent = {
            "Host": f"127.0.0.1:{port}",
            "Cookie": f"physio-{port}-app={self.server.tokens['app']}",
        }
        body = b""
        if content is not None:
            sent |= {"Origin": f"http://127.0.0.1:{port}",
                     "Content-Type": "application/json"}  # fmt: skip
            body = (
                content if isinstance(content, bytes) else json.dumps(content).encode()
            )
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            method = "GET" if content is None else "POST"
            link.request(method, path, body, {k: v for k, v in sent.items() if v})
            answer = link.getresponse()
            self.headers = dict(answer.getheaders())
            raw = answer.read()
        except (http.client.HTTPException, OSError):
            return 0, b""
        finally:
            link.close()
        try:
            return answer.status, json.loads(raw)
        except ValueError:
            return answer.status, raw


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    root = tmp_path_factory.mktemp("bench")
    folder = root / "lab"
    folder.mkdir()
    (root / "secret.html").write_text("secret", "utf-8")
    (root / "secret.csv").write_text("secret\n1\n", "utf-8")
    (folder / "out.html").symlink_to(root / "secret.html")
    (folder / "out").symlink_to(root)
    (folder / "r.html").write_text("<script>alert(1)</script>", "utf-8")
    (folder / "--config=x.zip").write_bytes(b"PK")
    (folder / "a.zip").write_bytes(b"PK")
    (folder / "$(touch gone).zip").write_bytes(b"PK")
    (folder / "t.csv").write_text("participant,measure\np1,<b>\n", "utf-8")
    bench = Workbench(folder)
    with PageServer(bench.site(), name="app") as server:
        yield Target(bench, server)
    bench.close()


def test_every_route_is_in_the_table(target: Target) -> None:
    routes = {(r.path, r.method) for r in target.bench.site().routes}
    assert routes == {*((p, "GET") for p in GET), *((p, "POST") for p in POST)}


@pytest.mark.parametrize("path", [*GET, *POST, *FILES])
def test_a_route_gives_nothing_to_strangers(path: str, target: Target) -> None:
    content = {} if path in POST else None
    port = target.server.port
    for headers in (
        {"Cookie": ""},
        {"Cookie": f"physio-{port}-app={'x' * 43}"},
        {"Host": f"evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": f"http://127.0.0.1:{port + 1}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        assert target.ask(path, content, **headers) == (403, b""), headers
    if content is not None:
        assert target.ask(path, content, Origin="") == (403, b"")
        assert target.ask(path, content, Content_Type="text/plain")[0] == 415
        assert target.ask(path, b"[1]")[0] == 400
        assert target.ask(path, b"{" * 100_000)[0] == 400
        assert target.ask(path, b" " * (2 * uploads.PART + 1))[0] in (0, 413)
    if path in POST:
        assert target.ask(path)[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "../secret.html", "..%2Fsecret.html", "/etc/passwd", "out.html",
        "out/secret.html", "out/secret.csv", "", ".", "..", "x" * 5000, "a%00b",
        "nothing.html", "r.html%00.csv",
    ],
)  # fmt: skip
def test_no_path_leads_out(path: str, target: Target) -> None:
    for route in ("show", "table"):
        status, answer = target.ask(f"/app/{route}?path={path}")
        assert status == 400
        assert set(answer) == {"error"}
    status, answer = target.ask(
        "/app/run", {"action": "check", "items": [path.replace("%00", "\0")]}
    )
    assert status == 400
    assert answer["error"].startswith(("there is no file", "no action applies"))
    items, _ = list_items(target.folder)
    assert not any(i.path.startswith("out") for i in items)


def test_a_shown_page_cannot_run_anything(target: Target) -> None:
    status, content = target.ask("/app/show?path=r.html")
    assert status == 200
    assert content == b"<script>alert(1)</script>"
    policy = target.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'; ")
    assert "script-src" not in policy
    assert "allow-" not in policy
    assert target.ask("/app/show?path=a.zip")[0] == 400
    status, table = target.ask("/app/table?path=t.csv")
    assert table == {
        "columns": ["participant", "measure"], "rows": [["p1", "<b>"]], "cut": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        {"action": "delete", "items": ["a.zip"]},
        {"action": "check --trust x", "items": ["a.zip"]},
        {"action": ["check"], "items": ["a.zip"]},
        {"action": "check", "items": "a.zip"},
        {"action": "check", "items": []},
        {"action": "init session", "items": ["a.zip"]},
        {"action": "init session", "items": [], "values": {"word": "--trust"}},
        {"action": "check", "items": ["a.zip", "a.zip"]},
        {"action": "check", "items": ["a.zip"] * 201},
        {"action": "check", "items": [{}]},
        {"action": "check", "items": ["t.csv"]},
        {"action": "table", "items": ["a.zip"], "values": {"baseline": "--trust x"}},
        {"action": "table", "items": ["a.zip"], "values": {"baseline": ["x"]}},
        {
            "action": "table",
            "items": ["a.zip"],
            "values": {"conditions": "/etc/passwd"},
        },
        {"action": "table", "items": ["a.zip"], "values": {"conditions": "a.zip"}},
        {"action": "export", "items": ["a.zip"], "values": {"format": "x; rm"}},
        {"action": "export", "items": ["a.zip"], "values": {"format": "../x"}},
        {"action": "export", "items": ["a.zip"], "values": {"format": "{0}"}},
        {"action": "live", "items": ["a.zip"], "values": {"participant": "../x"}},
    ],
)
def test_no_request_becomes_another_command(content: Any, target: Target) -> None:
    assert target.ask("/app/run", content)[0] == 400
    status, answer = target.ask("/app/command", content)
    assert (status, set(answer)) in ((200, {"error"}), (400, {"error"}))
    assert target.ask("/app/jobs") == (200, [])


def test_names_are_arguments_and_never_options_or_programs(target: Target) -> None:
    for path in ("--config=x.zip", "$(touch gone).zip"):
        item = item_of(target.folder, target.folder / path)
        assert item is not None
        for action in ACTIONS.values():
            if item.kind in action.kinds:
                line = planned(action.name, [item], {}, target.folder)
                names = line.arguments[len(action.name.split()) :]
                assert names[0].removeprefix("./") == path
                assert not names[0].startswith("-")
    item = FolderItem("-a.zip", "recording", 1, "")
    line = planned("table", [item], {"baseline": "0 60"}, target.folder)
    assert line.text == "physio table ./-a.zip --output ./-a-table.csv --baseline 0 60"
    line = planned("init session", [], {"word": "lsl"}, target.folder)
    assert line.text == "physio init session session.toml --look-for lsl"
    status, answer = target.ask(
        "/app/run", {"action": "check", "items": ["$(touch gone).zip"]}
    )
    assert status == 200
    target.bench.jobs.job(answer["number"]).process.wait(120)
    assert not (target.folder / "gone").exists()


def test_a_file_of_the_folder_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("open('hijacked', 'w')\n", "utf-8")
    (tmp_path / "s.toml").write_text("[devices.x]\n", "utf-8")
    bench = Workbench(tmp_path)
    item = item_of(bench.folder, bench.folder / "s.toml")
    assert item is not None
    choice = {"participant": "p1", "consent": "c"}
    job = bench.jobs.start(planned("live", [item], choice, bench.folder))
    assert job.process is not None
    assert job.process.wait(120) == 2  # the file is refused, in one sentence
    bench.close()
    assert not (tmp_path / "hijacked").exists()


def part(key: str, offset: int, data: bytes) -> dict[str, Any]:
    return {"key": key, "offset": offset, "data": base64.b64encode(data).decode()}


def upload(target: Target, name: str, data: bytes) -> str:
    status, begun = target.ask("/app/upload", {"name": name, "size": len(data)})
    assert status == 200, begun
    status, done = target.ask("/app/upload", part(begun["key"], 0, data))
    assert status == 200, done
    return str(done["name"])


@pytest.mark.parametrize(
    "name",
    [
        "../../x.zip", "/etc/x.zip", "..", "C:\\x\\y.zip", ".bashrc", "a\0b.zip",
        "con.zip", "x" * 4000, "é\n.zip", " ", "-rf.zip", "a.zip",
    ],
)  # fmt: skip
def test_an_upload_lands_in_the_folder_and_replaces_nothing(
    name: str, target: Target
) -> None:
    before = {p.name: p.lstat().st_mtime_ns for p in target.folder.iterdir()}
    outside = sorted(p.name for p in target.folder.parent.iterdir())
    if not name.strip():
        assert target.ask("/app/upload", {"name": name, "size": 1})[0] == 400
        return
    written = upload(target, name, b"content")
    path = target.folder / written
    assert path.parent == target.folder
    assert written not in before
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    after = {p.name: p.lstat().st_mtime_ns for p in target.folder.iterdir()}
    assert {k: after[k] for k in before} == before
    assert set(after) - set(before) == {written}
    assert sorted(p.name for p in target.folder.parent.iterdir()) == outside
    path.unlink()


def test_a_wrong_part_ends_its_upload(target: Target) -> None:
    before = sorted(target.folder.iterdir())
    for wrong in (
        {"offset": 1, "data": "eA=="},
        {"offset": 0, "data": "no base64!"},
        {"offset": 0, "data": base64.b64encode(b"larger").decode()},
        {"offset": 0, "data": None},
        {"offset": True, "data": "eA=="},
    ):
        _, begun = target.ask("/app/upload", {"name": "w.zip", "size": 3})
        assert target.ask("/app/upload", {"key": begun["key"], **wrong})[0] == 400
        assert target.ask("/app/upload", part(begun["key"], 0, b"abc"))[0] == 400
    for content in (
        {"name": "w.zip", "size": uploads.LARGEST + 1},
        {"name": "w.zip", "size": -1},
        {"name": "w.zip", "size": 1.5},
        {"name": "w.zip", "size": True},
        {"name": ["w"], "size": 1},
        {"key": "../x", "offset": 0, "data": ""},
        {"key": 3},
    ):
        assert target.ask("/app/upload", content)[0] == 400, content
    assert sorted(target.folder.iterdir()) == before
    keys = [
        target.ask("/app/upload", {"name": "w.zip", "size": 3})[1] for _ in range(9)
    ]
    assert "8 files are being written" in keys[-1]["error"]
    target.bench.uploads.close()
    assert sorted(target.folder.iterdir()) == before


def test_commands_are_limited_and_end_with_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_jobs, "RUNNING", 1)
    bench = Workbench(tmp_path)
    (tmp_path / "s.toml").write_text("[devices.x]\n", "utf-8")
    item = item_of(bench.folder, bench.folder / "s.toml")
    assert item is not None
    line = planned("live", [item], {"participant": "p1", "consent": "c"}, bench.folder)
    job = bench.jobs.start(line)
    with pytest.raises(ValueError, match="1 commands run already: stop one first"):
        bench.jobs.start(line)
    with pytest.raises(ValueError, match="there is no command 9"):
        bench.jobs.stop(9)
    assert job.process is not None
    assert job.process.poll() is None
    bench.close()
    assert job.process.poll() is not None
