"""Who may call what: known by certificates made here, or by tokens."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rookery.infra.rpc.grpc_client import remote
from rookery.infra.rpc.port import Caller, ChannelPolicy, Tls
from rookery.kernel import calling
from rookery.kernel.errors import Internal, Unavailable
from tests.infra.rpc.contract import Echo, Everything, Work, Worker
from tests.lacking import lacking

IMPATIENT = ChannelPolicy(patience=0.2)

CALLERS = {
    "gateway": Caller(frozenset((Work,)), "the gateway's token", any_viewer=False),
    "processor": Caller(frozenset((Work, Everything)), "the processor's token"),
    "certified": Caller(frozenset((Work,))),
}


@pytest.fixture
async def server(serve):
    return await serve({Work: Worker(), Everything: Echo()}, callers=CALLERS)


async def test_a_caller_calls_what_the_table_allows_and_nothing_else(server, connect):
    channel = connect(server, caller="gateway", token="the gateway's token")
    assert await remote(Work, channel).where() == "one"
    with pytest.raises(Internal):
        await remote(Everything, channel).nothing()
    channel = connect(server, caller="processor", token="the processor's token")
    assert await remote(Everything, channel).nothing() is None


@pytest.mark.parametrize(
    ("caller", "token"),
    [
        ("gateway", "the processor's token"),
        ("gateway", ""),
        ("gateway", None),
        ("nobody", "the gateway's token"),
        ("nobody", None),
        ("certified", None),
        ("certified", "None"),
        ("", None),
    ],
)
async def test_who_is_not_known_is_refused(server, connect, caller, token):
    with pytest.raises(Internal):
        await remote(Work, connect(server, caller=caller, token=token)).where()


async def test_a_gateway_asks_only_on_behalf_of_whom_it_serves(server, connect):
    work = remote(Work, connect(server, caller="gateway", token="the gateway's token"))
    with calling.viewing(7):
        assert await work.seen_by(7) == 7
        assert await work.seen_by(0) == 0
        with pytest.raises(Internal):
            await work.seen_by(8)
    assert await work.seen_by(0) == 0
    with pytest.raises(Internal):
        await work.seen_by(7)


async def test_a_service_of_its_own_right_asks_as_anybody(server, connect):
    work = remote(Work, connect(server, caller="processor", token="the processor's token"))
    assert await work.seen_by(7) == 7
    with calling.viewing(7):
        assert await work.seen_by(8) == 8


def test_a_callers_token_is_in_no_repr():
    assert "token" not in repr(CALLERS)


class Authority:
    """Issues certificates, by the program openssl."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "ca.pem"
        folder.mkdir()
        self._run("req", "-x509", *self._key("ca"), "-out", self.file, "-subj", "/CN=tests", "-days", "1")

    def issue(self, name: str, alternative: str | None = None) -> dict[str, Path]:
        request, made, extra = (self._folder / f"{name}.{end}" for end in ("csr", "pem", "ext"))
        self._run("req", *self._key(name), "-out", request, "-subj", f"/CN={name}")
        extra.write_text(f"subjectAltName={alternative}\n" if alternative else "\n")
        self._run(
            *("x509", "-req", "-in", request, "-out", made, "-days", "1", "-extfile", extra),
            *("-CA", self.file, "-CAkey", self._folder / "ca.key", "-CAcreateserial"),
        )
        return {"certificate": made, "key": self._folder / f"{name}.key"}

    def _key(self, name: str) -> tuple[object, ...]:
        return (
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            self._folder / f"{name}.key",
        )

    def _run(self, *arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory) -> tuple[Authority, Authority]:
    """One that is believed, and another."""
    if shutil.which("openssl") is None:
        lacking("there is no openssl; scripts/install-tools installs it")
    folder = tmp_path_factory.mktemp("certificates")
    return Authority(folder / "ours"), Authority(folder / "others")


@pytest.fixture
def authority(authorities) -> Authority:
    return authorities[0]


async def test_a_call_is_encrypted_and_the_server_is_known_by_its_certificate(serve, connect, authorities):
    ours, others = authorities
    server = await serve({Work: Worker()}, callers=CALLERS, tls=Tls(**ours.issue("localhost", "IP:127.0.0.1")))
    options = {"caller": "gateway", "token": "the gateway's token", "policy": IMPATIENT}
    assert await remote(Work, connect(server, tls=Tls(ca=ours.file), **options)).where() == "one"
    for other in (Tls(ca=others.file), None):
        with pytest.raises(Unavailable):
            await remote(Work, connect(server, tls=other, **options)).where()
    with pytest.raises(Internal):
        await remote(Work, connect(server, tls=Tls(ca=ours.file), caller="gateway", token="wrong")).where()


async def test_a_certificate_for_another_name_is_not_believed_unless_that_name_is_asked_for(serve, connect, authority):
    server = await serve({Work: Worker()}, callers=CALLERS, tls=Tls(**authority.issue("users", "DNS:users.internal")))
    options = {"caller": "gateway", "token": "the gateway's token", "policy": IMPATIENT}
    with pytest.raises(Unavailable):
        await remote(Work, connect(server, tls=Tls(ca=authority.file), **options)).where()
    tls = Tls(ca=authority.file, server_name="users.internal")
    assert await remote(Work, connect(server, tls=tls, **options)).where() == "one"


async def test_with_certificates_on_both_sides_a_caller_is_who_its_certificate_says(serve, connect, authorities):
    ours, others = authorities
    own = Tls(**ours.issue("server", "IP:127.0.0.1"), ca=ours.file)
    server = await serve({Work: Worker(), Everything: Echo()}, callers=CALLERS, tls=own)

    def channel(tls: Tls, caller: str = "certified", token: str | None = None):
        return connect(server, tls=tls, caller=caller, token=token, policy=IMPATIENT)

    certified = Tls(**ours.issue("certified"), ca=ours.file)
    assert await remote(Work, channel(certified)).where() == "one"
    with pytest.raises(Internal):
        await remote(Everything, channel(certified)).nothing()
    # What it calls itself, and tokens, say nothing.
    with pytest.raises(Internal):
        await remote(Everything, channel(certified, "processor", "the processor's token")).nothing()
    by_other_name = Tls(**ours.issue("host-7", "DNS:processor"), ca=ours.file)
    assert await remote(Everything, channel(by_other_name)).nothing() is None
    stranger = Tls(**ours.issue("stranger"), ca=ours.file)
    with pytest.raises(Internal):
        await remote(Work, channel(stranger, "processor", "the processor's token")).where()
    forged = Tls(**others.issue("certified"), ca=ours.file)
    for refused in (forged, Tls(ca=ours.file)):
        with pytest.raises(Unavailable):
            await remote(Work, channel(refused, "processor", "the processor's token")).where()


async def test_a_server_without_its_key_is_not_started(serve, authority):
    with pytest.raises(ValueError, match="its key"):
        await serve({Work: Worker()}, tls=Tls(ca=authority.file))
