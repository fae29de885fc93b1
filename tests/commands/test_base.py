"""What a pull request is compared with: where it has left its base, where GitHub says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_github import BASE, LATER, FakeGitHub, job, pull_request_event, run_event
from latent_digits.commands import base
from latent_digits.console import UserError


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    with FakeGitHub() as fake:
        job(fake, pull_request_event(), tmp_path, monkeypatch)
        yield fake


def test_it_is_where_the_branch_has_left_its_base(github: FakeGitHub, tmp_path: Path) -> None:
    base.main()
    assert (tmp_path / "output").read_text() == f"sha={BASE}\n"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_else_it_is_the_base_as_it_is_now(
    github: FakeGitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    github.no["GET", f"...{'a' * 40}"] = status
    base.main()
    assert (tmp_path / "output").read_text() == f"sha={LATER}\n"
    said = capsys.readouterr().err
    assert f"GitHub answers {status} to" in said
    assert "compared with the branch main as it is now" in said


def test_another_event_is_refused(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job(github, run_event(), tmp_path, monkeypatch)
    with pytest.raises(UserError, match="is no event pull_request"):
        base.main()
