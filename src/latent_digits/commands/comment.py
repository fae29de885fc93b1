"""The comparison as a comment of a pull request, one that is kept current: `make comment`.

It runs in a workflow of its own, which may write, after the one that ran the pull request's code,
which may not. What that left is taken as a stranger's: checked, and rendered here. What cannot be
told for a reason that nobody has to fix is a notice, and the job is green.
"""

import re
from typing import Any

from latent_digits.comparison.markdown import render
from latent_digits.comparison.values import Comparison
from latent_digits.console import UserError, run_stage
from latent_digits.github.api import GitHub, RefusedError, github
from latent_digits.github.artifact import find_artifact, read_artifact
from latent_digits.github.cutting import cut
from latent_digits.github.events import Repository, RunEvent, WorkflowRun, read_event
from latent_digits.github.figures import figures

MARKER = "<!-- latent-digits: the comparison -->"
AUTHOR = "github-actions[bot]"  # who a workflow's own token writes as
MOST = 60_000  # characters; GitHub takes 65,536
FORBIDDEN = (403, 404, 410)  # may not, cannot see, switched off


class NoCommentError(Exception):
    """Why there is none, where nothing is to be fixed."""


def main() -> None:
    event, api = read_event(RunEvent), github()
    try:
        outcome = comment(api, event.repository, event.workflow_run)
    except NoCommentError as reason:
        outcome = f"No comment: {reason}"
    print("::notice title=Comparison::" + outcome.replace("%", "%25"))  # as the runner reads it


def comment(api: GitHub, repository: Repository, run: WorkflowRun) -> str:
    """Write the comment of the pull request that `run` was of; returns what was done."""
    if run.event != "pull_request":
        raise NoCommentError(f"the run was for {run.event}, not for a pull request.")
    artifact = find_artifact(api, repository.full_name, run.id)
    if artifact is None:
        raise NoCommentError(
            f"{run.html_url} has no artifact with a comparison; its log says why it ended before."
        )
    comparison = read_artifact(api, repository.full_name, artifact)
    require_commit(comparison, run)
    number = pull_request(api, repository.full_name, run)
    return write(api, repository.full_name, number, body(api, repository, run, comparison), run)


def require_commit(comparison: Comparison, run: WorkflowRun) -> None:
    if comparison.head.commit != run.head_sha:
        raise UserError(
            f"compare.json is not of the commit {run.head_sha[:7]} that its run was of; it is not "
            "used. The workflow should check out that commit and `make compare` there."
        )


def pull_request(api: GitHub, repository: str, run: WorkflowRun) -> int:
    """The number of the open pull request of that repository, branch and commit.

    An event names none when it comes from a fork. Commits alone do not tell: two pull requests may
    share one.
    """
    if run.head_repository is None or run.head_branch is None:
        raise NoCommentError("the repository or the branch that the run was of is deleted.")
    source = f"{run.head_repository.full_name}:{run.head_branch}"
    branch = f"{run.head_repository.owner}:{run.head_branch}"
    of_branch = [
        one
        for one in api.pages(f"/repos/{repository}/pulls", state="open", head=branch)
        if comes_from(one["head"], run)
    ]
    if not of_branch:
        raise NoCommentError(f"no open pull request comes from {source}; it is closed, or merged.")
    current = [one["number"] for one in of_branch if one["head"]["sha"] == run.head_sha]
    if not current:
        now = of_branch[0]
        raise NoCommentError(
            f"pull request {now['number']} has moved on to {now['head']['sha'][:7]} since this run "
            f"of {run.head_sha[:7]}; the run of that commit comments on it."
        )
    if len(current) > 1:
        several = " and ".join(str(number) for number in sorted(current))
        raise NoCommentError(
            f"pull requests {several} both come from {source}, and the run does not say which of "
            "them it was of; close one."
        )
    return current[0]


def comes_from(head: dict[str, Any], run: WorkflowRun) -> bool:
    repository = (head["repo"] or {}).get("full_name")  # null where it is deleted
    wanted = run.head_repository.full_name if run.head_repository else None
    return repository == wanted and head["ref"] == run.head_branch


def body(api: GitHub, repository: Repository, run: WorkflowRun, comparison: Comparison) -> str:
    """The whole comment, at most MOST characters: the table is cut, the rest is short."""
    base = comparison.base.commit if re.fullmatch("[0-9a-f]{40}", comparison.base.commit) else ""
    after = (
        f"Of commit {run.head_sha}, by [this run]({run.html_url}), which has `compare.html` and "
        "the figures, too."
    )
    shown = figures(api, repository, base, run.head_sha)
    rest = "\n\n".join(["", shown, after] if shown else ["", after])
    where = f"**Cut here**, for its length: the whole is in [the run's summary]({run.html_url})."
    return cut(f"{MARKER}\n{render(comparison)}", MOST - len(rest), where) + rest


def write(api: GitHub, repository: str, number: int, text: str, run: WorkflowRun) -> str:
    """Write over our comment, or write the first; returns which."""
    try:
        ours = find_comment(api, repository, number)
        if ours is None:
            api.ask("POST", f"/repos/{repository}/issues/{number}/comments", {"body": text})
        else:
            api.ask("PATCH", f"/repos/{repository}/issues/comments/{ours}", {"body": text})
    except RefusedError as error:
        if error.status not in FORBIDDEN:
            raise
        raise NoCommentError(
            f"it may not be written ({error}). The same stands in the summary of {run.html_url}; "
            "for a comment this job needs `permissions: pull-requests: write`."
        ) from None
    done = "has a comment now" if ours is None else "has its comment brought up to date"
    return f"Pull request {number} {done}."


def find_comment(api: GitHub, repository: str, number: int) -> int | None:
    """Our comment: the marker alone does not tell, since anyone can write it."""
    for one in api.pages(f"/repos/{repository}/issues/{number}/comments"):
        author = one["user"] or {}  # null where the account is deleted
        if author.get("login") == AUTHOR and (one["body"] or "").startswith(MARKER):
            return one["id"]
    return None


if __name__ == "__main__":
    run_stage(main)
