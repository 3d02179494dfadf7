"""The engines of a cluster on one machine: PostgreSQL, a replica of it, and Redis. Servers of our own on the loopback, with a password."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from rookery.cluster import ClusterError
from rookery.cluster.processes import Child

_START: Final = 60.0
"""Seconds that an engine may take until it answers: PostgreSQL after a crash goes through its log first."""

_STREAM: Final = 30.0
"""Seconds that a replica which answers may take until it follows."""

_STILL: Final = "still in use"
"""What PostgreSQL says then."""

REPLICATION: Final = "replication"
"""The role by which a replica follows."""

POSTGRES: Final = {
    # Whatever a default may be some day: what is committed is on the disk.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # A process of ours holds about 12 connections, and as many to the replica.
    "max_connections": "300",
    "shared_buffers": "128MB",
    # What a replica that is away may miss, before it has to be made anew.
    "wal_keep_size": "512MB",
    # A replica that stands still is let go, and one whose primary does notices.
    "wal_sender_timeout": "10s",
    "wal_receiver_timeout": "10s",
    # A long read on a replica does not hold it back for longer.
    "max_standby_streaming_delay": "5s",
}
"""Settings of PostgreSQL, of the primary and of the replica."""

REDIS: Final = {
    # Nothing is read from a file after a restart (decision 26): timelines and values are made again.
    "save": '""',
    "appendonly": "no",
    # Never a timeline by itself; values of the cache, which expire, may go.
    "maxmemory": "1gb",
    "maxmemory-policy": "volatile-lru",
}
"""Settings of Redis."""


def program(name: str) -> Path | None:
    """Where an engine's program is: `postgres`, `redis-server` or `haproxy`, on the PATH or where the packages of Debian put it."""
    if name == "postgres":
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
        if found:
            return found[-1]
    there = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/bin", "/usr/sbin")))
    return None if there is None else Path(there).absolute()


class Redis:
    """A Redis server. With its own password, where there is one, in a file for its user alone."""

    def __init__(
        self,
        program: Path,
        folder: Path,
        port: int,
        *,
        password: str = "",
        settings: Mapping[str, str] = REDIS,
    ) -> None:
        self.port = port
        self.folder = folder
        self.url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{port}/0"
        self.settings = dict(settings)
        self._program = program
        self._password = password
        self.child = Child("redis", folder)

    def start(self) -> None:
        """Start it, and wait until it answers. Raises ClusterError."""
        lines = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": f'"{self.folder}"',
            "daemonize": "no",
        } | self.settings
        if self._password:
            lines["requirepass"] = self._password
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.folder / "redis.conf"
        write_secret(file, "".join(f"{name} {value}\n" for name, value in lines.items()))
        self.child.start([self._program, file], cwd=self.folder)
        self.child.until(self.ready, _START)

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return self.ask("PING").startswith(b"+PONG")
        except OSError:
            return False

    def ask(self, command: str) -> bytes:
        """The first part of the raw answer to a command. Raises OSError."""
        with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
            if self._password:
                connection.sendall(f"AUTH {self._password}\r\n".encode())
                connection.recv(65_536)
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(65_536)

    def stop(self) -> None:
        """End it."""
        self.child.stop()


