"""What is exported computes as PyTorch does, without this project and the same bytes each time."""

import ast
import runpy
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from latent_digits.catalogue import MODELS
from latent_digits.commands import export
from latent_digits.console import UserError
from latent_digits.data.storage import read_tensors
from latent_digits.models import networks
from latent_digits.models.weights import build
from latent_digits.project.provenance import digest
from smoke import PROJECT
from untrained import ABOUT, write_models

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # PyTorch's own, as it exports
]

# Of each part: the model, what it takes and gives, and the same of the model itself.
PARTS: dict[str, tuple[str, str, list[str], Any]] = {
    "denoiser": ("denoiser", "noisy", ["clean"], lambda model, x: [model(x)]),
    "vae_encoder": ("vae", "images", ["mu", "log_var"], lambda model, x: model.encode(x)),
    "vae_decoder": ("vae", "latents", ["images"], lambda model, z: [model.decoder(z)]),
    "classifier": ("classifier", "images", ["logits"], lambda model, x: [model(x)]),
}
IMAGES = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))


class Exported(NamedTuple):
    project: Path
    models: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.project / "exported"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The folder that the command wrote for three untrained models, and these."""
    project = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setattr(sys, "argv", ["export"])
        patch.setattr(export, "MODELS", {of: MODELS[of] for of, *_ in PARTS.values()})
        models, _ = write_models(project)
        export.main()
    return Exported(project, models)


def inputs_of(name: str, count: int) -> Tensor:
    shape = (3,) if PARTS[name][1] == "latents" else (1, 28, 28)
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(count))


def test_each_part_is_there_in_both_forms(exported: Exported) -> None:
    names = {f"{name}.{form}" for name in PARTS for form in ("onnx", "safetensors")}
    assert {path.name for path in exported.folder.iterdir()} == {*names, "networks.py"}


@pytest.mark.parametrize("name", PARTS)
def test_onnx_computes_as_pytorch_does(exported: Exported, name: str) -> None:
    of, takes, gives, function = PARTS[name]
    session = onnxruntime.InferenceSession(exported.folder / f"{name}.onnx")
    assert [one.name for one in session.get_inputs()] == [takes]
    assert [one.name for one in session.get_outputs()] == gives
    for count in (1, 5):
        x = inputs_of(name, count)
        with torch.no_grad():
            expected = function(exported.models[of], x)
        for y, wanted in zip(session.run(None, {takes: x.numpy()}), expected, strict=True):
            np.testing.assert_allclose(y, wanted.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", PARTS)
def test_a_plain_network_computes_as_the_model_does(exported: Exported, name: str) -> None:
    of, _, _, function = PARTS[name]
    network = runpy.run_path(f"{exported.folder / 'networks.py'}")["load"](name)
    x = inputs_of(name, 5)
    assert not network.training
    with torch.no_grad():
        found = network(x)
        for y, wanted in zip(
            found if isinstance(found, tuple) else [found],
            function(exported.models[of], x),
            strict=True,
        ):
            torch.testing.assert_close(y, wanted, rtol=0, atol=1e-5)


def test_the_plain_networks_need_no_code_of_this_project(exported: Exported) -> None:
    tree = ast.parse((exported.folder / "networks.py").read_text())
    modules = {one.module for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)}
    assert modules == {"collections", "pathlib", "safetensors.torch", "torch"}
    assert not [one for one in ast.walk(tree) if isinstance(one, ast.Import)]


def test_weights_have_the_names_that_they_have_in_the_model(exported: Exported) -> None:
    vae = exported.models["vae"].state_dict()
    encoder = {name for name in vae if not name.startswith("decoder.")}
    assert load_file(exported.folder / "vae_encoder.safetensors").keys() == encoder
    classifier = exported.models["classifier"].state_dict()
    assert load_file(exported.folder / "classifier.safetensors").keys() == classifier.keys()


def test_a_file_says_what_it_is_and_nothing_of_this_machine(exported: Exported) -> None:
    path = exported.folder / "classifier.onnx"
    model = onnx.load(path)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    assert {one.key: one.value for one in model.metadata_props} == {
        "name": "classifier",
        "model": "classifier",
        "latent_dim": "3",
        "hidden": "5",
        "channels": "[4, 6, 8]",
        "units": "10",
        "size": "28",
        "classes": "3",
        "class_names": '["oak", "elm", "ash"]',
        "split": "digest of the split",
        "weights_md5": digest(exported.project / "data/models/classifier.safetensors"),
    }
    for place in (PROJECT, exported.project, Path(torch.__file__).parent):
        assert f"{place}".encode() not in path.read_bytes()


def test_the_same_weights_are_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    weights = exported.project / "data/models/classifier.safetensors"
    _, about = read_tensors(weights)
    about |= {"weights_md5": digest(weights), "name": "classifier"}
    (part,) = export.parts_of("classifier", exported.models["classifier"], IMAGES)
    network = export.write_plain(tmp_path, part, about)
    found = export.onnx_of(network, part, about)
    assert found == (exported.folder / "classifier.onnx").read_bytes()
    name = "classifier.safetensors"
    assert (tmp_path / name).read_bytes() == (exported.folder / name).read_bytes()


def test_a_missing_model_names_its_stage_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_models(tmp_path)
    (tmp_path / "data/models/vae.safetensors").unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["export", "elsewhere"])
    monkeypatch.setattr(export, "MODELS", {name: MODELS[name] for name in ("ae", "vae")})
    with pytest.raises(UserError, match=r"vae\.safetensors is missing; `dvc repro train_vae`"):
        export.main()
    assert not (tmp_path / "elsewhere").exists()


def test_an_autoencoder_is_an_encoder_and_a_decoder(tmp_path: Path) -> None:
    model: Any = build(ABOUT["ae"]).eval()
    encoder, decoder = export.parts_of("ae", model, IMAGES)
    assert (encoder.name, encoder.takes, encoder.gives) == ("ae_encoder", "images", ("latents",))
    assert (decoder.name, decoder.takes, decoder.gives) == ("ae_decoder", "latents", ("images",))
    with torch.no_grad():
        plain = [export.write_plain(tmp_path, part, {}) for part in (encoder, decoder)]
        torch.testing.assert_close(nn.Sequential(*plain)(IMAGES), model(IMAGES))


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def with_layer(layer: nn.Module, monkeypatch: pytest.MonkeyPatch) -> export.Part:
    """The encoder of an autoencoder with a layer behind its first."""
    plain = networks.convolutions
    monkeypatch.setattr(
        networks, "convolutions", lambda *sizes: [plain(*sizes)[0], layer, *plain(*sizes)[1:]]
    )
    part, _ = export.parts_of("ae", build(ABOUT["ae"]).eval(), IMAGES)
    return part


def test_another_layer_of_pytorch_is_exported_with_its_buffers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = nn.Sequential(nn.BatchNorm2d(4), nn.GELU(approximate="tanh"))
    layer(torch.rand(4, 4, 5, 5))  # so that it has buffers of its own
    network = export.write_plain(tmp_path, with_layer(layer, monkeypatch), {})
    torch.testing.assert_close(network.state_dict()["1.0.running_mean"], layer[0].running_mean)


def test_a_layer_that_is_not_of_pytorch_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = with_layer(Doubled(), monkeypatch)
    with pytest.raises(UserError, match=r"ae_encoder cannot be exported: .*no attribute 'Doubled'"):
        export.write_plain(tmp_path, part, {})
