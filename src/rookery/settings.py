"""Every setting of Rookery, in one place.

A setting comes from, in rising order: its default here, a TOML file (`rookery.toml` in the data folder, or one named by
ROOKERY_CONFIG), the environment (`ROOKERY_<NAME>`), the command line.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

_PREFIX = "ROOKERY_"
_NONE = ("none", "null", "off", "")


class BadSetting(Exception):
    """A setting that can't be used; the message names it and says why."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings. Durations say their unit in the name."""

    data: Path = Path("data")
    """The folder of everything that is kept; with a `database` elsewhere, of what is this process's own."""
    database: str = ""
    """postgresql://user:password@host:port/database; empty: SQLite, in the folder."""
    replica: str = ""
    """A read replica of it, for reads that bear lag; empty: there is none."""
    redis: str = ""
    """redis://host:port, or redis+cluster://host:port,host:port, for what processes share; empty: this process's memory."""
    objects: str = ""
    """Where archives are kept: s3://bucket/prefix or file:///folder; empty: in the folder."""
    services: tuple[str, ...] = ()
    """What this process runs, of gateway, live, processor, users, graph, tweets, notifications, moderation, drafts, archives, analytics,
    ops; empty: all of it.
    """
    process: str = ""
    """What this process is called among those that share a database, such as gateway-1; nobody else's name."""
    remote: dict[str, str] = {}
    """Services that are called in other processes, by gRPC: each with its address, name:port or addresses with ports."""
    rpc_host: str = "127.0.0.1"
    """The address at which other processes call this one."""
    rpc_port: int = -1
    """The port of it; 0 takes a free one, -1 has none."""
    rpc_token: str = ""
    """What processes show each other where they have no certificates."""
    rpc_certificate: str = ""
    """The file of this process's certificate (PEM), which names its `process`."""
    rpc_key: str = ""
    """The file of its key."""
    rpc_ca: str = ""
    """The file of those who sign the others' certificates."""
    host: str = "127.0.0.1"
    """The address that is listened on."""
    port: int = 8000
    """The port that is listened on; 0 takes a free one."""
    metrics_host: str = "127.0.0.1"
    """The address of metrics and health."""
    metrics_port: int = 9464
    """The port of metrics and health; 0 takes a free one, -1 has none."""
    pages: bool = True
    """Whether the pages for people with a browser are served, beside the API."""
    name: str = "Rookery"
    """What the network is called on its pages."""
    public_reads: bool = True
    """Whether guests may read what is public."""
    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may use the API; "*" for all."""
    body_limit: int = 65_536
    """Bytes that a request's body may have."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies in front, whose X-Forwarded-For tells the client's address."""
    connections: int = 0
    """Connections of clients at a time; 0: as many as the limit of open files allows, at most 20,000."""
    connections_per_address: int = 0
    """Of them from one IPv4 address or one /64 of IPv6, trusted proxies apart; 0: a quarter of all."""
    head_seconds: float = 10.0
    """Seconds that a client may take to send the line and headers of a request."""
    body_seconds: float = 20.0
    """Seconds that a client may take to send a body; one more for each 1,000 bytes that have come."""
    answer_seconds: float = 30.0
    """Seconds that a client may leave an answer untaken."""
    idle_seconds: float = 75.0
    """Seconds that a connection is kept open between requests."""
    drain_seconds: float = 0.0
    """Seconds that everything is served yet, though not ready any more, after SIGTERM: until a load balancer has seen it."""
    overload_wait_seconds: float = 0.5
    """Work that may wait before a request; what comes after more of it is turned away with 503."""
    overload_write_seconds: float = 1.0
    """Seconds that writing should take at most; where even the fastest takes longer, fewer are let in at a time."""
    in_flight: int = 1_000
    """Requests that may be at work at a time, reads and writes apart."""
    log_format: str = "console"
    """console or json."""
    log_level: str = "info"
    """debug, info, warning or error."""
    access_log: bool = False
    """Whether each request that was answered makes a line of the log, at the level info."""
    traces: str = ""
    """The URL of a receiver of OpenTelemetry traces (OTLP over HTTP); empty: none are made."""
    traces_ratio: float = 1.0
    """The part of traces that is taken, 0 to 1; where a trusted proxy has begun one, it decides."""

    live_replay_seconds: float = 300.0
    """Seconds within which a stream that comes back is told what it missed."""
    live_heartbeat_seconds: float = 20.0
    """Seconds between two heartbeats of a stream."""
    live_timeout_seconds: float = 60.0
    """Seconds without an answer to heartbeats, or with nothing taken of what was sent, after which a stream is closed."""
    live_streams_per_account: int = 20
    """Streams that one account may have open; another one closes the oldest."""

    famous_followers: int | None = 10_000
    """Followers that make an account famous (left at 80% of it). 0: everybody is; none: nobody is."""
    famous_refresh_seconds: float = 0.0
    """Age at which the merged entries of famous accounts are read again; 0 is at every read."""
    busy_hashtag_uses: int | None = 10_000
    """Uses that make a hashtag busy: its tweets are merged at the read, and not pushed. 0: every hashtag; none: none is."""
    timeline_entries: int = 800
    """Entries that a cached home timeline holds."""
    active_days: float = 3.0
    """Days after the last visit at which a cached home timeline is freed."""

    top_refresh_seconds: float = 300.0
    """Age at which a ranking (order=top) is made anew; a tenth of it where new entries wait. 0: at every first page."""
    top_snapshots: int = 5_000
    """Rankings kept in memory, of 11 to 15 KB each."""
    top_acts: tuple[float, ...] = (16.0, 12.0, 8.0, 4.0, 2.0, 1.0, 0.5)
    """What a reader's reply to an author, message, retweet, favorite, visit of the profile, read and click on a link count."""
    top_affinity_days: float = 30.0
    """Days in which these come to count half."""
    top_kinds: tuple[float, ...] = (1.0, 1.2, 1.1, 0.7, 0.8)
    """Weights of a tweet, one with media, a quote, a reply, a retweet."""
    top_engagement: tuple[float, ...] = (4.0, 3.0, 2.0, 1.0)
    """What each reply, quote, retweet and favorite of a tweet adds to its weight, under a logarithm."""
    top_decay_hours: float = 12.0
    """Hours in which an entry comes to count half."""

    edit_minutes: float = 30.0
    """Minutes within which a tweet can be edited; afterwards fewer people may be let see it. 0: never."""

    registration: str = "open"
    """Who may open an account: open (everybody), approval (everybody, once a moderator approves), invitation (whoever has a code),
    closed (nobody).
    """
    session_days: float = 90.0
    """Days after which a token expires."""
    grace_days: float = 30.0
    """Days within which a deactivated account comes back by logging in."""
    rate_limits: bool = True
    """Whether there are limits to what a client may ask for in a while."""
    rate_window_seconds: float = 300.0
    """The while."""
    rate_reads: int = 3_000
    """Reads by one token in it; 0 is no limit, here and below."""
    rate_writes: int = 300
    """Writes by one token."""
    rate_guest_reads: int = 1_500
    """Reads without a token from one network address."""
    rate_guest_writes: int = 100
    """Writes without a token, such as logging in, from one network address."""
    rate_address_factor: int = 20
    """How many times as much as one all tokens together may do that are used from one network address."""
    login_attempts_account: int = 10
    """Failed log-ins of one account within 15 minutes."""
    login_attempts_address: int = 50
    """Failed log-ins from one network address within 15 minutes."""

    hold_suspects: bool = True
    """Whether tweets that look like spam are held until a moderator has looked at them."""
    hold_posts: int = 100
    """Tweets of one account in hold_posts_minutes; further ones are held. 0 is no limit, here and below."""
    hold_posts_minutes: float = 10.0
    """Minutes in which they are counted."""
    hold_duplicates: int = 5
    """Tweets of one account that say the same in hold_duplicates_minutes; further ones are held."""
    hold_duplicates_minutes: float = 60.0
    """Minutes in which they are counted."""
    hold_new_hours: float = 24.0
    """Hours for which an account is new."""
    hold_new_links: int = 10
    """Tweets with links by an account while it is new; further ones are held."""
    blocklist_entries: int = 10_000
    """Entries that each block list may have."""
    tweet_labels: tuple[str, ...] = ("misleading", "sensitive", "spam")
    """What moderators may label tweets with."""
    reports_per_day: int = 100
    """Reports by one account within 24 hours; 0 is no limit."""
    archive_hours: float = 24.0
    """Hours between two archives of everything of theirs that a person may ask for."""
    archive_days: float = 7.0
    """Days that such an archive is kept."""
    notification_days: float = 90.0
    """Days that a notification is kept after the last one joined in."""

    hot_tweets_min: int = 100_000
    """Tweets that the cache of the hottest may hold whatever the day's number; beyond it, 20% of the last day's tweets."""
    hot_tweets_mib: int = 256
    """MiB that this cache may take."""
    cached_users: int = 100_000
    """Accounts kept in memory."""
    cached_users_seconds: float = 600.0
    """Seconds after which a cached account is read again."""

    events_keep_hours: float = 72.0
    """Hours that events are kept after every group has handled them."""
    upkeep_seconds: float = 600.0
    """Seconds between rounds of upkeep: freeing timelines that nobody reads, removing old events."""
    scan_seconds: float = 5.0
    """Seconds that one long read of the store may take."""
    worker_stall_seconds: float = 30.0
    """Seconds that a background worker may be at work without a sign of life; then it is restarted. Upkeep has ten times that."""
    loop_stall_seconds: float = 5.0
    """Seconds that the event loop may be busy with one thing; then the log tells with what."""
    allow_clock_behind: bool = False
    """Start although the store is over an hour ahead of this machine's clock."""


