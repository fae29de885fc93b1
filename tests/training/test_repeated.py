"""Recorded steps train as steps do, to the bit; where they would not, none is used."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from latent_digits import engine
from latent_digits.console import UserError
from latent_digits.models.networks import Autoencoder, VariationalAutoencoder
from latent_digits.models.objectives import (
    NegativeElbo,
    Reconstruction,
    negative_elbo,
    reconstruction,
)
from latent_digits.study.noise import Noise
from latent_digits.training import repeated
from latent_digits.training.cores import Cores
from latent_digits.training.initialization import initialised
from latent_digits.training.loop import Pairs, Recipe, fit

SEVERAL = 8 * 16 + 5  # images: eight batches, and a small one
Networks = Callable[[], nn.Module]


@pytest.fixture(autouse=True)
def one_thread_again() -> Iterator[None]:
    yield
    engine.use_threads(1)


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for each replay. What trains beside, in another test, gives no thread and takes none."""
    monkeypatch.setattr(repeated, "FEWEST", 2)
    monkeypatch.setattr(Cores, "share", lambda self: None)
    found: list[int] = []
    replay = engine.Recording.replay

    def counted(self: engine.Recording) -> None:
        found.append(1)
        replay(self)

    monkeypatch.setattr(engine.Recording, "replay", counted)
    return found


def history(
    build: Networks, objective: Any, corrupt: Any = None, on_epoch: Any = lambda checkpoint: None
) -> list[dict[str, float]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (SEVERAL, 1, 28, 28), dtype=torch.uint8, generator=generator)
    pairs, recipe = Pairs(images, images), Recipe("adam", 1e-2, 16, 3, 3, warmup=2)
    model = initialised(0, build, 0.5)
    return fit(model, objective, pairs, pairs, recipe, 1, corrupt, on_epoch=on_epoch)


CASES: dict[str, tuple[Networks, Any, Any]] = {
    "autoencoder": (lambda: Autoencoder(4, 0.3), reconstruction, None),
    "denoiser": (lambda: Autoencoder(4, 0.3), reconstruction, Noise(0.5, 0.3, 0.05, 0.5)),
    "VAE": (lambda: VariationalAutoencoder(4), negative_elbo, None),
    "β-VAE": (lambda: VariationalAutoencoder(4), NegativeElbo(2.0), None),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_recorded_steps_train_to_the_same_bits(
    replays: list[int], monkeypatch: pytest.MonkeyPatch, case: tuple[Networks, Any, Any]
) -> None:
    actual = history(*case)
    assert len(replays) == 3 * (8 - 2 + 2)  # of each epoch all but two, and two checks
    monkeypatch.setattr(repeated, "FEWEST", 100)
    assert history(*case) == actual
    assert len(replays) == 3 * (8 - 2 + 2)


def test_more_threads_are_recorded_anew(
    replays: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = history(*CASES["VAE"])
    counts = iter([1, 1, 1, 1, 2, 2, 1] + [2] * 100)
    monkeypatch.setattr(
        "latent_digits.training.cores.Cores.share", lambda self: engine.use_threads(next(counts))
    )
    before = len(replays)
    assert history(*CASES["VAE"]) == expected
    assert len(replays) > before


class Counting(Reconstruction):
    """An objective whose weight depends on how often it was asked."""

    def __init__(self, weight_at: Callable[[int], float]):
        self.weight_at, self.asked = weight_at, 0

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor) -> dict[str, Tensor]:
        self.asked += model.training
        return {"loss": super().__call__(model, x, target)["loss"] * self.weight_at(self.asked)}


def test_an_objective_that_changes_at_each_step_is_never_replayed(replays: list[int]) -> None:
    history(lambda: Autoencoder(4, 0.3), Counting(lambda asked: 1 / asked))
    assert len(replays) == 1  # the first check


def test_one_that_changes_within_an_epoch_is_refused(
    replays: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = Counting(lambda asked: 1.0 if len(replays) < 4 else 0.5)
    with pytest.raises(UserError, match="let it change at every step"):
        history(lambda: Autoencoder(4, 0.3), objective)


def test_one_that_has_changed_is_refused_before_other_threads_record_it_anew(
    replays: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([1] * 6 + [2] * 100)
    monkeypatch.setattr(
        "latent_digits.training.cores.Cores.share", lambda self: engine.use_threads(next(counts))
    )
    objective = Counting(lambda asked: 1.0 if len(replays) < 3 else 0.5)
    with pytest.raises(UserError, match="let it change at every step"):
        history(lambda: Autoencoder(4, 0.3), objective)
    assert len(replays) < 8  # the epoch had not ended


def test_one_that_changes_between_epochs_is_followed(
    replays: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> list[dict[str, float]]:
        weights = [1.0]
        objective = Counting(lambda asked: weights[-1])
        halve = lambda checkpoint: weights.append(weights[-1] / 2)  # noqa: E731
        return history(lambda: Autoencoder(4, 0.3), objective, on_epoch=halve)

    actual = run()
    assert len(replays) == 3 * 8
    monkeypatch.setattr(repeated, "FEWEST", 100)
    assert run() == actual


def test_layers_left_to_pytorch_buffers_and_hooks_are_not_recorded() -> None:
    stack = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU())
    assert engine.is_repeatable(engine.accelerate(stack))
    assert not engine.is_repeatable(engine.accelerate(nn.Sequential(nn.Linear(4, 4), nn.GELU())))
    handle = stack.register_forward_hook(lambda *arguments: None)
    assert not engine.is_repeatable(stack)
    handle.remove()
    handle = next(stack.parameters()).register_hook(lambda gradient: gradient)
    assert not engine.is_repeatable(stack)
    handle.remove()
    for layer, taken in zip(stack, (False, True), strict=True):
        handle = layer.register_forward_hook(engine.Watch(torch.zeros(8, dtype=torch.bool)))
        with torch.no_grad():
            assert engine.is_repeatable(stack) == taken
        handle.remove()
    with register_module_forward_hook(lambda *arguments: None):
        assert not engine.is_repeatable(stack)
    assert engine.is_repeatable(stack)
    stack.register_buffer("seen", torch.zeros(1))
    assert not engine.is_repeatable(stack)


def test_what_numpy_computes_is_not_replayed(
    replays: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mirrored(x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy()[..., ::-1].copy())

    actual = history(lambda: Autoencoder(4, 0.3), reconstruction, mirrored)
    assert not replays
    monkeypatch.setattr(repeated, "FEWEST", 100)
    assert history(lambda: Autoencoder(4, 0.3), reconstruction, mirrored) == actual
