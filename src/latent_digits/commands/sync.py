"""Send what waits for a tracking server, the present parent run too: `make sync`.

MLflow, whose start takes seconds, is asked only when something has changed since it had everything.
"""

from pathlib import Path
from typing import Any

from latent_digits.console import UserError, run_stage, say
from latent_digits.data.storage import files_of, write_text
from latent_digits.project.provenance import Study, digest, digest_of, read_study
from latent_digits.project.replicas import FILE, read_replicas
from latent_digits.tracking.addresses import data_base, only_one, place, queue_folder, workspace
from latent_digits.tracking.faults import one_line
from latent_digits.tracking.records import end_entry, study_entry
from latent_digits.tracking.upload_queue import RunQueue, begin_queue

PACKAGE = Path(__file__).parents[1]
SYNCED = ".synced"  # in the upload queue's folder: what `state` was when MLflow had everything


def main() -> None:
    """Send all of it. Raises UserError when the server does not take it; nothing is lost then."""
    study = read_study(workspace())
    try:
        with only_one("sync"):
            sync(study)
    except UserError:
        raise
    except Exception as error:  # MLflow's, its data base's, its HTTP client's
        raise UserError(
            f"{place()} does not take it ({one_line(error)}); nothing is lost, the rest "
            f"waits in the upload queue, {queue_folder()}."
        ) from None
    say(f"mlflow: {place()} has everything.")


def sync(study: Study) -> None:
    """`send_all`, unless nothing has changed since MLflow had everything."""
    synced, here = queue_folder() / SYNCED, state_of_files(study)
    before = synced.read_text(encoding="utf-8") if synced.exists() else ""
    if before != state(here):
        send_all(study)
        if now := state(here):  # of what was here before, since more may have come meanwhile
            write_text(synced, now)


def state_of_files(study: Study) -> str:
    """A name for all that is to be sent."""
    paths = [study.folder / path for path in (*study.makers, FILE)]
    files = [stamp(one) for path in paths for one in files_of(path) if one.name[0] != "."]
    return digest_of([study_entry(study), study.made({}), files, digest(PACKAGE)])


def state(of_files: str) -> str | None:
    """A name for that and for where it is sent.

    None where it has to be asked what is there: of a server, and while something waits.
    """
    file = data_base()
    if not file or not file.exists() or any(queue_folder().glob("[!.]*/")):
        return None
    with file.open("rb") as content:
        content.seek(24)
        changes = content.read(4).hex()  # SQLite counts them there
    return digest_of([of_files, stamp(file), changes, stamp(file.with_name("mlartifacts"))])


def stamp(file: Path) -> list[Any]:
    """What changes when a file or folder does, or another takes its place."""
    try:
        found = file.stat()
    except FileNotFoundError:  # a stage runs, or nothing was logged yet
        return []
    return [f"{file}", found.st_ino, found.st_size, found.st_ctime_ns]


def send_all(study: Study) -> None:
    from latent_digits.tracking.mlflow.sender import Sender  # imports MLflow

    send(study, Sender())


def send(study: Study, sender: Any) -> None:
    """What waits; a finished study's stages that ran elsewhere, and its parent run; other seeds."""
    from latent_digits.tracking.mlflow.elsewhere import left_by  # imports MLflow

    sender.send_left_behind()
    made = study.made({})
    if set(made) == set(study.stages):
        for stage, outputs in made.items():
            if queue := left_by(study, stage, outputs, sender.maker_of(stage, outputs)):
                sender.send(queue)
                queue.remove()
        queue = complete(study)
        sender.send(queue)
        queue.remove()
    if FILE.exists():
        sender.seeds().log(read_replicas(FILE))


def complete(study: Study) -> RunQueue:
    """A queue for a parent run whose last outputs no stage made, such as one that DVC restored."""
    queue = begin_queue(queue_folder(), "sync", study=study_entry(study))
    entry = end_entry(study, "", "FINISHED")
    results = [study.folder / one for one in entry["results"]]
    entry["results"] = [queue.attach(path) for path in results if path.exists()]
    queue.add("end", **entry)
    return queue


if __name__ == "__main__":
    run_stage(main)
