"""Weights as folders: the stored example, copies, and the commands for them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from physio.cli import app
from physio.core.block import Origin
from physio.inference.stored_graph import StoredGraph
from physio.models import golden, model_card
from physio.models.baseline import BaselinePrior
from physio.models.linear import Linear, LinearConfig
from physio.training import share_weights
from physio.training.learner import Samples, silent
from physio.training.save_weights import minimal_card, store
from physio.training.sklearn_learner import SklearnLearner

SHIPPED = model_card.shipped_names()


def physio(*args: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in args])


def rest(features: int) -> BaselinePrior:
    ones = np.ones(features)
    return BaselinePrior(np.zeros(features), ones, ones, ones, ones * 60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return weights of a linear model of arousal."""
    rng = np.random.default_rng(0)
    model = Linear(
        LinearConfig(3, ("arousal",)), np.zeros(3), np.ones(3),
        0.3 * rng.normal(size=(1, 3)), np.zeros(1), np.full(1, 0.4),
    )  # fmt: skip
    columns = tuple((f"eda.{k}", "raw") for k in "abc")
    use = "physio.models.linear:Linear"
    card = minimal_card(use, columns, 60.0, Origin.MEASURED, ("arousal",))
    card = replace(card, licence="CC-BY-4.0", data="six participants")
    store(tmp_path / "mine", card, model, rest(3), (np.zeros(3), np.full(3, 0.5)))
    return tmp_path / "mine"


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_repeat_their_example(name: str) -> None:
    stored = model_card.load(name)
    assert stored.repeated()[1] <= golden.TOLERANCE
    largest = model_card.LIMIT
    files = (model_card.STORE / name).iterdir()
    assert all(f.stat().st_size < largest for f in files)


def change(folder: Path, name: str, index: int, hashed: bool) -> None:
    """Change one weight by 1 %, and let the hashes follow."""
    arrays = load_file(folder / "weights.safetensors")
    arrays[name].flat[index] *= 1.01
    if not hashed:
        save_file(arrays, folder / "weights.safetensors")
        return
    example = load_file(folder / golden.FILE)
    card = model_card.load(str(folder)).card
    example.pop("sha256")
    model_card.save(folder, card, arrays, example)


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("hashed", [False, True])
def test_one_weight_changed_by_a_hundredth_is_refused(
    folder: Path, index: int, hashed: bool
) -> None:
    change(folder, "model.slope", index, hashed)
    sentence = "do not repeat their stored example" if hashed else "sha256 differs"
    model_card._load.cache_clear()
    with pytest.raises(ValueError, match=sentence):
        model_card.load(str(folder)).model()
    done = physio("weights", "check", folder)
    assert done.exit_code != 0
    assert sentence in str(done.exception)


def test_a_stored_tolerance_does_not_exceed_the_usual_one(folder: Path) -> None:
    example = load_file(folder / golden.FILE)
    example.pop("sha256")
    example["mean"] += 0.01
    example["tolerance"][:] = 100.0
    card, arrays = model_card.load(str(folder)).card, model_card.read_arrays(folder)
    model_card.save(folder, card, arrays, example)
    model_card._load.cache_clear()
    with pytest.raises(ValueError, match=r"by 0\.01, more than 0\.0001"):
        model_card.load(str(folder)).model()


def test_only_networks_of_braindecode_itself_need_no_trust(folder: Path) -> None:
    stored = model_card.load(str(folder))
    for network in ("braindecode.util:np", "braindecode.models.base:EEGModuleMixin"):
        card = replace(stored.card, config={**stored.card.config, "network": network})
        with pytest.raises(ValueError, match="--trust braindecode would allow it"):
            replace(stored, card=card).model()


@pytest.mark.parametrize(
    ("licence", "name"),
    [
        ("CC BY 4.0", "cc-by-4.0"),
        ("CC-BY-4.0; CC BY 4.0", "cc-by-4.0"),
        ("CC0", "cc0-1.0"),
        ("ODC-By 1.0", "odc-by"),
        ("BSD-3-Clause", "bsd-3-clause"),
        ("MIT", "mit"),
        ("CC-BY-NC-4.0", "cc-by-nc-4.0"),
        ("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0"),
        ("CC BY 4.0; MIT", "other"),
        ("CC BY 4.0; not stated", "other"),
        ("CC BY 4.0, Synapse syn50614194", "other"),
        ("commercial use not permitted", "other"),
        ("", "other"),
    ],
)
def test_a_page_states_a_licence_only_if_it_is_the_whole(
    folder: Path, licence: str, name: str
) -> None:
    stored = model_card.load(str(folder))
    weights = replace(stored, card=replace(stored.card, licence=licence))
    head = share_weights.page(weights).split("---")[1].splitlines()
    assert f"license: {name}" in head
    assert (f'license_name: "{licence}"' in head) == (name == "other")


