"""An accelerated Sequential is PyTorch's own, in values and gradients, whatever is done with it."""

import copy
import gc
import math
import pickle
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from itertools import chain, pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils.parametrizations import weight_norm

from latent_digits import engine
from latent_digits.engine.draws import LEVELS
from latent_digits.training.optimizers import FlatParameters
from same_draws import SameDraws


def network(dropout: float = 0.3) -> nn.Sequential:
    """All that there are kernels for, [B, 1, 9, 9] to [B, 2, 9, 9]."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3, stride=2), nn.ReLU(), nn.Dropout2d(dropout)),
        nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(16, 5), nn.ReLU(), nn.Dropout(dropout), nn.Linear(5, 16)),
        *(nn.ReLU(), nn.Unflatten(1, (4, 2, 2)), nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1)),
        *(nn.ReLU(), nn.Dropout(dropout)),
        *(nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1), nn.Sigmoid()),
        *(nn.ConvTranspose2d(2, 2, 3, stride=2, padding=2), nn.Sigmoid()),
    )


def reshaped(dropout: float) -> nn.Sequential:
    """ReLUs and dropout behind what lays units out anew, and last; [B, 1, 9, 9] to [B, 10]."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(81, 16), nn.Unflatten(1, (4, 2, 2))),
        *(nn.ReLU(), nn.Dropout2d(dropout), nn.ConvTranspose2d(4, 1, 3, stride=2), nn.Flatten()),
        *(nn.ReLU(), nn.Dropout(dropout), nn.Linear(25, 10), nn.ReLU(), nn.Dropout(dropout)),
    )


def images(count: int = 5) -> Tensor:
    return torch.rand(count, 1, 9, 9, generator=torch.Generator().manual_seed(1))


def found(model: nn.Module, x: Tensor, seed: int = 3) -> list[Tensor]:
    """The output, and the gradients of the input and of all parameters."""
    torch.manual_seed(seed)
    x = x.clone().requires_grad_()
    model.zero_grad()
    y = model(x)
    y.backward(torch.rand(y.shape, generator=torch.Generator().manual_seed(2)).to(y.dtype))
    return [y.detach(), x.grad, *(p.grad.clone() for p in model.parameters())]  # type: ignore[union-attr,list-item]


def expect_plain(model: nn.Module, x: Tensor | None = None, chain: bool = False) -> None:
    """An accelerated model gives what PyTorch's layers give, and runs as a chain or not."""
    x = images() if x is None else x
    actual = found(model, x)
    assert (model(x.requires_grad_()).grad_fn.name() == "RunChainBackward") == chain
    with engine.off(), SameDraws():
        expected = found(model, x.detach())
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=5e-5 * other.abs().max().item())
    with torch.no_grad():
        with engine.off():
            wanted = model.eval()(x)
        torch.testing.assert_close(model(x), wanted, rtol=1e-4, atol=1e-5)
    model.train()


