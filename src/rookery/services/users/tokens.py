"""Tokens: made, hashed, and known without asking the store."""

import hashlib
import secrets
from collections import OrderedDict
from typing import Protocol

from rookery.services.users.contract import Identity

TOKEN_LENGTH = 43
"""Characters of 32 random bytes in URL-safe base64."""


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes | None:
    """What is kept of a token: its SHA-256 (it has 256 bits of chance already, so no salt); None if it can't be a token."""
    if len(token) != TOKEN_LENGTH or not token.isascii():
        return None
    return hashlib.sha256(token.encode()).digest()


class KnownTokens:
    """Identities by token hash; least recently used go first. For the event loop only.

    A read of the store that was under way while something was forgotten is not kept: it may have seen what was before.
    """

    def __init__(self, capacity: int) -> None:
        self.generation = 0
        """Grows whenever something is forgotten."""
        self._capacity = capacity
        self._known: OrderedDict[bytes, Identity] = OrderedDict()
        self._by_user: dict[int, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, hash: bytes) -> Identity | None:
        """Whom the token stands for, if that is known; it may have expired."""
        found = self._known.get(hash)
        if found is not None:
            self._known.move_to_end(hash)
        return found

    def put(self, hash: bytes, identity: Identity, generation: int) -> None:
        """Remember what was read of the store when the generation was `generation`."""
        if generation != self.generation:
            return
        self._known[hash] = identity
        self._by_user.setdefault(identity.user_id, set()).add(hash)
        if len(self._known) > self._capacity:
            self.drop(next(iter(self._known)))

    def drop(self, hash: bytes) -> None:
        """Forget one token."""
        identity = self._known.pop(hash, None)
        if identity is None:
            return
        hashes = self._by_user[identity.user_id]
        hashes.discard(hash)
        if not hashes:
            del self._by_user[identity.user_id]

    def forget_all(self) -> None:
        """Forget every token."""
        self.generation += 1
        for hash in tuple(self._known):
            self.drop(hash)

    def forget(self, user_id: int, session_id: int | None = None, kept: int | None = None) -> None:
        """Forget the token of a session, or, where that is None, all tokens of the account except that of session `kept`."""
        self.generation += 1
        for hash in tuple(self._by_user.get(user_id, ())):
            session = self._known[hash].session_id
            if session == session_id or (session_id is None and session != kept):
                self.drop(hash)


class SharedTokens(Protocol):
    """Identities by token hash that several processes share, behind what each of them knows. Where it is away, the store is asked."""

    async def find(self, hash: bytes) -> tuple[Identity | None, bytes | None]:
        """Whom the token stands for, which may have expired; or a ticket for who then reads it from the store. Neither where nothing is
        known and nothing can be kept.
        """
        ...

    def put(self, hash: bytes, identity: Identity, ticket: bytes) -> None:
        """Keep what was read from the store, unless anything of the account ended since the ticket was given."""
        ...

    def forget(self, user_id: int) -> None:
        """A session of the account ended, or what its tokens may do changed; of all accounts where it is EVERYBODY. From now on this
        process believes nothing older, and the others as soon as they know of it.
        """
        ...

    async def settle(self) -> None:
        """Wait until the other processes can know of all that this one was told."""
        ...

    async def close(self) -> None:
        """Tell what waits, in bounded time."""
        ...
