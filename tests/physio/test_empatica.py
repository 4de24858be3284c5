"""Empatica's exports: their format, real ones, damaged ones and hostile ones."""

import re
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Channel
from physio.io.empatica import export_files, is_export, is_table, read

FILES = {
    "EDA.csv": "1500000000.000000\n4.000000\n0.5\n0.25\n1.0\n",
    "BVP.csv": "1500000002.50\n64.000000\n-0.00\n-1.5\n3.25\n100.0\n",
    "ACC.csv": "1500000000.0, 1500000000.0, 1500000000.0\n"
    "32.000000, 32.000000, 32.000000\n-1,65,5\n64,-64,32\n",
    "TEMP.csv": "1500000000.000000\n4.000000\n33.13\n",
    "HR.csv": "1500000010.000000\n1.000000\n88.00\n",
    "IBI.csv": "1500000000.000000, IBI\n14.5,0.75\n15.25,0.765625\n",
    "tags.csv": "1500000003.25\n",
    "info.txt": "what these files are",
}


def folder(path: Path, **changed: str | None) -> Path:
    path.mkdir(exist_ok=True)
    for name, text in (FILES | {f"{k}.csv": v for k, v in changed.items()}).items():
        if text is not None:
            (path / name).write_bytes(text.encode())
    return path


