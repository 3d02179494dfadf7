"""Objects in an S3 bucket, or in any other of obstore's stores.

Credentials come from where AWS's own tools look for them in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL, …); no message carries them.
"""

import os
import re
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from rookery.infra.objects.port import StoredObject, check_key
from rookery.kernel.clock import from_datetime
from rookery.kernel.errors import Invalid, NotFound, RookeryError, Unavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN")

_ANSWER = re.compile(r"<Code>(\w+)</Code>\s*<Message>([^<]*)</Message>")
"""In what S3 says of a request that it refuses; further on it repeats parts of the request, the access key among them."""

_RETRIES: Final[Any] = {"max_retries": 5, "retry_timeout": timedelta(minutes=2)}


class StoreObjects:
    """`infra.objects.port.Objects` on a store of obstore's."""

    def __init__(self, store: "ObjectStore", place: str) -> None:
        """`place` is what messages call it."""
        self._store = store
        self._place = place

    def __str__(self) -> str:
        return self._place

    async def put(self, key: str, data: bytes) -> None:
        # In one request: an upload of many parts that was cut short would lie in the bucket unseen, and be paid for.
        await self._call(obstore.put_async(self._store, check_key(key), data, use_multipart=False))

    async def get(self, key: str) -> bytes:
        check_key(key)
        return await self._call(self._get(key), key)

    async def _get(self, key: str) -> bytes:
        found = await obstore.get_async(self._store, key)
        return bytes(await found.bytes_async())

    async def list(self, prefix: str = "") -> list[StoredObject]:
        listing = obstore.list(self._store, check_key(prefix) if prefix else None)
        found = [
            StoredObject(one["path"], one["size"], from_datetime(one["last_modified"]))
            for one in await self._call(listing.collect_async())
        ]
        return sorted(found, key=lambda one: one.key)

    async def delete(self, keys: Sequence[str]) -> None:
        if keys:
            await self._call(obstore.delete_async(self._store, [check_key(key) for key in keys]))

    async def clear(self, prefix: str) -> None:
        await self.delete([one.key for one in await self.list(check_key(prefix))])

    async def _call(self, request: Awaitable[T], key: str = "") -> T:
        try:
            return await request
        except (BaseError, OSError, ValueError) as error:
            if key and isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
                raise NotFound("{place} holds no {key}", place=self._place, key=key) from None
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> RookeryError:
        """What went wrong, in a sentence: that of the store, or obstore's own without the dump of the request after it."""
        text = str(error).partition("\n\nDebug source")[0]
        if answer := _ANSWER.search(text):
            text = f"{answer[1]}: {answer[2]}"
        text = re.sub(r" in [\d.]+\w+, after \d+ retries, .*? - ", ": ", text)
        text = " ".join(text.removeprefix("Generic S3 error: ").split())
        for name in _SECRETS:
            if secret := os.environ.get(name):
                text = text.replace(secret, "…")
        return Unavailable("{place} can't be used: {reason}", place=self._place, reason=text)


class S3Objects(StoreObjects):
    """The objects under a prefix of an S3 bucket."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        place = f"s3://{bucket}/{prefix}".rstrip("/")
        try:
            store = S3Store(bucket, prefix=prefix or None, retry_config=_RETRIES)
        except (BaseError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise Invalid("{place} can't be used: {reason}", place=place, reason=reason) from None
        super().__init__(store, place)
