"""A stack is the same chain of PyTorch's layers, in values, gradients and memory."""

import copy
import gc
import math
import weakref

import pytest
import torch
from torch import nn

from latent_digits.engine.convolutions import Conv2d, ConvTranspose2d
from latent_digits.engine.dropout import ReluDropout
from latent_digits.engine.stack import Composition, Linear, Reshape, Sigmoid, Stack
from latent_digits.models.networks import Autoencoder, Decoder
from latent_digits.training.optimizers import FlatParameters

MORE = nn.Parameter(torch.ones(5, 7))

pytestmark = pytest.mark.usefixtures("way")


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


@pytest.mark.parametrize(("inputs", "units"), [(1, 1), (7, 3), (8, 8), (17, 9), (33, 64)])
@pytest.mark.parametrize("images", [1, 5, 64])
def test_a_linear_layer_of_any_size(inputs: int, units: int, images: int) -> None:
    torch.manual_seed(0)
    theirs = nn.Linear(inputs, units)
    ours = Stack(Linear(inputs, units))
    ours.load_state_dict({f"layers.0.{k}": v for k, v in theirs.state_dict().items()})
    one = torch.randn(images, inputs).requires_grad_()
    other = one.detach().clone().requires_grad_()
    gradient = torch.randn(images, units)
    for net, x in ((ours, one), (theirs, other)):
        net(x).backward(gradient)
    torch.testing.assert_close(ours(one), theirs(other))
    torch.testing.assert_close(one.grad, other.grad)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_the_sigmoid_over_its_whole_range() -> None:
    x = torch.cat([torch.linspace(-100, 100, 4001), torch.linspace(-1, 1, 2001)])
    stack = Stack(Linear(1, 1), Sigmoid())
    with torch.no_grad():
        stack.layers[0].weight.fill_(1)
        stack.layers[0].bias.fill_(0)
        torch.testing.assert_close(stack(x[:, None])[:, 0], x.sigmoid(), rtol=1e-6, atol=1e-37)


def branched() -> list[Stack]:
    torch.manual_seed(0)
    trunk = Stack(Linear(6, 5), ReluDropout(0.0))
    return [trunk, *(Stack(Reshape(5), Linear(5, n), ReluDropout(0.0)) for n in (3, 4, 2))]


@pytest.mark.parametrize("count", [0, 1, 3, 3])  # again, in memory that the last time left full
def test_a_composition_is_its_stacks_one_by_one(count: int) -> None:
    stacks, others = branched(), branched()
    one = torch.arange(18.0).view(3, 6).div(9).requires_grad_()
    other = one.detach().clone().requires_grad_()
    together = Composition()(one, *stacks[: 1 + count])
    features = others[0](other)
    apart = torch.cat([branch(features) for branch in others[1 : 1 + count]] or [features], 1)
    torch.testing.assert_close(together, apart)
    together.square().sum().backward()
    apart.square().sum().backward()
    torch.testing.assert_close(one.grad, other.grad)
    for stack, twin in zip(stacks[: 1 + count], others, strict=False):
        for a, b in zip(stack.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad)


def test_each_stack_of_a_composition_has_its_own_mode() -> None:
    trunk, branch = Stack(Linear(1, 50)), Stack(Linear(50, 400), ReluDropout(0.5))
    free, kept = Stack(Linear(1, 400), ReluDropout(0.5)), Stack(Linear(400, 9))
    for training in (True, False):
        branch.train(training)
        assert dropped(trunk, branch) is training
        free.train(training)
        assert dropped(free, kept) is training


def dropped(*stacks: Stack) -> bool:
    """Whether the same input gives another output the next time."""
    x, net = torch.ones(2, 1), Composition()
    return not torch.equal(net(x, *stacks), net(x, *stacks))


def test_each_layer_has_its_own_mode() -> None:
    dropout = ReluDropout(0.5)
    stack = Stack(Linear(1, 400), dropout)
    for training in (True, False, True):
        dropout.train(training)
        assert dropped(stack) is training


def test_a_layer_or_a_stack_that_was_replaced_is_seen() -> None:
    model = Autoencoder(latent_dim=3, dropout=0.0)
    x = torch.rand(2, 1, 28, 28)
    model(x)
    model.encoder.layers[9] = Linear(64, 5)
    model.decoder = Decoder(latent_dim=5, dropout=0.0)
    torch.testing.assert_close(model(x), model.decoder(model.encoder(x)))
    model.decoder.layers[-2] = ConvTranspose2d(8, 3, padding=1, output_padding=1)
    assert model(x).shape == (2, 3, 28, 28)