def packed(path: Path, under: str = "", **more: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in (FILES | more).items():
            file.writestr(under + name, text)
    return path


def test_streams_have_their_units_rates_and_places(tmp_path: Path) -> None:
    found = read(folder(tmp_path / "e4"), participant="p07")
    (eda,), (bvp,), (acc,), (temp,), (hr,) = found.streams.values()
    assert list(found.streams) == ["e4.eda", "e4.bvp", "e4.acc", "e4.temp", "e4.hr"]
    assert hr.info.channels == (Channel("hr.maker", "misc", "1/min"),)
    assert (hr.t0, hr.data.tolist()) == (10.0, [[88.0]])
    assert eda.info.channels == (Channel("eda", "gsr", "uS"),)
    assert bvp.info.channels == (Channel("bvp", "bio", "1"),)
    assert acc.info.channels == tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")
    assert temp.info.channels == (Channel("temp", "temperature", "degC"),)
    assert [b.info.rate for b in (eda, bvp, acc, temp)] == [4, 64, 32, 4]
    assert eda.data.tolist() == [[0.5], [0.25], [1.0]]
    assert bvp.data.tolist() == [[0.0], [-1.5], [3.25], [100.0]]
    assert acc.data.tolist() == [[-1 / 64, 65 / 64, 5 / 64], [1.0, -1.0, 0.5]]
    assert temp.data.tolist() == [[33.13]]
    for info in found.infos[:4]:
        assert (info.participant, info.site, info.placement) == (
            "p07",
            "wrist",
            "dorsal",
        )


def test_each_stream_keeps_its_own_start(tmp_path: Path) -> None:
    found = read(folder(tmp_path / "e4"))
    epochs = {name: block.t0 for name, (block,) in found.streams.items()}
    assert epochs == {
        "e4.eda": 0.0, "e4.bvp": 2.5, "e4.acc": 0.0, "e4.temp": 0.0, "e4.hr": 10.0
    }  # fmt: skip
    assert found.begin == 0.0
    assert float(found.metadata["begin_unix"]) == 1500000000.0


def test_beats_and_tags_are_on_the_session_clock(tmp_path: Path) -> None:
    found = read(folder(tmp_path / "e4"))
    beats, tags = found.events["e4.ibi"], found.events["e4.tags"]
    assert beats.times.tolist() == [14.5, 15.25]
    assert beats.info.channels == (Channel("interval", "misc", "s"),)
    assert beats.data.tolist() == [[0.75], [0.765625]]
    assert (tags.times.tolist(), tags.labels) == ([3.25], ("tag",))


def test_tags_of_a_clock_hours_off_are_kept_as_they_are(tmp_path: Path) -> None:
    found = read(folder(tmp_path / "e4", tags="1500043200.00\n1499956800.00\n"))
    assert found.events["e4.tags"].times.tolist() == [-43200.0, 43200.0]


def test_a_damaged_heart_rate_of_the_maker_takes_nothing_with_it(
    tmp_path: Path,
) -> None:
    found = read(folder(tmp_path / "e4", HR="no numbers at all"))
    assert "e4.hr" not in found.streams
    assert "HR.csv, line 1: 'no numbers at all'" in found.metadata["warnings"]


@pytest.mark.parametrize("name", ["tags", "IBI"])
@pytest.mark.parametrize("text", ["", "\n", None])
def test_events_may_be_none(tmp_path: Path, name: str, text: str | None) -> None:
    found = read(folder(tmp_path / "e4", **{name: text}))
    assert len(found.events[f"e4.{name.lower()}"]) == 0


def test_a_header_alone_is_a_stream_without_samples(tmp_path: Path) -> None:
    found = read(folder(tmp_path / "e4", EDA="1500000000\n4\n"))
    assert len(found.streams["e4.eda"][0]) == 0


def test_rates_line_ends_and_byte_marks_may_be_written_otherwise(
    tmp_path: Path,
) -> None:
    usual = read(folder(tmp_path / "usual"))
    texts = {k: v for k, v in FILES.items() if k.endswith(".csv")}
    other = {
        name.removesuffix(".csv"): "\ufeff"
        + re.sub(r"^(\d+)\.0+$", r"\1", text, flags=re.MULTILINE).replace("\n", "\r\n")
        for name, text in texts.items()
    }
    assert "\n64\r\n" in other["BVP"]
    unusual = read(folder(tmp_path / "other", **other))
    assert unusual.streams["e4.bvp"][0].info.rate == Fraction(64)
    for name, (block,) in usual.streams.items():
        assert np.array_equal(block.data, unusual.streams[name][0].data)
    assert unusual.events["e4.ibi"].times.tolist() == [14.5, 15.25]


def test_a_stream_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    found = read(folder(tmp_path / "e4", BVP=None))
    assert list(found.streams) == ["e4.eda", "e4.acc", "e4.temp", "e4.hr"]


@pytest.mark.parametrize("under", ["", "1500000000_A00204/", "a/b/"])
def test_a_zip_gives_what_the_folder_gives(tmp_path: Path, under: str) -> None:
    plain = read(folder(tmp_path / "e4"))
    found = read(
        packed(tmp_path / "e4.zip", under, **{"../__MACOSX/._EDA.csv"[3:]: "\0"})
    )
    assert found.metadata == plain.metadata
    for name, (block,) in plain.streams.items():
        assert np.array_equal(block.data, found.streams[name][0].data)
        assert block.info == found.streams[name][0].info
    assert found.events["e4.tags"].times.tolist() == [3.25]


@pytest.mark.parametrize("style", ["s01_{}.csv", "{} (1).csv", "{}.CSV", "p 7-{}.csv"])
def test_renamed_files_are_recognised(tmp_path: Path, style: str) -> None:
    for name, text in FILES.items():
        stem = name.removesuffix(".csv").lower()
        (tmp_path / style.format(stem)).write_text(text)
    assert is_export(tmp_path)
    plain = read(folder(tmp_path / "e4"))
    found = read(tmp_path)
    assert list(found.streams) == list(plain.streams)
    assert found.events["e4.tags"].times.tolist() == [3.25]


def test_two_sessions_in_a_folder_are_told_apart_by_their_prefix(
    tmp_path: Path,
) -> None:
    for i, prefix in enumerate(("S01_", "S02_")):
        (tmp_path / f"{prefix}EDA.csv").write_text(f"150000000{i}\n4\n{i}\n")
        (tmp_path / f"{prefix}tags.csv").write_text(f"150000000{i}\n")
    with pytest.raises(ValueError, match="choose one of 'S01', 'S02', as in"):
        read(tmp_path)
    found = read(tmp_path, session="S02")
    assert found.streams["e4.eda"][0].data.tolist() == [[1.0]]
    assert found.events["e4.tags"].times.tolist() == [0.0]


@pytest.mark.parametrize("under", ["1500000000_A00204\\", "a\\b\\"])
def test_a_zip_with_backslashes(tmp_path: Path, under: str) -> None:
    assert len(read(packed(tmp_path / "e4.zip", under)).streams) == 5


def test_a_zip_in_a_zip(tmp_path: Path) -> None:
    inner = packed(tmp_path / "inner.zip", "1500000000_A00204/")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as file:
        file.write(inner, "download/inner.zip")
    assert len(read(tmp_path / "outer.zip").streams) == 5


def test_a_file_of_no_bytes_is_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    found = read(folder(tmp_path / "e4", EDA=""))
    assert list(found.streams) == ["e4.bvp", "e4.acc", "e4.temp", "e4.hr"]
    warnings = found.metadata["warnings"]
    assert warnings == "EDA.csv is empty and left out: download it again"


@pytest.mark.parametrize("line", ["", "nan", "  "])
def test_an_empty_line_is_a_missing_sample(tmp_path: Path, line: str) -> None:
    found = read(folder(tmp_path / "e4", EDA=f"1500000000\n4\n1\n{line}\n3\n\n"))
    (eda,) = found.streams["e4.eda"]
    assert np.array_equal(eda.data[:, 0], [1, np.nan, 3], equal_nan=True)
    says = "EDA.csv: 1 of 3 samples are missing, the first in line 4"
    assert says in found.metadata["warnings"]


def test_numbers_of_an_office_program(tmp_path: Path) -> None:
    plain = read(folder(tmp_path / "plain"))
    office = {
        name.removesuffix(".csv"): "\r\n".join(
            ";".join(f'"{f.strip()}"'.replace(".", ",") for f in line.split(","))
            for line in text.splitlines()
        )
        for name, text in FILES.items()
        if name.endswith(".csv")
    }
    found = read(folder(tmp_path / "office", **office))
    for name, (block,) in plain.streams.items():
        assert np.array_equal(block.data, found.streams[name][0].data)
    assert found.events["e4.ibi"].data.tolist() == [[0.75], [0.765625]]


def test_intervals_alone_are_a_recording(tmp_path: Path) -> None:
    (tmp_path / "IBI.csv").write_text(FILES["IBI.csv"])
    found = read(tmp_path)
    assert not found.streams
    assert found.events["e4.ibi"].times.tolist() == [14.5, 15.25]


def test_a_table_of_an_export_is_recognised_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "my_eda.csv").write_text("time,eda\n1,2\n")
    assert not is_table(tmp_path / "my_eda.csv")
    assert is_table(folder(tmp_path / "e4") / "EDA.csv")