def load(data: Path | None = None, config: Path | None = None, **overrides: Any) -> Settings:
    """The settings in force; `overrides` of None are no overrides. Raises BadSetting naming what can't be used."""
    values: dict[str, Any] = {}
    folder = data or Path(os.environ.get(_PREFIX + "DATA", "data"))
    named = config or (Path(os.environ[_PREFIX + "CONFIG"]) if _PREFIX + "CONFIG" in os.environ else None)
    file = named or folder / "rookery.toml"
    if file.is_file():
        try:
            values.update(tomllib.loads(file.read_text("utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BadSetting(f"{file}: {error}") from error
    elif named is not None:
        raise BadSetting(f"{named}: there is no such file")
    values.update(_environment())
    values.update({name: value for name, value in overrides.items() if value is not None})
    for name in ("famous_followers", "busy_hashtag_uses"):
        if isinstance(value := values.get(name), str) and value.lower() in _NONE:
            values[name] = None
    values["data"] = folder if data is not None or "data" not in values else values["data"]
    try:
        made = msgspec.convert(values, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise BadSetting(f"settings: {error}") from error
    return _checked(made)


def _environment() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        text = os.environ.get(_PREFIX + field.name.upper())
        if text is None:
            continue
        if field.name in ("cors_origins", "trusted_proxies", "tweet_labels", "services", *_WEIGHTS):
            found[field.name] = [part.strip() for part in text.split(",") if part.strip()]
        elif field.name == "remote":
            found[field.name] = _addresses(text)
        elif field.type is bool:
            found[field.name] = {"on": "true", "off": "false", "yes": "true", "no": "false"}.get(text.lower(), text)
        else:
            found[field.name] = text
    return found


def _addresses(text: str) -> dict[str, str]:
    """`users=core:9000 graph=core:9000`: names with what they stand for, divided by spaces."""
    found: dict[str, str] = {}
    for part in text.split():
        name, sign, address = part.partition("=")
        if not (name and sign and address):
            raise BadSetting(f"remote is written as users=host:port graph=host:port, not {part!r}")
        found[name] = address
    return found


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    raise NotImplementedError


_WEIGHTS = {"top_acts": 7, "top_kinds": 5, "top_engagement": 4}
"""Settings that are lists of numbers, and how many each holds."""

_HEAVIEST = 1_000.0

_AT_LEAST = {
    "port": 0,
    "metrics_port": -1,
    "rpc_port": -1,
    "famous_followers": 0,
    "busy_hashtag_uses": 0,
    "timeline_entries": 20,
    "top_snapshots": 1,
    "top_affinity_days": 0.01,
    "top_decay_hours": 0.01,
    "body_limit": 1024,
    "head_seconds": 0.1,
    "body_seconds": 0.1,
    "answer_seconds": 0.1,
    "idle_seconds": 0.1,
    "live_replay_seconds": 1,
    "live_heartbeat_seconds": 1,
    "live_timeout_seconds": 2,
    "live_streams_per_account": 1,
    "overload_wait_seconds": 0.001,
    "overload_write_seconds": 0.001,
    "in_flight": 4,
    "hot_tweets_min": 1,
    "hot_tweets_mib": 1,
    "cached_users": 1,
    "rate_window_seconds": 1,
    "login_attempts_account": 1,
    "login_attempts_address": 1,
    "notification_days": 1,
    "scan_seconds": 0.1,
    "worker_stall_seconds": 0.1,
    "loop_stall_seconds": 0.1,
    "upkeep_seconds": 0.01,
}

_LONGEST = 1_000_000.0
"""What a duration may be, in its unit: every moment made with it fits into the store."""


def _checked(made: Settings) -> Settings:
    for field in msgspec.structs.fields(Settings):
        value = getattr(made, field.name)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            continue
        low = _AT_LEAST.get(field.name, 0)
        if value < low:
            raise BadSetting(f"{field.name} is at least {low}, not {value}")
        if isinstance(value, float) and not value <= _LONGEST:
            raise BadSetting(f"{field.name} is at most {_LONGEST:.0f}, not {value}")
    for name in ("port", "metrics_port", "rpc_port"):
        if getattr(made, name) > 65_535:
            raise BadSetting(f"{name} is at most 65535, not {getattr(made, name)}")
    _check_processes(made)
    if made.traces_ratio > 1:
        raise BadSetting(f"traces_ratio is at most 1, not {made.traces_ratio}")
    if made.traces:
        _check_receiver(made.traces)
    if made.registration not in ("open", "approval", "invitation", "closed"):
        raise BadSetting(f"registration is open, approval, invitation or closed, not {made.registration!r}")
    for label in made.tweet_labels:
        if not (0 < len(label) <= 50 and label.isprintable()):
            raise BadSetting(f"tweet_labels are words of 1 to 50 characters, not {label!r}")
    for name, count in _WEIGHTS.items():
        weights: tuple[float, ...] = getattr(made, name)
        if len(weights) != count or not all(0 <= weight <= _HEAVIEST for weight in weights):
            raise BadSetting(f"{name} is {count} numbers from 0 to {_HEAVIEST:.0f}, not {', '.join(map(str, weights))}")
    if made.log_format not in ("console", "json"):
        raise BadSetting(f"log_format is console or json, not {made.log_format!r}")
    if made.log_level not in ("debug", "info", "warning", "error"):
        raise BadSetting(f"log_level is debug, info, warning or error, not {made.log_level!r}")
    return made


SERVICES = (
    "gateway",
    "live",
    "processor",
    "users",
    "graph",
    "tweets",
    "notifications",
    "moderation",
    "drafts",
    "archives",
    "analytics",
    "ops",
)
"""What a process may run."""

REMOTE = ("users", "graph", "tweets", "notifications", "moderation", "drafts", "archives", "ops")
"""What may be called in another process."""

_PROCESS = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")


def _check_processes(made: Settings) -> None:
    """What belongs together where several processes are one network."""
    for name, kind, known in (("services", made.services, SERVICES), ("remote", made.remote, REMOTE)):
        for one in kind:
            if one not in known:
                raise BadSetting(f"{name} are some of {', '.join(known)}, not {one!r}")
    if made.process and not _PROCESS.fullmatch(made.process):
        raise BadSetting(
            f"process is a name of small letters, digits, - and ., such as gateway-1, not {made.process!r}"
        )
    for name, schemes in (("database", _POSTGRES), ("replica", _POSTGRES), ("redis", _REDIS)):
        value: str = getattr(made, name)
        if value and not value.startswith(schemes):
            # Whatever else stands there may be a secret: it is not repeated.
            raise BadSetting(f"{name} is a URL that begins with {' or '.join(schemes)}")
    if made.replica and not made.database:
        raise BadSetting("a replica needs the setting database, of which it is one")
    if made.services and set(made.services) != set(SERVICES):
        for name in ("database", "redis", "process"):
            if not getattr(made, name):
                raise BadSetting(f"a process that runs some services only needs the setting {name}")
    if (made.remote or made.rpc_port >= 0) and not (made.rpc_token or made.rpc_ca):
        raise BadSetting("calls between processes need the setting rpc_token, or rpc_ca, rpc_certificate and rpc_key")
    if bool(made.rpc_certificate) != bool(made.rpc_key):
        raise BadSetting("rpc_certificate and rpc_key belong together")


_POSTGRES = ("postgresql://", "postgres://")
_REDIS = ("redis://", "rediss://", "unix://", "redis+cluster://", "rediss+cluster://")


def _check_receiver(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
        parts = urlsplit("")
    if not good:
        raise BadSetting("traces is a URL of http or https, such as http://127.0.0.1:4318/v1/traces")
    if parts.username or parts.password:
        raise BadSetting("traces holds no credentials; they go into the environment's OTEL_EXPORTER_OTLP_HEADERS")