def test_every_dropout_draws_for_itself() -> None:
    torch.manual_seed(0)
    first, second = Linear(1, 1000), Linear(1000, 1000)
    with torch.no_grad():
        for parameter in (first.weight, first.bias, second.bias):
            parameter.fill_(1)
        second.weight.copy_(torch.eye(1000))
    y = Stack(first, ReluDropout(0.5), second, ReluDropout(0.5))(torch.ones(1, 1))
    # Zeroed by the second, scaled by one of them, by both: were both masks one, nothing were 2.
    shares = [(y == value).float().mean().item() for value in (0, 2, 10)]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.06)


def test_nan_is_not_swallowed() -> None:
    for layers in ((ReluDropout(0.0),), (ReluDropout(0.5),), (Sigmoid(),)):
        y = Stack(Linear(1, 9), *layers)(torch.full((3, 1), math.nan))
        assert y.isnan().all()


def test_the_callers_gradient_stays() -> None:
    ours, _ = pair()
    gradient = torch.rand(2, 2, 2, 3).movedim(-1, 0)  # batch-last, so that it is read where it lies
    before = gradient.clone()
    ours(torch.rand(3, 6)).backward(gradient)
    assert torch.equal(gradient, before)


def test_a_weight_that_is_not_row_major() -> None:
    ours, theirs = pair()
    for net in (ours, theirs):
        weight, *_ = net.parameters()
        weight.data = weight.data.t().contiguous().t()
    x = torch.rand(3, 6)
    torch.testing.assert_close(ours(x), theirs(x))


def test_float64_is_computed_in_float64() -> None:
    ours, theirs = (net.double() for net in pair())
    x = torch.rand(3, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours(x).dtype == torch.float64


def test_gradients_add_up_wherever_they_lie() -> None:
    (apart, _), (in_a_row, _) = pair(), pair()
    flat = FlatParameters(in_a_row)
    x = torch.rand(3, 6)
    for _ in range(3):
        apart(x).sum().backward()
        in_a_row(x).sum().backward()
    gradients = [p.grad.flatten() for p in apart.parameters() if p.grad is not None]
    torch.testing.assert_close(torch.cat(gradients), flat.gradients)


@pytest.mark.parametrize("earlier", [0, 1])
def test_what_is_frozen_gets_no_gradient_and_the_rest_does(earlier: int) -> None:
    ours, theirs = pair()
    for net in (ours, theirs):
        for _ in range(earlier):
            net(torch.ones(3, 6)).sum().backward()
        first, *_ = net.parameters()
        first.requires_grad_(False)
        net(torch.ones(3, 6)).sum().backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_a_copy_goes_its_own_way() -> None:
    ours, _ = pair()
    FlatParameters(ours)
    x = torch.rand(3, 6)
    ours(x).sum().backward()
    before = [p.grad.clone() for p in ours.parameters() if p.grad is not None]
    twin = copy.deepcopy(ours)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    twin(x).sum().backward()
    assert torch.equal(twin(x), torch.full((3, 2, 2, 2), 0.5))
    assert not torch.equal(ours(x), twin(x))
    assert all(torch.equal(p.grad, g) for p, g in zip(ours.parameters(), before, strict=True))


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


@pytest.mark.parametrize(
    ("layer", "shape", "takes"),
    [
        (Linear(6, 5), (7,), "takes 6 features an image, not"),
        (Reshape(2, 3), (7,), "takes 6 numbers an image, not"),
        (Conv2d(2, 3, 1), (3, 5, 5), "takes .2, H, W. an image, not"),
        (Conv2d(2, 3, 1), (2, 5), "takes .2, H, W. an image, not"),
        (Conv2d(2, 3, 0), (2, 5, 2), "takes 3×3 pixels with its padding or more an image, not"),
        (ConvTranspose2d(2, 3, 1, 1), (3, 5, 5), "takes .2, R, S. an image, not"),
    ],
)
def test_an_input_of_another_shape_is_refused(layer, shape, takes: str, way: str) -> None:
    with pytest.raises((ValueError, RuntimeError)) as refused:
        Stack(layer, Linear(1, 1))(torch.rand(4, *shape))
    if way == "kernels":
        assert refused.match(f".*{takes}")


@pytest.mark.parametrize("layers", [(), (Reshape(2, 3),)])
def test_a_stack_without_an_output_of_its_own_is_refused(layers) -> None:
    with pytest.raises(ValueError, match="needs a layer with an output of its own"):
        Stack(*layers)


@pytest.mark.parametrize("change", [nn.Module.double, lambda net: setattr(net, "weight", MORE)])
def test_parameters_that_do_not_fit_are_refused(change) -> None:
    stack = Stack(Linear(6, 5))
    stack(torch.rand(3, 6))
    change(stack.layers[0])
    with pytest.raises((ValueError, RuntimeError)):
        stack(torch.rand(3, 6))


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
