"""Traces of a real server, taken by a real receiver of OTLP over HTTP."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support import Server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVER, CONSUMER = 2, 5


class Receiver:
    """Takes what is sent to it."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.service = ""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sent = ExportTraceServiceRequest.FromString(body)
                for resource in sent.resource_spans:
                    named = {one.key: one.value.string_value for one in resource.resource.attributes}
                    receiver.service = named["service.name"]
                    for scope in resource.scope_spans:
                        receiver.spans += scope.spans
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1/traces"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def register(server: Server, handle: str) -> dict[str, str]:
    new = {"handle": handle, "email": f"{handle}-private@example.org", "password": "long secret"}
    return {"Authorization": f"Bearer {httpx.post(f'{server.url}/v1/users', json=new).json()['token']}"}


def test_a_request_is_a_span_with_its_calls_and_its_transaction_below(tmp_path, receiver):
    with Server(tmp_path, traces=receiver.url) as server:
        mine = register(server, "ann")
        secret = {"content": "what nobody else may read", "visibility": "mentioned"}
        posted = httpx.post(f"{server.url}/v1/tweets", headers=mine, json=secret)
        assert posted.status_code == 201
        assert httpx.get(f"{server.url}/v1/users/123", headers=mine).status_code == 404
        assert httpx.get(f"{server.url}/livez?token=query-secret").status_code == 422
        assert server.stop() == 0, "what waits is sent at the end"
    (request,) = receiver.named("POST /v1/tweets")
    told = attributes(request)
    assert (request.kind, request.parent_span_id) == (SERVER, b"")
    assert (told["http.route"], told["http.request.method"]) == ("/v1/tweets", "POST")
    assert told["http.response.status_code"] == 201
    assert told["rookery.request_id"] == posted.headers["x-request-id"]
    below = {span.name: span for span in receiver.spans if span.trace_id == request.trace_id}
    assert below["users.authenticate"].parent_span_id == request.span_id
    assert below["tweets.post"].parent_span_id == request.span_id
    assert below["store.write"].parent_span_id == below["tweets.post"].span_id
    assert below["tweets.post"].start_time_unix_nano <= below["store.write"].start_time_unix_nano
    (missing,) = receiver.named("GET /v1/users/{id}")
    assert attributes(missing)["http.response.status_code"] == 404
    assert missing.status.code == 0, "what a client did wrong is no failure of ours"
    batches = receiver.named("events timelines")
    assert batches
    assert all(span.kind == CONSUMER for span in batches)
    assert sum(attributes(span)["messaging.batch.message_count"] for span in batches) >= 1
    assert receiver.service == "rookery"
    said = "".join(map(str, receiver.spans))
    for private in ("nobody else", "query-secret", "ann-private", "long secret", mine["Authorization"][7:]):
        assert private not in said


@pytest.mark.parametrize("trusted", ["127.0.0.1", ""])
def test_a_trusted_proxy_begins_the_trace_and_nobody_else_does(tmp_path, receiver, trusted):
    with Server(tmp_path, traces=receiver.url, trusted_proxies=trusted) as server:
        for flags in ("01", "00"):
            httpx.get(f"{server.url}/v1/nowhere", headers={"traceparent": f"00-{TRACE}-{PARENT}-{flags}"})
        httpx.get(f"{server.url}/v1/nowhere", headers={"traceparent": "nonsense"})
        assert server.stop() == 0
    spans = receiver.named("GET unmatched")
    given = [span for span in spans if span.trace_id.hex() == TRACE]
    if trusted:
        # The second one was not to be taken, and the third has none before it.
        assert len(spans) == 2
        assert [span.parent_span_id.hex() for span in given] == [PARENT]
    else:
        assert (len(spans), given) == (3, [])


def test_a_ratio_of_zero_takes_none(tmp_path, receiver):
    with Server(tmp_path, traces=receiver.url, traces_ratio=0) as server:
        register(server, "ann")
        assert server.stop() == 0
    assert receiver.spans == []


def test_a_receiver_that_is_away_harms_no_request_and_no_end(tmp_path):
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        Server(
            tmp_path / "data", traces="http://127.0.0.1:9/v1/traces", output=output.fileno(), log_format="json"
        ) as server,
    ):
        mine = register(server, "ann")
        for _ in range(20):
            assert httpx.get(f"{server.url}/v1/newsfeed", headers=mine).status_code == 200
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 15
    assert "/v1/traces" in log.read_text(), "an operator learns of it"


WITHOUT = "import sys; sys.modules['opentelemetry'] = None; from rookery.cli import main; main()"


def test_without_the_extra_the_setting_says_what_to_install(tmp_path):
    command = [sys.executable, "-c", WITHOUT, "serve", "--data", str(tmp_path), "--port", "0"]
    refused = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={"ROOKERY_TRACES": "http://127.0.0.1:9/v1/traces", "ROOKERY_METRICS_PORT": "0"},
        timeout=60,
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "rookery[traces]" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_server_without_the_setting_needs_no_extra(tmp_path):
    with Server(tmp_path, program=("-c", WITHOUT)) as server:
        mine = register(server, "ann")
        assert httpx.get(f"{server.url}/v1/newsfeed", headers=mine).status_code == 200


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("collector:4318", "traces is a URL"),
        ("ftp://collector/v1/traces", "traces is a URL"),
        ("http://", "traces is a URL"),
        ("http://collector:99999/v1/traces", "traces is a URL"),
        ("http://me:secret@collector/v1/traces", "holds no credentials"),
    ],
)
def test_a_url_that_can_not_be_used_is_refused(tmp_path, monkeypatch, url, reason):
    from rookery.settings import BadSetting, load

    monkeypatch.setenv("ROOKERY_TRACES", url)
    with pytest.raises(BadSetting, match=reason) as refused:
        load(tmp_path)
    assert "secret" not in str(refused.value)
