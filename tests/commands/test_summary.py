"""The summary of a CI job: the comparison, or why there is none."""

from pathlib import Path

import pytest

from fake_github import comparison
from latent_digits.commands import summary
from latent_digits.commands.summary import FILE, MOST
from latent_digits.comparison.markdown import render
from latent_digits.comparison.values import Gate


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    FILE.parent.mkdir()
    return tmp_path / "summary.md"


def test_it_is_added_to_what_other_steps_have_written(place: Path) -> None:
    place.write_text("before\n")
    FILE.write_text(comparison().model_dump_json())
    summary.main()
    assert place.read_text() == f"before\n{render(comparison())}\n"


@pytest.mark.parametrize(("code", "notice"), [(0, False), (1, False), (2, False), (3, True)])
def test_a_gate_that_did_not_judge_is_a_notice(
    place: Path, capsys: pytest.CaptureFixture[str], code: int, notice: bool
) -> None:
    gate = Gate(exit=code, neutral=True, reasons=["No base."], changes=[])
    FILE.write_text(comparison().model_copy(update={"gate": gate}).model_dump_json())
    summary.main()
    assert capsys.readouterr().out.startswith("::notice title=Gate::The gate did not") == notice


def test_on_a_terminal_it_is_printed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    FILE.write_text(comparison().model_dump_json())
    summary.main()
    assert capsys.readouterr().out == f"{render(comparison())}\n"
    assert not place.exists()


def test_without_a_comparison_it_says_so(place: Path) -> None:
    summary.main()
    assert place.read_text().startswith(
        "**No comparison**: `make compare` has not written reports/compare.json"
    )


@pytest.mark.parametrize(("text", "where"), [("{}", "`sentence`"), ("torn", "`its beginning`")])
def test_of_an_invalid_one_it_says_where(place: Path, text: str, where: str) -> None:
    FILE.write_text(text)
    summary.main()
    assert f"reports/compare.json is none (at {where})" in place.read_text()


def test_a_long_one_is_cut_by_bytes(place: Path) -> None:
    FILE.write_text(comparison(rows=3000, note="ä" * 290).model_dump_json())
    summary.main()
    content = place.read_bytes()
    assert MOST - 1000 < len(content) <= MOST + 1
    assert content.decode().endswith("among the run's artifacts.\n")
