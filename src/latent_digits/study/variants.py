"""Which trainings the study's stages run: the original report's models and baselines beside
them."""

from dataclasses import replace

from latent_digits.data.dataset import Dataset
from latent_digits.data.storage import Arrays
from latent_digits.models.architecture import Architecture
from latent_digits.project.params import (
    Budget,
    FinetuneParams,
    FullRecipe,
    NoiseLevels,
    TrainAeParams,
    TrainVaeParams,
)
from latent_digits.seeds import seed_for
from latent_digits.study.noise import Noise
from latent_digits.study.trainings import (
    AutoencoderTraining,
    ClassifierTraining,
    HeadTraining,
    Training,
    VaeTraining,
)
from latent_digits.training.hyperparameters import Hyperparameters
from latent_digits.training.loop import Recipe


def autoencoders(
    hparams: Hyperparameters, params: TrainAeParams, seed: int, data: Dataset
) -> dict[str, Training]:
    """The autoencoder at the tuned Z, at Z = 2, and as a series over further Z."""
    architecture = architecture_of(hparams, data)
    tuned = AutoencoderTraining(
        latent_dim=hparams.latent_dim,
        architecture=architecture,
        dropout=hparams.dropout,
        recipe=tuned_recipe(hparams, params.ae),
        seed=seed_for(seed, "train_ae", "ae"),
    )
    return {
        "ae": tuned,
        "ae_2d": AutoencoderTraining(
            latent_dim=params.ae_2d.latent_dim,
            architecture=architecture,
            dropout=params.ae_2d.dropout,
            recipe=own_recipe(params.ae_2d),
            seed=seed_for(seed, "train_ae", "ae_2d"),
        ),
        **{
            f"latents/{z}": replace(tuned, latent_dim=z, seed=seed_for(seed, "train_ae", z))
            for z in params.latent_dims
        },
    }


def denoisers(
    hparams: Hyperparameters, budget: Budget, levels: NoiseLevels, seed: int, data: Dataset
) -> dict[str, Training]:
    """The autoencoder at the tuned Z, from noisy to clean."""
    return {
        "denoiser": AutoencoderTraining(
            latent_dim=hparams.latent_dim,
            architecture=architecture_of(hparams, data),
            dropout=hparams.dropout,
            noise=Noise(**levels.model_dump()),
            recipe=tuned_recipe(hparams, budget),
            seed=seed_for(seed, "train_denoise", "denoiser"),
        )
    }


def vaes(
    hparams: Hyperparameters, params: TrainVaeParams, seed: int, data: Dataset
) -> dict[str, Training]:
    """The variational autoencoder at the tuned Z, and at Z = 2."""
    architecture = architecture_of(hparams, data)
    return {
        "vae": VaeTraining(
            latent_dim=hparams.latent_dim,
            architecture=architecture,
            beta=params.beta,
            recipe=own_recipe(params.vae),
            seed=seed_for(seed, "train_vae", "vae"),
        ),
        "vae_2d": VaeTraining(
            latent_dim=params.vae_2d.latent_dim,
            architecture=architecture,
            beta=params.beta,
            recipe=own_recipe(params.vae_2d),
            seed=seed_for(seed, "train_vae", "vae_2d"),
        ),
    }


def classifiers(
    hparams: Hyperparameters, encoder: Arrays, params: FinetuneParams, seed: int, data: Dataset
) -> dict[str, Training]:
    """A head on the trained encoder; the same on an untrained one; and all of it from scratch.

    The heads start from the same weights, so that what differs is the encoder under them, and in
    the series over fewer labels all three learn from the same images.
    """
    architecture = architecture_of(hparams, data)
    head = HeadTraining(
        latent_dim=hparams.latent_dim,
        architecture=architecture,
        hidden=params.hidden,
        classes=len(data.classes),
        encoder_weights=encoder,
        recipe=own_recipe(params.head),
        seed=seed_for(seed, "finetune"),
    )
    untrained = replace(head, encoder_weights=None)
    end_to_end = ClassifierTraining(
        latent_dim=hparams.latent_dim,
        architecture=architecture,
        hidden=params.hidden,
        classes=len(data.classes),
        dropout=hparams.dropout,
        recipe=own_recipe(params.end_to_end),
        seed=seed_for(seed, "finetune"),
    )
    ways = {"pretrained": head, "untrained": untrained, "end_to_end": end_to_end}
    return {
        "classifier": head,
        "classifier_random_encoder": untrained,
        "classifier_end_to_end": end_to_end,
        **{
            f"labels/{way}_{count}": replace(training, labels=count)
            for count in params.labels
            for way, training in ways.items()
        },
    }


def architecture_of(hparams: Hyperparameters, data: Dataset) -> Architecture:
    """The layers' sizes as the search chose them, for the images at hand."""
    return Architecture(data.size, hparams.channels, hparams.units)


def tuned_recipe(hparams: Hyperparameters, budget: Budget) -> Recipe:
    """How the search says to train, for as long as the budget says."""
    return Recipe(hparams.optimizer, hparams.lr, hparams.batch_size, budget.epochs, budget.patience)


def own_recipe(params: FullRecipe) -> Recipe:
    """A training that `params.yaml` states in full."""
    return Recipe(params.optimizer, params.lr, params.batch_size, params.epochs, params.patience)
