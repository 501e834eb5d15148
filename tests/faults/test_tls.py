"""Upstreams whose TLS cannot be trusted or does not come about (faults.md 1, row "TLS")."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.faults import upstream
from tests.faults.certificates import ELSEWHERE, Authority, make_authority
from tests.faults.checks import BOTH, ONCE, WAYS, Clients, attempts, cleaned_up, clients_of, doubted, last_line, used
from tests.faults.upstream import well
from tests.faults.wire import Fault, FaultyVendor, vendor
from tests.proxy import make_world, serving
from tests.upstreams import FakeClock, House

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def authority(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Authority]:
    yield make_authority(tmp_path_factory.mktemp("authority"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trusting(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clients]:
    """A proxy that trusts our authority and nobody else."""
    folder, clock = tmp_path_factory.mktemp("trusting"), FakeClock()
    world = make_world({"SSL_CERT_FILE": str(authority.file)}, folder)
    async with serving(world, clock=clock) as proxy, aiohttp.ClientSession() as client:
        async with clients_of(House(proxy, clock, folder, client, None)) as made:
            yield made


@asynccontextmanager
async def over_tls(clients: Clients, one: FaultyVendor, keys: int = 1, **more: Any) -> AsyncIterator[FaultyVendor]:
    """The house with this vendor behind https, whatever it speaks."""
    await clients.house.furnish(keys, base=one.url.replace("http:", "https:"), **more)
    yield one
    await cleaned_up(clients.house, one)


#: What the certificate is like, and the authority that signs it.
CERTIFICATES: dict[str, Callable[[Authority], Any]] = {
    "tls_expired": lambda authority: authority.context("expired", days=-1),
    "tls_wronghost": lambda authority: authority.context("wronghost", place=ELSEWHERE),
    "tls_selfsigned": lambda authority: authority.context("selfsigned", own=True),
}


@BOTH
@WAYS
@pytest.mark.parametrize("kind", CERTIFICATES)
async def test_a_certificate_that_is_not_good_ends_the_attempt(
    trusting: Clients, authority: Authority, protocol: str, stream: bool, kind: str
) -> None:
    """Nothing is sent, nothing is tried without TLS, and the client learns no more than that."""
    async with vendor(well, tls=CERTIFICATES[kind](authority)) as one, over_tls(trusting, one):
        refusal = await trusting.refused(protocol, stream)
        assert (refusal.status, refusal.attempts, refusal.waits) == (502, 2, (None, None, None))
        assert refusal.message.endswith(": the TLS connection was not trusted")
        assert (one.taken, len(trusting.house.clock.slept)) == ([], 1)
        assert last_line(trusting.house).endswith("tls")
        house = trusting.house
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[]], [True])


@BOTH
@WAYS
async def test_a_certificate_of_a_known_authority_is_good(
    trusting: Clients, authority: Authority, protocol: str, stream: bool
) -> None:
    async with vendor(well, tls=authority.context("good")) as one, over_tls(trusting, one):
        for _ in range(2):
            answer = await trusting.house.call(protocol, "any", stream=stream)
            assert (answer.status, attempts(answer)) == (200, 1)
        assert (used(trusting.house, one, protocol), one.connections) == ([1, 1], 1)


@BOTH
async def test_the_same_certificate_is_not_good_without_its_authority(
    clients: Clients, authority: Authority, protocol: str
) -> None:
    async with vendor(well, tls=authority.context("unknown")) as one, over_tls(clients, one, config=ONCE):
        refusal = await clients.refused(protocol, False)
        assert (refusal.status, one.taken) == (502, [])
        assert refusal.message.endswith(": the TLS connection was not trusted")


@BOTH
@WAYS
@pytest.mark.parametrize("fault", [upstream.tls_plaintext, upstream.tls_midclose], ids=lambda fault: fault.__name__)
async def test_a_handshake_that_fails_is_a_bad_gateway(
    trusting: Clients, protocol: str, stream: bool, fault: Fault
) -> None:
    house = trusting.house
    async with vendor(fault) as one, over_tls(trusting, one, keys=2, config=ONCE):
        refusal = await trusting.refused(protocol, stream)
        assert (refusal.status, refusal.attempts, one.connections) == (502, 2, 2)
        assert one.heard == b"\x16\x16"  # TLS each time, never the request in clear
        assert (house.reasons(protocol, "any"), house.clock.slept) == ([[], []], [])
