"""tune: search the original report's space for hyperparameters, which later stages read."""

from pathlib import Path

from latent_digits.console import run_stage
from latent_digits.data.dataset import load_dataset
from latent_digits.data.storage import write_csv
from latent_digits.project.params import load_params
from latent_digits.search.execution import run_search
from latent_digits.search.sampler import columns, conclude, table
from latent_digits.seeds import seed_for
from latent_digits.tracking.stage_run import stage_run
from latent_digits.training.hyperparameters import save_hyperparameters
from latent_digits.training.training_data import training_data_of

HYPERPARAMETERS = Path("reports/hyperparameters.json")
TRIALS = Path("reports/trials.csv")


def main() -> None:
    params = load_params()
    train = load_dataset(Path("data/split/train.safetensors"))
    val = load_dataset(Path("data/split/val.safetensors"))

    with stage_run("tune", params.model_dump(include={"seed", "tune"})) as run:
        data = training_data_of(train, val)
        trials = run_search(data, params.tune, seed_for(params.seed, "tune"), run)
        hparams, found = conclude(trials, params.tune)

        save_hyperparameters(HYPERPARAMETERS, hparams, found, train)
        write_csv(TRIALS, columns(params.tune.epochs), table(trials))
        run.files(HYPERPARAMETERS)
        run.trials(TRIALS)


if __name__ == "__main__":
    run_stage(main)
