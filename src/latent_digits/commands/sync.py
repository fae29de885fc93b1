"""Send what waits for a tracking server, the present parent run too: `make sync`."""

from latent_digits.console import UserError, run_stage, say
from latent_digits.project.provenance import Study, read_study
from latent_digits.project.replicas import FILE, read_replicas
from latent_digits.tracking.addresses import only_one, place, queue_folder, workspace
from latent_digits.tracking.faults import one_line
from latent_digits.tracking.mlflow.elsewhere import left_by
from latent_digits.tracking.mlflow.sender import Sender
from latent_digits.tracking.records import end_entry, study_entry
from latent_digits.tracking.upload_queue import RunQueue, begin_queue


def main() -> None:
    """Send all of it. Raises UserError when the server does not take it; nothing is lost then."""
    study = read_study(workspace())
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
    say(f"mlflow: {place()} has everything.")


def send(study: Study, sender: Sender) -> None:
    """What waits; a finished study's stages that ran elsewhere, and its parent run; other seeds."""
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
