"""The writer of a SQLite file: everything that changes it, in the order in which it becomes durable.

One thread writes. It takes every transaction that waits, runs each in a savepoint, and commits them together, so that many
requests share one fsync and a failing one undoes only itself. Brief transactions run on the event loop while the thread has
nothing to do, and the thread only commits them: handing the interpreter to and fro at each statement costs more than the
statements (docs/decisions/0013-hot-path.md). Only the writer checkpoints.
"""

import asyncio
import queue
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import apsw
import structlog

from rookery.infra.sql.port import Transaction
from rookery.infra.sql.sqlite_connect import BUSY_POLL, connect, pragma
from rookery.infra.sql.sqlite_damage import DamageWatch
from rookery.infra.sql.sqlite_errors import Complaints, closed, failure, is_damage, not_answering, writer_died
from rookery.infra.sql.sqlite_log import log_of, secure_log
from rookery.infra.sql.sqlite_readers import read_for_long
from rookery.infra.sql.sqlite_statements import SavepointTransaction
from rookery.infra.workers.port import ThreadWorker

T = TypeVar("T")

_MAX_BATCH = 512
"""Transactions that share an fsync at most; beyond it the first ones would wait too long."""

_BRIEF_SECONDS = 0.005
"""Time that brief transactions take of the event loop before they are committed; others wait for the next commit."""

_CHECKPOINT_PAGES = 4_000
"""Pages in the WAL (16 MB) after which the writer copies them into the database."""

_WAL_LIMIT = 64_000
"""Pages in the WAL (256 MB) after which the writer waits for readers, so that it can begin the WAL anew; if they do not end
within the time limit of scans, it waits again at twice the size."""

_SCRUB_PATIENCE = 0.05
"""Seconds that the writer waits for readers of the log where it is asked to empty it: whoever asks comes again."""

_VACUUM_STEPS = 100_000
"""Instructions of the engine between signs of life, while it writes the whole file anew."""

_IN_MEMORY = 256 << 20
"""Bytes up to which a file is written anew by way of memory, not of a temporary file, which has no name and is gone at the end."""

_RETRY_FIRST = 0.1
_RETRY_LAST = 5.0
"""Seconds between tries to get the store back after an error of the disk, where no write asks for it meanwhile."""

_log: Any = structlog.get_logger("rookery.sql")


class _Job:
    """A transaction that waits for the writer, and what became of it."""

    __slots__ = ("aside", "calls", "error", "future", "result", "work")

    def __init__(
        self,
        work: Callable[[Transaction], Any],
        future: "asyncio.Future[Any]",
        aside: Callable[[], Any] | None = None,
    ) -> None:
        self.work = work
        self.future = future
        self.aside = aside
        """What is done outside of any transaction, instead of `work`."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Nothing has become of it yet."""
        self.result: Any = None
        self.error: BaseException | None = None
        self.calls: list[Callable[[], None]] = []


class _Begun(NamedTuple):
    """Transactions that ran on the event loop: they are to be committed."""

    jobs: list[_Job]