FAULTS = [
    ("EDA", "abc\n4\n1\n", "line 1: 'abc'; it must be the start in Unix seconds"),
    ("EDA", "15\n\n1\n", "EDA.csv, line 2: ''; it must be the rate in Hz"),
    ("EDA", "15\n0\n1\n", "line 2: a rate of 0 Hz; it must be above 0"),
    ("EDA", "15\n-4\n1\n", "line 2: a rate of -4 Hz; it must be above 0"),
    ("EDA", "15\nnan\n1\n", "EDA.csv, line 2: 'nan'; it must be the rate in Hz"),
    ("EDA", "15\n4\n1\n2\nx1\n", "EDA.csv, line 5: 'x1'; it must be a number"),
    ("EDA", "15\n4\n1\ninf\n", "EDA.csv, line 4: 'inf'; it must be a number"),
    ("EDA", "15\n4\n1\n0,25\n", "EDA.csv, line 4: '0,25'; it must have 1 number"),
    ("BVP", f"15\n64\n{'9' * 50}z", f"line 3: '{'9' * 40}...'; it must be a number"),
    (
        "ACC",
        "15\n32\n1,2,3\n",
        "line 1: '15'; it must be the start in Unix seconds, 3 ti",
    ),
    ("ACC", "15,15,16\n32,32,32\n", "line 1: '15,15,16'; it must be the start in Unix"),
    (
        "ACC",
        "15,15,15\n32,32,32\n1,2,3\n1,2\n",
        "line 4: '1,2'; it must have 3 numbers",
    ),
    ("ACC", "15,15,15\n32,32,32\n1,,3\n1,2,3,4", "line 3: ''; it must be a number"),
    ("IBI", "15, IBI\n1\n", "IBI.csv, line 2: '1'; it must have 2 numbers"),
    ("tags", "15\n16\nnow\n", "tags.csv, line 3: 'now'; it must be a number"),
]


