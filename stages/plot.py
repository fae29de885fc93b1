"""plot: the thirteen figures and the generated report, from stored arrays and tables alone."""

from pathlib import Path

from latent_digits.catalogue import MODELS
from latent_digits.console import run_stage
from latent_digits.data.storage import read_csv, read_json, read_tensors, write_text
from latent_digits.project.params import load_params
from latent_digits.report.figures import draw_figures
from latent_digits.report.markdown import render_report
from latent_digits.tracking.stage_run import stage_run

FIGURES = Path("reports/figures")
REPORT = Path("reports/report.md")


def main() -> None:
    params = load_params().plot
    arrays, _ = read_tensors(Path("data/arrays.safetensors"))
    metrics, hparams = (
        read_json(Path("reports/evaluation.json")),
        read_json(Path("reports/hyperparameters.json")),
    )
    ablation = read_json(Path("reports/ablation.json"))
    trials = read_csv(Path("reports/trials.csv"))
    histories = {name: read_csv(Path(f"reports/histories/{name}.csv")) for name in MODELS}

    with stage_run("plot", {"plot": params.model_dump()}) as run:
        draw_figures(FIGURES, arrays, histories, trials, params.dpi, params.max_points)
        write_text(REPORT, render_report(metrics, hparams, trials, histories, ablation))
        run.files(FIGURES, REPORT)


if __name__ == "__main__":
    run_stage(main)
