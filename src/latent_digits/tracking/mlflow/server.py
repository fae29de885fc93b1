"""A connection to the tracking server."""

import fcntl
import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.store.db import utils
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from latent_digits.console import say
from latent_digits.tracking.addresses import (
    configured_uri,
    data_base,
    home,
    login,
    sqlite_address,
    tracking_uri,
)

ADDRESSES = (  # the tables and columns in which MLflow keeps where artifacts are
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
package_folder = utils._get_package_dir
# MLflow hands its own folder to a reader of configuration, to which % means a variable.
utils._get_package_dir = lambda: package_folder().replace("%", "%%")
utils.MAX_RETRY_COUNT = 1  # with 10 a data base that is away would be waited for 100 s


def connect() -> MlflowClient:
    """A client that gives up soon, since waiting is the upload queue's matter, and says nothing."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if found := login():
        os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = found
    for talkative in ("mlflow", "urllib3.connectionpool"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    file = data_base()
    if file:
        set_up(file)
    mlflow.set_tracking_uri(tracking_uri())
    client = MlflowClient()
    if file:
        bring_along(file)
    return client


def end_run(client: MlflowClient, run: Run, status: str, time: int) -> None:
    """End a run at `time`, but not before its start: that may be by the clock of another machine,
    or by one that was set back.
    """
    client.set_terminated(run.info.run_id, status, max(time, run.info.start_time))


def set_up(file: Path) -> None:
    """Give a new SQLite file its tables before its name: a kill would leave it with half of them,
    and MLflow would refuse it from then on.
    """
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.draft")
    with draft.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if file.exists():  # another process was first
            draft.unlink(missing_ok=True)
            return
        lock.truncate(0)  # of what a killed process left
        SqlAlchemyStore(sqlite_address(draft), artifacts_of(file).as_uri()).engine.dispose()
        draft.replace(file)


def artifacts_location() -> str | None:
    """Where a data base's artifacts go; a server has a place of its own."""
    if configured_uri().partition(":")[0].partition("+")[0] not in DATABASE_ENGINES:
        return None
    return artifacts_of(data_base() or home() / "mlflow.db").as_uri()


def artifacts_of(file: Path) -> Path:
    """The folder of the artifacts that belong to a data base: beside it."""
    return file.with_name("mlartifacts")


def bring_along(file: Path) -> None:
    """Tell a data base that was moved together with its artifacts where they are now.

    MLflow keeps absolute addresses, and would go on writing to the old place.
    """
    here = artifacts_of(file)
    with closing(sqlite3.connect(file, timeout=20)) as connection, connection:
        query = "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE ?"
        for (address,) in connection.execute(query, [f"file:%/{here.name}"]).fetchall():
            before = Path(unquote(urlsplit(address).path))
            left_there = before.exists() and not here.exists()
            if before == here or left_there:
                continue
            for table, column in ADDRESSES:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608
                    f" WHERE substr({column} || '/', 1, ?) = ?",
                    (here.as_uri(), len(address) + 1, len(address) + 1, f"{address}/"),
                )
            say(f"mlflow: {file} was moved; its artifacts were in {before} and now are in {here}.")
