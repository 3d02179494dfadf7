"""What contracts become between processes: requests and answers as MessagePack, errors as what can be raised again.

Everything is read off a contract's type hints, once; no method needs code of its own. A request is a map of the arguments by name, without
those that have their defaults; an answer is the result. Names, and not places, so that a method and a message may grow: unknown
names are ignored, and missing ones have their defaults, in a process of another version. What can't be carried is refused when
the contract is first looked at, all of it at once.
"""

import inspect
from collections.abc import AsyncIterable, Callable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, cast, get_type_hints

import msgspec
from msgspec import inspect as types

from rookery.infra.rpc.port import RpcMark, service_of
from rookery.kernel import errors
from rookery.kernel.errors import FieldError, Internal, RookeryError
from rookery.kernel.idset import IdSet
from rookery.kernel.words import Words

_ERRORS_MOST: Final = 100
_ERROR_BYTES: Final = 32 * 1024
"""An error travels in a header: longer ones lose their details."""


class Uncarried(Exception):
    """Methods of a contract that no call between processes can carry, each with the reason."""

    def __init__(self, contract: type, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(
            f"{contract.__module__}.{contract.__qualname__} can't be called remotely: {'; '.join(reasons)}"
        )


class Method(NamedTuple):
    """How one method of a contract is carried."""

    name: str
    path: str
    """As gRPC names it: /rookery.graph.Graph/follow."""
    mark: RpcMark
    request: Callable[..., msgspec.Struct]
    """Takes the method's own arguments."""
    positional: int
    """How many of a request's fields are passed by place; the others by name:"""
    named: tuple[str, ...]
    viewed: bool
    """Whether it has a `viewer_id`."""
    read_request: Callable[[bytes], msgspec.Struct]
    read_answer: Callable[[bytes], Any]

    def arguments(self, request: msgspec.Struct) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What to call the method with."""
        values = msgspec.structs.astuple(request)
        return values[: self.positional], dict(zip(self.named, values[self.positional :], strict=True))


class Carried(NamedTuple):
    """How a contract is carried."""

    name: str
    """As gRPC names it: rookery.graph.Graph."""
    methods: tuple[Method, ...]


@cache
def carried(contract: type) -> Carried:
    """How the contract is carried. Raises Uncarried, naming every method that can't be."""
    name = f"rookery.{service_of(contract)}.{contract.__name__}"
    methods, reasons = list[Method](), list[str]()
    for member in _members(contract):
        try:
            methods.append(_method(name, member, getattr(contract, member, None)))
        except TypeError as error:
            reasons.append(f"{member}: {error}")
    if not methods and not reasons:
        reasons.append("it has no methods")
    if reasons:
        raise Uncarried(contract, reasons)
    return Carried(name, tuple(methods))


def _members(contract: type) -> list[str]:
    annotated = (name for part in contract.__mro__ for name in vars(part).get("__annotations__", ()))
    return sorted({name for name in (*dir(contract), *annotated) if not name.startswith("_")})


def _method(contract: str, name: str, member: Any) -> Method:
    """Raises TypeError for what can't be carried, with the reason."""
    if not inspect.isfunction(member):
        raise TypeError("is no method")
    mark = getattr(member, "__rpc__", None)
    if not isinstance(mark, RpcMark):
        raise TypeError("is not marked @rpc")
    if not inspect.iscoroutinefunction(member):
        raise TypeError("is not async, or answers a stream, which is not carried")
    hints = get_type_hints(member)
    plain, named = list[Any](), list[Any]()
    for parameter in list(inspect.signature(member).parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{parameter} takes any arguments")
        if parameter.name not in hints:
            raise TypeError(f"the parameter {parameter.name} has no type")
        kind = hints[parameter.name]
        _check(kind, f"the parameter {parameter.name}")
        field = (
            (parameter.name, kind)
            if parameter.default is parameter.empty
            else (parameter.name, kind, parameter.default)
        )
        (named if parameter.kind is parameter.KEYWORD_ONLY else plain).append(field)
    if "return" not in hints:
        raise TypeError("the answer has no type")
    _check(hints["return"], "the answer")
    request = msgspec.defstruct(f"{name}_request", plain, omit_defaults=True)
    if named:
        request = msgspec.defstruct(request.__name__, named, bases=(request,), kw_only=True, omit_defaults=True)
    fields = request.__struct_fields__
    return Method(
        name,
        f"/{contract}/{name}",
        mark,
        request,
        len(plain),
        fields[len(plain) :],
        "viewer_id" in fields,
        msgspec.msgpack.Decoder(request, dec_hook=_from_wire).decode,
        msgspec.msgpack.Decoder(hints["return"], dec_hook=_from_wire).decode,
    )


_OWN_FORMS: Final = (IdSet, Words)
"""What is no message, and has a form of its own on the wire."""


def _check(kind: Any, what: str) -> None:
    """Raises TypeError where a type holds something that can't be carried."""
    try:
        root = types.type_info(kind)
        msgspec.msgpack.Decoder(kind, dec_hook=_from_wire)
    except TypeError as error:
        raise TypeError(f"{what} can't be told apart: {error}") from None
    seen, waiting = dict[int, Any](), [root]
    while waiting:
        node: Any = waiting.pop()
        if id(node) in seen:
            continue
        seen[id(node)] = node
        if isinstance(node, types.AnyType):
            raise TypeError(f"{what} holds a value of no known type")
        if isinstance(node, types.CustomType) and node.cls not in _OWN_FORMS:
            raise TypeError(f"{what} holds {_said(node.cls)}")
        for name in node.__struct_fields__:
            value: Any = getattr(node, name)
            for part in cast("tuple[Any, ...]", value if isinstance(value, tuple) else (value,)):
                if isinstance(part, types.Field):
                    waiting.append(part.type)
                elif isinstance(part, types.Type):
                    waiting.append(part)


def _said(kind: Any) -> str:
    if kind is Callable:
        return "a function"
    if inspect.isclass(kind) and issubclass(kind, AsyncIterable):
        return "a stream"
    return f"{kind}, which has no form on the wire"


def _to_wire(value: Any) -> Any:
    kind = cast("type[Any]", type(value))
    if kind is IdSet:
        return value.pack()
    if kind is Words:
        return sorted(value.phrases)
    if hasattr(kind, "tolist"):
        # Numbers and arrays of numpy, and Python's own arrays.
        return value.tolist()
    if hasattr(kind, "keys"):
        # Whatever fulfils Mapping, Sequence or Collection without being one of Python's own.
        return dict(value)
    if hasattr(kind, "__iter__"):
        return list(value)
    raise TypeError(f"a {kind.__name__} has no form on the wire")


def _from_wire(kind: type, value: Any) -> Any:
    if kind is IdSet and isinstance(value, bytes):
        return IdSet.unpack(value)
    if kind is Words and isinstance(value, list):
        return Words(cast("list[str]", value))
    raise ValueError(f"this is no {kind.__name__}")


encode: Final[Callable[[Any], bytes]] = msgspec.msgpack.Encoder(enc_hook=_to_wire).encode
"""A request or an answer as bytes. Raises TypeError for what no type hint allows."""


class _Error(msgspec.Struct, omit_defaults=True):
    """An error on its way."""

    kind: str
    status: int
    message: str
    code: str
    params: dict[str, Any] = {}
    errors: tuple[FieldError, ...] = ()
    retry_after: float | None = None


_read_error: Final = msgspec.msgpack.Decoder(_Error).decode


def encode_error(error: RookeryError) -> bytes:
    """The error as bytes, at most some ten thousand: a longer one loses its params and the list of what is wrong."""
    kind, status, after = type(error).__name__, error.status, error.retry_after
    try:
        body = encode(_Error(kind, status, error.message, error.code, error.params, error.errors[:_ERRORS_MOST], after))
        if len(body) <= _ERROR_BYTES:
            return body
    except (TypeError, ValueError, OverflowError):
        # Params that no message can hold.
        pass
    sentence = error.sentence()[:1_000].replace("{", "{{").replace("}", "}}")
    return encode(_Error(kind, status, sentence, error.code, retry_after=after))


def decode_error(body: bytes) -> RookeryError:
    """The error that was raised elsewhere, of the class with its name; of the nearest class that is known by its status where a newer
    version has more. What can't be read becomes Internal.
    """
    try:
        found = _read_error(body)
    except msgspec.MsgspecError:
        return internal()
    known = _known()
    kind = known.get(found.kind)
    if kind is None or kind.status != found.status:
        kind = next((each for each in known.values() if each.status == found.status), Internal)
    # A class may take other arguments than its root does; what it is made of is the same.
    error = kind.__new__(kind)
    error.message, error.code, error.params = found.message, found.code, found.params
    error.errors, error.retry_after = found.errors, found.retry_after
    try:
        error.args = (error.sentence(),)
    except (LookupError, ValueError):
        return internal()
    return error


def _known() -> dict[str, type[RookeryError]]:
    """The errors by their names; of two with one name the kernel's."""
    found, waiting = dict[str, type[RookeryError]](), [RookeryError]
    while waiting:
        kind = waiting.pop(0)
        found.setdefault(kind.__name__, kind)
        waiting += sorted(kind.__subclasses__(), key=lambda each: each.__module__ != errors.__name__)
    return found


def internal() -> Internal:
    """The error that tells nothing of what broke elsewhere."""
    return Internal("something went wrong here; it was logged")
