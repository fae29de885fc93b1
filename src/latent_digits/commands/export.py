"""The trained networks for use without this project: `make export`.

Each is written as ONNX, and as a safetensors state dict for the plain `torch.nn` network of
`networks.py`, which is written beside them. Equal models give equal bytes. B batch, Z latent.
"""

import argparse
import json
import runpy
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from torch import Tensor, nn

from latent_digits.catalogue import MODELS
from latent_digits.commands.trained import path_of, trained_model, validation_set
from latent_digits.console import ProgressDisplay, UserError, run_stage, say
from latent_digits.data.storage import Row, write_bytes, write_tensors, write_text
from latent_digits.engine.functional import pixels
from latent_digits.models.weights import arrays_of
from latent_digits.project.provenance import digest

OPSET = 18  # of 2022, which every current runtime has
TOLERANCE = 1e-5
PLAIN = '''\
"""The networks of latent-digits in plain torch.nn, with their trained weights in files beside.

    from networks import load

    classifier = load("classifier")
    labels = classifier(images).argmax(1)

Images are float32 [B, 1, H, W] in [0, 1], such as the networks were trained on. It needs torch and
safetensors.
"""

from collections import OrderedDict
from pathlib import Path

from safetensors.torch import load_file
from torch import nn


class VariationalEncoder(nn.Module):
    """Images to mean and log-variance of q(z | x), [B, Z] each."""

    def __init__(self, convolutions, mu, log_var):
        super().__init__()
        self.convolutions, self.mu, self.log_var = convolutions, mu, log_var

    def forward(self, images):
        features = self.convolutions(images)
        return self.mu(features), self.log_var(features)


def load(name):
    """A trained network, in eval mode."""
    network = NETWORKS[name]()
    network.load_state_dict(load_file(Path(__file__).with_name(f"{name}.safetensors")))
    return network.eval()


'''


class Part(NamedTuple):
    """What is exported of a model: its layers, an input [B, ...], and what the model makes of it.

    `takes` and `gives` name input and outputs.
    """

    name: str
    layers: Mapping[str, nn.Module] | nn.Module
    takes: str
    x: Tensor
    gives: tuple[str, ...]
    y: tuple[Tensor, ...]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m latent_digits.commands.export",
        description="The trained networks as ONNX and as plain torch.nn with safetensors.",
    )
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, nargs="?", default="exported", help="exported/"
    )
    folder = parser.parse_args().folder
    val = validation_set()
    images = pixels(torch.from_numpy(val.images[:2])[:, None]).contiguous()
    names = [name for name, kind in MODELS.items() if val.classes or kind != "classifier"]
    models = {name: trained_model(name, val) for name in names}
    with torch.no_grad():
        parts = {name: [*parts_of(name, model, images)] for name, (model, _) in models.items()}
    every = [part for found in parts.values() for part in found]
    with tempfile.TemporaryDirectory() as draft:  # brought over when all of it is right
        place = Path(draft)
        with ProgressDisplay("export", "network") as progress:
            done = 0
            for name, found in parts.items():
                about = {"name": name, "weights_md5": digest(path_of(name)), **models[name][1]}
                for part in found:
                    network = write_plain(place, part, about)
                    write_bytes(place / f"{part.name}.onnx", onnx_of(network, part, about))
                    done += 1
                    progress.advance("networks", done, len(every), part.name)
        write_networks(place, every)
        for path in sorted(place.iterdir()):
            write_bytes(folder / path.name, path.read_bytes())
    say(f"export: {len(every)} networks in {folder}/, as ONNX and as plain PyTorch (networks.py).")


