"""Which trainings the study's stages run: the report's models and the controls beside them."""

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
from latent_digits.study.execution import Training
from latent_digits.study.noise import Noise
from latent_digits.study.trainings import (
    train_autoencoder,
    train_denoiser,
    train_end_to_end,
    train_head,
    train_vae,
)
from latent_digits.training.hyperparameters import Design
from latent_digits.training.loop import Recipe


def autoencoders(design: Design, params: TrainAeParams, seed: int) -> dict[str, Training]:
    """The autoencoder at the tuned Z, and at Z = 2."""
    tuned, flat = tuned_recipe(design, params.ae), own_recipe(params.ae_2d)
    about = {"model": "autoencoder"}
    return {
        "ae": Training(
            train_autoencoder,
            (design.latent_dim, design.dropout, tuned, seed_for(seed, "train_ae", "ae")),
            tuned.epochs,
            about | {"latent_dim": design.latent_dim},
        ),
        "ae_2d": Training(
            train_autoencoder,
            (
                params.ae_2d.latent_dim,
                params.ae_2d.dropout,
                flat,
                seed_for(seed, "train_ae", "ae_2d"),
            ),
            flat.epochs,
            about | {"latent_dim": params.ae_2d.latent_dim},
        ),
    }


def denoisers(
    design: Design, budget: Budget, levels: NoiseLevels, seed: int
) -> dict[str, Training]:
    """The autoencoder at the tuned Z, from noisy to clean."""
    recipe = tuned_recipe(design, budget)
    noise = Noise(**levels.model_dump())
    seed = seed_for(seed, "train_denoise", "denoiser")
    return {
        "denoiser": Training(
            train_denoiser,
            (design.latent_dim, design.dropout, recipe, noise, seed),
            recipe.epochs,
            {"model": "autoencoder", "latent_dim": design.latent_dim},
        )
    }


def vaes(design: Design, params: TrainVaeParams, seed: int) -> dict[str, Training]:
    """The variational autoencoder at the tuned Z, and at Z = 2."""
    variants = {
        "vae": (design.latent_dim, own_recipe(params.vae)),
        "vae_2d": (params.vae_2d.latent_dim, own_recipe(params.vae_2d)),
    }
    return {
        name: Training(
            train_vae,
            (latent_dim, recipe, seed_for(seed, "train_vae", name)),
            recipe.epochs,
            {"model": "variational_autoencoder", "latent_dim": latent_dim},
        )
        for name, (latent_dim, recipe) in variants.items()
    }


def classifiers(
    design: Design, encoder: Arrays, params: FinetuneParams, seed: int
) -> dict[str, Training]:
    """A head on the trained encoder; the same on an untrained one; and all of it from scratch.

    The two heads start from the same weights, so that what differs is the encoder under them.
    """
    head, whole = own_recipe(params.head), own_recipe(params.end_to_end)
    z, seed = design.latent_dim, seed_for(seed, "finetune")
    about = {"model": "classifier", "latent_dim": z, "hidden": params.hidden}
    return {
        "classifier": Training(
            train_head, (z, encoder, params.hidden, head, seed), head.epochs, about
        ),
        "classifier_random_encoder": Training(
            train_head, (z, None, params.hidden, head, seed), head.epochs, about
        ),
        "classifier_end_to_end": Training(
            train_end_to_end,
            (z, design.dropout, params.hidden, whole, seed),
            whole.epochs,
            about,
        ),
    }


def tuned_recipe(design: Design, budget: Budget) -> Recipe:
    """How the search says to train, for as long as the budget says."""
    return Recipe(design.optimizer, design.lr, design.batch_size, budget.epochs, budget.patience)


def own_recipe(params: FullRecipe) -> Recipe:
    """A training that `params.yaml` states in full."""
    return Recipe(params.optimizer, params.lr, params.batch_size, params.epochs, params.patience)
