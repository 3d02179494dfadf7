"""Settings: where they come from, in which order, and what is said of those that can't be used."""

from pathlib import Path

import msgspec
import pytest

from rookery.settings import BadSetting, Settings, load


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch, tmp_path):
    """No environment and no files but those of the test."""
    import os

    for name in list(os.environ):
        if name.startswith("ROOKERY_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def write(folder: Path, text: str) -> Path:
    file = folder / "rookery.toml"
    file.write_text(text, "utf-8")
    return file


def test_without_anything_the_defaults_are_in_force():
    assert load() == Settings()
    assert load().data == Path("data")


def test_the_file_in_the_data_folder_is_read(folder):
    write(folder, 'port = 81\nactive_days = 2\ncors_origins = ["https://a.example"]\npublic_reads = false\n')
    settings = load(folder)
    assert (settings.data, settings.port, settings.active_days) == (folder, 81, 2.0)
    assert (settings.cors_origins, settings.public_reads) == (("https://a.example",), False)


def test_another_file_may_be_named_by_the_environment_or_by_the_caller(folder, tmp_path, monkeypatch):
    write(folder, "port = 81")
    mine, yours = tmp_path / "mine.toml", tmp_path / "yours.toml"
    mine.write_text("port = 82")
    yours.write_text("port = 83")
    monkeypatch.setenv("ROOKERY_CONFIG", str(mine))
    assert load(folder).port == 82
    assert load(folder, yours).port == 83


def test_the_environment_overrides_the_file_and_the_command_line_overrides_both(folder, monkeypatch):
    write(folder, "port = 81\nbody_limit = 2000\nhost = '0.0.0.0'")
    monkeypatch.setenv("ROOKERY_PORT", "82")
    monkeypatch.setenv("ROOKERY_BODY_LIMIT", "3000")
    settings = load(folder, port=83, body_limit=None)
    assert (settings.host, settings.body_limit, settings.port) == ("0.0.0.0", 3_000, 83)  # noqa: S104 - a value to read


def test_the_folder_comes_from_the_caller_or_else_the_environment_or_else_the_default(folder, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    write(folder, "port = 81")
    write(other, "port = 82")
    monkeypatch.setenv("ROOKERY_DATA", str(folder))
    assert (load().data, load().port) == (folder, 81)
    assert (load(other).data, load(other).port) == (other, 82)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("port", "0", 0),
        ("metrics_port", "-1", -1),
        ("host", "::1", "::1"),
        ("session_days", "1.5", 1.5),
        ("session_days", "2", 2.0),
        ("public_reads", "off", False),
        ("public_reads", "no", False),
        ("public_reads", "FALSE", False),
        ("public_reads", "0", False),
        ("allow_clock_behind", "on", True),
        ("allow_clock_behind", "Yes", True),
        ("allow_clock_behind", "true", True),
        ("allow_clock_behind", "1", True),
        ("cors_origins", "https://a.example, https://b.example,", ("https://a.example", "https://b.example")),
        ("cors_origins", "", ()),
        ("tweet_labels", "satire, opinion", ("satire", "opinion")),
        ("registration", "approval", "approval"),
        ("cors_origins", "*", ("*",)),
        ("famous_followers", "0", 0),
        ("famous_followers", "50", 50),
        ("famous_followers", "none", None),
        ("famous_followers", "None", None),
        ("famous_followers", "null", None),
        ("famous_followers", "off", None),
        ("famous_followers", "", None),
    ],
)
def test_the_environment_speaks_in_words(monkeypatch, name, text, value):
    monkeypatch.setenv(f"ROOKERY_{name.upper()}", text)
    assert getattr(load(), name) == value


def test_nobody_famous_can_be_said_in_the_file_too(folder):
    write(folder, 'famous_followers = "none"')
    assert load(folder).famous_followers is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "-1"),
        ("port", "65536"),
        ("port", ""),
        ("port", "http"),
        ("port", "8000.5"),
        ("metrics_port", "-2"),
        ("public_reads", "maybe"),
        ("famous_followers", "-1"),
        ("famous_followers", "many"),
        ("timeline_entries", "19"),
        ("body_limit", "1023"),
        ("hot_tweets_min", "0"),
        ("hot_tweets_mib", "0"),
        ("cached_users", "0"),
        ("login_attempts_account", "0"),
        ("login_attempts_address", "0"),
        ("session_days", "-1"),
        ("session_days", "nan"),
        ("session_days", "inf"),
        ("session_days", "1e300"),
        ("scan_seconds", "0"),
        ("log_format", "xml"),
        ("log_level", "loud"),
    ],
)
def test_a_value_that_can_not_be_used_is_refused_by_name(monkeypatch, name, text):
    monkeypatch.setenv(f"ROOKERY_{name.upper()}", text)
    with pytest.raises(BadSetting, match=name):
        load()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "prot"),
        ("port = ", r"rookery\.toml: Invalid value"),
        ("port = 'x'", "port"),
        ("cors_origins = 'https://a.example'", "cors_origins"),
        ("host = 1979-05-27", "host"),
    ],
)
def test_a_file_that_can_not_be_used_says_where(folder, text, said):
    write(folder, text)
    with pytest.raises(BadSetting, match=said):
        load(folder)


