"""plot: the figures and the generated report in its three forms, from stored results alone."""

from pathlib import Path

from latent_digits.console import run_stage
from latent_digits.data.storage import read_tensors, write_bytes, write_text
from latent_digits.project.params import load_params
from latent_digits.report.document import text_of_report, unmarked
from latent_digits.report.figures.drawing import Study
from latent_digits.report.figures.series import draw_figures, drawings
from latent_digits.report.html import page
from latent_digits.report.inputs import Inputs
from latent_digits.report.typeset import pdf
from latent_digits.tracking.stage_run import stage_run

REPORTS = Path("reports")
TOLD = {"prepare", "tune", "train_ae", "train_vae", "finetune", "noise", "evaluate"}


def main() -> None:
    params = load_params()
    results = Inputs.read(REPORTS, params.model_dump(include=TOLD))
    arrays, facts = read_tensors(Path("data/arrays.safetensors"))

    with stage_run("plot", {"plot": params.plot.model_dump()}) as run:
        drawn = drawings(Study.of(results, arrays, facts, params.plot.max_points))
        draw_figures(REPORTS / "figures", drawn, params.plot.dpi)
        text, values = text_of_report(results, drawn)
        write_text(REPORTS / "report.md", unmarked(text))
        write_text(REPORTS / "report.html", page(text, values, REPORTS))
        write_bytes(REPORTS / "report.pdf", pdf(text, REPORTS))
        run.files(
            REPORTS / "figures", *(REPORTS / f"report.{kind}" for kind in ("md", "html", "pdf"))
        )


if __name__ == "__main__":
    run_stage(main)