@pytest.mark.parametrize("dropout", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("count", [1, 5, 20, 64, 100])
@pytest.mark.parametrize("made", [network, reshaped])
def test_values_and_gradients(
    dropout: float, count: int, made: Callable[[float], nn.Sequential]
) -> None:
    expect_plain(engine.accelerate(made(dropout)), images(count), chain=True)


def test_the_layers_stay_as_they_are() -> None:
    plain, fast = network(), engine.accelerate(network())
    assert list(fast.state_dict()) == list(plain.state_dict())
    assert [type(layer) for layer in fast] == [
        *map(type, plain[:3]),
        type(fast[3]),
        *map(type, plain[4:]),
    ]
    assert isinstance(fast, nn.Sequential)
    assert repr(fast) == repr(plain)
    plain.load_state_dict(fast.state_dict())
    fast.load_state_dict(plain.state_dict())
    expect_plain(fast, chain=True)
    assert engine.accelerate(fast) is fast


def conv(**changes: Any) -> nn.Module:
    return nn.Conv2d(1, 3, **({"kernel_size": 3, "stride": 2, "padding": 1} | changes))


class MyReLU(nn.ReLU):
    pass


# Layers on [B, 1, 9, 9] that make no chain, and what is said of them.
LEFT: dict[str, tuple[Callable[[], list[nn.Module]], str]] = {
    "gelu": (lambda: [conv(), nn.GELU()], "GELU has no kernel"),
    "batch norm": (lambda: [conv(), nn.BatchNorm2d(3), nn.ReLU()], "BatchNorm2d has no kernel"),
    "a subclass": (lambda: [conv(), MyReLU()], "MyReLU has no kernel"),
    "5x5": (lambda: [conv(kernel_size=5), nn.ReLU()], "Conv2d with kernel_size=(5, 5) has no"),
    "stride": (lambda: [conv(stride=1), nn.ReLU()], "Conv2d with stride=(1, 1) has no kernel"),
    "dilation": (lambda: [conv(dilation=2), nn.ReLU()], "Conv2d with dilation=(2, 2) has no"),
    "padding mode": (lambda: [conv(padding_mode="reflect")], "padding_mode=reflect has no kernel"),
    "padding": (lambda: [conv(padding=(0, 1))], "Conv2d with padding=(0, 1) has no kernel"),
    "groups": (
        lambda: [conv(), nn.ConvTranspose2d(3, 3, 3, 2, groups=3)],
        "ConvTranspose2d with groups=3 has no kernel",
    ),
    "output padding": (
        lambda: [conv(), nn.ConvTranspose2d(3, 3, 3, 2, output_padding=(0, 1))],
        "ConvTranspose2d with output_padding=(0, 1) has no kernel",
    ),
    "no bias": (lambda: [conv(bias=False)], "Conv2d with bias=False has no kernel"),
    "flatten": (lambda: [conv(), nn.Flatten(2)], "Flatten with start_dim=2 has no kernel"),
    "dropout alone": (lambda: [conv(), nn.Dropout(0.0)], "Dropout has a kernel only right behind"),
    "relu first": (lambda: [nn.ReLU(), conv()], "ReLU has a kernel only behind a layer with"),
    "twice in place": (
        lambda: [conv(), nn.ReLU(), nn.Sigmoid()],
        "Sigmoid has a kernel only behind",
    ),
    "no weights": (lambda: [nn.Flatten()], "no layer has weights"),
    "parametrized": (lambda: [weight_norm(conv()), nn.ReLU()], "ParametrizedConv2d has no kernel"),
    "float64 layer": (lambda: [Cast(), conv().double()], "Cast has no kernel"),
}


class Cast(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.double()


@pytest.mark.parametrize("name", LEFT)
def test_what_has_no_kernel_is_plain_pytorch(name: str) -> None:
    torch.manual_seed(0)
    layers, reason = LEFT[name]
    model = engine.accelerate(nn.Sequential(*layers()))
    expect_plain(model)
    assert reason in engine.left_to_pytorch(model)


def hooked(net: nn.Sequential) -> Any:
    return net[1].register_forward_hook(lambda layer, x, y: 2 * y)


# What is done to an accelerated network that has run, and what is said of it.
CHANGES: dict[str, tuple[Callable[[nn.Sequential], Any], str]] = {
    "hook": (hooked, "ReLU has hooks"),
    "pre-hook": (
        lambda net: net[0].register_forward_pre_hook(lambda layer, x: (x[0] * 2,)),
        "Conv2d has hooks",
    ),
    "backward hook": (
        lambda net: net[0].register_full_backward_hook(lambda layer, x, y: (2 * x[0],)),
        "Conv2d has hooks",
    ),
    "hook within": (
        lambda net: net[3].register_forward_hook(lambda layer, x, y: 2 * y),
        "Sequential has hooks",
    ),
    "own forward": (lambda net: setattr(net[1], "forward", torch.tanh), "ReLU has hooks"),
    "compiled layer": (lambda net: net[1].compile(backend="eager"), "ReLU has hooks"),
    "another layer": (lambda net: net.__setitem__(1, nn.GELU()), "GELU has no kernel"),
    "a layer more": (lambda net: net.insert(4, nn.Tanh()), "Tanh has no kernel"),
}


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of Dynamo, where it traces a layer
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen_by_the_next_call(name: str) -> None:
    change, reason = CHANGES[name]
    model = engine.accelerate(network(0.0))
    expect_plain(model, chain=True)
    change(model)
    expect_plain(model)
    assert engine.left_to_pytorch(model) == f"Sequential ({reason})"


def test_a_change_for_which_there_are_kernels_is_another_chain() -> None:
    model = engine.accelerate(network(0.0))
    model(images())
    model[0].padding = (1, 1)  # [B, 3, 5, 5] now, and still 2×2 after the next
    model[3][0].padding = (0, 0)
    model[5] = nn.Sigmoid()
    model[6] = nn.Linear(5, 7)
    model[7] = nn.Linear(7, 16)
    expect_plain(model, chain=True)


def test_a_hook_that_is_removed_leaves_a_chain() -> None:
    model = engine.accelerate(network())
    hook = hooked(model)
    expect_plain(model.eval())
    hook.remove()
    expect_plain(model, chain=True)


def test_each_layer_has_its_own_mode() -> None:
    model = engine.accelerate(network(0.5))
    for training in (True, False, True):
        model.eval()
        model[12].train(training)
        x = images(64)
        assert torch.equal(model(x), model(x)) is not training
        expect_plain(model, chain=True)


def test_dropouts_share_and_scale() -> None:
    model = engine.accelerate(nn.Sequential(nn.Linear(1, 1000), nn.ReLU(), nn.Dropout(0.3)))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(1.0)
    y = model(torch.ones(1001, 1))
    kept = y[y != 0]
    assert 1 - kept.numel() / y.numel() == pytest.approx(0.3, abs=2e-3)
    torch.testing.assert_close(kept, torch.full_like(kept, LEVELS / (LEVELS - round(0.3 * LEVELS))))
    assert torch.corrcoef((y[:, :4] != 0).float().T).triu(1).abs().max() < 0.1
    model[2].p = 0.6
    assert 1 - (model(torch.ones(1001, 1)) != 0).float().mean() == pytest.approx(0.6, abs=2e-3)


def test_every_dropout_draws_for_itself() -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(1, 1000), nn.Linear(1000, 1000)
    with torch.no_grad():
        for parameter in (first.weight, first.bias, second.bias):
            parameter.fill_(1)
        second.weight.copy_(torch.eye(1000))
    layers = first, nn.ReLU(), nn.Dropout(0.5), second, nn.ReLU(), nn.Dropout(0.5)
    y = engine.accelerate(nn.Sequential(*layers))(torch.ones(1, 1))
    # Zeroed by the second, scaled by one of them, by both: were both masks one, nothing were 2.
    shares = [(y == value).float().mean().item() for value in (0, 2, 10)]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.06)


@pytest.mark.parametrize("size", [(28, 28), (14, 14), (7, 7), (3, 3), (9, 4)])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("channels", "out", "count"), [(1, 3, 5), (2, 3, 1), (2, 9, 100)])
def test_a_convolution_of_any_size(
    size: tuple[int, int], padding: int, channels: int, out: int, count: int
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, out, 3, stride=2, padding=padding)
    x = torch.rand(count, channels, *size)
    expect_plain(engine.accelerate(nn.Sequential(layer)), x, chain=True)


