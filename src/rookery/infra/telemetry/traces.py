"""Traces by OpenTelemetry, sent by OTLP over HTTP. Loaded only where they are on; everything here wraps what it tells of.

A span tells what was called, how long it took and whether it failed: names of routes and methods, numbers, kinds of errors. Nothing
that people wrote, and nobody's id, is in it.
"""

import threading
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rookery.infra.rpc.port import service_of
from rookery.kernel.errors import RookeryError

T = TypeVar("T")

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_EXPORT_SECONDS: Final = 5
_LAST_WORDS: Final = 3.0
"""Seconds that what is not sent yet has at the end."""

_propagator: Final = TraceContextTextMapPropagator()


class Traces:
    """Makes spans, and sends them in the background. What can't be sent is dropped, and the log says so."""

    def __init__(self, url: str, ratio: float, version: str) -> None:
        """`url` is the receiver's, with the path (usually /v1/traces); `ratio` of the traces that begin here are taken."""
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=Resource.create({"service.name": "rookery", "service.version": version}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=url, timeout=_EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("rookery", version)

    def close(self) -> None:
        """Send what waits, for some seconds."""
        # In a thread of its own, which holds up no end of the program.
        thread = threading.Thread(target=self._provider.shutdown, name="rookery-traces", daemon=True)
        thread.start()
        thread.join(_LAST_WORDS)

    def app(self, inner: Any, *, seen: Callable[[Any], tuple[str, str]], trusted: Callable[[Any], bool]) -> Any:
        """The ASGI application `inner`, with a span for each request.

        `seen` tells the route's template and the request's id once it was answered; where the request is `trusted`, its header
        `traceparent` (W3C Trace Context) is believed.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await inner(scope, receive, send)
                return
            status = 0

            async def pass_on(message: Any) -> None:
                nonlocal status
                # A stream's answer is a message of its own, and begins with a status, too.
                status = message.get("status", status)
                await send(message)

            method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
            with self._span(method, _parent(scope) if trusted(scope) else Context(), SpanKind.SERVER) as span:
                try:
                    await inner(scope, receive, pass_on)
                finally:
                    if span.is_recording():
                        route, request_id = seen(scope)
                        span.update_name(f"{method} {route}")
                        span.set_attributes(
                            {
                                "http.request.method": method,
                                "http.route": route,
                                "http.response.status_code": status,
                                "rookery.request_id": request_id,
                            }
                        )
                        if status >= 500:
                            span.set_status(StatusCode.ERROR)

        return app

    def calls(self, service: T, contract: type) -> T:
        """`service`, with a span for each call of its `contract` that is made within another span."""
        made: Any = _Around(service)
        prefix = service_of(contract)
        for name in dir(contract):
            if hasattr(getattr(contract, name), "__rpc__"):
                setattr(made, name, self._call(getattr(service, name), f"{prefix}.{name}"))
        return made

    def headers(self) -> dict[str, str]:
        """What tells another process of the span within which this runs (W3C Trace Context); empty where it is in none."""
        found: dict[str, str] = {}
        _propagator.inject(found)
        return found

    @contextmanager
    def serving(self, method: str, headers: Mapping[str, str]) -> Generator[None]:
        """A span for a call from another process, where that one tells of a span within which it calls."""
        if "traceparent" not in headers:
            yield
            return
        with self._span(method.removeprefix("/"), _propagator.extract(headers, Context()), SpanKind.SERVER):
            yield

    def database(self, database: T) -> T:
        """`database`, with a span for each transaction that is made within another span: its wait for the writer and the disk."""
        made: Any = _Around(database)
        made.write = self._call(getattr(database, "write"), "store.write")  # noqa: B009 - T is any database
        return made

    def log(self, log: T) -> T:
        """`log`, with a span for each batch of events that a group handles."""
        made: Any = _Around(log)
        inner: Any = log

        def subscribe(
            group: str, topics: Sequence[str], handler: Callable[[Sequence[Any]], Awaitable[None]], **options: Any
        ) -> None:
            async def traced(batch: Sequence[Any]) -> None:
                with self._batch(group, batch):
                    await handler(batch)

            inner.subscribe(group, topics, traced, **options)

        def subscribe_in_transaction(
            group: str, topics: Sequence[str], handler: Callable[[Any, Any], None], **options: Any
        ) -> None:
            def traced(tx: Any, batch: Sequence[Any]) -> None:
                with self._batch(group, batch):
                    handler(tx, batch)

            inner.subscribe_in_transaction(group, topics, traced, **options)

        made.subscribe, made.subscribe_in_transaction = subscribe, subscribe_in_transaction
        return made

    def _call(self, method: Callable[..., Awaitable[Any]], name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            if not get_current_span().is_recording():
                return await method(*args, **kwargs)
            with self._span(name):
                return await method(*args, **kwargs)

        return call

    @contextmanager
    def _batch(self, group: str, batch: Sequence[Any]) -> Generator[None]:
        with self._span(f"events {group}", Context(), SpanKind.CONSUMER) as span:
            span.set_attributes({"rookery.group": group, "messaging.batch.message_count": len(batch)})
            yield

    @contextmanager
    def _span(self, name: str, context: Context | None = None, kind: SpanKind = SpanKind.INTERNAL) -> Generator[Span]:
        # Messages of errors may hold what people wrote; their kinds do not.
        with self._tracer.start_as_current_span(
            name, context=context, kind=kind, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                if not isinstance(error, RookeryError) or error.status >= 500:
                    span.set_status(StatusCode.ERROR)
                raise


class _Around:
    """Stands for `inner`, but for what is set on it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _parent(scope: Any) -> Context:
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in (b"traceparent", b"tracestate")
    }
    return _propagator.extract(headers, Context())