def test_a_file_that_is_not_text_is_refused(folder):
    (folder / "rookery.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadSetting, match=r"rookery\.toml"):
        load(folder)


def test_a_file_that_was_named_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setenv("ROOKERY_CONFIG", str(tmp_path / "gone.toml"))
    with pytest.raises(BadSetting, match=r"gone\.toml: there is no such file"):
        load()


def test_an_unknown_option_of_the_caller_is_refused():
    with pytest.raises(BadSetting, match="prot"):
        load(prot=1)


def test_every_setting_has_a_default_and_can_be_set_by_the_environment(monkeypatch):
    for field in msgspec.structs.fields(Settings):
        default = getattr(Settings(), field.name)
        text = ",".join(map(str, default)) if isinstance(default, tuple | dict) else str(default)
        monkeypatch.setenv(f"ROOKERY_{field.name.upper()}", text)
    assert load() == Settings()


def test_weights_are_lists_of_numbers_of_a_certain_length(folder, monkeypatch):
    write(folder, "top_kinds = [1, 2, 3, 4, 5]")
    monkeypatch.setenv("ROOKERY_TOP_ENGAGEMENT", "1, 2.5,3,0")
    settings = load(folder)
    assert (settings.top_kinds, settings.top_engagement) == ((1.0, 2.0, 3.0, 4.0, 5.0), (1.0, 2.5, 3.0, 0.0))


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "1,2,3,-1", "1,2,3,nan", "1,2,3,1001", "1,2,3,x", "-"])
def test_weights_that_can_not_be_used_are_refused_by_name(folder, monkeypatch, text):
    monkeypatch.setenv("ROOKERY_TOP_ENGAGEMENT", text)
    with pytest.raises(BadSetting, match="top_engagement"):
        load(folder)


# --- several processes


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"services": ("gateway", "mail")}, "not 'mail'"),
        ({"services": ("gateway",)}, "needs the setting database"),
        ({"services": ("gateway",), "database": "postgresql://h/d"}, "needs the setting redis"),
        ({"services": ("gateway",), "database": "postgresql://h/d", "redis": "redis://h"}, "needs the setting process"),
        ({"process": "Gateway 1"}, "not 'Gateway 1'"),
        ({"database": "mysql://me:secret@h/d"}, "database is a URL that begins with postgresql:// or postgres://"),
        ({"redis": "http://h"}, "redis is a URL that begins with"),
        ({"replica": "postgresql://h/d"}, "a replica needs the setting database"),
        ({"remote": {"users": "core:9000"}}, "rpc_token"),
        ({"remote": {"live": "core:9000"}, "rpc_token": "t"}, "not 'live'"),
        ({"rpc_port": 9000}, "rpc_token"),
        ({"rpc_certificate": "c.pem", "rpc_ca": "ca.pem"}, "belong together"),
    ],
)
def test_settings_of_processes_that_can_not_be_used_say_what_is_wrong(tmp_path, given, told):
    with pytest.raises(BadSetting) as error:
        load(tmp_path, **given)
    assert told in str(error.value)
    assert "secret" not in str(error.value)


def test_services_and_addresses_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("ROOKERY_SERVICES", "gateway, live")
    monkeypatch.setenv("ROOKERY_PROCESS", "gateway-1")
    monkeypatch.setenv("ROOKERY_DATABASE", "postgresql://h/d")
    monkeypatch.setenv("ROOKERY_REDIS", "redis+cluster://a:1,b:2")
    monkeypatch.setenv("ROOKERY_RPC_TOKEN", "a token")
    monkeypatch.setenv("ROOKERY_REMOTE", "drafts=core:9000 ops=10.0.0.1:9000,10.0.0.2:9000")
    used = load(tmp_path)
    assert used.services == ("gateway", "live")
    assert used.remote == {"drafts": "core:9000", "ops": "10.0.0.1:9000,10.0.0.2:9000"}
    monkeypatch.setenv("ROOKERY_REMOTE", "drafts")
    with pytest.raises(BadSetting, match="users=host:port"):
        load(tmp_path)