def test_weights_without_their_example_are_refused(folder: Path) -> None:
    (folder / golden.FILE).unlink()
    model_card._load.cache_clear()
    with pytest.raises(ValueError, match="have no stored example"):
        model_card.load(str(folder)).model()


def test_an_example_of_other_weights_is_refused(folder: Path) -> None:
    example = load_file(folder / golden.FILE)
    save_file({**example, "sha256": np.zeros(32, np.uint8)}, folder / golden.FILE)
    model_card._load.cache_clear()
    with pytest.raises(ValueError, match="the example of other weights"):
        model_card.load(str(folder))


def test_a_graph_is_a_file_of_its_own(tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 2))
    samples = Samples(
        x, x[:, :1] * 0.3, np.repeat(list("abcdef"), 10), np.zeros(60, int),
        np.full(60, ""), np.arange(60.0), targets=("arousal",),
    )  # fmt: skip
    model = SklearnLearner(Ridge()).fit(samples, silent)
    use = "physio.inference.stored_graph:StoredGraph"
    columns = (("eda.a", "raw"), ("eda.b", "raw"))
    card = minimal_card(use, columns, 60.0, Origin.MEASURED, ("arousal",))
    path = tmp_path / "forest"
    store(path, card, model, rest(2), (np.zeros(3), np.full(3, 0.5)))
    assert (path / "model.onnx").stat().st_size > 100
    again = model_card.load(str(path)).model()
    assert isinstance(again, StoredGraph)
    z = np.array([0.3, -0.1])
    np.testing.assert_array_equal(again.predict(z, z), model.predict(z, z))
    raw = bytearray((path / "model.onnx").read_bytes())
    raw[-30] ^= 1
    (path / "model.onnx").write_bytes(raw)
    model_card._load.cache_clear()
    with pytest.raises(ValueError, match="sha256 differs"):
        model_card.load(str(path))


def test_weights_of_ones_own_may_be_large(folder: Path) -> None:
    stored = model_card.load(str(folder))
    example = {k: v for k, v in stored.golden.items() if k != "sha256"}
    arrays = {**stored.arrays, "more": np.zeros(500_000)}
    model_card.save(folder, stored.card, arrays, example)
    model_card._load.cache_clear()
    assert model_card.load(str(folder)).arrays["more"].nbytes > model_card.LIMIT


def test_copies_through_a_folder_are_the_same_weights(folder: Path) -> None:
    out, back = folder.parent / "repository", folder.parent / "back"
    done = physio("weights", "push", folder, out)
    assert done.exit_code == 0, done.output
    page = (out / share_weights.PAGE).read_text("utf-8")
    assert page.startswith("---\nlibrary_name: physio-affect\nlicense: cc-by-4.0\n")
    assert "six participants" in page
    done = physio("weights", "pull", out, back)
    assert done.exit_code == 0, done.output
    for name in ("card.json", "weights.safetensors", golden.FILE):
        assert (back / name).read_bytes() == (folder / name).read_bytes()
    assert f'reads it as experts = [{{ weights = "{back}" }}]' in done.output
    assert "# back" in (back / "CARD.md").read_text("utf-8")
    again = physio("weights", "pull", out, back)
    assert "give a new folder" in str(again.exception)


def test_the_hub_is_refused_without_a_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    sentence = "the Hugging Face hub does not give access to 'nobody/nothing'"
    with pytest.raises(ValueError, match=sentence):
        share_weights.pull("nobody/nothing", folder.parent / "new")
    with pytest.raises(ValueError, match=sentence):
        share_weights.push(str(folder), "nobody/nothing")
    assert not (folder.parent / "new").exists()
    with pytest.raises(ValueError, match="neither a folder nor a repository"):
        share_weights.pull("no such place", folder.parent / "new")


def test_lists_show_what_weights_estimate(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "card.json").write_text("{}", "utf-8")
    done = physio("weights", "list", tmp_path, "--json", tmp_path / "list.json")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "list.json").read_text("utf-8"))
    names = [row["name"] for row in found["weights"]]
    assert set(names) == {*SHIPPED, "mine"}
    assert "refused: " in done.output
    shown = physio("weights", "show", folder)
    assert "| estimates | arousal |" in shown.output
    checked = physio("weights", "check", folder)
    assert "the stored example is repeated within 0" in checked.output
