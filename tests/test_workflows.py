"""The promises of `.github/workflows/` and `.gitlab-ci.yml`, and what linters say of them."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from latent_digits.commands.compare import PAGES
from latent_digits.commands.summary import FILE
from latent_digits.github.artifact import MEMBER, NAME
from latent_digits.project import yaml_files
from smoke import PROJECT

FILES = sorted((PROJECT / ".github/workflows").glob("*.yml"))
WORKFLOWS: dict[str, Any] = {path.stem: yaml_files.read(path) for path in FILES}
GITLAB: dict[str, Any] = yaml_files.read(PROJECT / ".gitlab-ci.yml")
ACTIONS = {"actions/checkout", "actions/setup-python", "actions/upload-artifact"}
TARGETS = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
JOBS = [(name, job) for name, flow in WORKFLOWS.items() for job in flow["jobs"].values()]
STEPS = [(name, step) for name, job in JOBS for step in job["steps"]]
RUNS = [(name, step["run"]) for name, step in STEPS if "run" in step]
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
every_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def targets(name: str) -> list[str]:
    return [run.split()[1] for workflow, run in RUNS if workflow == name]


def test_these_are_all() -> None:
    assert set(WORKFLOWS) == {"pull-request", "comment", "study", "verify"}
    assert targets("pull-request") == ["check", "test", "base", "compare", "gate", "summary"]
    assert targets("comment") == ["comment"]
    assert targets("study") == ["repro", "uncommitted"]
    assert targets("verify") == ["verify"]


@pytest.mark.parametrize(("name", "run"), RUNS)
def test_what_runs_is_one_make_target(name: str, run: str) -> None:
    found = re.fullmatch(r'make ([a-z]+)( NEUTRAL=1)?( BASE="\$BASE")?', run)
    assert found and found[1] in TARGETS


@every_file
def test_actions_are_pinned_by_commit_with_the_version_beside_it(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if "uses:" in line]
    assert lines
    for line in lines:
        found = re.fullmatch(r" +- uses: ([\w/-]+)@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
        assert found and found[1] in ACTIONS


def test_an_action_has_one_version() -> None:
    text = "".join(path.read_text() for path in FILES)
    assert len(set(re.findall(r"uses: (.*)", text))) == len(ACTIONS)


def test_no_checkout_keeps_credentials_or_takes_a_branch() -> None:
    checkouts = [step for _, step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len(JOBS)
    for step in checkouts:
        assert step["with"]["persist-credentials"] is False
        assert step["with"].get("ref") in (None, "${{ github.event.pull_request.head.sha }}")


@every_file
def test_no_secret_is_named(path: Path) -> None:
    assert "secrets" not in re.sub("#.*", "", path.read_text())


@every_workflow
def test_permissions_are_none_but_those_of_a_job(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    for job in WORKFLOWS[name]["jobs"].values():
        writes = {key for key, value in job["permissions"].items() if value != "read"}
        assert writes == ({"pull-requests"} if name == "comment" else set())
        assert job["timeout-minutes"]


def test_what_may_write_runs_nothing_of_a_pull_request() -> None:
    comment = WORKFLOWS["comment"]
    assert set(comment["on"]) == {"workflow_run"}
    assert comment["on"]["workflow_run"]["workflows"] == [WORKFLOWS["pull-request"]["name"]]
    for name, step in STEPS:
        assert name != "comment" or "ref" not in step.get("with", {})
    others = {name: flow["on"] for name, flow in WORKFLOWS.items() if name != "comment"}
    assert set().union(*others.values()) == {"pull_request", "schedule", "workflow_dispatch"}


def test_the_gate_and_the_summary_do_not_wait_for_tests() -> None:
    jobs = WORKFLOWS["pull-request"]["jobs"]
    assert "needs" not in jobs["compare"]
    always = [step for step in jobs["compare"]["steps"] if step.get("if") == "${{ !cancelled() }}"]
    assert [step["run"].split()[1] for step in always if "run" in step] == ["gate", "summary"]


def test_the_comment_reads_what_the_run_uploads() -> None:
    uploads = [s["with"] for n, s in STEPS if "upload-artifact" in s.get("uses", "")]
    (found,) = (one for one in uploads if one["name"] == NAME)
    assert found["path"] == str(FILE)
    assert FILE == PAGES / MEMBER


def gitlab_scripts() -> Iterator[str]:
    for job in GITLAB.values():
        yield from job.get("script", [])
        yield from job.get("after_script", [])


def test_gitlab_has_the_same_targets() -> None:
    found = {line.split()[1] for line in gitlab_scripts()}
    assert all(re.match(r"make [a-z]+( NEUTRAL=1)?( BASE=|$)", line) for line in gitlab_scripts())
    assert found == {run.split()[1] for _, run in RUNS} - {"base", "comment"}


def linter(name: str) -> list[str]:
    """The command, or a skipped test."""
    found = shutil.which(
        name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if not found:
        pytest.skip(f"{name} is not in this environment; `make check` installs it")
    return [found]


def require_clean(*command: str) -> None:
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    require_clean(*linter("zizmor"), "--offline", "--quiet", "--persona=auditor", ".github")


def test_github_and_gitlab_would_read_them() -> None:
    schema = (*linter("check-jsonschema"), "--builtin-schema")
    require_clean(*schema, "vendor.github-workflows", *map(str, FILES))
    require_clean(*schema, "vendor.gitlab-ci", ".gitlab-ci.yml")
