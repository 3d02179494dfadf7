"""Open streams as connections: a WebSocket (RFC 6455), or server-sent events. Each speaks on a connection that a request has opened.

A stream is one object, without a task, a timer or a queue of its own: messages are written as they come, `connections.Connections` looks at it
once a second, and what the peer does not take is not written. So ten thousand of them are little more than their sockets.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State

from rookery.gateways.rest import shapes
from rookery.gateways.rest.connections import Connections, Phase
from rookery.gateways.rest.fragments import Fragments
from rookery.gateways.rest.present import encode
from rookery.kernel.errors import RookeryError
from rookery.kernel.ids import parse_id
from rookery.services.live.contract import (
    MOST_WATCHED,
    Arrived,
    Beat,
    CaughtUp,
    Changed,
    Counted,
    End,
    Gone,
    Hello,
    Message,
    Personal,
    Presence,
    Removed,
    Resync,
    Stream,
    Told,
)

_LONGEST: Final = 4_096
"""Bytes of a frame that a client may send."""

_HIGH, _LOW = 64 * 1024, 16 * 1024
"""Bytes that wait for a peer, from which on nothing more is written, and below which it goes on."""

_HEARD: Final = 20
_HEARD_IN: Final = 10.0
"""Messages of a client that are heard in so many seconds."""
_PATIENCE: Final = 5 * _HEARD
"""And as many more that are answered with a problem, before it is shown out."""

_LAST_WORDS: Final = 2.0
"""Seconds that a peer has to take the reason why a stream ends."""

_RETRY: Final = b"retry: 2000\n\n"

_CODES: Final = {
    End.TOKEN_REVOKED: 4401,
    End.TOKEN_EXPIRED: 4401,
    End.ACCOUNT_INACTIVE: 4401,
    End.TOO_MANY_STREAMS: 4429,
    End.TROUBLE: 4503,
}
_RESTART: Final = 1012
_NO_ANSWER: Final = 4408
_POLICY: Final = 1008

_log: Any = structlog.get_logger("rookery.rest")


class StreamOptions(Struct, frozen=True):
    """How streams are kept. Times in seconds."""

    heartbeat: float = 20.0
    window: float = 300.0
    timeout: float = 60.0
    """In which a peer gives no sign of life before it is taken to be gone."""


class Watch(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sends."""

    watch: list[str]


_WATCH: Final = msgspec.json.Decoder(Watch)

Open = Callable[["Channel"], Awaitable[Stream]]
"""Opens the stream whose messages go to a channel."""


class Writer:
    """Messages as JSON, the same for every client."""

    def __init__(self, fragments: Fragments, options: StreamOptions) -> None:
        self._fragments = fragments
        self._options = options

    def write(self, offset: int, message: Message) -> tuple[bytes, bytes]:
        """The message's type, and its JSON."""
        kind, rest = self._parts(message)
        return kind, b'{"type":"%b","offset":"%d"%b}' % (kind, offset, rest)

    def _parts(self, message: Message) -> tuple[bytes, bytes]:
        match message:
            case Arrived(item=item):
                return b"entry", b',"item":%b' % self._fragments.item(item)
            case Removed(entry_id=id):
                return b"removed", b',"entry_id":"%d"' % id
            case Gone(tweet_id=id):
                return b"deleted", b',"tweet_id":"%d"' % id
            case Changed(tweet=tweet):
                return b"edited", b',"tweet":%b' % self._fragments.tweet(tweet)
            case Counted(tweet=tweet):
                counts = tweet.record.counts
                told = shapes.TweetCounts(counts.replies, counts.retweets, counts.quotes, counts.favorites)
                return b"counts", b',"tweet_id":"%d","counts":%b' % (tweet.id, encode(told))
            case Personal(type=type, fields=fields):
                return type.encode(), b"".join(
                    b',"%b":%b' % (name.encode(), encode(one)) for name, one in fields.items()
                )
            case Presence(user_id=id, online=online):
                return b"presence", b',"user_id":"%d","online":%b' % (id, encode(online))
            case Hello(resumed=resumed):
                options = self._options
                return b"hello", b',"resumed":%b,"heartbeat_seconds":%b,"replay_seconds":%b' % (
                    encode(resumed), encode(options.heartbeat), encode(options.window),
                )  # fmt: skip
            case CaughtUp():
                return b"caught_up", b""
            case Resync(reason=reason):
                return b"resync", b',"reason":"%b"' % reason.encode()
            case Beat():
                return b"heartbeat", b""


