"""MLflow's pages of this study on this machine: `make ui`, or `make ui PORT=5001`.

What opens them is printed, since MLflow's own front page leads to language models. Where
`MLFLOW_TRACKING_URI` names a server, that one shows them and none is started.
"""

import argparse
import os
import socket
import sys

from latent_digits.console import UserError, run_stage
from latent_digits.tracking.addresses import configured_uri, place, tracking_uri
from latent_digits.tracking.faults import one_line
from latent_digits.tracking.mlflow.sender import Sender
from latent_digits.tracking.mlflow.view import addresses, save_view

HOST = "127.0.0.1"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make ui", description="MLflow's pages of this study.")
    parser.add_argument("port", type=port, help="PORT of this machine, 5000 by default")
    where = parser.parse_args().port
    if configured_uri().lower().startswith("http"):
        show(f"{place()} is a server already. Open there:", place().rstrip("/"))
        return
    if "%" in sys.prefix:
        raise UserError(
            "MLflow's server does not start from an environment with % in its path, and this is "
            f"{sys.prefix}; rename the project's folder, its runs come along."
        )
    require_free(where)
    begins = "MLflow starts, which takes some seconds, and Ctrl-C ends it. Then open:"
    show(begins, f"http://{HOST}:{where}")
    # One worker is enough for one person, and MLflow's own jobs are about language models. That is
    # 2 processes in place of 15, 0.5 GB in place of 3, and 5 to 10 s in place of 21 to 27.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    # Not as an option: everybody on this machine can read those, and it may hold a password.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = tracking_uri()
    options = ("--host", HOST, "--port", f"{where}", "--workers", "1")
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *options])  # noqa: S606 (no shell is wanted)


def port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"{text} is no port, which is a number from 1 to 65535")
    return int(text)


def require_free(where: int) -> None:
    """Raise UserError unless a server may listen there."""
    with socket.socket() as probe:
        # As the server itself asks: a port whose last connections are only being closed is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, where))
        except OSError as error:
            raise UserError(
                f"port {where} of {HOST} cannot be used ({os.strerror(error.errno or 0).lower()}); "
                f"an MLflow may run there already, else take another: make ui PORT={where + 1}."
            ) from None


def show(begins: str, server: str) -> None:
    """Print what to open at `server`, one address a line, and choose the table's columns."""
    try:
        sender = Sender()
        parent_runs = sender.parent_runs()
        save_view(sender.client, sender.experiment, parent_runs)
    except Exception as error:  # MLflow's, its data base's, its HTTP client's
        raise UserError(f"{place()} does not answer ({one_line(error)}).") from None
    found = addresses(server, sender.experiment, parent_runs).items()
    lines = [f"  {what + ':':<27} {address}" for what, address in found]
    print(begins, *lines, sep="\n", flush=True)


if __name__ == "__main__":
    run_stage(main)
