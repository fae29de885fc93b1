"""What GitHub says of the event that a job runs for, in the file $GITHUB_EVENT_PATH.

Only what is used here. GitHub writes these, but names of branches are their authors' own.
"""

import os
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from latent_digits.console import UserError

# Pydantic's expressions are Rust's: `$` is the end of the text alone.
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
FullName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Repository(Part):
    full_name: FullName
    html_url: str

    @property
    def owner(self) -> str:
        return self.full_name.partition("/")[0]


class WorkflowRun(Part):
    """A run of a workflow. The branch and its repository are None when they were deleted."""

    id: int
    event: str
    html_url: str
    head_sha: Sha
    head_branch: str | None
    head_repository: Repository | None


class RunEvent(Part):
    """`workflow_run`: another workflow has ended."""

    workflow_run: WorkflowRun
    repository: Repository


class End(Part):
    """Where a pull request comes from, or goes to."""

    ref: str
    sha: Sha


class PullRequest(Part):
    head: End
    base: End


class PullRequestEvent(Part):
    """`pull_request`: it was opened, or has changed."""

    pull_request: PullRequest
    repository: Repository


Event = TypeVar("Event", RunEvent, PullRequestEvent)


def read_event(kind: type[Event]) -> Event:
    """The event of this job. Raises UserError when it is not of that kind."""
    name = os.environ.get("GITHUB_EVENT_PATH", "")
    try:
        return kind.model_validate_json(Path(name).read_bytes())
    except OSError as error:
        raise UserError(
            f"GITHUB_EVENT_PATH is {name!r} ({error.strerror}); this runs in a job of GitHub "
            "Actions, which writes its event there."
        ) from None
    except ValidationError as error:
        first = ".".join(str(part) for part in error.errors()[0]["loc"])
        wanted = "workflow_run" if kind is RunEvent else "pull_request"
        raise UserError(
            f"{name} is no event {wanted} (at {first or 'its beginning'}); start this from a "
            "workflow with that trigger."
        ) from None