class Channel(asyncio.Protocol):
    """What both kinds of streams have in common. Implements `live.contract.Sink`."""

    __slots__ = (
        "_ending",
        "_heard",
        "_left",
        "_open",
        "_options",
        "_paused",
        "_peers",
        "_room",
        "_stream",
        "_unsent",
        "_wanted",
        "_writer",
        "address",
        "client",
        "since",
        "transport",
        "unsent_since",
        "unwelcome",
    )

    phase = Phase.STREAM
    waits_for_peer = False

    def __init__(self, connection: Any, begin: Open, writer: Writer, options: StreamOptions) -> None:
        """`connection` is a `connection.Connection`, which ends with this."""
        self.transport: Any = connection.transport
        self.client: Any = connection.client
        self.address = ""
        self.unwelcome = False
        self.since = 0.0
        self.unsent_since = 0.0
        self._room: Connections = connection.room
        self._peers: set[Any] = connection.connections
        self._open: Open | None = begin
        self._writer = writer
        self._options = options
        self._stream: Stream | None = None
        self._wanted: Sequence[int] | None = None
        """What is to be watched once the stream is open."""
        self._heard = self._room.now
        self._unsent = 0
        self._paused = False
        self._ending = 0.0
        """Since when the last words are on their way; 0 before."""
        self._left = False

    # --- what the connection tells

    def opened(self) -> None:
        """The connection is ours."""
        self.transport.set_write_buffer_limits(_HIGH, _LOW)
        self._begin()
        if not self._room.may_stream:
            self._finish(_CODES[End.TROUBLE], "full")
            return
        asyncio.get_running_loop().create_task(self._start())

    @property
    def room(self) -> Connections:
        """Where the connection is watched over."""
        return self._room

    async def _start(self) -> None:
        begin, self._open = self._open, None
        assert begin is not None
        try:
            stream = await begin(self)
        except RookeryError as error:
            _log.warning("a stream could not be opened", error=error.sentence())
            self.end(End.TROUBLE)
            return
        except Exception:
            _log.exception("a stream could not be opened")
            self.end(End.TROUBLE)
            return
        self._stream = stream
        if self._left:
            stream.close()
            return
        if not self._paused:
            # Before the stream was known here, nobody could tell it.
            stream.drained()
        if self._wanted is not None:
            stream.watch(self._wanted)

    def connection_lost(self, exc: Exception | None) -> None:
        self._left = True
        self._room.leave(self)
        self._peers.discard(self)
        if self._stream is not None:
            self._stream.close()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._stream is not None and not self._ending:
            self._stream.drained()

    def eof_received(self) -> None:
        self.transport.close()

    # --- what the room asks, and the server

    def overdue(self, now: float) -> str:
        """Why the connection is to be ended; empty where it is not."""
        if self._ending:
            if now - self._ending > _LAST_WORDS:
                self.transport.abort()
            return ""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent:
            # However slowly, it takes what it is sent.
            self.unsent_since = now if unsent else 0.0
        elif not self.unsent_since:
            self.unsent_since = now
        self._unsent = unsent
        if unsent and now - self.unsent_since > self._options.timeout:
            return "answer"
        return "heartbeat" if self._answers() and now - self._heard > self._options.timeout else ""

    def unanswered(self) -> None:
        """The peer is gone, as it seems."""
        self._finish(_NO_ANSWER, "no_answer")

    def shutdown(self) -> None:
        """The server ends."""
        self._finish(_RESTART, "restart")
        if not self.transport.get_write_buffer_size():
            self.transport.close()

    # --- the sink

    def tell(self, messages: Sequence[Told]) -> bool:
        if not (self._ending or self._left):
            self._write(messages)
        return not self._paused

    def end(self, reason: End) -> None:
        self._finish(_CODES[reason], reason.value)

    def _finish(self, code: int, reason: str) -> None:
        """Tell why it ends, and end."""
        if self._ending or self._left:
            return
        # A reason is no use to who does not even take what was sent before.
        if self._paused:
            self.transport.abort()
            return
        self._ending = self._room.now or 1.0
        self._close(code, reason)

    @property
    def offset(self) -> int:
        """Up to where everything has been told."""
        return 0 if self._stream is None else self._stream.offset

    # --- what each kind does in its way

    def _begin(self) -> None: ...

    def _answers(self) -> bool:
        """Whether the peer answers heartbeats."""
        raise NotImplementedError

    def _write(self, messages: Sequence[Told]) -> None:
        raise NotImplementedError

    def _close(self, code: int, reason: str) -> None:
        raise NotImplementedError