def parts_of(name: str, model: Any, images: Tensor) -> Iterator[Part]:
    """The networks of a model that are of use by themselves; their files have these names."""
    match MODELS[name]:
        case "autoencoder":
            z = model.encoder(images)
            yield Part(f"{name}_encoder", model.encoder, "images", images, ("latents",), (z,))
            yield decoder(name, model, z)
        case "vae":
            mu, log_var = model.encode(images)
            layers = {one: model.get_submodule(one) for one in ("convolutions", "mu", "log_var")}
            gives = ("mu", "log_var")
            yield Part(f"{name}_encoder", layers, "images", images, gives, (mu, log_var))
            yield decoder(name, model, mu)
        case "denoiser":
            yield Part(name, model, "noisy", images, ("clean",), (model(images),))
        case "classifier":
            yield Part(name, model, "images", images, ("logits",), (model(images),))
        case kind:
            raise UserError(f"{name} is a {kind}, of which commands/export.py knows no parts.")


def decoder(name: str, model: Any, z: Tensor) -> Part:
    return Part(f"{name}_decoder", model.decoder, "latents", z, ("images",), (model.decoder(z),))


def write_networks(folder: Path, parts: list[Part]) -> Path:
    """The Python file that builds the parts' networks."""
    lines = [f'    "{one.name}": lambda: {source(one.layers)},\n' for one in parts]
    path = folder / "networks.py"
    write_text(path, f"{PLAIN}NETWORKS = {{\n{''.join(lines)}}}\n")
    return path


def source(layers: Mapping[str, nn.Module] | nn.Module, margin: str = "    ") -> str:
    """Python that builds the layers: the same Sequentials, of what torch.nn's own print as."""
    inner = f"{margin}    "
    if isinstance(layers, Mapping):
        lines = [f"{inner}{name}={source(one, inner)},\n" for name, one in layers.items()]
        return f"VariationalEncoder(\n{''.join(lines)}{margin})"
    if isinstance(layers, nn.Sequential):
        children = dict(layers.named_children())
        if [*children] == [f"{place}" for place in range(len(children))]:
            lines = [f"{inner}{source(one, inner)},\n" for one in children.values()]
            return f"nn.Sequential(\n{''.join(lines)}{margin})"
        deeper = f"{inner}    "
        lines = [f'{deeper}"{name}": {source(one, deeper)},\n' for name, one in children.items()]
        return f"nn.Sequential(\n{inner}OrderedDict({{\n{''.join(lines)}{inner}}})\n{margin})"
    return f"nn.{layers!r}"


def write_plain(folder: Path, part: Part, about: Row) -> nn.Module:
    """The plain network of a part, loaded from its weights, which are written.

    Raises UserError where it does not compute the same, as with a layer that is not of torch.nn.
    """
    modules = part.layers if isinstance(part.layers, Mapping) else {"": part.layers}
    weights = {
        f"{prefix}.{name}".lstrip("."): array
        for prefix, module in modules.items()
        for name, array in arrays_of(module).items()
    }
    write_tensors(folder / f"{part.name}.safetensors", weights, about)
    try:
        network = runpy.run_path(f"{write_networks(folder, [part])}")["load"](part.name)
        with torch.no_grad():
            found = network(part.x)
        for y, expected in zip(as_tuple(found), part.y, strict=True):
            torch.testing.assert_close(y, expected, rtol=TOLERANCE, atol=TOLERANCE)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{part.name} cannot be exported: built anew of torch.nn's own layers, as they print, "
            f"it is not the same ({reason}). Nothing was written."
        ) from None
    return network


def as_tuple(found: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (found,) if isinstance(found, Tensor) else found


def onnx_of(network: nn.Module, part: Part, about: Row) -> bytes:
    """The network in ONNX, for batches of any size, checked, with `about` as its metadata."""
    program: Any = torch.onnx.export(
        network,
        (part.x,),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=[part.takes],
        output_names=[*part.gives],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    model = program.model_proto
    graph = model.graph
    graph.name = part.name
    values = (graph.node, graph.value_info, graph.input, graph.output, graph.initializer)
    for one in (graph, *(one for found in values for one in found)):
        one.ClearField("metadata_props")  # paths of this machine among them
    model.doc_string = f"{part.name} of latent-digits; images are float32 in [0, 1]"
    onnx.helper.set_model_props(model, {name: as_text(about[name]) for name in sorted(about)})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    run_stage(main)
