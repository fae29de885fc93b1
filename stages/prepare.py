"""prepare: get a data set, verify it, and draw the train, validation and test sets."""

from pathlib import Path

from latent_digits.console import run_stage
from latent_digits.data.dataset import save_dataset
from latent_digits.preparation.folders import load_folder
from latent_digits.preparation.known import KNOWN, load_known
from latent_digits.preparation.splits import draw_splits
from latent_digits.project.params import load_params
from latent_digits.tracking.stage_run import stage_run


def main() -> None:
    params = load_params()
    name = params.prepare.dataset
    known = next((one for one in KNOWN if one.key == name), None)
    found = load_known(known) if known else load_folder(Path(name))

    splits = draw_splits(found, **params.prepare.model_dump(exclude={"dataset"}))

    with stage_run("prepare", params.model_dump(include={"prepare"})) as run:
        for name, dataset in splits._asdict().items():
            save_dataset(Path(f"data/split/{name}.safetensors"), dataset)
            run.metrics({"images": {name: len(dataset.labels)}})


if __name__ == "__main__":
    run_stage(main)
