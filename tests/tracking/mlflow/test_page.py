"""The generated report as one page."""

from pathlib import Path

from latent_digits.tracking.mlflow.page import page


def test_tables_and_figures_are_inside(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/one.png").write_bytes(b"pixels")
    report = tmp_path / "report.md"
    report.write_text("| a |\n| - |\n| σ |\n\n![one](figures/one.png) ![two](figures/two.png)\n")
    text = page(report)
    assert "<td>σ</td>" in text
    assert 'src="data:image/png;base64,cGl4ZWxz"' in text
    assert 'src="figures/two.png"' in text  # not there: the page says what is missing


def test_a_link_that_runs_code_is_none(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    report.write_text("[click](javascript:alert(1))\n")
    assert "href" not in page(report)
