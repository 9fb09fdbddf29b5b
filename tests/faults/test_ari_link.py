"""The ARI connection against a server that misbehaves."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.clock import Clock
from dialerd.config import Ari
from lab.proxy import Proxy
from tests.faults.ari_server import AriServer
from tests.faults.until import until

PASSWORD = "not-to-be-seen"


class Running:
    """A link that runs, and what it told."""

    def __init__(self, url: str, timeout_seconds: float = 1.0) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.states: list[str] = []
        config = Ari(url=url, password=SecretStr(PASSWORD), timeout_seconds=timeout_seconds)
        self.link = AriLink(config, Clock(), self.events.append, self._changed)
        self.task = asyncio.create_task(self.link.run())

    def saw(self, kind: str) -> bool:
        return any(event.get("type") == kind for event in self.events)

    async def down(self, words: str = "") -> None:
        await until(lambda: self.link.status.state == "down" and words in self.link.status.detail)

    def _changed(self) -> None:
        self.states.append(self.link.status.state)


@contextlib.asynccontextmanager
async def running(url: str, timeout_seconds: float = 1.0) -> AsyncIterator[Running]:
    link = Running(url, timeout_seconds)
    try:
        yield link
    finally:
        link.task.cancel()
        await asyncio.wait([link.task])


@pytest.fixture
async def server() -> AsyncIterator[AriServer]:
    async with AriServer() as server:
        yield server


@pytest.fixture
async def link(server: AriServer) -> AsyncIterator[Running]:
    async with running(server.url) as link:
        await until(lambda: link.link.up and server.sockets)
        yield link


async def up_again(server: AriServer, link: Running, opened: int = 2) -> None:
    """The link is up over another websocket, and events come over it."""
    await until(lambda: server.opened >= opened and server.sockets and link.link.up)
    await server.send({"type": "Later"})
    await until(lambda: link.saw("Later"))
    assert "down" in link.states


async def test_events_are_handed_on_in_order(server: AriServer, link: Running) -> None:
    for n in range(100):
        await server.send({"type": "ChannelVarset", "n": n})
    await until(lambda: len(link.events) == 100)
    assert [event["n"] for event in link.events] == list(range(100))


async def test_a_clean_close_is_a_loss(server: AriServer, link: Running) -> None:
    await server.close()
    await up_again(server, link)


async def test_a_cut_is_a_loss(server: AriServer, link: Running) -> None:
    server.drop()
    await up_again(server, link)


async def test_another_daemon_that_takes_the_app_ends_this_link_for_good(server: AriServer, link: Running) -> None:
    await server.send({"type": "ApplicationReplaced", "application": "dialerd"})
    await until(link.link.replaced.is_set)
    assert link.link.status.state == "down"
    assert "another process took the ARI app 'dialerd'" in link.link.status.detail
    await server.close()
    await asyncio.wait_for(link.task, 5)
    assert server.opened == 1
    assert "another process took the ARI app 'dialerd'" in link.link.status.detail  # and not that it closed


@pytest.mark.parametrize(
    "frame",
    ['{"type": "ChannelVarset", "value": "' + "x" * (2 << 20) + '"}', "[" * 10_000 + "]" * 10_000, "{not json", "{"],
    ids=["two megabytes", "nested", "not json", "half"],
)
async def test_a_frame_that_cannot_be_taken_in_costs_the_connection_and_no_more(
    server: AriServer, link: Running, frame: str
) -> None:
    with contextlib.suppress(ConnectionError):
        await server.send(frame)
    await up_again(server, link)
    assert not link.saw("ChannelVarset")


@pytest.mark.parametrize("frame", ["[]", "1", "null", '"text"', "{}", '{"type": null}', '{"type": 7}', '{"type": {}}'])
async def test_a_frame_that_is_no_event_is_passed_over(server: AriServer, link: Running, frame: str) -> None:
    await server.send(frame)
    await server.send({"type": "After"})
    await until(lambda: link.saw("After"))
    assert server.opened == 1


async def test_a_binary_frame_is_passed_over(server: AriServer, link: Running) -> None:
    await server.sockets[0].send_bytes(b"\x00\xff")
    await server.send({"type": "After"})
    await until(lambda: link.saw("After"))
    assert server.opened == 1


async def test_hanging_up_what_is_gone_is_fine_and_a_failure_is_told(server: AriServer, link: Running) -> None:
    await link.link.hang_up("a")
    await link.link.to_dialplan("a")
    server.answers["DELETE /ari/channels/a"] = (500, {"message": "Allocation failed"})
    with pytest.raises(AriError, match="500 ") as refused:
        await link.link.hang_up("a")
    assert refused.value.status == 500
    server.answers["POST /ari/bridges/b/addChannel"] = (409, {"message": "Bridge not in Stasis application"})
    with pytest.raises(AriError) as refused:
        await link.link.join("b", "a")
    assert refused.value.status == 409


async def test_each_request_is_sent_once_whatever_comes_back(server: AriServer, link: Running) -> None:
    for status in (404, 409, 500, 503):
        server.requests.clear()
        server.answers["POST /ari/bridges/b/addChannel"] = (status, {})
        with pytest.raises(AriError):
            await link.link.join("b", "a")
        assert len(server.requests) == 1


async def test_a_redirect_is_not_followed(server: AriServer, link: Running) -> None:
    server.answers["GET /ari/channels"] = (302, {})
    with pytest.raises(AriError) as refused:
        await link.link.channels()
    assert refused.value.status == 302


async def test_a_slow_answer_is_unreachable_in_time_and_the_link_stays(server: AriServer) -> None:
    async with running(server.url, timeout_seconds=0.3) as link:
        await until(lambda: link.link.up)
        server.slow.clear()
        with pytest.raises(AriUnreachable):
            await asyncio.wait_for(link.link.channels(), 5)
        server.slow.set()
        assert await link.link.channels() == []
    assert server.opened == 1


async def test_while_it_is_down_requests_are_refused_at_once(server: AriServer) -> None:
    with Proxy(server.port) as proxy:
        async with running(f"http://127.0.0.1:{proxy.port}/ari") as link:
            await until(lambda: link.link.up)
            proxy.cut()
            await link.down()
            with pytest.raises(AriUnreachable):
                await link.link.channels()
            proxy.heal()
            await until(lambda: link.link.up)


async def test_a_server_that_says_nothing_is_left_and_tried_again(server: AriServer) -> None:
    with Proxy(server.port) as proxy:
        proxy.silence()
        async with running(f"http://127.0.0.1:{proxy.port}/ari", timeout_seconds=0.2) as link:
            await link.down()
            proxy.cut(refuse=False)
            proxy.heal()
            await until(lambda: link.link.up)


async def test_a_black_hole_is_noticed_by_the_websockets_own_ping(
    server: AriServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dialerd.ari.transport._HEARTBEAT_SECONDS", 0.4)
    with Proxy(server.port) as proxy:
        async with running(f"http://127.0.0.1:{proxy.port}/ari") as link:
            await until(lambda: link.link.up)
            proxy.silence()
            await link.down("the event websocket closed")
            proxy.heal()
            await until(lambda: link.link.up)


async def test_an_address_where_no_ari_is_is_said_and_tried_again(server: AriServer) -> None:
    async with running(f"http://127.0.0.1:{server.port}/nothing/ari") as link:
        await link.down("404")
        await until(lambda: len(server.requests) >= 2)


@pytest.mark.parametrize(
    "body", [{}, [], "Welcome", {"apis": [{}]}, {"swaggerVersion": "1.1", "basePath": 1, "apis": 1}]
)
async def test_a_server_that_is_no_asterisk_is_said_and_tried_again(server: AriServer, body: object) -> None:
    server.answers["GET /ari/api-docs/resources.json"] = (200, body)
    async with running(server.url) as link:
        await link.down("Asterisk's ARI at")
        del server.answers["GET /ari/api-docs/resources.json"]
        await until(lambda: link.link.up)


async def test_the_password_is_in_a_header_and_nowhere_else(server: AriServer, link: Running) -> None:
    await link.link.channels()
    await link.link.hang_up("a")
    expected = "Basic " + base64.b64encode(f"dialerd:{PASSWORD}".encode()).decode()
    assert len(server.requests) >= 5
    for _, path, headers in server.requests:
        assert headers["Authorization"] == expected
        assert PASSWORD not in path
        assert "api_key" not in path
    server.drop()
    await link.down()
    assert PASSWORD not in link.link.status.detail
