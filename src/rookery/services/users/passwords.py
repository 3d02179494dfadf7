"""Passwords: hashed with argon2id in a few threads, and always with the same work."""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from rookery.kernel.errors import Unavailable
from rookery.services.users.rules import UsersPolicy, normal_password, possible_password

T = TypeVar("T")

_WAITING = 256
"""Hashes that may wait for a thread: beyond it they would be ready after their callers have given up."""


class Passwords:
    """Hashes and checks passwords, off the event loop."""

    def __init__(self, policy: UsersPolicy) -> None:
        self.checks = 0
        """Verifications that were run."""
        self._hasher = PasswordHasher(policy.time_cost, policy.memory_cost, policy.parallelism)
        self._pool = ThreadPoolExecutor(policy.password_threads, thread_name_prefix="rookery-password")
        self._waiting = 0
        self.nobody = _unmatched(policy)
        """The hash that is checked where there is none: it costs what a real one costs, and no password has it."""

    async def hash(self, password: str) -> str:
        """The argon2id hash of `password`, in PHC string form. Raises Unavailable where too many wait."""
        return await self._run(lambda: self._hasher.hash(normal_password(password)))

    async def check(self, known: str | None, password: str) -> bool:
        """Whether `password` has the hash `known`. Takes the same work where there is no hash, or where no account could
        have such a password. Raises Unavailable where too many wait.
        """
        if known is None or not possible_password(password):
            known, password = self.nobody, ""
        return await self._run(lambda: self._verify(known, normal_password(password)))

    def outdated(self, known: str) -> bool:
        """Whether `known` was made with other costs than today's."""
        return self._hasher.check_needs_rehash(known)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, known: str, password: str) -> bool:
        self.checks += 1
        try:
            return self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _WAITING:
            raise Unavailable("too many people are logging in just now; try again", code="busy", retry_after=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


def _unmatched(policy: UsersPolicy) -> str:
    salt, tag = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={policy.memory_cost},t={policy.time_cost},p={policy.parallelism}${salt}${tag}"
