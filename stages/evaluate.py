"""evaluate: every number and array of the generated report; opens the test set."""

from pathlib import Path

from latent_digits.arithmetic import one_thread
from latent_digits.beside import beside
from latent_digits.console import run_stage
from latent_digits.data.dataset import load_dataset
from latent_digits.data.storage import write_json, write_tensors
from latent_digits.evaluation.evidence import behaviour, evidence
from latent_digits.evaluation.measures import evaluation_of
from latent_digits.evaluation.metrics import (
    all_arrays,
    all_measured,
    headlines,
    load_models,
    per_image,
    projecting,
)
from latent_digits.project.params import load_params
from latent_digits.tracking.stage_run import stage_run

METRICS = Path("reports/metrics.json")
EVALUATION = Path("reports/evaluation.json")
CLAIMS = Path("reports/claims.json")
PER_IMAGE = Path("reports/per_image.safetensors")
ARRAYS = Path("data/arrays.safetensors")


@one_thread()
def main() -> None:
    params = load_params()
    train, val, test = (
        load_dataset(Path(f"data/split/{name}.safetensors")) for name in ("train", "val", "test")
    )
    models = load_models(Path("data/models"), train)
    seed, resamples = params.evaluate.seed, params.evaluate.bootstrap_resamples
    evaluation = evaluation_of(train, val, test, seed, resamples)

    logged = params.model_dump(include={"noise", "evaluate"})
    with (
        beside(behaviour, evaluation, models, params, forked=True) as behaved,
        stage_run("evaluate", logged) as run,
    ):
        with projecting(evaluation, models, params) as projections:
            found = all_measured(evaluation, models, params)
            metrics, values = headlines(found), per_image(evaluation, models, params, found)
            details = {name: evaluation.summary(one) for name, one in found.items()}
            claims = evidence(evaluation, models, found, behaved)
            arrays, facts = all_arrays(evaluation, models, params, projections())

        write_json(METRICS, metrics)
        write_json(EVALUATION, details)
        write_json(CLAIMS, claims)
        write_tensors(PER_IMAGE, *values)
        write_tensors(ARRAYS, arrays, facts | {"split": train.digest})
        run.metrics(metrics)
        run.files(METRICS, EVALUATION, CLAIMS, PER_IMAGE)


if __name__ == "__main__":
    run_stage(main)