@pytest.mark.parametrize("size", [(14, 14), (7, 7), (3, 3), (1, 1), (5, 2)])
@pytest.mark.parametrize(("padding", "extra"), [(0, 0), (1, 1), (1, 0), (0, 1)])
@pytest.mark.parametrize(("channels", "count"), [(1, 4), (1, 70), (2, 20)])
def test_a_transposed_convolution_of_any_size(
    size: tuple[int, int], padding: int, extra: int, channels: int, count: int
) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(3, channels, 3, stride=2, padding=padding, output_padding=extra)
    expect_plain(engine.accelerate(nn.Sequential(layer)), torch.rand(count, 3, *size), chain=True)


@pytest.mark.parametrize(("inputs", "units"), [(1, 1), (7, 3), (8, 8), (17, 9), (33, 64)])
@pytest.mark.parametrize("count", [1, 5, 36, 64])
def test_a_linear_layer_of_any_size(inputs: int, units: int, count: int) -> None:
    torch.manual_seed(0)
    model = engine.accelerate(nn.Sequential(nn.Linear(inputs, units)))
    expect_plain(model, torch.randn(count, inputs), chain=True)


def test_the_sigmoid_over_its_whole_range() -> None:
    x = torch.cat([torch.linspace(-100, 100, 4001), torch.linspace(-1, 1, 2001)])
    model = engine.accelerate(nn.Sequential(nn.Linear(1, 1), nn.Sigmoid()))
    with torch.no_grad():
        model[0].weight.fill_(1)
        model[0].bias.fill_(0)
        torch.testing.assert_close(model(x[:, None])[:, 0], x.sigmoid(), rtol=1e-6, atol=1e-37)


