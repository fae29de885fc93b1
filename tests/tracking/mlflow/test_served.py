"""A served model needs no more than its requirements say, whatever else is installed here."""

import subprocess
import sys
from functools import partial
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from torch import nn

from imports import SOURCE, closure
from latent_digits.data.storage import write_tensors
from latent_digits.models import networks
from latent_digits.models.weights import arrays_of, build
from latent_digits.tracking.mlflow import registry
from latent_digits.tracking.mlflow.registry import LIBRARIES, ROOMS, requirements
from studies import BUILT

SERVE = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

weights, *MISSING = sys.argv[1:]
sys.meta_path.insert(0, Missing())
import latent_digits  # before NumPy
import types
import numpy as np
from latent_digits.engine import kernels
from latent_digits.tracking.mlflow.served import Served
served = Served()
served.load_context(types.SimpleNamespace(artifacts={"weights": weights}))
assert kernels.forwards.signatures, "the first answer would wait for the compiler"
print(served.predict(None, np.zeros((3, 28, 28), np.uint8)).shape)
"""
ABOUT = {"model": "classifier", "latent_dim": 2, "hidden": 3, **BUILT}


def needed(libraries: tuple[str, ...]) -> set[str]:
    """The distributions that come with these, on this machine."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in libraries]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            wanted = [Requirement(one) for one in requires(name) or []]
        except PackageNotFoundError:
            continue
        waiting += [
            canonicalize_name(one.name)
            for one in wanted
            if not one.marker or one.marker.evaluate({"extra": ""})
        ]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("left_out", "shape"), [((), "(3, 10)"), (("numba",), None)])
def test_the_requirements_are_what_it_imports(
    tmp_path: Path, left_out: tuple[str, ...], shape: str | None
) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "weights.safetensors"
    write_tensors(weights, arrays_of(build(ABOUT)), ABOUT)
    there = needed(tuple(name for name in LIBRARIES if name not in left_out))
    missing = [
        module
        for module, distributions in packages_distributions().items()
        if not {canonicalize_name(one) for one in distributions} & there
        and not module.startswith("latent_digits")
    ]
    assert "lightning_fabric" in missing
    command = [sys.executable, "-W", "ignore", "-c", SERVE, str(weights), *missing]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if shape:
        assert done.stdout.strip().endswith(shape), done.stderr
    else:
        assert "No module named 'numba'" in done.stderr


def test_its_code_is_what_it_imports_and_no_other_room() -> None:
    served = SOURCE / "tracking/mlflow/served.py"
    rooms = {one.relative_to(SOURCE).parts[0] for one in closure([served])}
    assert {room for room in rooms if not room.endswith(".py")} == {*ROOMS}


def test_requirements_are_versions_that_a_package_index_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    versions = dict.fromkeys(LIBRARIES, "1.2.3") | {"torch": "2.15.0+cpu"}
    monkeypatch.setattr(registry, "version", versions.__getitem__)
    assert requirements()[-1] == "torch==2.15.0"
    assert requirements()[0] == "mlflow==1.2.3"


def normalized(*sizes: Any, plain: Any) -> list[nn.Module]:
    layers = plain(*sizes)
    return [*layers[:1], nn.BatchNorm2d(8), nn.GELU(), *layers[2:]]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own, at import
def test_a_changed_network_is_served_with_its_buffers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latent_digits.tracking.mlflow.served import Served

    changed = partial(normalized, plain=networks.convolutions)
    monkeypatch.setattr(networks, "convolutions", changed)
    model = build(ABOUT)
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    x = torch.tensor(images)[:, None] / 255
    model.train()(x)  # the BatchNorm has seen something
    weights = tmp_path / "weights.safetensors"
    write_tensors(weights, arrays_of(model), ABOUT)
    served = Served()
    served.load_context(SimpleNamespace(artifacts={"weights": weights}))
    with torch.no_grad():
        expected = model.eval()(x).numpy()
    np.testing.assert_allclose(served.predict(None, images), expected, atol=1e-5)