@pytest.mark.parametrize(("name", "text", "says"), FAULTS)
def test_a_fault_is_told_by_file_line_value_and_remedy(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    where = folder(tmp_path / "e4", **{name: text})
    with pytest.raises(ValueError, match=re.escape(says)) as told:
        read(where)
    assert str(told.value).startswith(f"{where}: {name}.csv, line ")


def test_a_folder_that_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no signals")
    says = (
        f"{tmp_path} is no Empatica E4 export: it has none of ACC.csv, BVP.csv, "
        "EDA.csv, HR.csv, IBI.csv, TEMP.csv"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        read(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    says = f"there is no file or folder {tmp_path / 'e4'}"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(says)}$"):
        read(tmp_path / "e4")


@pytest.mark.parametrize(
    "name",
    ["../EDA.csv", "/EDA.csv", "x/../../etc/passwd", "..\\EDA.csv", "C:\\EDA.csv"],
)
def test_a_zip_with_names_that_lead_out_of_it(tmp_path: Path, name: str) -> None:
    where = packed(tmp_path / "e4.zip", **{name: "1\n4\n"})
    says = (
        f"{where} has a file called {name!r}, which leads out of it; it is no export "
        "of Empatica's"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        read(where)


def test_a_zip_with_a_file_twice(tmp_path: Path) -> None:
    where = packed(tmp_path / "e4.zip")
    with (
        zipfile.ZipFile(where, "a") as file,
        pytest.warns(UserWarning, match="Duplicate name: 'EDA.csv'"),
    ):
        file.writestr("EDA.csv", FILES["EDA.csv"])
    says = f"{where} has more than one file for EDA.csv; an export has one"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        read(where)


def test_a_zip_with_two_exports(tmp_path: Path) -> None:
    where = packed(tmp_path / "e4.zip", **{"other/EDA.csv": FILES["EDA.csv"]})
    says = (
        f"{where} holds more than one session: choose one of '(no name)', 'other', as "
        "in --session (of physio export: --e4-session)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        read(where)
    assert len(read(where, session="other").streams) == 1
    with pytest.raises(ValueError, match=r"has no session 'third'; it has '\(no name"):
        read(where, session="third")


def test_two_files_of_tags(tmp_path: Path) -> None:
    where = folder(tmp_path / "e4", tags_S01="1500000000\n")
    says = f"{where} has more than one file for tags; an export has one"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        read(where)


def test_a_zip_that_would_blow_up(tmp_path: Path) -> None:
    rows = "0\n" * 2**20
    where = packed(tmp_path / "e4.zip", **{"EDA.csv": f"1500000000\n4\n{rows}"})
    with pytest.raises(ValueError, match=r"more than 200 times; no signal does$"):
        read(where)


def test_the_flat_signal_of_an_idle_sensor_may_pack_well(tmp_path: Path) -> None:
    rows = "0.000000\n" * 60_000
    where = packed(tmp_path / "e4.zip", **{"EDA.csv": f"1500000000\n4\n{rows}"})
    with zipfile.ZipFile(where) as file:
        member = file.getinfo("EDA.csv")
        assert member.file_size > export_files.RATIO * member.compress_size
    assert len(read(where).streams["e4.eda"][0]) == 60_000


def test_a_file_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_files, "MEMBER", 2**20)
    text = "1500000000\n4\n" + "0.1234567\n" * 200_000
    places = packed(tmp_path / "e.zip", **{"EDA.csv": text}), tmp_path / "e4"
    folder(tmp_path / "e4", EDA=text)
    for where in places:
        says = f"{where}: EDA.csv has 2 MB; at most 1 are read"
        with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
            read(where)


def test_an_encrypted_zip(tmp_path: Path) -> None:
    where = packed(tmp_path / "e4.zip")
    raw = bytearray(where.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1  # the first entry's flags say "encrypted"
    where.write_bytes(raw)
    says = f"{where}: EDA.csv is encrypted; unpack it first"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        read(where)


def test_a_zip_cut_short_anywhere(tmp_path: Path) -> None:
    whole = packed(tmp_path / "e4.zip").read_bytes()
    where = tmp_path / "cut.zip"
    for n in range(len(whole) - 1):
        where.write_bytes(whole[:n])
        with pytest.raises(ValueError, match="is no zip file that can be read"):
            read(where)


def test_no_damage_to_a_zip_gets_past_a_clear_error(tmp_path: Path) -> None:
    whole = packed(tmp_path / "e4.zip").read_bytes()
    where, rng = tmp_path / "bad.zip", np.random.default_rng(1)
    said = []
    for _ in range(400):
        raw = bytearray(whole)
        for at in rng.integers(len(raw), size=rng.integers(1, 4)):
            raw[at] = rng.integers(256)
        where.write_bytes(raw)
        try:
            read(where)
        except ValueError as error:
            said.append(str(error))
    # What is hit decides (dates and comments do not matter), but the packed samples
    # and the directory are more than half of the bytes.
    assert len(said) > 200
    assert all(text.startswith(str(where)) for text in said)


def test_a_real_session_of_an_hour(data: Path) -> None:
    found = read(data / "empatica_e4" / "session61min")
    counts = {name: len(block) for name, (block,) in found.streams.items()}
    assert counts == {
        "e4.eda": 14646,
        "e4.bvp": 234311,
        "e4.acc": 117156,
        "e4.temp": 14640,
        "e4.hr": 3651,
    }
    assert len(found.events["e4.ibi"]) == 570
    assert 60 * 61 <= found.seconds < 60 * 62
    weight = np.linalg.norm(found.streams["e4.acc"][0].data, axis=1)
    # At rest a wrist feels 1 g; the sensor's own offset and movement stay below 5 %.
    assert abs(np.median(weight) - 1.0) < 0.05


def test_a_wristband_off_the_wrist_loads(data: Path) -> None:
    found = read(data / "empatica_e4" / "offwrist33s")
    assert found.streams["e4.eda"][0].data.max() < 0.006
    assert found.streams["e4.temp"][0].data.max() < 25
    assert len(found.events["e4.tags"]) == 4


def test_zips_of_another_lab_load(data: Path) -> None:
    zips = sorted((data / "stress_predict" / "raw").glob("*.zip"))
    assert len(zips) == 11
    for path in zips:
        found = read(path)
        assert [b.info.rate for (b,) in found.streams.values()] == [4, 64, 32, 4, 1]
        # The sensors of one session end within 7 s of each other.
        ends = [block.complete_until for (block,) in found.streams.values()]
        assert max(ends) - min(ends) < 7.5
        assert len(found.events["e4.tags"]) >= 7