def test_nan_is_not_swallowed() -> None:
    for layers in ((nn.ReLU(),), (nn.ReLU(), nn.Dropout(0.5)), (nn.Sigmoid(),)):
        model = engine.accelerate(nn.Sequential(nn.Linear(1, 9), *layers))
        assert model(torch.full((3, 1), math.nan)).isnan().all()


@pytest.mark.parametrize("shape", [(7,), (1, 5, 5), (2, 9, 9), (9, 9)])
def test_an_input_that_does_not_fit_is_pytorchs_error(shape: tuple[int, ...]) -> None:
    x = torch.rand(4, *shape)
    with pytest.raises(RuntimeError) as expected:
        network()(x)
    with pytest.raises(RuntimeError) as actual:
        engine.accelerate(network())(x)
    assert str(actual.value) == str(expected.value)


def test_no_image_is_no_error() -> None:
    model = engine.accelerate(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    assert model(torch.rand(0, 3)).shape == (0, 2)


def test_gradients_of_parameters_can_be_asked_for() -> None:
    model = engine.accelerate(network(0.0))
    parameters = list(model.parameters())
    actual = torch.autograd.grad(model(images()).square().sum(), parameters)
    assert all(parameter.grad is None for parameter in parameters)
    with engine.off():
        expected = torch.autograd.grad(model(images()).square().sum(), parameters)
    torch.testing.assert_close(actual, expected)


def test_hooks_of_parameters_run() -> None:
    model = engine.accelerate(network(0.0))
    in_a_row(model)
    seen = []
    model[0].weight.register_hook(lambda gradient: gradient * 2)
    model[0].bias.register_post_accumulate_grad_hook(seen.append)
    with engine.adding():
        model(images()).square().sum().backward()
    twice = model[0].weight.grad
    once = torch.autograd.grad(model(images()).square().sum(), model[0].bias)[0]
    assert seen[0] is model[0].bias
    torch.testing.assert_close(model[0].bias.grad, once)
    with engine.off():
        model.zero_grad()
        model(images()).square().sum().backward()
    torch.testing.assert_close(twice, model[0].weight.grad)


def in_a_row(model: nn.Module) -> Tensor:
    """Give the parameters gradients that lie one behind the other; the vector that they share."""
    parameters = list(model.parameters())
    row = torch.zeros(sum(p.numel() for p in parameters))
    for parameter, part in zip(parameters, row.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)
    return row


@pytest.mark.parametrize("together", [False, True])
def test_gradients_add_up_wherever_they_lie(together: bool) -> None:
    model, plain = engine.accelerate(network(0.0)), network(0.0)
    row = in_a_row(model) if together else None
    for _ in range(3):
        with engine.adding() if together else nullcontext():
            model(images()).square().sum().backward()
        plain(images()).square().sum().backward()
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
        assert row is None or one.grad.untyped_storage().data_ptr() == row.data_ptr()


@pytest.mark.parametrize("together", [False, True])
def test_what_is_frozen_gets_no_gradient_and_the_rest_does(together: bool) -> None:
    model, plain = engine.accelerate(network(0.0)), network(0.0)
    for net in (model, plain):
        net[0].requires_grad_(False)
        with engine.adding() if together else nullcontext():
            net(images()).square().sum().backward()
    assert model[0].weight.grad is None
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_backward_runs_again_where_that_is_asked_for_only() -> None:
    model = engine.accelerate(network(0.0))
    loss = model(images()).square().sum()
    loss.backward(retain_graph=True)
    once = model[0].weight.grad.clone()
    loss.backward()
    torch.testing.assert_close(model[0].weight.grad, 2 * once)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_weights_that_change_between_both_ways_are_an_error() -> None:
    model = engine.accelerate(network(0.0))
    loss = model(images()).sum()
    with torch.no_grad():
        model[0].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("last", [nn.Linear(4, 3), nn.Sigmoid()])
def test_an_output_may_be_changed_in_place_where_pytorchs_may(last: nn.Module) -> None:
    model = engine.accelerate(nn.Sequential(nn.Linear(4, 4), last))
    results: list[Any] = []
    for context in (nullcontext(), engine.off()):
        with context:
            model.zero_grad()
            y = model(torch.ones(5, 4))
            y *= 2
            if isinstance(last, nn.Sigmoid):
                with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                    y.sum().backward()
            else:
                y.square().sum().backward()
                results.append([y.detach(), *(p.grad.clone() for p in model.parameters())])
    if results:
        torch.testing.assert_close(results[0], results[1])


def test_the_callers_gradient_and_input_stay() -> None:
    model = engine.accelerate(nn.Sequential(nn.Linear(6, 5), nn.Sigmoid()))
    x, gradient = torch.rand(6, 3).t(), torch.rand(5, 3).t()  # batch-last: read where they lie
    before = x.clone(), gradient.clone()
    model(x).backward(gradient)
    assert torch.equal(x, before[0])
    assert torch.equal(gradient, before[1])


def test_a_weight_that_is_not_row_major() -> None:
    model = engine.accelerate(network(0.0))
    model[4].weight.data = model[4].weight.data.t().contiguous().t()
    expect_plain(model, chain=True)


def test_sequentials_share_an_input_and_a_layer() -> None:
    shared = nn.Linear(6, 5)
    one, other = (
        engine.accelerate(nn.Sequential(shared, nn.ReLU(), nn.Linear(5, 5))) for _ in "ab"
    )
    both = nn.ModuleList([one, other])
    both.forward = lambda x: one(x) + 2 * other(x)  # type: ignore[method-assign]
    x = torch.rand(3, 6)
    actual = found(both, x)
    with engine.off():
        torch.testing.assert_close(found(both, x), actual)


def test_saved_tensors_may_come_back_in_another_layout() -> None:
    model = engine.accelerate(network())
    expected = found(model, images())

    def pack(x: Tensor) -> Tensor:
        return torch.empty(x.shape).copy_(x)  # as `save_on_cpu` keeps them

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        actual = found(model, images())
    for one, other in zip(actual, expected, strict=True):
        assert torch.equal(one, other)


def test_an_output_is_freed_without_the_garbage_collector() -> None:
    model = engine.accelerate(network())
    gc.disable()
    try:
        y = model(images())
        gone = weakref.ref(y)
        del y
        assert gone() is None
    finally:
        gc.enable()


def pickled(model: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(model))  # noqa: S301  (made here)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_a_copy_goes_its_own_way(duplicate: Callable[[nn.Module], nn.Module]) -> None:
    model = engine.accelerate(network(0.0))
    before = found(model, images())
    twin = duplicate(model)
    expect_plain(twin, chain=True)
    torch.testing.assert_close(found(twin, images()), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(twin(images()), torch.full((5, 2, 9, 9), 0.5))
    torch.testing.assert_close(found(model, images()), before)


def test_a_slice_is_a_sequential_of_its_own() -> None:
    model = engine.accelerate(network(0.0))
    expect_plain(model[:4], chain=True)


def test_parameters_that_are_replaced_are_trained() -> None:
    model = engine.accelerate(network(0.0))
    model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()}, assign=True)
    expect_plain(model, chain=True)
    model[4] = nn.Linear(16, 5)
    model[4].weight = nn.Parameter(torch.rand(5, 16))
    expect_plain(model, chain=True)


