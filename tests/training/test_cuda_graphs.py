"""A step in fixed memory is the step itself; on a GPU, recorded too."""

from collections.abc import Callable

import pytest
import torch

from latent_digits.models.networks import Autoencoder
from latent_digits.models.objectives import reconstruction
from latent_digits.training import loop as training
from latent_digits.training.cuda_graphs import EAGER_STEPS, Replayed, recorded
from latent_digits.training.initialization import initialised
from latent_digits.training.loop import Pairs, Recipe, fit


def history(monkeypatch: pytest.MonkeyPatch, device: str, record: Callable | None) -> list:
    """Two epochs of three batches of 32, as Steps takes them or replayed by `record`."""
    images = torch.randint(0, 256, (104, 1, 28, 28), dtype=torch.uint8, device=device)
    if record:
        init = training.Steps.__init__

        def replaying(self: training.Steps, *arguments: object) -> None:
            init(self, *arguments)
            self.take = Replayed(self.learn, self.batch_size, images.device, record)

        monkeypatch.setattr(training.Steps, "__init__", replaying)
    model = initialised(0, lambda: Autoencoder(4, dropout=0.0), 0.5)
    pairs = Pairs(images, images)
    return fit(model, reconstruction, pairs, pairs, Recipe("adam", 1e-2, 32, 2, 2), seed=1)


def test_a_replayed_step_is_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    calls = []

    def counted(run: Callable[[], None]) -> Callable[[], None]:
        def again() -> None:
            calls.append(1)
            run()

        return again

    monkeypatch.setattr(torch.Tensor, "is_cpu", False, raising=False)  # numbers as tensors
    expected = history(monkeypatch, "cpu", None)
    torch.manual_seed(0)
    actual = history(monkeypatch, "cpu", counted)
    assert len(calls) == 2 * 3 - EAGER_STEPS  # the short last batches are taken as they are
    for one, other in zip(actual, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_recorded_step_is_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    expected = history(monkeypatch, "cuda", lambda run: run)
    torch.manual_seed(0)
    actual = history(monkeypatch, "cuda", recorded)
    for one, other in zip(actual, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
