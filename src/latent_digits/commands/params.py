"""Whether `params.yaml` can be run, in a sentence, before DVC reads it: `make repro` begins so."""

from pathlib import Path

from latent_digits.console import run_stage
from latent_digits.project.params import load_params


def main() -> None:
    load_params(Path("params.yaml"))


if __name__ == "__main__":
    run_stage(main)