def again(layer: Any) -> None:
    """The weight registered behind the bias, as pruning leaves it."""
    weight = layer.weight.detach() * 0.5
    del layer.weight
    layer.weight = nn.Parameter(weight)


class Twice(nn.Sequential):
    def __call__(self, *args: Any) -> Any:
        return 2 * super().__call__(*args)


class Backwards(nn.Sequential):
    def __iter__(self) -> Any:
        return reversed(list(super().__iter__()))


def plain_weight(layer: Any) -> None:
    weight = layer.weight.detach()
    del layer.weight
    layer.weight = weight


# What is done to the layers of Linear(4, 4), ReLU, Linear(4, 3), and whether they make a chain.
UNUSUAL: dict[str, tuple[Callable[[nn.Sequential], Any], bool]] = {
    "registered again": (lambda net: again(net[0]), True),
    "no parameter": (lambda net: plain_weight(net[0]), False),
    "one more": (lambda net: net[1].register_parameter("s", nn.Parameter(torch.ones(3))), False),
    "a module": (lambda net: net[0].add_module("more", nn.Linear(2, 2)), False),
    "a bias of one": (lambda net: setattr(net[0], "bias", nn.Parameter(torch.ones(1))), False),
    "twice": (lambda net: net.append(Twice(nn.Linear(3, 3))), False),
    "backwards": (lambda net: net.append(Backwards(nn.Linear(3, 2), nn.Linear(3, 3))), False),
    "a list": (lambda net: net.append(nn.Unflatten(1, [1, 3])), False),
    "a third": (lambda net: net.append(nn.Unflatten(1, (-1, 3))), False),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_layers_give_what_pytorch_gives(name: str) -> None:
    torch.manual_seed(0)
    change, chain = UNUSUAL[name]
    model = engine.accelerate(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)))
    x = torch.rand(5, 4)
    model(x)
    change(model)
    engine.accelerate(model)
    with engine.off():
        expected = model(x)
    y = model(x)
    torch.testing.assert_close(y, expected)
    assert (y.grad_fn.name() == "RunChainBackward") == chain
    assert (engine.left_to_pytorch(model) == "") == chain


