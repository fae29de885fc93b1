"""What `make verify` has found: the record that it writes and a person commits.

Times, machines and dates vary from run to run, so no stage's output may have them of itself. The
report prints those of this record, and which results they are of.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from latent_digits.console import UserError

FILE = Path("reports/verified.json")
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")]
Commit = Annotated[str, Field(pattern="^([0-9a-f]{7,64})?( with changes)?$")]


class Machine(BaseModel):
    """What a stage ran on, as far as it explains a time."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    processor: str
    logical_cores: int
    memory_gib: int

    @property
    def text(self) -> str:
        return (
            f"{self.processor}, {self.logical_cores} logical cores, {self.memory_gib} GiB of memory"
        )


class Verification(BaseModel):
    """One stage, made again from nothing and compared with `dvc.lock`.

    `date` is that of UTC when it ended, `seconds` are None where a kill fell into the stage,
    `outputs` are the digests in `dvc.lock`, and `different` those outputs that came out otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    commit: Commit
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    machine: Machine
    versions: dict[str, str]
    outputs: dict[str, Digest]
    different: list[str]


class Verified(BaseModel):
    """The file's content, by stage in the pipeline's order; a stage that never was is not there."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    stages: dict[str, Verification] = {}


def read_verified(path: Path) -> Verified:
    """Raises UserError where the file is missing or has another form."""
    try:
        return Verified.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} is missing; `git checkout {path}` restores it.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise UserError(
            f"{path} is not as `make verify` writes it ({where}: {first['msg']}); "
            f"`git checkout {path}` restores it, and without it `make verify` begins a new one."
        ) from None
