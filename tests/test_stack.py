"""A stack is the same chain of PyTorch's layers, in values, gradients and memory."""

import gc
import weakref

import pytest
import torch
from torch import nn

from latent_digits.dropout import ReluDropout
from latent_digits.stack import Linear, Reshape, Sigmoid, Stack


def pair() -> tuple[Stack, nn.Sequential]:
    torch.manual_seed(0)
    ours = Stack(Linear(6, 5), ReluDropout(0.0), Linear(5, 8), Reshape(2, 2, 2), Sigmoid())
    theirs = nn.Sequential(
        nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 8), nn.Unflatten(1, (2, 2, 2)), nn.Sigmoid()
    )
    names = list(theirs.state_dict())
    theirs.load_state_dict(dict(zip(names, ours.state_dict().values(), strict=True)))
    return ours, theirs


def test_values_and_gradients() -> None:
    ours, theirs = pair()
    one, other = (torch.arange(18.0).view(3, 6).div(9).requires_grad_() for _ in range(2))
    actual, expected = ours(one), theirs(other)
    torch.testing.assert_close(actual, expected)
    actual.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(one.grad, other.grad)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_data_needs_no_gradient_and_gets_none() -> None:
    layer = Linear(6, 5)
    y, saved = layer.run(torch.rand(6, 3))
    of_x, of_parameters = layer.vjp(saved, y, first=True)
    assert of_x is None
    assert [g.shape for g in of_parameters] == [p.shape for p in layer.parameters()]


def test_without_gradients_the_values_are_the_same_and_the_input_stays() -> None:
    ours, _ = pair()
    x = torch.rand(6, 3).t()  # batch-last, so that the stack reads it without a copy
    before = x.clone()
    with torch.no_grad():
        without = ours(x)
    assert torch.equal(without, ours(x))
    assert torch.equal(x, before)


def test_stacks_share_an_input() -> None:
    (one, _), (other, _) = pair(), pair()
    x = torch.rand(3, 6, requires_grad=True)
    (one(x) + 2 * other(x)).sum().backward()
    y = torch.rand(3, 6).copy_(x.detach()).requires_grad_()
    one(y).sum().backward()
    torch.testing.assert_close(x.grad, 3 * y.grad)


def test_an_output_is_freed_without_the_garbage_collector() -> None:
    ours, _ = pair()
    gc.disable()
    try:
        y = ours(torch.rand(3, 6))
        gone = weakref.ref(y)
        del y
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "layers",
    [
        lambda: (Sigmoid(), Linear(2, 2)),
        lambda: (Linear(2, 2), ReluDropout(0.1), Sigmoid()),
        lambda: (Linear(2, 2), ReluDropout(0.1), Reshape(2), Sigmoid()),
        lambda: (Reshape(2), ReluDropout(0.1)),
    ],
)
def test_a_chain_that_would_overwrite_what_is_needed_is_refused(layers) -> None:
    with pytest.raises(ValueError, match="overwrites an activation that is still needed"):
        Stack(*layers())


def test_backward_runs_once() -> None:
    ours, _ = pair()
    y = ours(torch.rand(3, 6)).sum()
    y.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="backward once only"):
        y.backward()


def test_parameters_that_were_replaced_are_trained() -> None:
    ours, _ = pair()
    ours.load_state_dict({k: v.clone() for k, v in ours.state_dict().items()}, assign=True)
    ours(torch.rand(3, 6)).sum().backward()
    assert all(parameter.grad is not None for parameter in ours.parameters())
