"""The flat optimizers are torch.optim's, step by step."""

import pytest
import torch
from torch import nn

from latent_digits.training.optimizers import (
    ETA,
    OPTIMIZERS,
    WARMUP,
    FlatParameters,
    Optimization,
    PolynomialDecayAverage,
    warmth,
)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(12, 2))


@pytest.mark.parametrize(
    ("name", "reference"), [("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
@pytest.mark.usefixtures("way")
def test_steps_equal_torch_optim(name: str, reference: type[torch.optim.Optimizer]) -> None:
    ours, theirs = network(), network()
    flat = FlatParameters(ours)
    optimizer = OPTIMIZERS[name](flat)
    expected = reference(theirs.parameters(), lr=0.01)  # type: ignore[call-arg]
    for step in range(1, 21):
        x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(step))
        ours(x).square().sum().backward()
        with torch.no_grad():
            optimizer.update(*optimizer.numbers(step, 0.01))
        expected.zero_grad()
        theirs(x).square().sum().backward()
        expected.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_the_model_shares_the_flat_values() -> None:
    model = network()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    flat = FlatParameters(model)
    for parameter, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), old)
    flat.values.zero_()
    assert all((parameter == 0).all() for parameter in model.parameters())


def test_frozen_parameters_are_left_out() -> None:
    model = network()
    next(model.parameters()).requires_grad_(False)
    flat = FlatParameters(model)
    assert len(flat.values) == sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_leaves_gradients_zero(name: str) -> None:
    model = network()
    flat = FlatParameters(model)
    model(torch.rand(2, 1, 4, 4)).sum().backward()
    assert flat.gradients.any()
    optimizer = OPTIMIZERS[name](flat)
    with torch.no_grad():
        optimizer.update(*optimizer.numbers(1, 0.1))
    assert not flat.gradients.any()


def test_the_average_spans_the_last_part_of_the_steps() -> None:
    flat = FlatParameters(network())
    average = PolynomialDecayAverage({"values": flat.values})
    for step in range(1, 1001):
        flat.values.fill_(float(step))
        average.update(*average.numbers(step))
    center = 1000 * (ETA + 1) / (ETA + 2)
    torch.testing.assert_close(
        average.values["values"], torch.full_like(flat.values, center), rtol=0.01, atol=0
    )


def test_the_average_of_one_step_is_that_step() -> None:
    flat = FlatParameters(network())
    average = PolynomialDecayAverage({"values": flat.values})
    flat.values.fill_(3.0)
    average.update(*average.numbers(1))
    assert torch.equal(average.values["values"], flat.values)


def test_buffers_are_averaged_and_whole_numbers_taken_over() -> None:
    norm = nn.BatchNorm1d(2)
    optimization = Optimization(norm, "sgd", lr=0.1)
    means = []
    for step in range(1, 6):
        norm(torch.randn(8, 2) + step)
        means.append(norm.running_mean.clone())
        optimization.update(optimization.next())
    expected = means[0]
    for step, mean in enumerate(means, start=1):
        expected = expected.lerp(mean, (ETA + 1) / (ETA + step))
    found = optimization.average.values
    torch.testing.assert_close(found["buffers.running_mean"], expected)
    assert found["buffers.num_batches_tracked"].item() == 5
    assert [len(buffer) for buffer in optimization.buffers()] == [2, 2, 2, 2]  # own and averaged
    own = norm.running_mean.clone()
    with optimization.average.in_place():
        assert torch.equal(norm.running_mean, found["buffers.running_mean"])
    assert torch.equal(norm.running_mean, own)


def test_a_buffer_that_a_model_replaces_is_averaged_too() -> None:
    class Counting(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 1)
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            self.seen = self.seen + len(input)
            return super().forward(input)

    model = Counting()
    optimization = Optimization(model, "sgd", lr=0.1)
    for _ in range(2):
        model(torch.zeros(5, 2))
        optimization.update(optimization.next())
    average = 5 + 5 * (ETA + 1) / (ETA + 2)
    assert optimization.state_dict()["buffers.seen"].item() == 10
    with optimization.average.in_place():
        assert model.seen.item() == pytest.approx(average)
    assert model.seen.item() == 10


def test_the_average_is_in_place_for_a_block_only() -> None:
    flat = FlatParameters(network())
    average = PolynomialDecayAverage({"values": flat.values})
    own = flat.values.clone()
    average.values["values"].fill_(7.0)
    with average.in_place():
        assert torch.all(flat.values == 7.0)
    assert torch.equal(flat.values, own)
    with pytest.raises(KeyboardInterrupt), average.in_place():
        raise KeyboardInterrupt
    assert torch.equal(flat.values, own)


def test_the_warm_up_is_linear_and_ends() -> None:
    assert [warmth(step, 200) for step in (1, 100, 200, 2000)] == [1 / 200, 0.5, 1.0, 1.0]


def test_an_optimization_counts_its_steps_warms_up_and_averages() -> None:
    model = network()
    optimization = Optimization(model, "sgd", lr=0.5)
    start = optimization.flat.values.clone()
    optimization.flat.gradients.fill_(1.0)
    optimization.update(optimization.next())
    first = start - 0.5 / WARMUP
    torch.testing.assert_close(optimization.flat.values, first)
    torch.testing.assert_close(optimization.average.values["values"], first)
    assert optimization.next() == [0.5 * 2 / WARMUP, (ETA + 1) / (ETA + 2)]
    assert optimization.steps == 2
    assert Optimization(network(), "sgd", lr=0.5, warmup=1000).next()[0] == 0.5 / 1000
