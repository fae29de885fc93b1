"""The arrays that the figures draw: images, paths through latent space, projections, shapes."""

from dataclasses import replace

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor, nn

from latent_digits.data.storage import Arrays
from latent_digits.engine.functional import pixels
from latent_digits.evaluation.measures import LabelledImages, latents, reconstructions
from latent_digits.models.networks import Autoencoder, VariationalAutoencoder
from latent_digits.study.noise import Noise

SHOWN = 9  # images a figure of reconstructions, in a 3×3 grid


def pairs(model: nn.Module, inputs: Tensor) -> Arrays:
    """What the model sees and what it makes of it, [N, 28, 28] each."""
    return {"input": pixels(inputs)[:, 0].numpy(), "output": reconstructions(model, inputs)}


def noise_panel(image: Tensor, noise: Noise, seed: int) -> np.ndarray:
    """One image clean, with Gaussian, salt & pepper, speckle, and all three, [5, 28, 28]."""
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


def interpolation(model: VariationalAutoencoder, sample: LabelledImages, steps: int) -> np.ndarray:
    """A straight line from the mean of the first "0" to that of the first "9", decoded.

    Returns [steps, 28, 28].
    """
    first, last = (sample.images[sample.labels == digit][:1] for digit in (0, 9))
    ends = torch.from_numpy(latents(model, torch.cat([first, last])))
    path = torch.lerp(ends[0], ends[1], torch.linspace(0, 1, steps)[:, None])
    with torch.no_grad():
        return model.decoder(path)[:, 0].numpy()


def projections(z: np.ndarray, perplexity: int, seed: int) -> Arrays:
    """Latents [N, Z] in two dimensions: by PCA, with its shares of variance, and by t-SNE.

    van der Maaten & Hinton 2008, started from the principal components.
    """
    pca = PCA(2, svd_solver="covariance_eigh")
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed % 2**32)
    return {
        "pca": pca.fit_transform(z),
        "pca_share": pca.explained_variance_ratio_,
        "tsne": tsne.fit_transform(z),
    }


def layer_shapes(model: Autoencoder) -> Arrays:
    """The shape of each activation, [layers, 3]: (C, H, W), or (features, 0, 0)."""
    image = torch.zeros(1, 1, 28, 28)
    with torch.no_grad():
        z = model.encoder(image)
    return {"encoder": shapes_of(model.encoder, image), "decoder": shapes_of(model.decoder, z)}


def shapes_of(stack: nn.Sequential, x: Tensor) -> np.ndarray:
    """The shapes of the input and of the output of every layer that has weights."""
    shapes = [shape_of(x)]
    with torch.no_grad():
        for layer in stack:
            x = layer(x)
            if list(layer.parameters()):
                shapes.append(shape_of(x))
    return np.array(shapes, dtype=np.int32)


def shape_of(activation: Tensor) -> tuple[int, int, int]:
    """(C, H, W) of an image [1, C, H, W], or (features, 0, 0) of a vector."""
    sizes = activation.shape[1:]
    return (sizes[0], sizes[1], sizes[2]) if len(sizes) == 3 else (sizes[0], 0, 0)
