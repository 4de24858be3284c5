"""Training a network: it learns, repeats bit for bit, and goes on where it stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from physio.core.block import Array
from physio.models.rbtransformer import Dropout, RBTransformer, RBTransformerConfig
from physio.training import checkpoint
from physio.training.checkpoint import Checkpoints
from physio.training.trainer import RandomBits, Run, TrainingConfig, fit

SIZE = RBTransformerConfig(3, width=16, blocks=2, heads=2, head_width=8)
SCHEDULE = TrainingConfig(6, (64, 32), missing=0.5, jitter=0.1, clip=1.0)


def windows(n: int = 150) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3, 4))
    return x, (x[:, 0, 0] + x[:, 2, 1] > 0).astype(np.int64)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return all(torch.equal(p, q) for p, q in pairs)


def test_it_learns_ratings_of_participants() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((400, 3, 4))
    ratings = np.tanh(tokens[:, 0, :3]) + 0.1 * rng.standard_normal((400, 3))
    ratings[:200, 2] = np.nan
    size = RBTransformerConfig(3, head="affect", blocks=1, width=32)
    model = fit(size, tokens, ratings, TrainingConfig(25, (64,), clip=1.0), 1).model
    told = np.array([model.predict(t.ravel(), t)[0] for t in tokens])
    assert np.corrcoef(told[:, 1], ratings[:, 1])[0, 1] > 0.8
    assert np.corrcoef(told[:200, 2], np.tanh(tokens[:200, 0, 2]))[0, 1] > 0.8


def test_the_same_seed_gives_the_same_bits_and_leaves_chance_as_it_was() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, again, other = (fit(SIZE, *windows(), SCHEDULE, s) for s in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert one.losses == again.losses
    assert same(one.model, again.model)
    assert not same(one.model, other.model)
    assert not one.model.training


class StoppedError(Exception):
    """As if somebody had pulled the plug."""


@pytest.mark.parametrize("last", [0, 2, 4])
def test_a_run_that_was_stopped_ends_with_the_same_bits(
    tmp_path: Path, last: int
) -> None:
    whole = fit(SIZE, *windows(), SCHEDULE, 1)
    stored = Checkpoints(tmp_path, every=2)

    def stop(epoch: int, loss: float) -> None:  # noqa: ARG001
        if epoch == last:
            raise StoppedError

    with pytest.raises(StoppedError):
        fit(SIZE, *windows(), SCHEDULE, 1, checkpoints=stored, on_progress=stop)
    seen: list[int] = []
    again = fit(
        SIZE, *windows(), SCHEDULE, 1, checkpoints=stored,
        on_progress=lambda epoch, _: seen.append(epoch),
    )  # fmt: skip
    assert seen == list(range(2 * ((last + 1) // 2), 6))
    assert again.losses == whole.losses
    assert same(again.model, whole.model)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    stored = Checkpoints(tmp_path)
    fit(SIZE, *windows(), SCHEDULE, 1, checkpoints=stored)
    with pytest.raises(ValueError, match=r"is of a run with other settings, data or"):
        fit(SIZE, *windows(), replace(SCHEDULE, rate=2e-3), 1, checkpoints=stored)
    with pytest.raises(ValueError, match=r"is of a run with other settings, data or"):
        fit(SIZE, *windows(149), SCHEDULE, 1, checkpoints=stored)
    (tmp_path / checkpoint.NAME).write_bytes(b"no")
    with pytest.raises(ValueError, match=r"is no checkpoint: "):
        fit(SIZE, *windows(), SCHEDULE, 1, checkpoints=stored)


def test_the_schedule_is_the_published_one() -> None:
    schedule = TrainingConfig()
    assert [schedule.batch(e) for e in (0, 149, 150, 299)] == [256, 256, 64, 64]
    rates = [schedule.rate_of(e) for e in range(301)]
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=1e-3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300, eta_min=1e-6)
    expected = []
    for _ in range(301):
        expected.append(cosine.get_last_lr()[0])
        optimizer.step()
        cosine.step()
    # torch goes from one rate to the next: 300 roundings
    np.testing.assert_allclose(rates, expected, rtol=1e-10)
    with pytest.raises(ValueError, match=r"^missing must be from 0 to below 1, not 1$"):
        TrainingConfig(missing=1)


def test_bits_drawn_at_once_are_those_that_layers_use() -> None:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(Dropout(0.5), Dropout(0.5))
    noise = RandomBits(layers, torch.ones(8, 16))
    first = layers(torch.ones(8, 16))
    assert torch.equal(first, layers(torch.ones(8, 16)))  # until bits are drawn anew
    noise.draw()
    assert not torch.equal(first, layers(torch.ones(8, 16)))
    assert layers(torch.ones(3, 16)).shape == (3, 16)  # a last batch is smaller


def test_windows_keep_an_electrode_at_least() -> None:
    torch.manual_seed(0)
    x = torch.zeros(500, 3, 4)
    x[:, 0, 1] = torch.nan  # never there
    told = torch.zeros(500, dtype=torch.int64)
    for windows, least in ((x, 1), (torch.zeros_like(x), 0)):
        run = Run(RBTransformer(SIZE), (windows, told), TrainingConfig(missing=0.99))
        varied, mask = run._varied(torch.arange(500))
        assert mask is not None
        assert mask.any(dim=1).all()
        assert not mask[:, :least].any()
        assert 0.4 < float(mask[:, least:].float().mean()) < 0.7  # from all to one
        assert varied.isfinite().all()
    run = Run(RBTransformer(SIZE), (x, told), TrainingConfig())
    assert run._varied(torch.arange(5))[1].sum() == 10
    assert torch.isfinite(run.step(torch.arange(64)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_says_what_the_cpu_says() -> None:
    size = replace(SIZE, dropout=0.0)
    schedule = TrainingConfig(3, (64,))
    cpu = fit(size, *windows(), schedule, 1)
    gpu = fit(size, *windows(), replace(schedule, device="cuda"), 1)
    # Sums in another order, float32, through nine steps of an adaptive optimiser.
    np.testing.assert_allclose(gpu.losses, cpu.losses, rtol=1e-3)
    x = torch.as_tensor(windows()[0], dtype=torch.float32)
    torch.testing.assert_close(gpu.model(x), cpu.model(x), rtol=0, atol=1e-2)
