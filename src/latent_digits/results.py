"""What `evaluate` writes: each model's metrics, and every array that the figures draw."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from latent_digits.catalogue import MODELS
from latent_digits.console import Board, say
from latent_digits.corruption import Noise, corrupted
from latent_digits.dataset import Dataset
from latent_digits.evaluation import Evaluation, Metrics, latents
from latent_digits.params import NoiseParams, Params
from latent_digits.showcase import (
    SHOWN,
    interpolation,
    layer_shapes,
    noise_panel,
    pairs,
    projections,
)
from latent_digits.storage import Arrays, Row
from latent_digits.store import Store
from latent_digits.weights import load_model


class Models(NamedTuple):
    """The trained models and their descriptions, by the names of their files."""

    networks: Mapping[str, Any]
    about: Mapping[str, Row]


def load_models(folder: Path, dataset: Dataset) -> Models:
    """All models of the study, checked against the split of `dataset`."""
    loaded = {name: load_model(folder / f"{name}.safetensors", dataset) for name in MODELS}
    networks: dict[str, nn.Module] = {name: model for name, (model, _) in loaded.items()}
    return Models(networks, {name: about for name, (_, about) in loaded.items()})


def all_metrics(evaluation: Evaluation, models: Models, params: Params) -> dict[str, Metrics]:
    """The content of `reports/metrics.json`."""
    network, about = models.networks, models.about
    noise, active = params.noise, params.evaluate.active_unit_variance
    with Board("evaluate", unit="model") as board:
        board.begin("metrics", len(MODELS) + 1)
        metrics: dict[str, Metrics] = {}

        def add(name: str, values: Metrics) -> None:
            metrics[name] = values
            board.advance("metrics", len(metrics), len(MODELS) + 1, name)

        add("ae", evaluation.autoencoder(network["ae"]))
        add("ae_2d", evaluation.autoencoder(network["ae_2d"]))
        add("pca", evaluation.pca(about["ae"]["latent_dim"]))
        add("denoiser", evaluation.denoiser(network["denoiser"], *denoisers_noises(noise)))
        add("vae", evaluation.vae(network["vae"], active))
        add("vae_2d", evaluation.vae(network["vae_2d"], active))
        for name in MODELS:
            if name.startswith("classifier"):
                trainable = about[name]["trainable_parameters"]
                add(name, evaluation.classifier(network[name], trainable))
    return metrics


def all_arrays(evaluation: Evaluation, models: Models, params: Params) -> Arrays:
    """The content of `data/arrays.safetensors`, under names such as "ae.input"."""
    network, val = models.networks, evaluation.val
    text, _ = denoisers_noises(params.noise)
    panel = Noise(**params.noise.panel.model_dump())
    noisy = corrupted(val.images[:SHOWN], text, evaluation.seed_for("noise", "shown"))
    steps, perplexity = params.evaluate.interpolation_steps, params.evaluate.tsne_perplexity
    z = latents(network["ae"], val.images)
    projected = kept_projections(z, perplexity, evaluation.seed_for("tsne"))
    groups: dict[str, Arrays] = {
        "architecture": layer_shapes(network["ae"]),
        "ae": pairs(network["ae"], val.images[:SHOWN]) | projected,
        "ae_2d": {"z": latents(network["ae_2d"], val.images)},
        "noise": {"panel": noise_panel(val.images[0], panel, evaluation.seed_for("panel"))},
        "denoiser": pairs(network["denoiser"], noisy),
        "vae": pairs(network["vae"], val.images[:SHOWN])
        | {"interpolation": interpolation(network["vae"], val, steps)},
        "vae_2d": {"z": latents(network["vae_2d"], val.images)},
        "classifier": {"confusion": evaluation.confusion(network["classifier"])},
        "val": {"labels": val.labels.numpy()},
    }
    return {
        f"{group}.{name}": array
        for group, arrays in groups.items()
        for name, array in arrays.items()
    }


def kept_projections(z: np.ndarray, perplexity: int, seed: int) -> Arrays:
    """`projections`, from the last time if the latents are the same: t-SNE is most of the stage."""
    with Store("evaluate") as store:
        slot = store.slot("projections", z, perplexity, seed)
        if found := slot.load():
            return found[0]
        say(f"evaluate arrays: the longest is the t-SNE of {len(z)} latents")
        arrays = projections(z, perplexity, seed)
        slot.save(arrays, {})
        return arrays


def denoisers_noises(params: NoiseParams) -> tuple[Noise, Noise]:
    """The text's noise and the harsher one of the author's runs."""
    return Noise(**params.text.model_dump()), Noise(**params.harsh.model_dump())
