"""What was recorded is done again: the same bits as anew, with the numbers that lie there now."""

import copy
import gc
import weakref
from collections import Counter
from collections.abc import Callable
from threading import Thread

import numpy as np
import pytest
import torch
from torch import Tensor

from latent_digits import engine
from latent_digits.engine import kernels
from latent_digits.engine.functional import add_total, noisy, note_positive, pixels
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
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: np.from_dlpack(x),
        lambda x: x.tolist(),
        lambda x: x.apply_(abs),
        lambda x: copy.deepcopy(x),
        lambda x: torch.tensor([x[0], x[1]]),
        lambda x: x.new_tensor((x[0],)),
        lambda x: torch.tensor(data=[x[0]]),
        lambda x: torch.nn.functional.rrelu(x, training=True),
    ],
    ids=[
        "a number",
        "a mask",
        "places",
        "by NumPy",
        "as an array",
        "as another's",
        "as a list",
        "by a function",
        "copied",
        "in a list",
        "in a tuple",
        "in a list by name",
        "results beside what is changed",
    ],
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


def test_a_recording_holds_the_memory_that_it_replays() -> None:
    images, index = IMAGES.clone(), torch.arange(3)
    y, noted = torch.ones(2, 3), torch.zeros(2, dtype=torch.bool)
    alive = [weakref.ref(one) for one in (images, index, y, noted)]
    with engine.Recording() as recording:
        found = pixels(images, index)
        note_positive(y, noted)
    del images, index, y, noted
    gc.collect()
    assert all(one() is not None for one in alive)
    found.zero_()
    recording.replay()
    assert torch.equal(found, pixels(IMAGES, torch.arange(3)))
    del recording, found
    gc.collect()
    assert not any(one() is not None for one in alive)


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


place = [0]  # of a batch


def seed_batch(n: int) -> None:
    torch.manual_seed(n)
    place[0] = n


WORKS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {  # and how often Python does them
    "alike": (lambda x: x * torch.rand(len(x)), 4),  # the first, the recorded, the last two
    "read in Python": (lambda x: x * x.sum().item(), 2 + 10),
    "of NumPy": (lambda x: torch.from_numpy(x.numpy() * 2), 2 + 10),
    "of a list": (lambda x: x * max(x.tolist()), 2 + 10),
    "by a number of Python's": (lambda x: x * place[0], 3 + 10),
    "a sum": (lambda x: x.sum(), 4),
    "not a number": (lambda x: x / 0 * 0, 4),
    "one of several": (lambda x: torch.stack([x, x], 1)[:, 0], 4),
    "all the same": (lambda x: x.sum().expand(len(x)), 4),
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
        found = engine.each_of(batches, counted, seed_batch, repeatable)
        return [values["y"].float().numpy().tobytes() for values in found]

    with torch.no_grad():
        expected = each(False)
        assert done.pop(name) == len(expected) == 10
        assert each(True) == expected
    assert done[name] == often


def test_what_was_noted_in_vain_is_taken_back() -> None:
    noted = torch.zeros(17, dtype=torch.bool)

    def work(x: Tensor) -> dict[str, Tensor]:
        y = x + place[0]  # twice the place, unless it is replayed
        note_positive((torch.arange(17) == y).float(), noted)
        return {"y": y}

    batches = [(torch.full((1,), n),) for n in range(9)]
    with torch.no_grad():
        engine.each_of(batches, work, seed_batch, True, [noted])
    assert noted.nonzero().flatten().tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16]


def test_a_few_batches_are_not_worth_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(engine.Recording, "__enter__")
    batches = [(torch.ones(2),)] * 7
    found = engine.each_of(batches, lambda x: {"y": x + 1}, lambda n: None, True)
    assert [values["y"].tolist() for values in found] == [[2.0, 2.0]] * 7
