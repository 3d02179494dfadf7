"""The writer of a PostgreSQL database: everything that a process changes, in the order in which it becomes durable.

As on SQLite, one thread takes every transaction that waits, runs each in a savepoint, and commits them together, so that many
requests share one fsync and a failing one undoes only itself. An advisory lock, held from the begin to the commit, keeps the
writers of other processes apart: what a transaction has read is still so when it commits, and commits have one order, which ids
and offsets follow (docs/decisions/0027-postgresql.md).
"""

import asyncio
import queue
import time
import uuid
from array import array
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
import structlog

from rookery.infra.sql.port import Transaction
from rookery.infra.sql.postgres_connect import Connection, connect
from rookery.infra.sql.postgres_errors import InDoubt, failure, is_lost, translate
from rookery.infra.sql.postgres_statements import SavepointTransaction
from rookery.infra.workers.port import ThreadWorker
from rookery.kernel import calling
from rookery.kernel.errors import Unavailable

T = TypeVar("T")

CHANNEL: Final = "rookery"
"""Where commits are told, to the processes that listen, with the accounts on whose behalf they were made."""

WRITERS: Final = 0x526F6F6B
"""The advisory lock of who writes: "Rook"."""

_MAX_BATCH: Final = 512
"""Transactions that share an fsync at most; beyond it the first ones would wait too long."""

_MARGIN: Final = 1.0
"""Seconds that an answer may take beyond the time limit that the server knows itself."""

_ASK_AGAIN: Final = 0.1
"""Seconds between tries to learn what became of a commit."""

_LOOK_AGAIN: Final = 1.0
"""Seconds between tries to get the store back, where no write asks for it meanwhile."""

_BEGIN: Final = f"BEGIN; SELECT pg_advisory_xact_lock({WRITERS}); SAVEPOINT job".encode()
_BEGIN_ALONE: Final = (
    "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; "
    f"SELECT pg_advisory_xact_lock({WRITERS})"
).encode()
_NEXT: Final = b"RELEASE SAVEPOINT job; SAVEPOINT job"
_UNDO: Final = b"ROLLBACK TO SAVEPOINT job"
_COMMIT: Final = b"COMMIT"

_MAKE_NOTES: Final = (
    f"BEGIN; SELECT pg_advisory_xact_lock({WRITERS}); "
    "CREATE TABLE IF NOT EXISTS sql_writers "
    "(writer UUID PRIMARY KEY, batch BIGINT NOT NULL, at TIMESTAMPTZ NOT NULL DEFAULT now()); "
    "DELETE FROM sql_writers WHERE at < now() - interval '1 day'; COMMIT"
).encode()
"""Each writer's newest batch: by it a commit is known whose answer was lost, whatever became of the server meanwhile. (The server's
own word, `pg_xact_status`, is not enough: after a crash a transaction's number may be given to another one.)"""

_log: Any = structlog.get_logger("rookery.sql")


class _Job:
    """A transaction that waits for the writer, and what became of it."""

    __slots__ = ("calls", "error", "future", "result", "viewer", "work")

    def __init__(self, work: Callable[[Transaction], Any], future: "asyncio.Future[Any]", viewer: int) -> None:
        self.work = work
        self.viewer = viewer
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None
        self.calls: list[Callable[[], None]] = []