class Writer:
    """Runs transactions and makes them durable. Its methods are for the event loop, but for those that say otherwise."""

    def __init__(
        self,
        path: Path,
        damage: DamageWatch,
        *,
        busy_timeout: float,
        patience: float,
        on_batch: Callable[[int], None] | None,
    ) -> None:
        """`busy_timeout` is how long to wait for another process's write, `patience` for readers that keep the log from beginning
        anew (both s); `on_batch` is told the size of each group commit. Raises the driver's errors.
        """
        self._path = path
        self._damage = damage
        self._busy_timeout = busy_timeout
        self._patience = patience
        self._on_batch = on_batch
        self._jobs: queue.SimpleQueue[_Job | _Begun | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wal_pages = 0
        self._insist_at = _WAL_LIMIT
        self._distrusted = False
        self._retry = _RETRY_FIRST
        self._checkpoint_after = 0.0
        self.trouble = ""
        """What keeps it from writing; empty if nothing does."""
        self._complaints = Complaints()
        self._closed = False
        self.commits = 0
        """Group commits so far, failed ones too."""
        self.raw = self._connect()
        """The handle. Before `start` it is the caller's, too."""
        self._open: set[_Job] = set()
        self._decided: list[_Job] = []
        # Of the event loop: brief transactions that wait, whether some are being committed, and what the thread was handed.
        self._brief: list[_Job] = []
        self._committing = False
        self._handed: set[_Job] = set()
        # The thread has the handle for reasons of its own.
        self._engaged = True
        self.thread = ThreadWorker(
            "writer", self._write_loop, on_death=self._after_death, on_stall=self._refuse_waiting
        )
        """The thread that writes, for a watchdog: while it is stuck, writes are refused and reads go on."""

    def start(self) -> None:
        """Begin to serve, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self.thread.start()

    async def close(self) -> bool:
        """Take nothing more, and finish what waits; False where the thread does not answer. `let_go` follows."""
        self._closed = True
        self._hand_over(self._take_brief())
        self._jobs.put(None)
        # The last batch's callbacks run before this returns: the thread posted them before it ended.
        patience = BUSY_POLL if self.thread.stuck else self._busy_timeout + self._patience
        ended = await self.thread.stop(patience)
        for job in list(self._open):
            # The thread has died with it in hand, or does not answer.
            self._reject(job, closed())
        return ended

    def let_go(self) -> None:
        """Checkpoint, as the last one who has the file open, and close the handle."""
        with suppress(apsw.Error):
            # Without waiting for other processes: what can't be copied now, they or the next start will copy.
            self.raw.set_busy_timeout(0)
            # Nor by a handle that is not trusted, nor with damage about: the log may hold what is lost elsewhere.
            if not self._distrusted and not self._damage.state:
                self.raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self.raw.close(True)

    # --- transactions

    async def write(self, work: Callable[[Transaction], T], *, brief: bool = False) -> T:
        if self._closed:
            raise closed()
        if self.thread.stuck:
            raise not_answering()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        job = _Job(work, future)
        self._open.add(job)
        if not brief:
            self._hand_over([job])
        else:
            self._brief.append(job)
            if len(self._brief) == 1 and not self._committing:
                # Together with those that come in the same turn of the loop.
                loop.call_soon(self._run_brief)
        return await future

    async def empty_log(self) -> bool:
        """Copy the log into the database and cut it to nothing; False where somebody reads it, or the store has trouble."""
        return await self._aside(lambda: self._empty_log(_SCRUB_PATIENCE))

    async def compact(self) -> None:
        """Write the whole file anew, without anything that is not data. Nothing else is written meanwhile; reads go on.

        Raises the driver's errors.
        """
        await self._aside(self._compact)

    async def _aside(self, act: Callable[[], T]) -> T:
        if self._closed:
            raise closed()
        if self.thread.stuck:
            raise not_answering()
        job = _Job(lambda _: None, asyncio.get_running_loop().create_future(), act)
        self._open.add(job)
        self._hand_over([job])
        return await job.future

    def _hand_over(self, jobs: Iterable[_Job]) -> None:
        for job in jobs:
            self._handed.add(job)
            self._jobs.put(job)

    def _take_brief(self) -> list[_Job]:
        taken, self._brief = self._brief, []
        return taken

    def _run_brief(self) -> None:
        """On the event loop: run the brief transactions that wait, and have the thread commit them; others gather meanwhile.

        Where the thread is at work, or anything is in the way, they go the way of all others.
        """
        if self._committing or not self._brief:
            return
        if self._handed or self._engaged or self._distrusted:
            self._hand_over(self._take_brief())
            return
        raw, until, done = self.raw, time.perf_counter() + _BRIEF_SECONDS, 0
        try:
            raw.set_busy_timeout(0)
            try:
                raw.execute("BEGIN IMMEDIATE")
            finally:
                raw.set_busy_timeout(int(self._busy_timeout * 1000))
            for job in self._brief[:_MAX_BATCH]:
                self._run(raw, job)
                done += 1
                if time.perf_counter() > until:
                    break
        except apsw.Error:
            # Another process writes, or the engine fails. The thread can wait, and knows what to do; nothing is written yet.
            with suppress(apsw.Error):
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
            for job in self._brief[: done + 1]:
                job.begin_anew()
            self._hand_over(self._take_brief())
            return
        batch, self._brief = self._brief[:done], self._brief[done:]
        self._committing = True
        self._handed.update(batch)
        self._jobs.put(_Begun(batch))

    def _write_loop(self) -> None:
        """The writer thread: batch after batch, until None comes."""
        ending = False
        with suppress(apsw.Error):
            # The thread before this one may have died in the middle of a transaction.
            if self.raw.in_transaction:
                self.raw.execute("ROLLBACK")
        self._engaged = False
        while not ending:
            batch: list[_Job] = []
            asides: list[_Job] = []
            begun = False
            self.thread.rest()
            job = self._next()
            self.thread.beat()
            while job is not None:
                if isinstance(job, _Begun):
                    # Alone, as it is only handed over while nothing else is.
                    batch, begun = job.jobs, True
                    break
                (batch if job.aside is None else asides).append(job)
                if len(batch) == _MAX_BATCH:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            else:
                ending = True
            if batch:
                self._commit(batch, begun)
            for job in asides:
                self._run_aside(job)
            if batch or asides:
                batch += asides
                self.thread.beat()
                self._engaged = self._wal_pages > _CHECKPOINT_PAGES
                assert self._loop is not None
                with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                    self._loop.call_soon_threadsafe(self._settle, batch)
            if self._wal_pages > _CHECKPOINT_PAGES:
                self._checkpoint()
            self._engaged = False

    def _next(self) -> _Job | _Begun | None:
        """The next transaction, or None for the end. While the store is away, each one tries it anew, and so does time."""
        while self._distrusted:
            try:
                return self._jobs.get(timeout=self._retry)
            except queue.Empty:
                self.thread.beat()
                self._retry = min(2 * self._retry, _RETRY_LAST)
                with suppress(apsw.Error):
                    self._reopen()
                self.thread.rest()
        return self._jobs.get()

    def _commit(self, batch: list[_Job], begun: bool) -> None:
        """Make a batch durable, whose transactions have run if it was `begun`."""
        began = begun
        try:
            if not begun:
                if self._distrusted:
                    self._reopen()
                self.raw.execute("BEGIN IMMEDIATE")
                began = True
                for job in batch:
                    self.thread.beat()
                    self._run(self.raw, job)
            self.raw.execute("COMMIT")
            self._decided = batch
        except BaseException as error:
            if began and not isinstance(error, apsw.Error) and not self.raw.in_transaction:
                # What has fallen on the thread came after the commit: nobody may be told that nothing was written.
                self._decided = batch
                raise
            self._undo(error)
            for job in batch:
                # What already failed by itself keeps its own reason.
                if job.error is None:
                    job.error = failure(error)
                job.calls = []
            self._decided = batch

    def _run(self, raw: apsw.Connection, job: _Job) -> None:
        raw.execute("SAVEPOINT job")
        tx = SavepointTransaction(raw)
        try:
            job.result = job.work(tx)
            job.calls = tx.calls
        except BaseException as error:
            if tx.broken is None:
                job.error = error
                raw.execute("ROLLBACK TO job")
        if tx.broken is not None:
            # Even where `work` has caught it. Who meets a damaged page fails alone; else the batch is gone.
            if not is_damage(tx.broken) or not raw.in_transaction:
                raise tx.broken
            self._damage.note(tx.broken)
            job.error = failure(tx.broken)
            job.calls = []
            raw.execute("ROLLBACK TO job")
        raw.execute("RELEASE job")

    def _run_aside(self, job: _Job) -> None:
        assert job.aside is not None
        try:
            if self._distrusted:
                self._reopen()
            job.result = job.aside()
        except apsw.Error as error:
            job.error = failure(error)
            self._undo(error)

    def _empty_log(self, patience: float) -> bool:
        self._wal_pages = 0
        return not self._damage.state and self._truncate_wal(patience)

    def _compact(self) -> None:
        raw = self.raw

        def beat() -> bool:
            self.thread.beat()
            return False

        large = pragma(raw, "page_count") * pragma(raw, "page_size") > _IN_MEMORY
        raw.execute(f"PRAGMA temp_store={'FILE' if large else 'MEMORY'}")
        raw.set_progress_handler(beat, _VACUUM_STEPS)
        try:
            raw.execute("VACUUM")
        finally:
            raw.set_progress_handler(None)
            raw.execute("PRAGMA temp_store=MEMORY")

    def _undo(self, error: BaseException) -> None:
        self._complaints.tell("group commit failed", error)
        with suppress(apsw.Error):
            if self.raw.in_transaction:
                self.raw.execute("ROLLBACK")
        if is_damage(error):
            self._damage.note(error)
        elif isinstance(error, apsw.IOError):
            self._distrust(error)

    def _distrust(self, error: BaseException) -> None:
        """Write nothing more by this handle: after a failed fsync the kernel may have dropped what it was to write, and the
        next fsync would tell nothing of it (https://lwn.net/Articles/752063/).
        """
        if not self._distrusted:
            self._retry = _RETRY_FIRST
        self._distrusted = True
        self.trouble = f"not written since an error of the disk: {error}"

    def _reopen(self) -> None:
        """Go on with a new handle. Raises where the store is still away; the next batch tries again, and so does time.

        Readers keep theirs, and with them the shared index of the log: it knows which frames were acknowledged. What the failed
        commit left behind those is cut off before anything else is written.
        """
        try:
            with suppress(apsw.Error):
                self.raw.close(True)
            self.raw = self._connect()
            self.secure(rewrite=False)
        except (apsw.Error, OSError) as error:
            with suppress(apsw.Error):
                self.raw.close(True)
            self.trouble = f"away since an error of the disk: {error}"
            self._complaints.tell("the store is still away", error)
            raise error if isinstance(error, apsw.Error) else apsw.IOError(str(error)) from error
        self._distrusted = False
        self.trouble = ""
        _log.info("the store is back, by a new handle")

    def secure(self, *, rewrite: bool) -> None:
        """Have the log end, on the disk too, with the last commit that everybody sees."""
        raw = self.raw
        raw.execute("BEGIN IMMEDIATE")
        try:
            # Asked by another connection: one in a transaction is not told.
            asking = self._connect()
            try:
                frames, _ = asking.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
            finally:
                asking.close()
            if frames < 0:
                raise apsw.IOError("the length of the log is not known")
            secure_log(log_of(self._path), frames, pragma(raw, "page_size"), rewrite=rewrite)
        finally:
            raw.execute("ROLLBACK")

    def _settle(self, batch: list[_Job]) -> None:
        """On the event loop: what callers wanted done after the commit, then the callers, in the order of the commits."""
        # A batch that was begun here is alone with the thread: what is decided now is it, or comes after it.
        self._committing = False
        self.commits += 1
        self._handed.difference_update(batch)
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
        self._run_brief()

    def _after_death(self) -> None:
        """On the event loop, while no thread writes: answer everybody who waits."""
        self._engaged = True  # until the next thread has cleared up
        self._brief.clear()
        if any(job in self._open for job in self._decided):
            # It died on the way from the commit to those who wait for it.
            self._settle(self._decided)
        self._take_waiting()
        self._committing = False
        for job in list(self._open):
            self._reject(job, writer_died())

    def _refuse_waiting(self) -> None:
        """On the event loop, while the writer is stuck: those whose transactions have not begun need not wait with it."""
        for job in (*self._take_waiting(), *self._take_brief()):
            self._reject(job, not_answering())
        if self._closed:
            self._jobs.put(None)

    def _take_waiting(self) -> list[_Job]:
        waiting: list[_Job] = []
        begun: list[_Begun] = []
        with suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if isinstance(job, _Begun):
                    begun.append(job)
                elif job is not None:
                    waiting.append(job)
        for batch in begun:
            self._jobs.put(batch)
        return waiting

    def _reject(self, job: _Job, error: Exception) -> None:
        self._open.discard(job)
        self._handed.discard(job)
        if not job.future.done():
            job.future.set_exception(error)

    def _checkpoint(self) -> None:
        pages, self._wal_pages = self._wal_pages, 0
        if self._distrusted or time.monotonic() < self._checkpoint_after:
            return  # the next commit counts the pages anew
        try:
            self.raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if pages > self._insist_at:
                # Readers that overlap without a gap keep the log from beginning anew by itself.
                self._insist_at = _WAL_LIMIT if self._truncate_wal(self._patience) else 2 * pages
        except apsw.Error as error:
            _log.warning("checkpoint failed", error=repr(error), wal_pages=pages)
            # It copies everything again, so not after each commit.
            self._checkpoint_after = time.monotonic() + _RETRY_LAST
            if is_damage(error):
                self._damage.note(error)
            elif isinstance(error, apsw.IOError):
                self._distrust(error)

    def _truncate_wal(self, patience: float) -> bool:
        """Empty the log, for which those who read it now must have ended: False where they, or another process, do not.

        SQLite's own waiting asks for a lock that readers pass on to each other; each new try finds it where it is needed.
        """
        if read_for_long(self._path):
            # A backup outlasts any waiting, and nothing would be written meanwhile.
            return False
        deadline = time.monotonic() + patience
        self.raw.set_busy_timeout(0)
        try:
            while True:
                try:
                    self.raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                except apsw.BusyError:
                    if time.monotonic() > deadline:
                        if patience == self._patience:
                            _log.warning("somebody reads on and on, and the log of the store grows")
                        return False
                    time.sleep(BUSY_POLL)
                else:
                    return True
        finally:
            self.raw.set_busy_timeout(int(self._busy_timeout * 1000))

    def _connect(self) -> apsw.Connection:
        raw = connect(self._path, busy_timeout=self._busy_timeout)
        raw.set_wal_hook(self._note_pages)
        return raw

    def _note_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK


def call_back(call: Callable[[], None]) -> None:
    """Call back; whoever fails must not keep others from hearing."""
    try:
        call()
    except Exception:
        _log.exception("a callback of the store failed")