def test_a_row_of_parameters_that_is_cut_or_turned_is_seen() -> None:
    model = engine.accelerate(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)))
    FlatParameters(model)
    expect_plain(model, torch.rand(5, 4), chain=True)
    model[0].weight.data = model[0].weight.data.t()
    model[2].weight.data, model[2].bias.data = model[2].weight.data[:2], model[2].bias.data[:2]
    with engine.off():
        expected = model(torch.ones(5, 4))
    torch.testing.assert_close(model(torch.ones(5, 4)), expected)


def test_a_watch_of_a_relu_that_drops_sees_its_own_output() -> None:
    model = engine.accelerate(nn.Sequential(nn.Linear(4, 40), nn.ReLU(), nn.Dropout(0.9)))
    noted = torch.zeros(40, dtype=torch.bool)
    model[1].register_forward_hook(engine.Watch(noted))
    with torch.no_grad():
        model[0].bias.fill_(9.0)
        model(torch.rand(5, 4))
    assert noted.all()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # PyTorch's own
def test_forward_mode_keeps_its_tangent() -> None:
    model = engine.accelerate(nn.Sequential(nn.Linear(4, 3)))
    with forward_ad.dual_level(), torch.no_grad():
        y = model(forward_ad.make_dual(torch.rand(5, 4), torch.ones(5, 4)))
        tangent = forward_ad.unpack_dual(y).tangent
    torch.testing.assert_close(tangent, model[0].weight.sum(1).expand(5, 3).detach())


def test_float64_is_computed_in_float64() -> None:
    model = engine.accelerate(network(0.0)).double()
    expect_plain(model, images().double())
    assert model(images().double()).dtype == torch.float64
    assert "parameters are torch.float64" in engine.left_to_pytorch(model)
    with pytest.raises(RuntimeError, match="should be the same"):
        model(images())


def test_autocast_is_pytorchs() -> None:
    model, plain = engine.accelerate(network(0.0)), network(0.0)
    with torch.autocast("cpu", torch.bfloat16):
        actual, expected = model(images()), plain(images())
    assert actual.dtype == torch.bfloat16
    assert torch.equal(actual, expected)