class Writer:
    """Runs transactions and makes them durable. Its methods are for the event loop, but for those that say otherwise."""

    def __init__(
        self,
        url: str,
        *,
        busy_timeout: float,
        patience: float,
        on_batch: Callable[[int], None] | None,
    ) -> None:
        """`busy_timeout` is how long to wait for another process's write, `patience` for the answer to any one statement (both
        s); `on_batch` is told the size of each group commit. Raises the driver's errors.
        """
        self._url = url
        self._busy_timeout = busy_timeout
        self._patience = patience
        self._on_batch = on_batch
        self.on_write: Callable[[Collection[int]], None] | None = None
        """Told, before any of them is answered, of the accounts on whose behalf something may have been written."""
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._open: set[_Job] = set()
        self._decided: list[_Job] = []
        self.trouble = ""
        """What keeps it from writing; empty if nothing does."""
        self._name = uuid.uuid4()
        self._batches = 0
        self.backend = 0
        """The server's number for the connection."""
        self.raw = self._connect()
        """The connection. Before `start` it is the caller's, too."""
        self.raw.execute(_MAKE_NOTES, prepare=False)
        self.thread = ThreadWorker(
            "writer", self._write_loop, on_death=self._after_death, on_stall=self._refuse_waiting
        )
        """The thread that writes, for a watchdog."""

    def _connect(self) -> Connection:
        limit = self._busy_timeout + self._patience
        made = connect(
            self._url,
            patience=limit + _MARGIN,
            synchronous_commit="on",
            default_transaction_isolation="read\\ committed",
            lock_timeout=int(self._busy_timeout * 1000),
            statement_timeout=int(limit * 1000),
            # A process that stands still in the middle of a transaction must not keep the others from writing.
            idle_in_transaction_session_timeout=int(2 * limit * 1000),
            # Nor one that is gone.
            client_connection_check_interval=1000,
            tcp_keepalives_idle=2,
            tcp_keepalives_interval=1,
            tcp_keepalives_count=3,
        )
        self.backend = made.info.backend_pid
        return made

    def begin_alone(self) -> None:
        """Begin a transaction that keeps out every writer, however long it takes. Before `start`."""
        self.raw.execute(_BEGIN_ALONE, prepare=False)

    def start(self) -> None:
        """Begin to serve, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self.thread.start()

    async def close(self) -> bool:
        """Take nothing more, and finish what waits; False where the thread does not answer."""
        self._closed = True
        self._jobs.put(None)
        # The last batch's callbacks run before this returns: the thread posted them before it ended.
        ended = await self.thread.stop(0.1 if self.thread.stuck else self.raw.patience + self._patience)
        for job in list(self._open):
            self._reject(job, closed())
        if ended:
            self.raw.close()
        return ended

    async def write(self, work: Callable[[Transaction], T]) -> T:
        if self._closed:
            raise closed()
        if self.thread.stuck:
            raise _not_answering()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = _Job(work, future, calling.viewer() or 0)
        self._open.add(job)
        self._jobs.put(job)
        return await future

    # --- the thread

    def _write_loop(self) -> None:
        """Batch after batch, until None comes."""
        ending = False
        while not ending:
            batch: list[_Job] = []
            self.thread.rest()
            job = self._next()
            self.thread.beat()
            while job is not None:
                batch.append(job)
                if len(batch) == _MAX_BATCH:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            else:
                ending = True
            if batch:
                self._commit(batch)
                self.thread.beat()
                assert self._loop is not None
                with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                    self._loop.call_soon_threadsafe(self._settle, batch)

    def _next(self) -> _Job | None:
        """The next transaction, or None for the end. While the store is away, each one tries it anew, and so does time."""
        while self.trouble:
            try:
                return self._jobs.get(timeout=_LOOK_AGAIN)
            except queue.Empty:
                self.thread.beat()
                with suppress(psycopg.Error):
                    if self.raw.closed:
                        self._reopen()
                    self.trouble = ""
                self.thread.rest()
        return self._jobs.get()

    def _commit(self, batch: list[_Job]) -> None:
        try:
            self._begin()
            changed = False
            viewers: set[int] = set()
            for index, job in enumerate(batch):
                self.thread.beat()
                if index and batch[index - 1].error is None:
                    self._execute(_NEXT)
                if self._run(job):
                    changed = True
                    if job.viewer:
                        viewers.add(job.viewer)
            self._end(changed, viewers)
            self._decided = batch
            self.trouble = ""
        except BaseException as error:
            self._undo(error)
            for job in batch:
                # What already failed by itself keeps its own reason.
                if job.error is None:
                    job.error = failure(error)
                job.calls = []
            self._decided = batch

    def _begin(self) -> None:
        """Begin a transaction, alone among all writers; on a new connection where the old one is lost."""
        if self.raw.closed:
            self._reopen()
            self._execute(_BEGIN)
            return
        try:
            self._execute(_BEGIN)
        except psycopg.Error as error:
            # A server that does not answer would not answer a second time; one that has started anew would.
            if not self.raw.closed or not is_lost(error) or self.raw.stalled:
                raise
            self._reopen()
            self._execute(_BEGIN)

    def _reopen(self) -> None:
        self.raw.close()
        self.raw = self._connect()
        if self.trouble:
            _log.info("the store is back")

    def _run(self, job: _Job) -> bool:
        """Run one transaction of the batch; whether it may have written anything."""
        tx = SavepointTransaction(self.raw)
        try:
            job.result = job.work(tx)
            job.calls = tx.calls
        except BaseException as error:
            job.error = error
        failed = tx.failed
        if failed is not None:
            # Even where `work` has caught it.
            if self.raw.closed:
                job.error = None
                raise failed
            if job.error is None or job.error is failed:
                job.error = translate(failed)
        if job.error is not None:
            job.calls = []
            self._execute(_UNDO)
            return False
        return tx.changed

    def _end(self, changed: bool, viewers: Collection[int]) -> None:
        if not changed:
            self._execute(_COMMIT)
            return
        self._batches += 1
        try:
            self._execute(
                f"INSERT INTO sql_writers VALUES ('{self._name}', {self._batches}) "
                "ON CONFLICT (writer) DO UPDATE SET batch = excluded.batch, at = excluded.at; "
                f"SELECT pg_notify('{CHANNEL}', '{told(viewers)}'); COMMIT".encode()
            )
        except psycopg.Error:
            if not self.raw.closed or not self._came_to_be():
                raise

    def _came_to_be(self) -> bool:
        """Whether the commit whose answer was lost was made. Raises InDoubt where nobody can be asked."""
        deadline = time.monotonic() + self._patience
        while True:
            self.thread.beat()
            try:
                self._reopen()
                # Whoever has the lock knows that the lost transaction has ended, one way or the other.
                self._execute(_BEGIN)
                noted = self._execute(f"SELECT batch FROM sql_writers WHERE writer = '{self._name}'".encode())
                self._execute(_COMMIT)
                return noted == self._batches
            except psycopg.Error as error:
                self.raw.close()
                if time.monotonic() > deadline:
                    raise InDoubt from error
            time.sleep(_ASK_AGAIN)

    def _execute(self, script: bytes) -> Any:
        """Run a script; the first value of the last result that has any."""
        cursor = self.raw.execute(script, prepare=False)
        value: Any = None
        while True:
            if cursor.description is not None:
                row = cursor.fetchone()
                value = row[0] if row is not None else None
            if not cursor.nextset():
                break
        if script.endswith(_COMMIT) and cursor.statusmessage != "COMMIT":
            raise psycopg.OperationalError("nothing was committed")
        return value

    def _undo(self, error: BaseException) -> None:
        trouble = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if trouble != self.trouble:
            _log.error("group commit failed", error=trouble)
        self.trouble = trouble
        if not self.raw.closed:
            try:
                self.raw.execute(b"ROLLBACK", prepare=False)
            except psycopg.Error:
                self.raw.close()

    # --- on the event loop

    def _settle(self, batch: list[_Job]) -> None:
        """What callers wanted done after the commit, then the callers, in the order of the commits."""
        self._tell_writers(batch)
        for job in batch:
            self._open.discard(job)
            calls, job.calls = job.calls, []
            for call in calls:
                call_back(call)
            if job.future.done():
                continue  # its caller was cancelled
            if job.error is None:
                job.future.set_result(job.result)
            elif isinstance(job.error, StopIteration):
                # A future refuses it, as it would look like the end of the coroutine that awaits.
                job.future.set_exception(RuntimeError("a transaction raised StopIteration"))
            else:
                job.future.set_exception(job.error)
        if self._on_batch is not None:
            size = len(batch)
            call_back(lambda on_batch=self._on_batch: on_batch(size))

    def _tell_writers(self, batch: Collection[_Job]) -> None:
        # Of failed ones, too: what became of some is not known.
        viewers = {job.viewer for job in batch if job.viewer}
        if viewers and self.on_write is not None:
            self.on_write(viewers)

    def _after_death(self) -> None:
        """While no thread writes: answer everybody who waits."""
        self._tell_writers(self._open)
        if any(job in self._open for job in self._decided):
            # It died on the way from the commit to those who wait for it.
            self._settle(self._decided)
        self.raw.close()
        self._refuse_waiting()
        for job in list(self._open):
            self._reject(job, failure(InDoubt()))

    def _refuse_waiting(self) -> None:
        """While the writer is stuck: those whose transactions have not begun need not wait with it."""
        with suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    self._reject(job, _not_answering())
        if self._closed:
            self._jobs.put(None)

    def _reject(self, job: _Job, error: BaseException) -> None:
        self._open.discard(job)
        if not job.future.done():
            job.future.set_exception(error)


def told(viewers: Collection[int]) -> str:
    """These accounts, as the channel carries them: a batch's take 5,464 bytes at most, of the 7,999 that there are."""
    return b64encode(array("q", viewers).tobytes()).decode()


def heard(payload: str) -> Collection[int]:
    """What `told` made; nobody where another program has told something."""
    viewers = array("q")
    with suppress(ValueError):
        viewers.frombytes(b64decode(payload, validate=True))
    return viewers


def call_back(call: Callable[[], None]) -> None:
    """Call back; whoever fails must not keep others from hearing."""
    try:
        call()
    except Exception:
        _log.exception("a callback of the store failed")


def closed() -> Unavailable:
    """The store was let go of."""
    return Unavailable("the store is closed", code="closed")


def _not_answering() -> Unavailable:
    return Unavailable("the store does not answer; nothing was written", code="storage_stalled", retry_after=5)
