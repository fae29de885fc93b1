"""Any number of threads gives the bits of one, and none is left waiting or lost."""

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Thread, active_count
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from latent_digits import engine
from latent_digits.engine import kernels, team
from latent_digits.models.architecture import Architecture
from latent_digits.models.networks import Autoencoder, VariationalAutoencoder

LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import torch
from torch import nn
from latent_digits import engine

engine.use_threads(int(sys.argv[1]))
model = engine.accelerate(nn.Sequential(nn.Linear(2, 2)))
model(torch.ones(8, 2)).sum().backward()
y = model(torch.ones(4_000_000, 2))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 190_000_000, -1))  # 256 MB are asked for
y.sum().backward()
"""


@pytest.fixture(autouse=True)
def one_thread_again() -> Iterator[None]:
    yield
    engine.use_threads(1)


@pytest.fixture
def divided(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many threads each run of a chain was given."""
    counts: list[int] = []
    for name in ("forwards", "backwards"):
        original = getattr(kernels, name)

        def run(*arguments: Any, original: Any = original) -> None:
            counts.append(arguments[1])
            original(*arguments)

        monkeypatch.setattr(kernels, name, run)
    return counts


def network(kind: str) -> nn.Module:
    torch.manual_seed(0)
    odd = Architecture(32, (3, 7, 5), 31)  # channels and units that no number of threads divides
    if kind == "VAE":
        return engine.accelerate(VariationalAutoencoder(50))
    return engine.accelerate(Autoencoder(9, 0.3, odd) if kind == "odd" else Autoencoder(50, 0.3))


def step(model: nn.Module, images: int, scale: float = 1.0) -> list[Tensor]:
    """The outputs, and the gradients of the input and of all parameters."""
    side = 32 if model.get_submodule("decoder")[-2].weight.shape[0] == 3 else 28  # type: ignore[index,union-attr]
    torch.manual_seed(1)
    x = (torch.rand(images, 1, side, side) * scale).requires_grad_()
    model.zero_grad()
    outputs = model(x)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    sum(y.square().sum() * scale for y in outputs).backward()  # type: ignore[union-attr]
    return [*outputs, x.grad, *(p.grad for p in model.parameters())]  # type: ignore[list-item]


@pytest.mark.parametrize("kind", ["autoencoder", "VAE", "odd"])
@pytest.mark.parametrize("images", [128, 77, 1])
def test_any_number_of_threads_gives_the_same_bits(
    kind: str, images: int, divided: list[int]
) -> None:
    model = network(kind)
    expected = step(model, images)
    for count in (2, 3, 5, 1):
        divided.clear()
        engine.use_threads(count)
        for _ in range(3):
            for one, other in zip(step(model, images), expected, strict=True):
                assert torch.equal(one, other)
        assert {*divided} == {count}


@pytest.mark.parametrize("flush", [True, False])
def test_all_threads_take_the_smallest_numbers_as_the_caller_does(flush: bool) -> None:
    model = network("autoencoder")
    try:
        torch.set_flush_denormal(flush)
        one = step(model, 128, scale=1e-19)
        engine.use_threads(2)
        two = step(model, 128, scale=1e-19)
        torch.set_flush_denormal(False)
        smallest = [(x.abs() < 1e-38).logical_and(x != 0).any().item() for x in one]
    finally:
        torch.set_flush_denormal(False)
    assert any(smallest) == (not flush)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_helper_that_takes_no_part_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is asked for, but waits for a core, does not come."""
    model = network("autoencoder")
    expected = step(model, 128)
    monkeypatch.setattr(team, "threads", lambda: 3)
    assert all(torch.equal(a, b) for a, b in zip(step(model, 128), expected, strict=True))


def test_a_helper_takes_parts() -> None:
    model = network("autoencoder")
    engine.use_threads(2)
    helped = team.word(kernels.HELPED)
    before, deadline = helped[0], time.monotonic() + 60
    while helped[0] == before:
        step(model, 128)
        assert time.monotonic() < deadline


def test_what_a_part_lacks_is_told_once() -> None:
    """By whichever thread it was done."""
    model = network("autoencoder")
    expected = step(model, 128)
    engine.use_threads(2)
    team.word(kernels.FAILED)[0] = 1
    with pytest.raises(MemoryError, match="too little memory for a step"):
        step(model, 128)
    assert all(torch.equal(a, b) for a, b in zip(step(model, 128), expected, strict=True))


@pytest.mark.parametrize("threads", ["1", "2"])
def test_too_little_memory_within_a_part_is_told(threads: str) -> None:
    command = [sys.executable, "-c", LITTLE_MEMORY, threads]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.stderr.endswith(
        "MemoryError: there is too little memory for a step of the network\n"
    )


def test_threads_that_are_not_to_be_had_are_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", Mock(side_effect=RuntimeError("can't start new thread")))
        engine.use_threads(3)
    assert team.threads() == 1
    engine.use_threads(2)
    assert team.threads() == 2


def test_several_threads_may_ask_for_helpers() -> None:
    askers = [
        Thread(target=lambda: [engine.use_threads(count) for count in (1, 2, 3) * 20])
        for _ in range(3)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)
        assert not asker.is_alive()


def test_helpers_end_and_begin_again() -> None:
    before = active_count()
    for count in (3, 2, 2, 4, 1):
        engine.use_threads(count)
        assert active_count() == before + count - 1


def sums(results: Any) -> None:
    results.put([x.sum().item() for x in step(network("autoencoder"), 128)])


def computed_and_forked(results: Any) -> None:
    torch.set_num_threads(1)  # OpenMP's own do not survive a fork
    engine.use_threads(2)
    sums(results)
    child = multiprocessing.get_context("fork").Process(target=sums, args=(results,))
    child.start()
    child.join(30)
    sys.exit(child.exitcode)


def test_a_fork_has_one_thread_and_computes() -> None:
    # In a process of its own: where FakeTensorMode was used, as exports do, PyTorch lets none fork.
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=computed_and_forked, args=(results,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert results.get() == results.get()


def test_python_goes_on_beside_a_helper() -> None:
    """That computes, and waits, without Python's lock."""
    engine.use_threads(2)
    ticks = []
    thread = Thread(target=lambda: ticks.extend(time.monotonic() for _ in range(1000)))
    thread.start()
    thread.join(20)
    assert len(ticks) == 1000


def test_a_process_ends_with_helpers_as_without() -> None:
    script = "from latent_digits import engine; engine.use_threads(3); print('done')"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
