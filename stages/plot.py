"""plot: figures, the generated report and the page of the planes, from what is stored alone."""

from pathlib import Path

from latent_digits.console import run_stage
from latent_digits.data.storage import read_tensors, write_bytes, write_text
from latent_digits.project.params import load_params
from latent_digits.report.document import text_of_report, unmarked
from latent_digits.report.explorer import TITLES, render_explorer
from latent_digits.report.figures.drawing import Study
from latent_digits.report.figures.series import drawing, drawings
from latent_digits.report.html import page
from latent_digits.report.inputs import Inputs, digest
from latent_digits.report.typeset import pdf
from latent_digits.tracking.stage_run import stage_run

REPORTS = Path("reports")
ARRAYS, VAL = Path("data/arrays.safetensors"), Path("data/split/val.safetensors")
PLANAR = {name: Path(f"data/models/{name}.safetensors") for name in TITLES}
TOLD = {"seed", "prepare", "tune", "train_ae", "train_vae", "finetune", "noise", "evaluate"}
WRITTEN = [REPORTS / f"report.{kind}" for kind in ("md", "html", "pdf")]
EXPLORER = REPORTS / "explorer.html"


def main() -> None:
    params = load_params()
    digests = {str(path): digest(path) for path in (ARRAYS, VAL, *PLANAR.values())}
    arrays, facts = read_tensors(ARRAYS)
    results = Inputs.read(REPORTS, params.model_dump(include=TOLD), digests, facts)
    planar = {name: read_tensors(path)[0] for name, path in PLANAR.items()}
    val, _ = read_tensors(VAL)

    tables = results.hparams, results.trials, results.histories, results.evidence
    beta, most = params.train_vae.beta, params.plot.max_points
    drawn = drawings(Study(arrays, facts, *tables, beta, most))

    with (
        drawing(REPORTS / "figures", drawn, params.plot.dpi) as figures,
        stage_run("plot", {"plot": params.plot.model_dump()}) as run,
    ):
        text, values = text_of_report(results, drawn)
        write_text(EXPLORER, render_explorer(arrays, facts, planar, val))
        figures()
        for path, content in zip(
            WRITTEN,
            (unmarked(text).encode(), page(text, values, REPORTS).encode(), pdf(text, REPORTS)),
            strict=True,
        ):
            write_bytes(path, content)
        run.files(REPORTS / "figures", *WRITTEN, EXPLORER)


if __name__ == "__main__":
    run_stage(main)
