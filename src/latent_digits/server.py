"""A connection to the tracking server."""

import fcntl
import logging
import os
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.store.db.utils import _initialize_tables
from sqlalchemy import create_engine

from latent_digits.addresses import tracking_uri

SQLITE = "sqlite:///"


def connect() -> MlflowClient:
    """A client that gives up soon, since waiting is the journals' matter, and says nothing."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for talkative in ("mlflow", "urllib3.connectionpool"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    uri = tracking_uri()
    if uri.startswith(SQLITE):
        set_up(Path(uri.removeprefix(SQLITE)))
    mlflow.set_tracking_uri(uri)
    return MlflowClient()


def set_up(data_base: Path) -> None:
    """Give a new SQLite file its tables before its name: a kill would leave it with half of them,
    and MLflow would refuse it from then on.
    """
    if data_base.exists():
        return
    draft = data_base.with_name(f"{data_base.name}.draft")
    with draft.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if data_base.exists():  # another process was first
            draft.unlink(missing_ok=True)
            return
        lock.truncate(0)  # of what a killed process left
        engine = create_engine(f"{SQLITE}{draft}")
        _initialize_tables(engine)
        engine.dispose()
        draft.replace(data_base)
