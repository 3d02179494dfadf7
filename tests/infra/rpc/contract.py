"""A contract with every kind of type that contracts have, and an implementation that answers what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from enum import Enum, IntEnum, StrEnum
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from rookery.infra.rpc.port import rpc
from rookery.kernel import calling
from rookery.kernel.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, RookeryError, TooMany
from rookery.kernel.idset import EMPTY, IdSet
from rookery.kernel.pages import Page, Slice
from rookery.kernel.words import NO_WORDS, Words

T = TypeVar("T")


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Shape(Enum):
    ROUND = "round"
    SQUARE = "square"


class Leaf(msgspec.Struct, frozen=True, tag=True):
    id: int
    color: Color = Color.RED


class Branch(msgspec.Struct, frozen=True, tag=True):
    children: "list[Leaf | Branch]"
    packed: bytes = b""
    sizes: tuple[Size, ...] = ()
    names: frozenset[str] = frozenset()
    by_name: Mapping[str, Leaf] = {}


class Change(msgspec.Struct, frozen=True):
    text: str | None | UnsetType = UNSET
    number: int | UnsetType = UNSET


FIRST = Page()
NO_CHANGE = Change()


class Sets(msgspec.Struct, frozen=True):
    ids: IdSet = EMPTY
    words: Words = NO_WORDS


class Boxed(msgspec.Struct, Generic[T], frozen=True):
    inside: T
    weight: float = 0.5


class Everything(Protocol):
    """Every kind of argument and answer."""

    @rpc(idempotent=True, timeout=10)
    async def nothing(self) -> None: ...

    @rpc(idempotent=True, timeout=10)
    async def plain(self, a: int, b: str, c: float, d: bool, e: bytes) -> tuple[int, str, float, bool, bytes]: ...

    @rpc(idempotent=True, timeout=10)
    async def maybe(self, a: int | None, b: str | None = None) -> list[int | str | None]: ...

    @rpc(idempotent=True, timeout=10)
    async def defaults(
        self, a: int, page: Page = FIRST, tags: Sequence[str] = (), *, loud: bool = False, size: Size = Size.SMALL
    ) -> tuple[int, Page, list[str], bool, Size]: ...

    @rpc(idempotent=True, timeout=10)
    async def unset(
        self, *, text: str | None | UnsetType = UNSET, change: Change = NO_CHANGE
    ) -> Mapping[str, str | None]: ...

    @rpc(idempotent=True, timeout=10)
    async def tree(self, root: Leaf | Branch) -> Leaf | Branch: ...

    @rpc(idempotent=True, timeout=10)
    async def sliced(self, rows: Sequence[Leaf], page: Page) -> Slice[Leaf]: ...

    @rpc(idempotent=True, timeout=10)
    async def boxed(self, box: Boxed[Color]) -> Boxed[Boxed[Color]]: ...

    @rpc(idempotent=True, timeout=10)
    async def by_id(self, ids: Collection[int]) -> Mapping[int, Leaf]: ...

    @rpc(idempotent=True, timeout=10)
    async def pairs(self, pairs: Sequence[tuple[int, str]]) -> dict[str, tuple[int, ...]]: ...

    @rpc(idempotent=True, timeout=10)
    async def sets(self, sets: Sets, shapes: frozenset[Shape]) -> tuple[Sets, set[Shape]]: ...


class Echo:
    """Implements Everything, and tells by its answers that it got what was sent."""

    async def nothing(self) -> None:
        return None

    async def plain(self, a: int, b: str, c: float, d: bool, e: bytes) -> tuple[int, str, float, bool, bytes]:
        return a, b, c, d, e

    async def maybe(self, a: int | None, b: str | None = None) -> list[int | str | None]:
        return [a, b]

    async def defaults(
        self, a: int, page: Page = FIRST, tags: Sequence[str] = (), *, loud: bool = False, size: Size = Size.SMALL
    ) -> tuple[int, Page, list[str], bool, Size]:
        return a, page, list(tags), loud, size

    async def unset(
        self, *, text: str | None | UnsetType = UNSET, change: Change = NO_CHANGE
    ) -> Mapping[str, str | None]:
        found = {} if text is UNSET else {"text": text}
        return found | ({} if change.text is UNSET else {"change": change.text})

    async def tree(self, root: Leaf | Branch) -> Leaf | Branch:
        return root

    async def sliced(self, rows: Sequence[Leaf], page: Page) -> Slice[Leaf]:
        return Slice(list(rows)[: page.limit], page.before, page.after)

    async def boxed(self, box: Boxed[Color]) -> Boxed[Boxed[Color]]:
        assert isinstance(box.inside, Color)
        return Boxed(box, 2.0)

    async def by_id(self, ids: Collection[int]) -> Mapping[int, Leaf]:
        return {id: Leaf(id) for id in ids}

    async def pairs(self, pairs: Sequence[tuple[int, str]]) -> dict[str, tuple[int, ...]]:
        return {name: (id, -id) for id, name in pairs}

    async def sets(self, sets: Sets, shapes: frozenset[Shape]) -> tuple[Sets, set[Shape]]:
        return sets, set(shapes)


class Odd(RookeryError):
    """An error of a class whose constructor is its own."""

    status = 418
    code = "odd"

    def __init__(self, number: int) -> None:
        super().__init__("{number} is odd", number=number)


class Work(Protocol):
    """What fails, lasts, and asks others."""

    @rpc(idempotent=True, timeout=10)
    async def fail(self, how: str) -> int: ...

    @rpc(idempotent=True, timeout=10)
    async def wait(self, seconds: float) -> int: ...

    @rpc(idempotent=True, timeout=0.2)
    async def wait_briefly(self, seconds: float) -> int: ...

    @rpc(idempotent=True, timeout=10)
    async def where(self) -> str: ...

    @rpc(idempotent=False, timeout=10)
    async def add(self, number: int) -> int: ...

    @rpc(idempotent=True, timeout=10)
    async def context(self) -> tuple[float | None, int | None, dict[str, str]]: ...

    @rpc(idempotent=True, timeout=10)
    async def seen_by(self, viewer_id: int) -> int: ...

    @rpc(idempotent=True, timeout=10)
    async def blob(self, size: int) -> bytes: ...

    @rpc(idempotent=True, timeout=10)
    async def take(self, blob: bytes) -> int: ...


class Worker:
    """Implements Work, and remembers what happened to it."""

    def __init__(self, name: str = "one") -> None:
        self.name = name
        self.calls = 0
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.left: list[float | None] = []
        self.total = 0

    async def fail(self, how: str) -> int:
        self.calls += 1
        match how:
            case "field":
                raise Invalid("{field} is longer than {limit}", field="bio", limit=160, code="too_long")
            case "fields":
                raise Invalid("several", errors=(FieldError("a", "x", "m {n}", {"n": 1}), FieldError("b", "y", "n")))
            case "later":
                raise TooMany("come back in {seconds} s", retry_after=2.5, seconds=3)
            case "forbidden":
                raise Forbidden("no", code="not_yours")
            case "long":
                raise Conflict("{all} is too much", all=["x" * 1_000] * 100)
            case "strange":
                raise NotFound("{what} is not there", what=object())
            case "odd":
                raise Odd(3)
            case _:
                raise ZeroDivisionError("the secret is 42")

    async def wait(self, seconds: float) -> int:
        self.calls += 1
        self.waiting.set()
        self.left.append(calling.remaining())
        try:
            await asyncio.wait_for(self.go_on.wait(), seconds)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return 1

    async def wait_briefly(self, seconds: float) -> int:
        return await self.wait(seconds)

    async def where(self) -> str:
        self.calls += 1
        return self.name

    async def add(self, number: int) -> int:
        self.calls += 1
        self.total += number
        return self.total

    async def context(self) -> tuple[float | None, int | None, dict[str, str]]:
        return calling.remaining(), calling.viewer(), dict(calling.trace())

    async def seen_by(self, viewer_id: int) -> int:
        return viewer_id

    async def blob(self, size: int) -> bytes:
        return bytes(size)

    async def take(self, blob: bytes) -> int:
        return len(blob)


class Impossible(Protocol):
    """What no remote call can carry."""

    attribute: int

    @rpc(idempotent=True)
    async def callback(self, work: Callable[[], Awaitable[int]]) -> int: ...

    @rpc(idempotent=True)
    async def stream_in(self, parts: AsyncIterator[bytes]) -> int: ...

    @rpc(idempotent=True)
    def stream_out(self) -> AsyncIterator[bytes]: ...

    @rpc(idempotent=True)
    async def anything(self, value: Any) -> int: ...

    @rpc(idempotent=True)
    async def many(self, *values: int) -> int: ...

    @rpc(idempotent=True)
    async def untold(self, which: Page | Sets) -> int: ...

    async def unmarked(self) -> int: ...

    @rpc(idempotent=True)
    async def fine(self, value: int) -> int: ...
