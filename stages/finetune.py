"""finetune: a small head on the frozen encoder, two baselines, and all three on fewer labels."""

from pathlib import Path

from latent_digits.console import run_stage
from latent_digits.data.dataset import load_dataset
from latent_digits.data.resume_cache import ResumeCache
from latent_digits.models.weights import load_encoder
from latent_digits.project.params import load_params
from latent_digits.study.execution import run_trainings, save_trained, save_untrained
from latent_digits.study.variants import classifiers
from latent_digits.tracking.stage_run import stage_run
from latent_digits.training.hyperparameters import load_hyperparameters
from latent_digits.training.training_data import training_data_of


def main() -> None:
    params = load_params()
    train = load_dataset(Path("data/split/train.safetensors"))
    val = load_dataset(Path("data/split/val.safetensors"))
    data = training_data_of(train, val)
    hparams = load_hyperparameters(Path("reports/hyperparameters.json"), train)
    encoder = load_encoder(Path("data/models/ae.safetensors"), train)

    with stage_run("finetune", params.model_dump(include={"seed", "fabric", "finetune"})) as run:
        trainings = classifiers(hparams, encoder, params.finetune, params.seed, train)
        if not train.classes:
            save_untrained(trainings, train)
            return
        cache = ResumeCache("finetune", data)
        trained = run_trainings(cache, data, trainings, params.fabric, run.metrics)
        save_trained(trained, trainings, train, run)


if __name__ == "__main__":
    run_stage(main)
