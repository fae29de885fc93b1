"""Which trainings the study's stages run: the original report's models and baselines beside
them."""

from dataclasses import replace

from latent_digits.data.storage import Arrays
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


def autoencoders(hparams: Hyperparameters, params: TrainAeParams, seed: int) -> dict[str, Training]:
    """The autoencoder at the tuned Z, and at Z = 2."""
    return {
        "ae": AutoencoderTraining(
            latent_dim=hparams.latent_dim,
            dropout=hparams.dropout,
            recipe=tuned_recipe(hparams, params.ae),
            seed=seed_for(seed, "train_ae", "ae"),
        ),
        "ae_2d": AutoencoderTraining(
            latent_dim=params.ae_2d.latent_dim,
            dropout=params.ae_2d.dropout,
            recipe=own_recipe(params.ae_2d),
            seed=seed_for(seed, "train_ae", "ae_2d"),
        ),
    }


def denoisers(
    hparams: Hyperparameters, budget: Budget, levels: NoiseLevels, seed: int
) -> dict[str, Training]:
    """The autoencoder at the tuned Z, from noisy to clean."""
    return {
        "denoiser": AutoencoderTraining(
            latent_dim=hparams.latent_dim,
            dropout=hparams.dropout,
            noise=Noise(**levels.model_dump()),
            recipe=tuned_recipe(hparams, budget),
            seed=seed_for(seed, "train_denoise", "denoiser"),
        )
    }


def vaes(hparams: Hyperparameters, params: TrainVaeParams, seed: int) -> dict[str, Training]:
    """The variational autoencoder at the tuned Z, and at Z = 2."""
    return {
        "vae": VaeTraining(
            latent_dim=hparams.latent_dim,
            recipe=own_recipe(params.vae),
            seed=seed_for(seed, "train_vae", "vae"),
        ),
        "vae_2d": VaeTraining(
            latent_dim=params.vae_2d.latent_dim,
            recipe=own_recipe(params.vae_2d),
            seed=seed_for(seed, "train_vae", "vae_2d"),
        ),
    }


def classifiers(
    hparams: Hyperparameters, encoder: Arrays, params: FinetuneParams, seed: int
) -> dict[str, Training]:
    """A head on the trained encoder; the same on an untrained one; and all of it from scratch.

    The two heads start from the same weights, so that what differs is the encoder under them.
    """
    head = HeadTraining(
        latent_dim=hparams.latent_dim,
        hidden=params.hidden,
        encoder_weights=encoder,
        recipe=own_recipe(params.head),
        seed=seed_for(seed, "finetune"),
    )
    return {
        "classifier": head,
        "classifier_random_encoder": replace(head, encoder_weights=None),
        "classifier_end_to_end": ClassifierTraining(
            latent_dim=hparams.latent_dim,
            hidden=params.hidden,
            dropout=hparams.dropout,
            recipe=own_recipe(params.end_to_end),
            seed=seed_for(seed, "finetune"),
        ),
    }


def tuned_recipe(hparams: Hyperparameters, budget: Budget) -> Recipe:
    """How the search says to train, for as long as the budget says."""
    return Recipe(hparams.optimizer, hparams.lr, hparams.batch_size, budget.epochs, budget.patience)


def own_recipe(params: FullRecipe) -> Recipe:
    """A training that `params.yaml` states in full."""
    return Recipe(params.optimizer, params.lr, params.batch_size, params.epochs, params.patience)
