"""Real servers on loopback, as processes that a test may kill."""

import base64
import http.server
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote


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


class PostgreSQL:
    """A PostgreSQL of pgserver's on loopback, which lives, with its data, as long as the block.

    It refuses to run as root, who starts it as `nobody` then, in a folder that both can reach.
    """

    def __enter__(self) -> "PostgreSQL":
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        (self.folder / "password").write_text("store-secret")
        self.account: dict[str, Any] = {}
        if not os.geteuid():
            nobody = pwd.getpwnam("nobody")
            for path in (self.folder, self.folder / "password"):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
            self.account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        options = ("--username=mlflow", "--auth=scram-sha-256", "--pwfile=password")
        self.start("initdb", "--no-sync", *options, "--locale=C", "--encoding=UTF8", "data").wait()
        where = ("-D", "data", "-k", f"{self.folder}", "-h", "127.0.0.1", "-p", f"{self.port}")
        self.process = self.start("postgres", *where, "-F")  # without waiting for a disk
        deadline = time.monotonic() + 60
        while self.start("pg_isready", "-q", "-h", "127.0.0.1", "-p", f"{self.port}").wait():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.05)
        return self

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGQUIT)  # at once, whoever is connected
        self.process.wait()
        shutil.rmtree(self.folder)

    def start(self, command: str, *arguments: str) -> subprocess.Popen[bytes]:
        package = find_spec("pgserver")  # not imported: that would make folders
        assert package and package.origin
        program = Path(package.origin).parent / "pginstall/bin" / command
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                [program, *arguments], cwd=self.folder, stdout=log, stderr=log, **self.account
            )

    def address(self, name: str, password: str = "store-secret") -> str:  # noqa: S107
        return f"postgresql://mlflow:{password}@127.0.0.1:{self.port}/{name}"

    def copy(self, name: str, of: str = "template0") -> str:
        """The address of a new data base, as another is now that nobody is connected to."""
        import psycopg

        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {of}".encode())
        return self.address(name)

    def dump(self, name: str) -> str:
        """All that is in a data base, as text."""
        self.start("pg_dump", "--file=dump", self.address(name)).wait()
        return (self.folder / "dump").read_text()


class Answering(http.server.BaseHTTPRequestHandler):
    """A server that answers all that it is asked alike."""

    status = 200
    body = b"{}"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(self.status)
        self.send_header("Content-Length", f"{len(self.body)}")
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on the terminal."""


class Guarded(Answering):
    """A tracking server without experiments, whose API answers `user` with `secret` alone.

    That it is in good health it tells everybody.
    """

    @property
    def status(self) -> int:
        known = self.headers["Authorization"] == basic("user", "secret")
        return 200 if known or self.path == "/health" else 403


@contextmanager
def listening(handler: type[Answering]) -> Iterator[str]:
    """The address of a server in this process."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class TrackingServer(Server):
    """A tracking server on the data base `store`, not started yet."""

    def __init__(self, folder: Path, store: str):
        self.store = store
        artifacts = ("--artifacts-destination", str(folder / "artifacts"))
        options = ("--backend-store-uri", store, *artifacts, "--workers", "1")
        # As `make ui` does: 2 processes in place of 15.
        super().__init__(folder, "server", *options, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")


class GuardedServer(Server):
    """A tracking server that asks for passwords, under a path, and serves the artifacts itself.

    Whoever has no further permission may read. Not started yet.
    """

    def __init__(self, folder: Path, store: str):
        (folder / "auth.ini").write_text(GUARD)
        self.artifacts = folder / "artifacts"
        options = (
            *("--app-name", "basic-auth", "--static-prefix", "/mlflow", "--workers", "1"),
            *("--serve-artifacts", "--artifacts-destination", f"{self.artifacts}"),
        )
        variables = {
            "MLFLOW_AUTH_CONFIG_PATH": f"{folder / 'auth.ini'}",
            "MLFLOW_BACKEND_STORE_URI": store,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        super().__init__(folder, "server", *options, **variables)
        self.address += "/mlflow"

    def known_to(self, user: str, password: str) -> str:
        """The address, with user and password in it."""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return self.address.replace("//", f"//{login}@")

    def let_edit(self, user: str, kind: str, name: str) -> None:
        """Give a user the permission EDIT for an experiment, by id, or a registered model."""
        about = {"resource_type": kind, "resource_id": name, "permission": "EDIT"}
        self.administer("3.0/mlflow/users/permissions/grant", username=user, **about)

    def administer(self, path: str, **values: str) -> None:
        """Ask as the administrator."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.address}/api/{path}",
            json.dumps(values).encode(),
            {"Content-Type": "application/json", "Authorization": basic("admin", ADMIN)},
        )
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310


ADMIN = "secret/of the@admin"
GUARD = f"""
[mlflow]
default_permission = READ
database_uri = sqlite:///users.db
admin_username = admin
admin_password = {ADMIN}
auth_cache_ttl_seconds = 600
"""


def basic(user: str, password: str) -> str:
    """What a request's header says."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def model_server(folder: Path, model: str, tracking_uri: str) -> Server:
    """A server of one registered model, not started yet, that may not unpickle anything."""
    variables = {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    return Server(folder, "models", "serve", "--env-manager", "local", "-m", model, **variables)
