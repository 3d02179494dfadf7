"""HAProxy in front of gateways and live nodes: what it is told, and its process."""

import csv
import http.client
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from rookery.cluster.processes import Child

_START: Final = 20.0

_LOOPBACK: Final = "127.0.0.1"


class Target(msgspec.Struct, frozen=True):
    """A process to which requests are sent: its health is asked for on the operators' port."""

    name: str
    host: str
    port: int
    metrics_port: int


_HEAD: Final = """\
global
    # As many connections as the limit of open files allows; what containers have is no limit.
    fd-hard-limit 100000
    # What is still open when it is told to end, a stream for instance, is open for so long.
    hard-stop-after 5s

defaults
    mode http
    balance leastconn
    # A process that does not take a connection was sent nothing: any request goes to another one.
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response response-timeout
    timeout connect 2s
    timeout check 2s
    timeout queue 5s
    timeout http-request 10s
    # Below the 75 s after which our processes end what is idle.
    timeout http-keep-alive 60s
    timeout client 60s
    timeout server 60s
    default-server inter 500ms fastinter 200ms downinter 500ms fall 2 rise 1

frontend public
    bind {public}
    # What a proxy before it tells of a request is passed on, in one line, with its address; what anybody else tells is not.
    acl proxy src {proxies}
    http-request del-header X-Forwarded-For unless proxy
    http-request del-header X-Forwarded-Proto unless proxy
    http-request del-header X-Request-Id unless proxy
    http-request del-header traceparent unless proxy
    http-request set-header X-Forwarded-For "%[req.fhdr(X-Forwarded-For)], %[src]" if {{ req.hdr(X-Forwarded-For) -m found }}
    http-request set-header X-Forwarded-For %[src] unless {{ req.hdr(X-Forwarded-For) -m found }}
    # An answer that never came may be that of a request which was carried out. Only those are sent again which do no harm twice.
    http-request disable-l7-retry unless {{ method GET HEAD OPTIONS PUT DELETE }} or {{ req.hdr(Idempotency-Key) -m found }}
    # Who asks, as they say; nobody's secrets are kept here, but a digest.
    http-request set-var(txn.who) req.cook(rookery_session),sha1,hex
    http-request set-var(txn.who) req.cook(__Host-rookery_session),sha1,hex if {{ req.cook(__Host-rookery_session) -m found }}
    http-request set-var(txn.who) req.hdr(authorization),sha1,hex if {{ req.hdr(authorization) -m found }}
    acl stream path /v1/stream
    use_backend live if stream {{ nbsrv(live) gt 0 }}
    use_backend live-unready if stream
    use_backend gateways if {{ nbsrv(gateways) gt 0 }}
    default_backend gateways-unready

frontend operators
    bind {operators}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    monitor-uri /livez
    stats enable
    stats uri /
"""

_LIVE: Final = """\
    # Both ends of a stream hear of each other every 20 s.
    timeout server 90s
    timeout tunnel 90s
"""


_GATEWAYS: Final = """\
    # Whatever a gateway waits for, it gives up sooner: one that says nothing for so long stands still.
    timeout server 10s
    # What somebody wrote is seen at once where they wrote it, and elsewhere a few milliseconds later.
    stick-table type string len 40 size 500k expire 30m
    stick on var(txn.who)
"""


_NAMES: Final = """\
resolvers names
    nameserver first {resolver}
    # A process that was started again may have another address.
    hold valid 5s
"""


def configuration(
    public: str,
    operators: str,
    gateways: Sequence[Target],
    live: Sequence[Target],
    *,
    proxies: Sequence[str] = (_LOOPBACK,),
    resolver: str = "",
) -> str:
    """The text of haproxy.cfg: addresses to listen on (`host:port`), where requests go, and whose word is believed on where they come from.
    Where targets have names that come and go, the server of names (`address:port`) is asked for them.

    A process that is told to end says on /readyz that it is not ready, and goes on until nothing is sent to it: so it is ended without a
    failed request. Where none is ready, as the database is away, those that live tell people so in their own words.
    """
    parts = [_HEAD.format(public=public, operators=operators, proxies=" ".join(proxies))]
    if resolver:
        parts.append(_NAMES.format(resolver=resolver))
    more_of_each = " resolvers names init-addr libc,none" if resolver else ""
    for name, targets, more in (("gateways", gateways, _GATEWAYS), ("live", live, _LIVE)):
        for suffix, page in (("", "/readyz"), ("-unready", "/livez")):
            lines = [
                f"backend {name}{suffix}",
                "    option httpchk",
                f"    http-check send meth GET uri {page} ver HTTP/1.1 hdr Host localhost",
                "    http-check expect status 200",
                *(
                    f"    server {one.name} {one.host}:{one.port} check port {one.metrics_port}{more_of_each}"
                    for one in targets
                ),
            ]
            parts.append("\n".join(lines) + "\n" + more)
    return "\n".join(parts)


class HAProxy:
    """An HAProxy on the loopback."""

    def __init__(self, program: Path, folder: Path, port: int, operators: int) -> None:
        self.port = port
        self._operators = operators
        self._program = program
        self._folder = folder
        self._file = folder / "haproxy.cfg"
        self.child = Child("haproxy", folder)

    def start(self, gateways: Sequence[Target], live: Sequence[Target], proxies: Sequence[str] = (_LOOPBACK,)) -> None:
        """Start it, and wait until it listens; `proxies` may stand before it. Raises ClusterError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        at = f"{_LOOPBACK}:{self.port}", f"{_LOOPBACK}:{self._operators}"
        self._file.write_text(configuration(*at, gateways, live, proxies=proxies))
        self.child.start([self._program, "-db", "-f", self._file], cwd=self._folder)
        self.child.until(self.ready, _START)

    def ready(self) -> bool:
        """Whether it listens."""
        return get(self._operators, "/livez")[0] == 200

    def up(self) -> set[str]:
        """Processes to which it sends requests, as they are ready."""
        code, text = get(self._operators, "/;csv")
        if code != 200:
            return set()
        rows = csv.DictReader(text.removeprefix("# ").splitlines())
        return {
            row["svname"] for row in rows if row["pxname"] in ("gateways", "live") and row["status"].startswith("UP")
        } - {"BACKEND", "FRONTEND"}

    def stop(self) -> None:
        """End it when what it is at is done, after five seconds at most."""
        self.child.stop(signal.SIGUSR1)


def get(port: int, path: str, seconds: float = 2.0) -> tuple[int, str]:
    """The status and the body of a page on the loopback; 0 where there is no answer."""
    connection = http.client.HTTPConnection(_LOOPBACK, port, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
