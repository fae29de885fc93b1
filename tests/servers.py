"""Real servers on loopback, as processes that a test may kill."""

import base64
import http.server
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Scheduler:
    """`dask scheduler` and its workers, as processes that end with the block."""

    def __enter__(self) -> "Scheduler":
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        where = ("--host", "127.0.0.1", "--port", f"{port}", "--dashboard-address", ":0")
        self.start("scheduler", *where)
        return self

    def __exit__(self, *error: object) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()

    def start_worker(self, host: str = "127.0.0.1") -> None:
        self.start("worker", self.address, "--nthreads", "1", "--host", host)

    def kill(self) -> None:
        """As `kill -9` does; the workers live on."""
        self.processes[0].kill()

    def start(self, *arguments: str) -> None:
        self.processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                stderr=subprocess.DEVNULL,
            )
        )


class Server:
    """An `mlflow` command that serves HTTP on a free port; what it starts dies with it."""

    def __init__(self, folder: Path, *arguments: str, **variables: str):
        self.folder = folder
        self.arguments = arguments
        self.variables = variables
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process, and wait until it answers."""
        where = ("--host", "127.0.0.1", "--port", f"{self.port}")
        log = (self.folder / "server.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *self.arguments, *where],
            cwd=self.folder,
            env=os.environ | self.variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        deadline = time.monotonic() + 90
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.2)

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.address}/health", timeout=5).close()  # noqa: S310
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """As `kill -9` does, its children too."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Guarded(http.server.BaseHTTPRequestHandler):
    """A tracking server without experiments, whose API answers `user` with `secret` alone.

    That it is in good health it tells everybody.
    """

    def do_GET(self) -> None:
        expected = f"Basic {base64.b64encode(b'user:secret').decode()}"
        may = self.path == "/health" or self.headers["Authorization"] == expected
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(200 if may else 403)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on the terminal."""


class TrackingServer(Server):
    """A tracking server on the data base `store`, not started yet."""

    def __init__(self, folder: Path, store: str):
        self.store = store
        artifacts = ("--artifacts-destination", str(folder / "artifacts"))
        options = ("--backend-store-uri", store, *artifacts, "--workers", "1")
        # As `make ui` does: 2 processes in place of 15.
        super().__init__(folder, "server", *options, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")


def model_server(folder: Path, model: str, tracking_uri: str) -> Server:
    """A server of one registered model, not started yet, that may not unpickle anything."""
    variables = {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    return Server(folder, "models", "serve", "--env-manager", "local", "-m", model, **variables)
