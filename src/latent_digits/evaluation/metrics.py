"""What `evaluate` writes: each model's metrics, and every array that the figures draw.

`metrics.json` has the headlines, `evaluation.json` all that was measured, with intervals, and
`per_image.safetensors` what a later comparison needs to pair the test images.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from latent_digits.arithmetic import one_thread
from latent_digits.beside import beside
from latent_digits.catalogue import METRICS, MODELS, SERIES, Metric
from latent_digits.console import ProgressDisplay, UserError, say
from latent_digits.data.dataset import Dataset
from latent_digits.data.fingerprint import fingerprint
from latent_digits.data.resume_cache import ResumeCache, Slot
from latent_digits.data.storage import Arrays, Row
from latent_digits.evaluation.arrays import (
    SHOWN,
    classes_read,
    decoded_plane,
    denoising,
    interpolation,
    layers,
    noise_panel,
    pairs,
    prior_samples,
    projections,
)
from latent_digits.evaluation.measures import Evaluation, LabelledImages, Measured, Metrics, latents
from latent_digits.models.networks import parameter_count
from latent_digits.models.weights import load_model
from latent_digits.project.params import NoiseParams, Params
from latent_digits.study.noise import Noise


class Models(NamedTuple):
    """The trained models and their descriptions, by the names of their files; see `catalogue`."""

    networks: Mapping[str, Any]
    about: Mapping[str, Row]


def load_models(folder: Path, dataset: Dataset) -> Models:
    """All models of the study, checked against the split of `dataset`.

    Without labels there are no classifiers. Raises UserError where `folder` has another model,
    which nobody would measure.
    """
    kept = {path.stem for path in folder.glob("[!.]*") if path.is_dir() or path.suffix == SUFFIX}
    if others := kept - {*MODELS, *SERIES}:
        raise UserError(
            f"{folder} has {listed(others)}, which catalogue.MODELS does not name, so that nobody "
            "measures it; name it there, or delete the file."
        )
    members = [path for one in SERIES for path in sorted(folder.glob(f"{one}/[!.]*{SUFFIX}"))]
    names = [*MODELS, *(f"{path.parent.name}/{path.stem}" for path in members)]
    names = [name for name in names if dataset.classes or not kind_of(name).startswith(CLASSIFIER)]
    loaded = {name: load_model(folder / f"{name}{SUFFIX}", dataset) for name in names}
    networks: dict[str, nn.Module] = {name: model for name, (model, _) in loaded.items()}
    return Models(networks, {name: about for name, (_, about) in loaded.items()})


def autoencoder(evaluation: Evaluation, models: Models, params: Params, name: str) -> Measured:
    return evaluation.autoencoder(models.networks[name])


def denoiser(evaluation: Evaluation, models: Models, params: Params, name: str) -> Measured:
    return evaluation.denoiser(models.networks[name], *denoisers_noises(params.noise))


def vae(evaluation: Evaluation, models: Models, params: Params, name: str) -> Measured:
    return evaluation.vae(models.networks[name], params.evaluate.active_unit_variance)


def classifier(evaluation: Evaluation, models: Models, params: Params, name: str) -> Measured:
    trainable_parameters = models.about[name]["trainable_parameters"]
    return evaluation.classifier(models.networks[name], trainable_parameters)


def classifier_of_few_labels(
    evaluation: Evaluation, models: Models, params: Params, name: str
) -> Measured:
    return evaluation.classifier_of_few_labels(models.networks[name])


def kind_of(name: str) -> str:
    """How a model is measured, by its name."""
    return MODELS.get(name) or SERIES[name.partition("/")[0]]


SUFFIX = ".safetensors"
CLASSIFIER = "classifier"  # how their kinds begin
FEW = 2000  # latents, whose t-SNE takes no longer than to start a process
MEASURED_BY: dict[str, Callable[[Evaluation, Models, Params, str], Measured]] = {
    "autoencoder": autoencoder,
    "denoiser": denoiser,
    "vae": vae,
    "classifier": classifier,
    "classifier_of_few_labels": classifier_of_few_labels,
}


def measured(
    evaluation: Evaluation, models: Models, params: Params
) -> Iterator[tuple[str, Measured]]:
    """Each model's name and what is measured of it; PCA's too.

    Raises UserError where a model would be left out, of what is measured or of the headlines.
    """
    if unknown := {*MODELS.values(), *SERIES.values()} - set(MEASURED_BY):
        raise UserError(
            f"catalogue.MODELS has models that are measured as {listed(unknown)}; MEASURED_BY of "
            f"evaluation/metrics.py knows {listed(MEASURED_BY)}."
        )
    if missing := set(MODELS) - {one.group for one in METRICS}:
        raise UserError(
            f"catalogue.MODELS has {listed(missing)}, of which there is no headline, so that no "
            "comparison would see it; add one to catalogue.METRICS."
        )
    for name in models.networks:
        yield name, MEASURED_BY[kind_of(name)](evaluation, models, params, name)
    yield "pca", evaluation.pca(models.about["ae"]["latent_dim"])


def all_measured(evaluation: Evaluation, models: Models, params: Params) -> dict[str, Measured]:
    """All of `measured`, shown as it goes."""
    found: dict[str, Measured] = {}
    with ProgressDisplay("evaluate", unit="model") as progress:
        count = len(models.networks) + 1
        progress.begin("metrics", count)
        for name, values in measured(evaluation, models, params):
            found[name] = values
            progress.advance("metrics", len(found), count, name)
    return found


def headlines(found: Mapping[str, Measured]) -> Metrics:
    """The content of `metrics.json`; without labels, of what needs none.

    Raises UserError for a headline that nobody measures.
    """
    measured = {f"{group}.{name}" for group, values in found.items() for name in values}
    if missing := {one.key for one in told(found)} - measured:
        raise UserError(
            f"catalogue.METRICS has {listed(missing)}, which is not measured; there are "
            f"{listed(measured)}."
        )
    return {
        one.name: one.scale * float(np.mean(found[one.group][one.of_group])) for one in told(found)
    }


def told(found: Mapping[str, Measured]) -> list[Metric]:
    """The headlines that there can be: without labels there are no classifiers."""
    labelled = any(kind.startswith(CLASSIFIER) for kind in map(MODELS.get, found) if kind)
    return [one for one in METRICS if labelled or not one.labelled]


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def per_image(
    evaluation: Evaluation, models: Models, params: Params, found: Mapping[str, Measured]
) -> tuple[Arrays, Row]:
    """The content of `per_image.safetensors`: arrays of a value a test image, and a description.

    Errors are in the headline's unit, float16: three digits, and their mean five. Of a classifier
    there is the class that it took each image for, under the headline's name like the others. The
    description has the classes' names, and says of every headline how it was measured, so that two
    that differ in this are never compared.
    """
    arrays: Arrays = {}
    small = np.min_scalar_type(len(evaluation.classes))
    if evaluation.classes:
        arrays["labels"] = evaluation.test.labels.numpy().astype(small)
    for one in told(found):
        values = found[one.group][one.of_group]
        if MODELS.get(one.group) == CLASSIFIER:
            arrays[one.name] = evaluation.predicted(models.networks[one.group]).astype(small)
        elif isinstance(values, np.ndarray):
            arrays[one.name] = (one.scale * values).astype(np.float16)
    ways = {one.name: way(one, evaluation, params) for one in told(found)}
    return arrays, {"ways": ways, "classes": evaluation.classes}


def way(metric: Metric, evaluation: Evaluation, params: Params) -> Row:
    """How a headline was measured, in facts of which none may differ in a comparison."""
    sample = evaluation.test if metric.on == "test" else evaluation.val
    facts: Row = {"way": metric.way, "on": metric.on, "images": digest_of_images(sample)}
    if metric.group == "denoiser":
        as_coded = metric.of_group.startswith("as_coded")
        levels = params.noise.as_coded if as_coded else params.noise.as_described
        facts["noise"] = " ".join(f"{value:g}" for value in levels.model_dump().values())
    if metric.drawn:
        facts["seed"] = evaluation.seed
    if metric.of_group == "active_units":
        facts["variance"] = params.evaluate.active_unit_variance
    return facts


def digest_of_images(sample: LabelledImages) -> str:
    return fingerprint(sample.images.numpy(), sample.labels.numpy())[:12]


@contextmanager
def projecting(
    evaluation: Evaluation, models: Models, params: Params
) -> Iterator[Callable[[], Arrays]]:
    """Begin `kept_projections` of the autoencoder's latents; what the block gets waits for them.

    They are begun in a process of their own, unless they are kept: t-SNE takes longer than all else
    of the stage.
    """
    z = latents(models.networks["ae"], evaluation.val.images)
    arguments = z, params.evaluate.tsne_perplexity, evaluation.seed_for("tsne")
    kept = projections_slot(ResumeCache("evaluate"), *arguments).load()
    if kept:
        yield lambda: kept[0]
    elif len(z) < FEW:  # done sooner than a process starts
        yield lambda: kept_projections(*arguments)
    else:
        with beside(kept_projections, *arguments) as projected:
            yield projected


def all_arrays(
    evaluation: Evaluation, models: Models, params: Params, projected: Arrays
) -> tuple[Arrays, Row]:
    """The content of `data/arrays.safetensors`: arrays, named such as "ae.input", and facts.

    `projected` is what `projecting` gave. Without labels it lacks what a classifier reads, and
    `val.labels`.
    """
    network, val, classes = models.networks, evaluation.val, evaluation.classes
    shown, reader = val.images[:SHOWN], network.get("classifier")
    as_described, _ = denoisers_noises(params.noise)
    figure_3 = Noise(**params.noise.figure_3.model_dump())
    panel_seed, noise_seed = evaluation.seed_for("panel"), evaluation.seed_for("noise", "val")
    steps = params.evaluate.interpolation_steps
    planes = {name: latents(network[name], val.images) for name in ("ae_2d", "vae_2d")}
    paths = {name: interpolation(network[name], val, steps) for name in ("ae", "vae")}
    latent_dim = models.about["vae"]["latent_dim"]
    drawn = prior_samples(network["vae"], latent_dim, evaluation.seed_for("prior"))
    denoised, counts = denoising(network["denoiser"], reader, val, as_described, noise_seed)
    groups: dict[str, Arrays] = {
        "ae": pairs(network["ae"], shown) | projected,
        "vae": pairs(network["vae"], shown) | {"prior": drawn},
        "path": paths,
        "noise": {
            "figure_3": noise_panel(val.images[0], figure_3, panel_seed),
            "as_described": noise_panel(val.images[0], as_described, panel_seed),
        },
        "denoiser": denoised,
        **{name: {"z": z} | decoded_plane(network[name], z) for name, z in planes.items()},
    }
    facts: Row = {
        "data": {"name": evaluation.name, "classes": classes, "size": shown.shape[-1]},
        "layers": layers(network["ae"], shown.shape[-1]),
        "parameters": {name: parameter_count(network[name]) for name in ("ae", "vae")},
        "noise": params.noise.model_dump(include={"figure_3", "as_described"}),
        "denoising": counts,
        "path": {"from": classes[0], "to": classes[-1]} if classes else {},
    }
    if reader:
        groups["vae"]["prior_read"] = classes_read(reader, drawn)
        groups["path"] |= {f"{name}_read": classes_read(reader, one) for name, one in paths.items()}
        groups["classifier"] = {"confusion": evaluation.confusion(reader)}
        groups["val"] = {"labels": val.labels.numpy()}
    arrays = {
        f"{group}.{name}": array
        for group, arrays in groups.items()
        for name, array in arrays.items()
    }
    return arrays, facts


def kept_projections(z: np.ndarray, perplexity: int, seed: int) -> Arrays:
    """`projections`, from the last time if the latents are the same."""
    with one_thread(), ResumeCache("evaluate") as cache:
        slot = projections_slot(cache, z, perplexity, seed)
        if found := slot.load():
            return found[0]
        say(f"evaluate arrays: the longest is the t-SNE of {len(z)} latents")
        arrays = projections(z, perplexity, seed)
        slot.save(arrays, {})
        return arrays


def projections_slot(cache: ResumeCache, z: np.ndarray, perplexity: int, seed: int) -> Slot:
    return cache.slot("projections", z, perplexity, seed)


def denoisers_noises(params: NoiseParams) -> tuple[Noise, Noise]:
    """The noise as the original report describes it, and as its author's code has it."""
    return Noise(**params.as_described.model_dump()), Noise(**params.as_coded.model_dump())