class Postgres:
    """A PostgreSQL server. It refuses to run as root: then it runs as the user `postgres`, whom its package made."""

    def __init__(
        self,
        program: Path,
        folder: Path,
        port: int,
        *,
        password: str,
        admin: str = "postgres",
        name: str = "postgres",
        settings: Mapping[str, str] = POSTGRES,
        sync: bool = True,
    ) -> None:
        """`password` is that of the role `admin`, who may do everything. Without `sync`, what `make` makes may be lost with the power."""
        self.port = port
        self.name = name
        self.settings = dict(settings)
        self._bin = program.parent
        self._folder = folder
        self._admin = admin
        self._password = password
        self._sync = sync
        self._user = "postgres" if os.geteuid() == 0 else None
        self._began: int | None = None
        """How long the log was when this server was started."""
        self.data = folder / "data"
        self.child = Child(name, folder)

    @property
    def made(self) -> bool:
        """Whether there is a whole one in the folder."""
        return (self.data / "PG_VERSION").exists()

    def make(self) -> None:
        """Make an empty one in the folder. Raises ClusterError."""
        self._own_folder()
        secret = self._secret("password", self._password)
        try:
            with self._new_data() as data:
                self._run(
                    *("initdb", "-D", data, "-U", self._admin, "-A", "scram-sha-256", f"--pwfile={secret}"),
                    *("-E", "UTF8", "--locale=C.UTF-8", "--data-checksums", *(() if self._sync else ("--no-sync",))),
                )
        finally:
            secret.unlink()
        if self._sync:
            os.sync()

    def copy(self, primary: "Postgres", password: str) -> None:
        """Make a replica of `primary`, which runs, in place of what is in the folder. Raises ClusterError."""
        self._own_folder()
        # The replica reads it whenever it connects.
        secret = self._secret("replication", f"127.0.0.1:*:*:{REPLICATION}:{password}")
        source = f"host=127.0.0.1 port={primary.port} user={REPLICATION} passfile={secret} application_name={self.name}"
        with self._new_data() as data:
            self._run("pg_basebackup", "-D", data, "-d", source, "-R", "-X", "stream", "--checkpoint=fast")

    def start(self) -> None:
        """Start it, and wait until it answers. Raises ClusterError."""
        self._reach()
        given = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""} | self.settings
        options = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
        until = time.monotonic() + _START
        self._began = self._log_size()
        while True:
            self.child.start([self._bin / "postgres", "-D", self.data, *options], cwd=self._folder, user=self._user)
            try:
                return self.child.until(self.ready, until - time.monotonic())
            except ClusterError as error:
                # What is left of one that was killed may hold its memory for a moment yet.
                if _STILL not in str(error) or time.monotonic() > until:
                    raise
            time.sleep(0.1)

    def ready(self) -> bool:
        """Whether it answers."""
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def follow(self) -> bool:
        """For a replica: wait until it follows. False where it can't, as the primary no longer has what it missed, or is another one."""
        # One that runs already says again and again why it can't.
        began = self._log_size() if self._began is None else self._began

        def decided() -> bool:
            return self.follows() or self._lost(began)

        with suppress(ClusterError):
            self.child.until(decided, _STREAM)
            # Who is refused calls itself streaming for a moment, too.
            time.sleep(0.5)
        return not self._lost(began)

    def follows(self) -> bool:
        """For a replica: whether it is being sent what happens."""
        import psycopg

        try:
            return bool(self.execute("SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'"))
        except psycopg.OperationalError:
            return False

    def _log_size(self) -> int:
        return self.child.log.stat().st_size if self.child.log.exists() else 0

    def _lost(self, began: int) -> bool:
        said = self.child.log.read_bytes()[began:]
        return any(
            words in said
            for words in (b"has already been removed", b"identifier differs", b"not in this server's history")
        )

    def url(self, database: str = "postgres", *, role: str = "", password: str = "") -> str:
        """How a role reaches a database: the administrator, where none is named."""
        who = f"{role}:{password}" if role else f"{self._admin}:{self._password}"
        return f"postgresql://{who}@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements (text, or psycopg's `SQL`) as the administrator; the rows of the last one."""
        import psycopg

        rows: list[tuple[Any, ...]] = []
        with psycopg.connect(self.url(database), connect_timeout=5, autocommit=True) as raw:
            for statement in statements:
                done = raw.execute(statement.encode() if isinstance(statement, str) else statement)
                rows = done.fetchall() if done.description is not None else []
        return rows

    def provide(self, role: str, password: str, database: str | None) -> None:
        """See to it that there is a role with this password: the owner of a database, or without one, that of replicas."""
        from psycopg.sql import SQL, Identifier, Literal

        names = {"role": Identifier(role), "password": Literal(password)}
        if not self.execute(SQL("SELECT FROM pg_roles WHERE rolname = {}").format(Literal(role))):
            self.execute(SQL("CREATE ROLE {role}").format(**names))
        # `backup --verify` makes a database beside.
        rights = SQL("LOGIN CREATEDB PASSWORD {password}" if database else "LOGIN REPLICATION PASSWORD {password}")
        self.execute(SQL("ALTER ROLE {role} ").format(**names) + rights.format(**names))
        if database and not self.execute(SQL("SELECT FROM pg_database WHERE datname = {}").format(Literal(database))):
            owned = SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0")
            self.execute(owned.format(Identifier(database), Identifier(role)))

    def stop(self) -> None:
        """End it in order; every client is thrown out."""
        self.child.stop(signal.SIGINT, seconds=60, force=signal.SIGQUIT)

    # --- the folder

    def _own_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        if self._user:
            try:
                shutil.chown(self._folder, self._user, self._user)
            except LookupError as error:
                raise ClusterError("there is no user postgres; `make engines` installs what is missing") from error
        self._reach()

    def _reach(self) -> None:
        if not self._user:
            return
        done = subprocess.run(  # noqa: S603 - a command of our own
            ["/usr/bin/test", "-x", self._folder],
            user=self._user,
            group=self._user,
            extra_groups=[],
            cwd="/",
            check=False,
        )
        if done.returncode:
            raise ClusterError(
                f"the user postgres, as whom PostgreSQL runs when root starts it, can't reach {self._folder}: "
                "choose another folder with --data, or start the cluster as another user"
            )

    def _secret(self, name: str, text: str) -> Path:
        file = self._folder / name
        write_secret(file, text + "\n")
        if self._user:
            shutil.chown(file, self._user, self._user)
        return file

    def _new_data(self) -> "_NewFolder":
        return _NewFolder(self.data)

    def _run(self, name: str, *arguments: object) -> None:
        done = subprocess.run(  # noqa: S603 - a command of our own
            [self._bin / name, *map(str, arguments)],
            cwd=self._folder,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ClusterError(f"{name} failed: {done.stderr.strip()}")


class _NewFolder:
    """A folder that takes its name when it is whole; a former one of that name goes."""

    def __init__(self, final: Path) -> None:
        self._final = final
        self._new = final.with_name(f"{final.name}.new")

    def __enter__(self) -> Path:
        shutil.rmtree(self._new, ignore_errors=True)
        return self._new

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            shutil.rmtree(self._final, ignore_errors=True)
            self._new.rename(self._final)
        else:
            shutil.rmtree(self._new, ignore_errors=True)


def write_secret(file: Path, text: str) -> None:
    """Write a file for its owner alone."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)


def missing(wanted: Sequence[str] = ("postgres", "redis-server", "haproxy")) -> list[str]:
    """Which programs are not there."""
    return [name for name in wanted if program(name) is None]
