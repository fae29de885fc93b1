"""What the figures draw: images, paths through latent space, projections; and the layers' facts."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor, nn

from latent_digits.arithmetic import two_threads
from latent_digits.data.storage import Arrays, Row
from latent_digits.engine.functional import normal_sample, pixels
from latent_digits.evaluation.measures import (
    LabelledImages,
    latents,
    predictions,
    reconstructions,
)
from latent_digits.models.networks import Autoencoder, VariationalAutoencoder
from latent_digits.study.noise import Noise, corrupted

SHOWN = 9  # images a figure: the same of every model
DRAWN = 64  # samples of the prior
GRID = 15  # decoded images a side of a plane


def pairs(model: nn.Module, inputs: Tensor) -> Arrays:
    """What the model sees and what it makes of it, [N, S, S] each."""
    return {"input": pixels(inputs)[:, 0].numpy(), "output": reconstructions(model, inputs)}


def noise_panel(image: Tensor, noise: Noise, seed: int) -> np.ndarray:
    """One image clean, with Gaussian, salt & pepper, speckle, and all three, [5, S, S]."""
    x = pixels(image)[None]
    torch.manual_seed(seed)
    return torch.cat([x, *(kind(x) for kind in kinds_of(noise).values())])[:, 0].numpy()


def kinds_of(noise: Noise) -> dict[str, Noise]:
    """Each of the three noises alone, and all of them."""
    none = Noise(0.0, 0.0, 0.0, 0.0)
    gaussian = {"gaussian_mean": noise.gaussian_mean, "gaussian_variance": noise.gaussian_variance}
    return {
        "gaussian": replace(none, **gaussian),
        "salt_pepper": replace(none, salt_pepper=noise.salt_pepper),
        "speckle": replace(none, speckle_variance=noise.speckle_variance),
        "all": noise,
    }


def denoising(
    denoiser: nn.Module,
    classifier: nn.Module | None,
    sample: LabelledImages,
    noise: Noise,
    seed: int,
) -> tuple[Arrays, Row]:
    """The first SHOWN images clean, noisy and denoised, the first SHOWN that failed; and counts.

    An image has failed where the classifier reads it, denoised, otherwise than its label; without a
    classifier none is known to. Of each there is the label and what the classifier reads; the
    counts are over the whole sample, and say of clean and of noisy images, too, how many are
    misread.
    """
    noisy = corrupted(sample.images, noise, seed)
    denoised = torch.from_numpy(reconstructions(denoiser, noisy))[:, None]
    kinds = {"clean": pixels(sample.images), "noisy": noisy, "denoised": denoised}
    if classifier is None:
        found = {f"typical_{name}": one[:SHOWN, 0].numpy() for name, one in kinds.items()}
        return found, {"images": len(noisy)}
    read = {name: classes_read(classifier, images) for name, images in kinds.items()}
    labels = sample.labels.numpy()
    failed = np.flatnonzero(read["denoised"] != labels)
    shown = {"typical": np.arange(len(labels))[:SHOWN], "failed": failed[:SHOWN]}
    arrays = {
        f"{group}_{name}": images[indices, 0].numpy()
        for group, indices in shown.items()
        for name, images in kinds.items()
    }
    for group, indices in shown.items():
        arrays |= {f"{group}_label": labels[indices], f"{group}_read": read["denoised"][indices]}
    misread = {name: int((found != labels).sum()) for name, found in read.items()}
    return arrays, {"images": len(labels), "misread": misread}


def classes_read(classifier: nn.Module, images: Tensor | np.ndarray) -> np.ndarray:
    """The class that a classifier takes each image for, [N]; images are [N, (1,) S, S]."""
    x = torch.as_tensor(images)
    return predictions(classifier, x if x.ndim == 4 else x[:, None])


def interpolation(
    model: Autoencoder | VariationalAutoencoder, sample: LabelledImages, steps: int
) -> np.ndarray:
    """A straight line between the latents of two images, decoded; a VAE's are the means.

    They are the first ones of the first and of the last class, or without labels the first two.
    Returns [steps, S, S].
    """
    last = int(sample.labels.max())
    labels = sample.labels if last >= 0 else torch.arange(len(sample.images))
    ends = torch.cat([sample.images[labels == label][:1] for label in (0, max(last, 1))])
    ends = torch.from_numpy(latents(model, ends))
    path = torch.lerp(ends[0], ends[1], torch.linspace(0, 1, steps)[:, None])
    return decoded(model, path)


def prior_samples(model: VariationalAutoencoder, latent_dim: int, seed: int) -> np.ndarray:
    """DRAWN draws z ~ N(0, I), decoded: [DRAWN, S, S]."""
    torch.manual_seed(seed)
    standard = torch.zeros(DRAWN, latent_dim)
    return decoded(model, normal_sample(standard, standard))


def decoded_plane(model: Autoencoder | VariationalAutoencoder, z: np.ndarray) -> Arrays:
    """What the decoder draws all over the square that holds 99 % of two latents, [N, 2], each.

    "grid" [GRID, GRID, S, S] begins at the top left, where latent 2 is largest; "window" [2, 2]
    has the ends of the square, of latent 1 and of latent 2.
    """
    low, high = np.quantile(z, (0.005, 0.995), axis=0)
    middle, half = (low + high) / 2, (high - low).max() / 2
    cells = half * ((2 * np.arange(GRID) + 1) / GRID - 1)  # their middles
    places = np.stack(np.meshgrid(middle[0] + cells, middle[1] - cells), axis=-1)
    grid = decoded(model, torch.from_numpy(places.reshape(-1, 2).astype(np.float32)))
    window = np.stack([middle - half, middle + half], axis=1)
    return {"grid": grid.reshape(GRID, GRID, *grid.shape[1:]), "window": window}


@torch.no_grad()
def decoded(model: Autoencoder | VariationalAutoencoder, z: Tensor) -> np.ndarray:
    """Latents [N, Z] to images [N, S, S]."""
    return model.decoder(z)[:, 0].numpy()


def variance_shares(z: np.ndarray) -> np.ndarray:
    """The share of the variance of latents [N, Z] that each principal component has, [Z]."""
    return PCA(svd_solver="covariance_eigh").fit(z).explained_variance_ratio_


def projections(z: np.ndarray, perplexity: int, seed: int) -> Arrays:
    """Latents [N, Z] in two dimensions: by PCA, with its shares of variance, and by t-SNE.

    van der Maaten & Hinton 2008, started from the principal components. `variance_shares` are those
    of all components.
    """
    pca = PCA(2, svd_solver="covariance_eigh")
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed % 2**32)
    with two_threads():
        embedded = tsne.fit_transform(z)
    return {
        "pca": pca.fit_transform(z),
        "pca_share": pca.explained_variance_ratio_,
        "variance_shares": variance_shares(z),
        "tsne": embedded,
    }


def layers(model: Autoencoder, size: int) -> Row:
    """Encoder and decoder, layer by layer, as they are: see `layers_of`."""
    image = torch.zeros(1, 1, size, size)
    with torch.no_grad():
        z = model.encoder(image)
        return {
            "encoder": list(layers_of(model.encoder, image)),
            "decoder": list(layers_of(model.decoder, z)),
        }


def layers_of(stack: nn.Sequential, x: Tensor) -> Iterator[Row]:
    """The input, and every layer that has weights or changes the shape, with what follows it.

    A shape is [C, H, W] or [features]; kernel and stride are of one side, None of what has none.
    """
    row: Row = {"layer": "input", "shape": [*x.shape[1:]], "then": []}
    for layer in stack:
        x = layer(x)
        parameters = sum(weights.numel() for weights in layer.parameters())
        shape = [*x.shape[1:]]
        if not parameters and shape == row["shape"]:
            row["then"].append(type(layer).__name__)
            continue
        yield row
        sides = {
            name: getattr(layer, attribute, (None,))[0]
            for name, attribute in (("kernel", "kernel_size"), ("stride", "stride"))
        }
        about = {"layer": type(layer).__name__, "shape": shape, "parameters": parameters}
        row = {**about, **sides, "then": []}
    yield row
