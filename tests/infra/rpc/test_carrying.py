"""Whatever a contract's method takes and answers, the same comes out at the other end."""

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, get_type_hints

import msgspec
import numpy
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from rookery import services
from rookery.infra.rpc import codec
from rookery.infra.rpc.codec import Method, Uncarried, carried
from rookery.infra.rpc.grpc_client import remote
from rookery.kernel.errors import Malformed
from rookery.kernel.idset import IdSet
from rookery.kernel.pages import Page, Slice
from rookery.kernel.words import Words
from tests.infra.rpc.contract import (
    Boxed,
    Branch,
    Change,
    Color,
    Echo,
    Everything,
    Impossible,
    Leaf,
    Sets,
    Shape,
    Size,
)

LOCAL = {
    "rookery.services.live.contract.Sink",
    "rookery.services.live.contract.Stream",
    "rookery.services.live.contract.Streams",
    "rookery.services.moderation.contract.Acts",
    "rookery.services.timelines.contract.Hearers",
    "rookery.services.tweets.contract.moderating.Screen",
    "rookery.services.users.contract.ProfileScreen",
}
"""Contracts for one process: they take functions, or answer from memory at once."""


@pytest.fixture(params=["local", "remote"])
async def everything(request, serve, connect) -> Everything:
    if request.param == "local":
        return Echo()
    return remote(Everything, connect(await serve({Everything: Echo()})))


async def test_plain_values_arrive(everything):
    assert await everything.nothing() is None
    assert await everything.plain(-(2**63), "ä\0😀", 1.5, True, b"\xff") == (-(2**63), "ä\0😀", 1.5, True, b"\xff")
    assert await everything.plain(2**63 - 1, "", 2, False, b"") == (2**63 - 1, "", 2.0, False, b"")


@pytest.mark.parametrize("arguments", [(None, "\ud800"), (2**64, None), (-(2**63) - 1, None)])
async def test_text_that_is_no_unicode_and_numbers_beyond_64_bits_are_not_sent(serve, connect, arguments):
    everything = remote(Everything, connect(await serve({Everything: Echo()})))
    with pytest.raises(Malformed):
        await everything.maybe(*arguments)


async def test_absent_values_stay_absent(everything):
    assert await everything.maybe(None) == [None, None]
    assert await everything.maybe(1, "x") == [1, "x"]
    assert await everything.maybe(a=2, b=None) == [2, None]


async def test_arguments_are_passed_by_place_and_by_name_and_have_defaults(everything):
    assert await everything.defaults(1) == (1, Page(), [], False, Size.SMALL)
    found = await everything.defaults(1, Page(3, before=9), ["a"], loud=True, size=Size.LARGE)
    assert found == (1, Page(3, before=9), ["a"], True, Size.LARGE)
    assert await everything.defaults(tags=("b",), a=2) == (2, Page(), ["b"], False, Size.SMALL)


async def test_wrong_arguments_are_the_callers_mistake(everything):
    for call in (
        everything.defaults,
        lambda: everything.defaults(1, Page(), (), True),
        lambda: everything.nothing(1),
        lambda: everything.maybe(1, c=2),
    ):
        with pytest.raises(TypeError):
            await call()


async def test_what_is_not_set_is_told_from_none(everything):
    assert await everything.unset() == {}
    assert await everything.unset(text=None, change=Change(text=None)) == {"text": None, "change": None}
    assert await everything.unset(text="a", change=Change("b")) == {"text": "a", "change": "b"}


async def test_trees_of_several_kinds_of_structs_arrive(everything):
    tree = Branch([Leaf(1), Branch([Leaf(2, Color.BLUE)], b"\0\1", (Size.LARGE,), frozenset(("a",)), {"x": Leaf(3)})])
    assert await everything.tree(tree) == tree
    assert await everything.tree(Leaf(7)) == Leaf(7)


async def test_generic_structs_arrive_as_what_they_hold(everything):
    found = await everything.sliced([Leaf(1), Leaf(2)], Page(1, before=5))
    assert found == Slice([Leaf(1)], 5, None)
    boxed = await everything.boxed(Boxed(Color.BLUE))
    assert boxed == Boxed(Boxed(Color.BLUE), 2.0)
    assert isinstance(boxed.inside.inside, Color)


async def test_collections_of_any_kind_are_taken(everything):
    expected = {1: Leaf(1), 2**62: Leaf(2**62)}
    ids = (1, 2**62)
    for taken in (ids, list(ids), set(ids), dict.fromkeys(ids).keys(), numpy.array(ids)):
        assert await everything.by_id(taken) == expected
    assert await everything.pairs([(1, "a"), (2, "b")]) == {"a": (1, -1), "b": (2, -2)}


async def test_sets_of_ids_and_words_arrive(everything):
    sets = Sets(IdSet([3, 1, 2**60]), Words(["Straße", "two  words"]))
    assert await everything.sets(sets, frozenset(Shape)) == (sets, set(Shape))
    found, shapes = await everything.sets(Sets(), frozenset())
    assert (found, shapes) == (Sets(), set())
    assert not found.words.found_in("anything")


