"""MLflow, which no other room imports: what it is sent, shows, and is asked."""

import os

# Else it would tell its makers how it is used. It asks once, as it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
