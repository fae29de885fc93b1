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
SYNCED = ".synced"  # in the upload queue's folder: what `state_of` was when MLflow had everything


def main() -> None:
    """Send all of it. Raises UserError when the server does not take it; nothing is lost then."""
    study, synced = read_study(workspace()), queue_folder() / SYNCED
    before = synced.read_text(encoding="utf-8") if synced.exists() else None
    if before is None or before != state_of(study):
        send_all(study)
        if now := state_of(study):
            write_text(synced, now)
    say(f"mlflow: {place()} has everything.")


def state_of(study: Study) -> str | None:
    """A name for all that decides whether there is something to send.

    None where that has to be asked: of a server, and while something waits in the upload queue.
    """
    file = data_base()
    if not file or not file.exists() or any(queue_folder().glob("[!.]*/")):
        return None
    paths = [study.folder / path for path in (*study.makers, FILE)]
    files = [stamp(one) for path in paths for one in files_of(path)]
    facts = study_entry(study), study.made({}), files, stamp(file), digest(PACKAGE)
    return digest_of(facts)


def stamp(file: Path) -> list[Any]:
    """What changes when a file does, or another takes its place."""
    found = file.stat()
    return [f"{file}", found.st_ino, found.st_size, found.st_mtime_ns]


def send_all(study: Study) -> None:
    """`send` to a new connection, by one process at a time."""
    from latent_digits.tracking.mlflow.sender import Sender  # imports MLflow

    try:
        with only_one("sync"):
            send(study, Sender())
    except UserError:
        raise
    except Exception as error:  # MLflow's, its data base's, its HTTP client's
        raise UserError(
            f"{place()} does not take it ({one_line(error)}); nothing is lost, the rest "
            f"waits in the upload queue, {queue_folder()}."
        ) from None


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