def test_what_can_not_be_carried_is_refused_at_once_and_all_of_it_is_named():
    with pytest.raises(Uncarried) as refused:
        carried(Impossible)
    assert refused.value.reasons[:-1] == (
        "anything: the parameter value holds a value of no known type",
        "attribute: is no method",
        "callback: the parameter work holds a function",
        "many: *values: int takes any arguments",
        "stream_in: the parameter parts holds a stream",
        "stream_out: is not async, or answers a stream, which is not carried",
        "unmarked: is not marked @rpc",
    )
    assert refused.value.reasons[-1].startswith("untold: the parameter which can't be told apart: ")
    assert "tests.infra.rpc.contract.Impossible" in str(refused.value)


# --- the real contracts


def contracts() -> list[type]:
    found = []
    for package in pkgutil.iter_modules(services.__path__):
        module = import_module(f"rookery.services.{package.name}.contract")
        found += [
            kind
            for kind in vars(module).values()
            if isinstance(kind, type)
            and getattr(kind, "_is_protocol", False)
            and is_part(kind.__module__, module.__name__)
        ]
    return found


def is_part(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def called(contract: type) -> str:
    return f"{contract.__module__}.{contract.__name__}"


CONTRACTS = [contract for contract in contracts() if called(contract) not in LOCAL]
METHODS = [(contract, method) for contract in CONTRACTS for method in carried(contract).methods]


def test_every_contract_is_carried_but_those_for_one_process():
    refused = set()
    for contract in contracts():
        try:
            carried(contract)
        except Uncarried:
            refused.add(called(contract))
    assert refused == LOCAL


def test_a_contract_is_called_by_its_service():
    for contract in CONTRACTS:
        service = contract.__module__.removeprefix("rookery.services.").split(".")[0]
        assert carried(contract).name == f"rookery.{service}.{contract.__name__}"


def test_no_two_contracts_have_one_name():
    names = [carried(contract).name for contract in CONTRACTS]
    assert len(names) == len(set(names))


@cache
def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type, of the forms that come back: lists and dicts."""
    info: Any = msgspec.inspect.type_info(kind) if not isinstance(kind, msgspec.inspect.Type) else kind
    return _drawn(info, 0)


INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(max_size=8)


def _drawn(info: Any, depth: int) -> st.SearchStrategy[Any]:
    kinds = msgspec.inspect
    most = 0 if depth > 5 else 3

    def of(inner: Any) -> st.SearchStrategy[Any]:
        return _drawn(inner, depth + 1)

    match info:
        case kinds.IntType():
            return INTEGERS
        case kinds.FloatType():
            return st.floats(allow_nan=False)
        case kinds.StrType():
            return TEXTS
        case kinds.BoolType():
            return st.booleans()
        case kinds.BytesType():
            return st.binary(max_size=16)
        case kinds.NoneType():
            return st.none()
        case kinds.EnumType():
            return st.sampled_from(list(info.cls))
        case kinds.ListType():
            return st.lists(of(info.item_type), max_size=most)
        case kinds.VarTupleType():
            return st.lists(of(info.item_type), max_size=most).map(tuple)
        case kinds.TupleType():
            return st.tuples(*(of(each) for each in info.item_types))
        case kinds.FrozenSetType():
            return st.frozensets(of(info.item_type), max_size=most)
        case kinds.SetType():
            return st.sets(of(info.item_type), max_size=most)
        case kinds.DictType():
            return st.dictionaries(of(info.key_type), of(info.value_type), max_size=most)
        case kinds.UnionType():
            if depth > 3 and any(isinstance(each, kinds.NoneType) for each in info.types):
                return st.none()
            return st.one_of(*(of(each) for each in info.types))
        case kinds.StructType():
            # A Sequence arrives as a list, also where its default is ().
            always = [field for field in info.fields if field.required or isinstance(field.type, kinds.ListType)]
            fields = {field.name: of(field.type) for field in always}
            optional = {field.name: of(field.type) for field in info.fields if field.name not in fields}
            return st.fixed_dictionaries(fields, optional=optional).map(lambda values: info.cls(**values))
        case kinds.CustomType() if info.cls is IdSet:
            return st.lists(INTEGERS, max_size=4).map(IdSet)
        case kinds.CustomType() if info.cls is Words:
            return st.lists(TEXTS, max_size=3).map(Words)
        case _:
            raise AssertionError(f"nothing is drawn for {info}")


@pytest.mark.parametrize(("contract", "method"), METHODS, ids=lambda each: getattr(each, "path", ""))
@settings(
    max_examples=10,
    deadline=None,
    # What fails is small enough without being made smaller, which would take minutes.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_any_request_and_any_answer_of_any_contract_survives_the_journey(contract: type, method: Method, data: Any):
    request = data.draw(anything(method.request))
    found = method.read_request(codec.encode(request))
    assert found == request
    args, kwargs = method.arguments(found)
    assert method.request(*args, **kwargs) == request
    answer = data.draw(anything(_answer_of(contract, method)))
    assert method.read_answer(codec.encode(answer)) == answer


def _answer_of(contract: type, method: Method) -> Any:
    call: Callable[..., Any] = getattr(contract, method.name)
    return get_type_hints(call)["return"]


def test_a_server_of_a_newer_version_is_understood():
    (method,) = [each for each in carried(Everything).methods if each.name == "defaults"]
    known = msgspec.msgpack.decode(codec.encode(method.request(1)))
    assert known == {"a": 1}, "what has its default is not sent, so an older server need not know it"
    newer = msgspec.msgpack.encode({"a": 1, "color": "red"})
    assert method.read_request(newer) == method.request(1)
    assert UNSET not in msgspec.structs.astuple(method.read_request(newer))
