"""A file that a kill tore is deleted; any other stays."""

from pathlib import Path

import pytest

from latent_digits import mending

WHOLE = {"dvc.lock": "schema: '2.0'\nstages: {}\n", ".dvc/tmp/rwlock": '{"read": {}, "write": {}}'}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mending, "MOMENT", 0.0)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("part", [0.0, 0.4, 0.7])
def test_a_torn_file_is_deleted(
    name: str, part: float, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for one, content in WHOLE.items():
        (project / one).write_text(content)
    (project / name).write_text(WHOLE[name][: int(part * len(WHOLE[name]))])
    mending.main()
    left = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    assert left == set(WHOLE) - {name}
    assert f"{name} was torn by a kill" in capsys.readouterr().err


def test_without_such_files_there_is_nothing_to_do(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mending.main()
    assert capsys.readouterr().err == ""
