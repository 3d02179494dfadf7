"""The files for containers say what the program's own layout says. No container is run here; the scripts are, on real engines."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import yaml

from rookery.cluster.engines import POSTGRES, REDIS, Postgres, Redis, program
from rookery.cluster.haproxy import Target, configuration
from rookery.cluster.layout import METRICS_PORT, RPC_PORT, STANDARD, Place, Surroundings, settings_of
from rookery.settings import Settings, load
from tests.engines import free_port, installed

DEPLOY = Path(__file__).parents[2] / "deploy"
PORT = 8000
SECRETS = {"ADMIN_PASSWORD", "DATABASE_PASSWORD", "REPLICATION_PASSWORD", "REDIS_PASSWORD", "RPC_TOKEN"}


@pytest.fixture(scope="module")
def compose() -> Any:
    """The compose file, with secrets in their places."""
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    return yaml.safe_load(re.sub(r"\$\{\w+:\?\}", "secret", text))


def surroundings(*proxies: str) -> Surroundings:
    return Surroundings(
        database="postgresql://rookery:secret@postgres:5432/rookery",
        replica="postgresql://rookery:secret@replica:5432/rookery",
        redis="redis://:secret@redis:6379/0",
        objects="file:///var/lib/rookery/objects",
        rpc_token="secret",
        proxies=proxies,
        places={one.name: Place(one.name, PORT, METRICS_PORT, RPC_PORT) for one in STANDARD.processes},
        listen="0.0.0.0",  # noqa: S104 - of a container, of which one port is published
    )


def test_the_same_processes_and_engines_run(compose):
    engines = {"postgres", "replica", "redis", "haproxy"}
    assert set(compose["services"]) == engines | {process.name for process in STANDARD.processes}


@pytest.mark.parametrize("process", STANDARD.processes, ids=lambda process: process.name)
def test_each_process_has_the_settings_of_the_layout(compose, monkeypatch, process):
    for name in [name for name in os.environ if name.startswith("ROOKERY_")]:
        monkeypatch.delenv(name)
    given = compose["services"][process.name]["environment"]
    assert given.keys() <= {f"ROOKERY_{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    proxy = compose["services"]["haproxy"]["networks"]["inside"]["ipv4_address"]
    before = compose["networks"]["inside"]["ipam"]["config"][0]["gateway"]
    expected = settings_of(process, surroundings(proxy, before)) | {"log_format": "json"}
    assert load() == msgspec.convert(expected, Settings)


def test_the_layout_names_settings_that_there_are():
    for process in STANDARD.processes:
        # Unknown names are refused.
        msgspec.convert(settings_of(process, surroundings("127.0.0.1")), Settings)


def test_the_engines_have_the_same_settings(compose):
    services = compose["services"]
    for name in ("postgres", "replica"):
        first, *options = services[name]["command"]
        assert first == "postgres"
        assert dict(one.removeprefix("-c").split("=", 1) for one in options) == POSTGRES
    words = services["redis"]["command"]
    given = dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True))
    assert given == REDIS | {"save": ""}


def test_haproxy_is_told_the_same(compose):
    def targets(service: str) -> list[Target]:
        return [Target(one.name, one.name, PORT, METRICS_PORT) for one in STANDARD.of(service)]

    proxies = [compose["networks"]["inside"]["ipam"]["config"][0]["gateway"]]
    names: Any = {"proxies": proxies, "resolver": "127.0.0.11:53"}
    expected = configuration("*:8000", "*:8001", targets("gateway"), targets("live"), **names)
    assert (DEPLOY / "haproxy.cfg").read_text() == expected
    checked = subprocess.run([installed("haproxy"), "-c", "-f", DEPLOY / "haproxy.cfg"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_only_haproxy_is_to_be_reached_from_outside(compose):
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"haproxy": [f"127.0.0.1:{PORT}:{PORT}"]}


def test_every_secret_and_every_file_that_is_named_is_there(compose):
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    example = re.findall(r"^(\w+)=$", (DEPLOY / "env.example").read_text(), re.MULTILINE)
    assert set(re.findall(r"\$\{(\w+)", text)) == set(example) == SECRETS
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).is_file(), volume
    ended = {name for name, service in compose["services"].items() if "stop_grace_period" not in service}
    assert ended == {"haproxy", "redis"}


def test_the_image_is_built_of_files_that_are_there_checked_by_their_hashes_and_does_not_run_as_root():
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        assert re.fullmatch(r"python:3\.1[123]-slim", image), "a plain name, of a Python that the lock is for"
    for files in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for file in files.split():
            assert (DEPLOY.parent / file).exists(), file
    first = re.search(r"pip install.*", text)
    assert first is not None
    assert "--require-hashes --requirement requirements/standard.txt" in first[0]
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["rookery"]


@pytest.fixture
def primary() -> Iterator[Postgres]:
    """A PostgreSQL as the image makes one: nobody may follow it yet."""
    # pytest's folders are for their owner alone, who may be root.
    folder = Path(tempfile.mkdtemp(prefix="rookery-deploy-"))
    server = Postgres(Path(installed("postgres")), folder / "postgres", free_port(), password="admin", sync=False)
    folder.chmod(0o755)
    try:
        server.make()
        rules = server.data / "pg_hba.conf"
        kept = [line for line in rules.read_text().splitlines() if line.split()[1:2] != ["replication"]]
        rules.write_text("\n".join(kept) + "\n")
        server.start()
        yield server
    finally:
        server.child.stop(signal.SIGQUIT)
        shutil.rmtree(folder)


def run(script: str, *words: object, **environment: object) -> subprocess.Popen[bytes]:
    """Run a script as the image's user would, with the programs of the machine's own packages."""
    found, user = program("postgres"), "postgres" if os.geteuid() == 0 else None
    assert found is not None
    with (DEPLOY / script).open() as text:
        return subprocess.Popen(
            ["/bin/sh", "-s", *map(str, words)],
            stdin=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
            env={"PATH": f"{found.parent}:/usr/bin:/bin"} | {name: str(value) for name, value in environment.items()},
            user=user, group=user, extra_groups=[] if user else None,
        )  # fmt: skip


def test_the_scripts_make_roles_a_database_and_a_replica_that_follows(primary):
    secrets = {"DATABASE_PASSWORD": "database's", "REPLICATION_PASSWORD": "replication"}
    reach = {"PGHOST": "127.0.0.1", "PGPORT": primary.port, "PGPASSWORD": "admin", "POSTGRES_USER": "postgres"}
    made = run("postgres.sh", PGDATA=primary.data, **reach, **secrets)
    assert (made.communicate(timeout=60)[0].decode(), made.returncode) == ("", 0)
    primary.execute("SELECT pg_reload_conf()")
    with psycopg.connect(primary.url("rookery", role="rookery", password="database's"), autocommit=True) as owner:
        owner.execute("CREATE TABLE birds (name text)")
        owner.execute("INSERT INTO birds VALUES ('rook')")
        folder, port = primary.data.parents[1] / "replica", free_port()
        folder.mkdir()
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        # Twice: the second one goes on with what the first one copied.
        for name in ("crow", "jackdaw"):
            given = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""} | POSTGRES
            options = [f"-c{setting}={value}" for setting, value in given.items()]
            where = {"PGDATA": folder / "data", "PRIMARY_HOST": "127.0.0.1", "PRIMARY_PORT": primary.port}
            replica = run("replica.sh", "postgres", *options, **where, **secrets)
            try:
                owner.execute("INSERT INTO birds VALUES (%s)", [name])
                expected = owner.execute("SELECT name FROM birds ORDER BY name").fetchall()
                url = f"postgresql://rookery:database's@127.0.0.1:{port}/rookery"
                until = time.monotonic() + 60
                while found(url) != expected:
                    assert replica.poll() is None, replica.communicate()[0].decode()
                    assert time.monotonic() < until, "the replica does not follow"
                    time.sleep(0.1)
            finally:
                replica.send_signal(signal.SIGINT)
                replica.communicate(timeout=60)


def found(url: str) -> list[tuple[str]]:
    try:
        with psycopg.connect(url, connect_timeout=5) as reader:
            return reader.execute("SELECT name FROM birds ORDER BY name").fetchall()
    except psycopg.Error:
        return []


def test_redis_has_its_password_and_none_of_its_arguments_tells_it(compose, tmp_path):
    port = free_port()
    words = compose["services"]["redis"]["command"]
    # The image's user is another one; the script is the same.
    process = subprocess.Popen(
        ["/bin/sh", DEPLOY / "redis.sh", *words, "--port", str(port), "--bind", "127.0.0.1"],
        env={"PATH": f"{Path(installed('redis')).parent}:/usr/bin:/bin", "REDIS_PASSWORD": "geheim", "TMPDIR": str(tmp_path)},
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        known = Redis(Path("redis-server"), tmp_path, port, password="geheim")
        until = time.monotonic() + 20
        while not known.ready():
            assert time.monotonic() < until, "Redis did not start"
            time.sleep(0.05)
        assert b"volatile-lru" in known.ask("CONFIG GET maxmemory-policy")
        assert Redis(Path("redis-server"), tmp_path, port).ask("PING").startswith(b"-NOAUTH")
        assert b"geheim" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        process.kill()
        process.wait()
