"""RBTransformer as published, and what we add: missing electrodes, a second head."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from physio.core.missing import MissingReason, missing_reason
from physio.io.montage import places
from physio.models.rbtransformer import (
    Dropout,
    RBTransformer,
    RBTransformerConfig,
    single_thread,
)


def net(seed: int = 0, **settings: object) -> RBTransformer:
    torch.manual_seed(seed)
    return RBTransformer(RBTransformerConfig(**settings)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("electrodes", "classes", "count"),
    [
        (32, 2, 664_834),  # DEAP, high or low
        (32, 9, 665_737),  # DEAP, nine classes
        (14, 2, 662_530),  # DREAMER, high or low
        (14, 5, 662_917),  # DREAMER, five classes
        (62, 3, 668_803),  # SEED
    ],
)
def test_it_has_as_many_parameters_as_published(
    electrodes: int, classes: int, count: int
) -> None:
    model = net(electrodes=electrodes, classes=classes)
    assert sum(p.numel() for p in model.parameters()) == count


def test_the_affect_head_is_six_wide_and_else_the_same() -> None:
    affect, two = net(head="affect"), net(classes=2)
    extra = sum(p.numel() for p in affect.parameters()) - sum(
        p.numel() for p in two.parameters()
    )
    assert affect.head[-1].out_features == 6
    assert extra == 4 * (128 + 1)


def test_attention_is_what_the_formula_says() -> None:
    model = net(electrodes=5)
    layer = model.blocks[0].attention
    x = torch.randn(2, 5, 128)
    mask = torch.ones(2, 5, dtype=torch.bool)
    got, _ = layer(x, mask)
    q, k, v = (x @ w.T for w in layer.qkv.weight.chunk(3))
    heads = [
        F.scaled_dot_product_attention(q[..., s], k[..., s], v[..., s])
        for s in (slice(32 * h, 32 * h + 32) for h in range(6))
    ]
    # float32 sums of 192 terms of order 1: 192 * 6e-8 is 1e-5
    torch.testing.assert_close(
        got, layer.out(torch.cat(heads, dim=-1)), rtol=0, atol=1e-5
    )


def test_attention_maps_are_shares_of_who_is_present() -> None:
    model = net(electrodes=6)
    x = torch.randn(3, 6, 4)
    mask = torch.tensor([[True] * 6, [True] * 5 + [False], [True] + [False] * 5])
    out, maps = model.attend(x, mask)
    assert out.shape == (3, 2)
    assert maps.shape == (3, 4, 6, 6, 6)
    torch.testing.assert_close(maps.sum(-1), torch.ones(3, 4, 6, 6))
    assert maps[1, ..., 5].max() == 0
    assert maps[2, ..., 0].min() == 1


def test_a_missing_electrode_has_no_say() -> None:
    model = net(electrodes=6, head="affect")
    x = torch.randn(1, 6, 4)
    mask = torch.tensor([[True, True, False, True, True, True]])
    other = x.clone()
    other[0, 2] = 1e6
    assert torch.equal(model(x, mask), model(other, mask))
    assert not torch.equal(model(x, mask), model(x))


def test_without_missing_ones_the_mask_changes_nothing() -> None:
    model = net(electrodes=6)
    x = torch.randn(2, 6, 4)
    assert torch.equal(model(x), model(x, torch.ones(2, 6, dtype=torch.bool)))


def test_electrodes_are_told_apart_by_their_identity_alone() -> None:
    model = net(electrodes=4)
    x = torch.randn(1, 4, 4)
    turned = x[:, [1, 2, 3, 0]]
    assert not torch.allclose(model(x), model(turned), atol=1e-4)
    with torch.no_grad():
        model.identity.zero_()
    # the same sums in another order, in float32
    torch.testing.assert_close(model(x), model(turned), rtol=0, atol=1e-5)


PLACES = tuple(tuple(p) for p in places(("Fp1", "Cz", "O2", "T7")).tolist())


def test_places_take_the_part_of_learned_vectors() -> None:
    model = net(electrodes=4, embedding="place", places=PLACES)
    x = torch.randn(1, 4, 4)
    order = [2, 0, 3, 1]
    turned = model.for_montage([PLACES[i] for i in order])
    # the same sums in another order, in float32
    torch.testing.assert_close(turned(x[:, order]), model(x), rtol=0, atol=1e-5)
    assert not torch.allclose(model(x[:, order]), model(x), atol=1e-4)


def test_on_fewer_electrodes_it_says_what_it_says_with_the_others_missing() -> None:
    model = net(electrodes=4, embedding="place", places=PLACES)
    x, mask = torch.randn(2, 4, 4), torch.tensor([[True, False, True, False]] * 2)
    few = model.for_montage(PLACES[::2])
    torch.testing.assert_close(few(x[:, ::2]), model(x, mask), rtol=0, atol=1e-5)
    assert few.config.electrodes == 2
    again = RBTransformer.restore(few.config.__dict__, few.arrays())
    assert torch.equal(again(x[:, ::2]), few(x[:, ::2]))


def test_a_network_that_learned_its_electrodes_runs_on_no_others() -> None:
    said = "^only a network with embedding = 'place' and pooling = 'mean' runs on other"
    with pytest.raises(ValueError, match=said):
        net(electrodes=4).for_montage(PLACES)
    with pytest.raises(ValueError, match=r"^4 electrodes with embedding = 'place' "):
        net(electrodes=4, embedding="place", places=PLACES[:2])


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_leaves_out_its_share_and_enlarges_the_rest(p: float) -> None:
    torch.manual_seed(0)
    layer = Dropout(p)
    x = torch.ones(101, 333, requires_grad=True)
    y = layer(x)
    out = y == 0
    # five standard deviations of a share of 33,633 draws
    assert abs(float(out.float().mean()) - p) < 5 * (p * (1 - p) / x.numel()) ** 0.5
    assert y[~out].unique().numel() == 1
    assert y.max().item() == pytest.approx(1 / (1 - p), rel=2e-5)  # p in 65536ths
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert layer.eval()(x) is x
    rows = (out.float().mean(0) - p).abs().max()
    assert rows < 6 * (p * (1 - p) / 101) ** 0.5  # no column is favoured


def test_without_attention_electrodes_do_not_mix() -> None:
    model = net(electrodes=4, attention=False, pooling="flat")
    assert not any("attention" in name for name, _ in model.named_parameters())
    x = torch.randn(1, 4, 4)
    other = x.clone()
    other[0, 2] += 1
    a, b = (
        model.blocks[1](model.blocks[0](model.embed(v), None)[0], None)[0]
        for v in (x, other)
    )
    kept = [0, 1, 3]
    assert torch.equal(a[:, kept], b[:, kept])
    assert not torch.equal(a[:, 2], b[:, 2])
    assert model.attend(x)[1].shape == (1, 4, 0, 4, 4)


def test_loss_of_affect_is_the_gaussian_likelihood_of_known_ratings() -> None:
    model = net(electrodes=4, head="affect")
    x = torch.randn(3, 4, 4)
    nan = float("nan")
    target = torch.tensor([[0.5, -0.2, nan], [nan, 0.1, nan], [-1.0, 0.9, nan]])
    mean, log_sd = model(x).chunk(2, dim=-1)
    expected = -torch.distributions.Normal(mean, log_sd.exp()).log_prob(
        target.nan_to_num()
    )
    terms = model.loss(x, target)
    assert list(terms) == ["valence", "arousal", "dominance"]
    torch.testing.assert_close(terms["valence"], expected[[0, 2], 0].mean())
    torch.testing.assert_close(terms["arousal"], expected[:, 1].mean())
    assert terms["dominance"] == 0
    sum(terms.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_loss_of_classes_smooths_the_labels() -> None:
    model = net(electrodes=4, classes=3)
    x, target = torch.randn(5, 4, 4), torch.tensor([0, 1, 2, 1, 0])
    expected = F.cross_entropy(model(x), target, label_smoothing=0.12)
    assert model.loss(x, target) == {"cross_entropy": expected}


def test_predict_leaves_out_electrodes_with_a_missing_band() -> None:
    model = net(electrodes=3, head="affect")
    z = np.random.default_rng(0).standard_normal(12)
    z[5] = MissingReason.POOR_QUALITY.nan
    mean, sd = model.predict(z, np.zeros(12))
    tokens = torch.tensor(np.nan_to_num(z), dtype=torch.float32).view(1, 3, 4)
    out = model(tokens, torch.tensor([[True, False, True]]))[0].detach().numpy()
    np.testing.assert_allclose(mean, out[:3], rtol=1e-6)
    np.testing.assert_allclose(sd, np.exp(out[3:]), rtol=1e-6)
    z[:] = MissingReason.POOR_QUALITY.nan
    assert set(missing_reason(model.predict(z, np.zeros(12))[0])) == {
        MissingReason.POOR_QUALITY
    }


def test_weights_of_another_size_are_refused() -> None:
    arrays = net(electrodes=4).arrays()
    with pytest.raises(
        ValueError, match=r"^these weights are not of .*identity differ"
    ):
        RBTransformer.restore({"electrodes": 8}, arrays)


def test_predicting_takes_one_thread_and_gives_the_others_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads()
    model, seen = net(electrodes=3, head="affect"), []

    def watched(*_: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return torch.zeros(1, 6)

    monkeypatch.setattr(model, "forward", watched)
    model.predict(np.zeros(12), np.zeros(12))
    assert seen == [1]
    assert torch.get_num_threads() == before


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_workers_inside_together_give_the_threads_back() -> None:
    outer, inner = single_thread(), single_thread()
    with ThreadPoolExecutor(1) as worker:
        for _ in range(2):
            outer.__enter__()
            worker.submit(inner.__enter__).result()
            outer.__exit__(None, None, None)  # the worker goes on
            assert worker.submit(torch.get_num_threads).result() == 1
            worker.submit(inner.__exit__, None, None, None).result()
            assert worker.submit(torch.get_num_threads).result() == 2
            outer, inner = single_thread(), single_thread()
    with ThreadPoolExecutor(1) as worker:  # as any new thread
        assert worker.submit(torch.get_num_threads).result() == 2
    with single_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