class EventChannel(Channel):
    """Server-sent events (WHATWG HTML, 9.2), which end with the connection."""

    __slots__ = ()

    def _begin(self) -> None:
        self.transport.write(_RETRY)

    def _answers(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        """Nobody asks anything more on this connection."""

    def _write(self, messages: Sequence[Told]) -> None:
        parts: list[bytes] = []
        for offset, message in messages:
            if isinstance(message, Beat):
                # A comment, which keeps the connection alive, and an id without an event.
                parts.append(b": heartbeat\nid: %d\n\n" % offset)
            else:
                kind, text = self._writer.write(offset, message)
                parts.append(b"event: %b\nid: %d\ndata: %b\n\n" % (kind, offset, text))
        self.transport.write(b"".join(parts))

    def _close(self, code: int, reason: str) -> None:
        told = b'{"type":"closed","offset":"%d","code":%d,"reason":"%b"}' % (self.offset, code, reason.encode())
        self.transport.write(b"event: closed\ndata: %b\n\n" % told)
        self.transport.close()


class SocketChannel(Channel):
    """A WebSocket. What is read and written is the `websockets` library's; nothing is compressed, which would take 50 KB of each."""

    __slots__ = ("_count", "_counted_since", "_parts", "_wire")

    def __init__(self, connection: Any, begin: Open, writer: Writer, options: StreamOptions) -> None:
        super().__init__(connection, begin, writer, options)
        self._wire = Protocol(Side.SERVER, state=State.OPEN, max_size=_LONGEST, logger=_QUIET)
        self._parts: list[bytes] | None = None
        self._count = 0
        self._counted_since = 0.0

    def _answers(self) -> bool:
        return True

    def data_received(self, data: bytes) -> None:
        self._heard = self._room.now
        wire = self._wire
        wire.receive_data(data)
        for event in wire.events_received():
            self._frame(event)
        self._flush()
        if wire.close_expected() and (wire.close_rcvd is not None or wire.parser_exc is not None):
            # Both sides have said so, or what came was no WebSocket.
            self._ending = self._ending or self._room.now or 1.0
            if self._stream is not None:
                self._stream.close()
            self.transport.close()

    def eof_received(self) -> None:
        self._wire.receive_eof()
        self.transport.close()

    def _frame(self, frame: Any) -> None:
        if self._ending:
            return
        match frame.opcode:
            case Opcode.BINARY:
                self._finish(1003, "text_only")
            case Opcode.TEXT if frame.fin:
                self._heed(frame.data)
            case Opcode.TEXT:
                self._parts = [frame.data]
            case Opcode.CONT:
                parts, self._parts = [*(self._parts or ()), frame.data], None
                if frame.fin:
                    self._heed(b"".join(parts))
                else:
                    self._parts = parts
            case _:
                pass

    def _heed(self, text: bytes) -> None:
        """Do what the client says."""
        now = self._room.now
        if now - self._counted_since > _HEARD_IN:
            self._count, self._counted_since = 0, now
        self._count += 1
        if self._count > _HEARD:
            if self._count > _PATIENCE:
                self._finish(_POLICY, "too_many_messages")
            else:
                self._object("too_many_messages", "too many messages in too little time")
            return
        try:
            said = _WATCH.decode(text).watch
            if len(said) > MOST_WATCHED:
                self._object("too_many_values", f"at most {MOST_WATCHED} tweets can be watched")
                return
            ids = [parse_id(one, "watch") for one in said]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, RookeryError):
            self._object("invalid_message", "this is not a message")
            return
        if self._stream is None:
            self._wanted = ids
        else:
            self._stream.watch(ids)

    def _object(self, code: str, title: str) -> None:
        if not self._paused:
            told = b'{"type":"problem","offset":"%d","code":"%b","title":%b}'
            self._wire.send_text(told % (self.offset, code.encode(), encode(title)))

    def _write(self, messages: Sequence[Told]) -> None:
        wire = self._wire
        if wire.state is not State.OPEN:
            return
        for offset, message in messages:
            if isinstance(message, Beat):
                wire.send_ping(b"")
            wire.send_text(self._writer.write(offset, message)[1])
        self._flush()

    def _close(self, code: int, reason: str) -> None:
        if self._wire.state is State.OPEN:
            self._wire.send_close(code, reason)
        self._flush()

    def _flush(self) -> None:
        # An empty part asks to end the connection, which `data_received` does.
        if out := b"".join(self._wire.data_to_send()):
            self.transport.write(out)


class _Quiet:
    """A logger for the wire, which has nothing to say that a server would want to read."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - a logger's
        return False

    def debug(self, *_: Any, **__: Any) -> None: ...

    info = warning = error = critical = exception = log = debug


_QUIET: Any = _Quiet()
