"""What was recorded is done again: the same bits as anew, with the numbers that lie there now."""

from collections import Counter
from collections.abc import Callable
from threading import Thread

import pytest
import torch
from torch import Tensor

from latent_digits import engine
from latent_digits.engine import kernels
from latent_digits.engine.functional import add_total, noisy, pixels
from latent_digits.models.losses import accuracy, cross_entropy, mean_squared_error
from latent_digits.models.networks import Autoencoder, Classifier, Encoder, Head

IMAGES = torch.arange(40 * 784).remainder(251).to(torch.uint8).view(40, 1, 28, 28)


def step(model: torch.nn.Module, batch: Tensor, total: Tensor) -> None:
    """What a step of training does: noise, a loss, gradients."""
    x = pixels(IMAGES, batch)
    with engine.adding():
        loss = mean_squared_error(model(noisy(x, 0.5, 0.05, 0.3, 0.7)), x)
        loss.backward(torch.ones_like(loss))
    add_total(loss.detach(), total)


def classify(model: torch.nn.Module, batch: Tensor, total: Tensor) -> None:
    """Losses that the engine has no kernels for."""
    logits, labels = model(pixels(IMAGES, batch)), batch % 10
    loss = cross_entropy(logits, labels)
    loss.backward(torch.ones_like(loss))
    add_total(loss.detach() + accuracy(logits.detach(), labels), total)


@pytest.mark.parametrize("run", [step, classify])
def test_a_replay_follows_what_lies_in_its_memory(run) -> None:
    torch.manual_seed(0)
    model: torch.nn.Module = Autoencoder(9, 0.3)
    if run is classify:
        model = Classifier(Encoder(9, 0.3), Head(9, 12))
    engine.accelerate(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    batch, total = torch.arange(20), torch.zeros((), dtype=torch.float64)
    run(model, batch, total)
    with engine.Recording() as recording:
        run(model, batch, total)
    assert not recording.refused
    outcomes = []
    for take in (recording.replay, lambda: run(model, batch, total)):
        torch.manual_seed(1)
        batch.copy_(torch.arange(20, 40))
        total.zero_()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.grad.zero_()
        take()
        gradients = [parameter.grad.clone() for parameter in model.parameters()]
        outcomes.append([total.clone(), *gradients])
        assert total > 0
        assert any(gradient.any() for gradient in gradients)
    assert all(map(torch.equal, *outcomes))


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.nn.functional.rrelu(x, training=True),
    ],
    ids=["a number", "a mask", "places", "results beside what is changed"],
)
def test_what_a_replay_would_not_follow_is_said(work: Callable[[Tensor], object]) -> None:
    with engine.Recording() as recording:
        work(torch.tensor([-1.0, 2.0]))
    assert recording.refused


@pytest.mark.parametrize(
    ("work", "taken"),
    [
        (lambda x, y: x + y, True),
        (lambda x, y: x.t() + y.t(), True),
        (lambda x, y: torch.add(x, y, alpha=2), False),
        (lambda x, y: x + y.t().contiguous().t(), False),
        (lambda x, y: x + y[0], False),
        (lambda x, y: x + 1, False),
        (lambda x, y: x + torch._neg_view(y), True),
        (lambda x, y: x.double() + y, False),
    ],
    ids=[
        "rows",
        "columns",
        "a multiple",
        "laid out",
        "of rows",
        "number",
        "negated before",
        "doubles",
    ],
)
def test_sums_of_two_tensors_are_a_kernels(work, taken: bool) -> None:
    x, y = torch.rand(4, 3), torch.rand(4, 3)
    with engine.Recording() as recording:
        found = work(x, y)
    assert (recording.calls[-1][0] is kernels.sum_of_two) == taken
    x.copy_(torch.rand(4, 3))
    y.copy_(torch.rand(4, 3))
    recording.replay()
    assert torch.equal(found, work(x, y))


def test_images_by_their_numbers_are_followed() -> None:
    images, index = torch.rand(4, 3), torch.tensor([0, 1])
    with engine.Recording() as recording:
        found = pixels(images, index)
    assert not recording.refused
    index.copy_(torch.tensor([3, 2]))
    recording.replay()
    assert torch.equal(found, images[[3, 2]])


def test_another_thread_is_not_recorded() -> None:
    with engine.Recording() as outer:
        thread = Thread(target=pixels, args=(IMAGES,))
        thread.start()
        thread.join()
        assert not outer.calls
        with engine.Recording() as inner:
            pixels(IMAGES)
        pixels(IMAGES)
    assert len(outer.calls) == 2 * len(inner.calls) > 0


def test_nothing_is_recorded_after_the_block() -> None:
    with engine.Recording() as recording:
        pass
    pixels(IMAGES)
    noisy(torch.rand(2, 3), 0.1, 0.1, 0.1, 0.1)
    assert not recording.calls


WORKS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {  # and how often Python does them
    "alike": (lambda x: x * torch.rand(len(x)), 4),  # the first, the recorded, the last two
    "read in Python": (lambda x: x * x.sum().item(), 2 + 10),
    "of NumPy": (lambda x: torch.from_numpy(x.numpy() * 2), 3 + 10),
    "not a number": (lambda x: x / 0 * 0, 4),
    "laid out otherwise": (lambda x: x.expand(3, -1).clone().t(), 4),
    "answers": (lambda x: x > 0.5, 4),
    "half as wide": (lambda x: x.bfloat16(), 4),
}


@pytest.mark.parametrize("name", WORKS)
def test_each_of_some_batches_is_what_it_is_alone(name: str) -> None:
    work, often = WORKS[name]
    batches = [(one,) for one in torch.rand(48).split(5)]
    done: Counter[str] = Counter()

    def counted(x: Tensor) -> dict[str, Tensor]:
        done[name] += 1
        return {"y": work(x)}

    def each(repeatable: bool) -> list[bytes]:
        found = engine.each_of(batches, counted, torch.manual_seed, repeatable)
        return [values["y"].float().numpy().tobytes() for values in found]

    with torch.no_grad():
        expected = each(False)
        assert done.pop(name) == len(expected) == 10
        assert each(True) == expected
    assert done[name] == often


def test_a_few_batches_are_not_worth_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(engine.Recording, "__enter__")
    batches = [(torch.ones(2),)] * 7
    found = engine.each_of(batches, lambda x: {"y": x + 1}, lambda n: None, True)
    assert [values["y"].tolist() for values in found] == [[2.0, 2.0]] * 7
