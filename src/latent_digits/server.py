"""A connection to the tracking server."""

import logging
import os

import mlflow
from mlflow import MlflowClient

from latent_digits.addresses import tracking_uri


def connect() -> MlflowClient:
    """A client that gives up soon, since waiting is the journals' matter, and says nothing."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for talkative in ("mlflow", "urllib3.connectionpool"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    mlflow.set_tracking_uri(tracking_uri())
    return MlflowClient()