def test_torch_compile_sees_pytorchs_layers() -> None:
    model = engine.accelerate(network(0.0))
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with engine.off():
        expected = model(images())
    torch.testing.assert_close(compiled(images()), expected)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_a_trace_has_pytorchs_operations() -> None:
    model = engine.accelerate(network(0.0)).eval()
    traced = torch.jit.trace(model, images())
    torch.testing.assert_close(traced(images() * 0.5), model(images() * 0.5))
    exported = torch.export.export(model, (images(),)).module()
    torch.testing.assert_close(exported(images() * 0.5), model(images() * 0.5))


def test_functional_calls_and_their_gradients() -> None:
    model = engine.accelerate(network(0.0))
    others = {name: p.detach() * 0.5 for name, p in model.named_parameters()}

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(model, parameters, (images(),)).square().sum()

    actual = torch.func.grad(loss)(others)
    with engine.off():
        torch.testing.assert_close(actual, torch.func.grad(loss)(others))


def test_off_is_for_a_block() -> None:
    model = engine.accelerate(network())
    with pytest.raises(ZeroDivisionError), engine.off():
        assert model(images()).grad_fn.name() != "RunChainBackward"
        raise ZeroDivisionError
    assert model(images()).grad_fn.name() == "RunChainBackward"


def test_a_watch_sees_what_a_hook_would_of_a_chain() -> None:
    model = engine.accelerate(network(0.0)).eval()
    model.requires_grad_(False)
    layers = [layer for layer in model.modules() if not isinstance(layer, nn.Sequential)]
    relus = [(before, layer) for before, layer in pairwise(layers) if isinstance(layer, nn.ReLU)]
    for before, _ in relus:  # so that some units answer to none of the images
        before.bias.copy_(torch.linspace(-0.4, 0.3, len(before.bias)).roll(1))
    batches = [images(), *images(40).split(1)]  # of one image a unit's answer is its activation's

    def answers() -> list[list[Tensor]]:
        """Which units answer, a list for each batch, one for each ReLU."""
        noted = [torch.zeros(len(before.bias), dtype=torch.bool) for before, _ in relus]
        handles = [
            layer.register_forward_hook(engine.Watch(one))
            for (_, layer), one in zip(relus, noted, strict=True)
        ]
        assert not engine.left_to_pytorch(model)
        found = []
        for x in batches:
            model(x)
            found.append([one.clone() for one in noted])
            for one in noted:
                one.zero_()
        for handle in handles:
            handle.remove()
        return found

    seen: list[Tensor] = []
    with torch.no_grad():
        by_chain, y = answers(), model(images())
        for _, layer in relus:
            layer.register_forward_hook(lambda layer, x, y: seen.append(y.transpose(0, 1)))
        torch.testing.assert_close(model(images()), y)
        for x in batches[1:]:
            model(x)
    by_hook = [(y > 0).flatten(1).any(1) for y in seen]
    assert all(map(torch.equal, chain(*by_chain), by_hook))
    assert len(by_hook) == len(batches) * len(relus)
    assert all(found.any() and not found.all() for found in by_chain[0])


def test_a_watch_has_pytorch_train() -> None:
    model = engine.accelerate(network(0.0))
    model[1].register_forward_hook(engine.Watch(torch.zeros(3, dtype=torch.bool)))
    expect_plain(model)


def test_an_explanation() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.parts = nn.Sequential(network(), nn.Sequential(nn.Linear(2, 2), nn.GELU()))
            self.head = nn.Linear(2, 2)
            self.loss = nn.MSELoss()

    model = Both()
    assert "was not given to engine.accelerate" in engine.explain(model)
    assert engine.explain(engine.accelerate(model)) == "\n".join(
        (
            "Both: it is in no nn.Sequential",
            "parts.0: 19 layers as one compiled chain",
            "parts.1: GELU has no kernel",
            "head: it is in no nn.Sequential",
        )
    )
    assert engine.left_to_pytorch(engine.accelerate(network())) == ""


def test_a_gradient_with_the_negative_bit_is_read_with_its_sign() -> None:
    linear = engine.accelerate(nn.Sequential(nn.Linear(3, 2)))
    linear(torch.ones(4, 3)).backward(torch._neg_view(torch.ones(2, 4)).t())
    assert torch.equal(linear[0].bias.grad, torch.full((2,), -4.0))
