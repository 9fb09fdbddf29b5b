"""The lab's proxy does to a connection what its controls say, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from lab.proxy import Proxy

LIMIT_SECONDS = 5.0


class Server:
    """Remembers what each connection sent, and echoes it."""

    def __init__(self) -> None:
        self.port = 0
        self.heard: list[bytearray] = []
        self.ends: list[str] = []
        self.news = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = bytearray()
        self.heard.append(mine)
        end = "FIN"
        try:
            while data := await reader.read(65536):
                mine += data
                await self.tell()
                writer.write(data)
                await writer.drain()
        except ConnectionResetError:
            end = "RST"
        self.ends.append(end)
        writer.close()
        await self.tell()

    async def tell(self) -> None:
        async with self.news:
            self.news.notify_all()

    async def has(self, *heard: bytes) -> bool:
        async with asyncio.timeout(LIMIT_SECONDS), self.news:
            return await self.news.wait_for(lambda: [bytes(h) for h in self.heard] == list(heard))

    async def ended(self, *ends: str) -> bool:
        async with asyncio.timeout(LIMIT_SECONDS), self.news:
            return await self.news.wait_for(lambda: self.ends == list(ends))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


class Client:
    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self.reader, self.writer = streams

    async def asks(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await asyncio.wait_for(self.reader.readexactly(len(data)), LIMIT_SECONDS)

    async def rest(self) -> bytes:
        """Everything up to the end."""
        return await asyncio.wait_for(self.reader.read(), LIMIT_SECONDS)


async def client(proxy: Proxy) -> Client:
    return Client(await asyncio.open_connection("127.0.0.1", proxy.port))


async def test_bytes_go_both_ways_unchanged(proxy: Proxy) -> None:
    one = await client(proxy)
    data = bytes(range(256)) * 4000
    assert await one.asks(data) == data
    assert proxy.connections == 1


async def test_an_end_is_passed_on_as_an_end(proxy: Proxy, server: Server) -> None:
    one = await client(proxy)
    one.writer.write(b"last")
    one.writer.write_eof()
    assert await one.rest() == b"last"
    assert await server.ended("FIN")


async def test_a_cut_resets_both_ends_and_refuses_new_ones_until_healed(proxy: Proxy, server: Server) -> None:
    one = await client(proxy)
    await one.asks(b"hello")
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await one.rest()
    assert await server.ended("RST")
    with pytest.raises(ConnectionRefusedError):
        await client(proxy)
    proxy.heal()
    assert await (await client(proxy)).asks(b"again") == b"again"
    assert proxy.accepted == 2


async def test_a_cut_may_welcome_new_connections_at_once(proxy: Proxy) -> None:
    await (await client(proxy)).asks(b"hello")
    proxy.cut(refuse=False)
    assert await (await client(proxy)).asks(b"again") == b"again"


async def test_a_polite_close_is_an_end_and_no_reset(proxy: Proxy, server: Server) -> None:
    one = await client(proxy)
    await one.asks(b"hello")
    proxy.close()
    assert await one.rest() == b""
    assert await server.ended("FIN")
    with pytest.raises(ConnectionRefusedError):
        await client(proxy)


async def test_a_target_that_refuses_is_a_reset(server: Server) -> None:
    with Proxy(1) as proxy, pytest.raises(ConnectionResetError):
        await (await client(proxy)).rest()


async def test_a_black_hole_keeps_the_socket_and_swallows_the_bytes(proxy: Proxy, server: Server) -> None:
    old = await client(proxy)
    await old.asks(b"before ")
    proxy.silence()
    old.writer.write(b"lost")
    new = await client(proxy)  # connecting works: nobody says no
    new.writer.write(b"lost too")
    await asyncio.sleep(0.1)  # nothing can be waited for: it must not come
    assert not old.reader.at_eof()
    proxy.heal()
    old.writer.write(b"the rest")
    assert await (await client(proxy)).asks(b"whole") == b"whole"
    assert await server.has(b"before ", b"", b"whole")


async def test_a_black_hole_may_be_one_way(proxy: Proxy, server: Server) -> None:
    one = await client(proxy)
    proxy.silence(up=False, down=True)
    one.writer.write(b"heard, not answered")
    assert await server.has(b"heard, not answered")
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await one.rest()


async def test_a_delay_delays_and_healing_ends_it(proxy: Proxy, server: Server) -> None:
    one = await client(proxy)
    await one.asks(b"quick")
    proxy.delay(3600)
    one.writer.write(b", slow")
    await asyncio.sleep(0.1)
    assert await server.has(b"quick")
    proxy.heal()
    assert await server.has(b"quick, slow")


async def test_slices_lose_nothing(proxy: Proxy) -> None:
    proxy.slice(1)
    one = await client(proxy)
    assert await one.asks(b"Action: Login\r\n\r\n" * 50) == b"Action: Login\r\n\r\n" * 50


async def test_the_pattern_goes_through_and_then_the_line_is_cut(proxy: Proxy, server: Server) -> None:
    one = await client(proxy)
    await one.asks(b"Action: Ping\r\n\r\n")
    sprung = proxy.cut_after(b"Action: Originate", through=b"\r\n\r\n")
    one.writer.write(b"Action: Orig")
    assert await server.has(b"Action: Ping\r\n\r\nAction: Orig")
    one.writer.write(b"inate\r\nActionID: 1\r\n\r\nAction: Late\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await one.rest()
    assert sprung.is_set()
    assert await server.has(b"Action: Ping\r\n\r\nAction: Originate\r\nActionID: 1\r\n\r\n")
    assert await (await client(proxy)).asks(b"Action: Originate\r\n\r\n")  # once only


async def test_the_pattern_is_kept_back_and_the_line_is_cut(proxy: Proxy, server: Server) -> None:
    one = await client(proxy)
    sprung = proxy.cut_after(b"COMMIT", pass_it=False)
    one.writer.write(b"BEGIN; COMMIT; more")
    with pytest.raises(ConnectionResetError):
        await one.rest()
    assert await server.ended("RST")
    assert bytes(server.heard[0]) in (b"BEGIN; ", b"")
    assert sprung.is_set()


async def test_a_pattern_of_the_answer_reaches_the_client_before_the_end(proxy: Proxy, server: Server) -> None:
    one = await client(proxy)
    proxy.cut_after(b"Response: Success", "down", through=b"\r\n\r\n")
    one.writer.write(b"Response: Success\r\nMessage: queued\r\n\r\nEvent: OriginateResponse\r\n\r\n")
    assert await one.rest() == b"Response: Success\r\nMessage: queued\r\n\r\n"
    assert await server.ended("RST")


async def test_a_slow_reader_slows_the_writer_down(proxy: Proxy) -> None:
    """Whatever the proxy held without bound would let the writer finish."""
    one = await client(proxy)
    one.reader._transport.pause_reading()  # type: ignore[attr-defined]
    one.writer.write(b"x" * (64 << 20))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.writer.drain(), 0.5)
    proxy.cut()


async def test_stopping_twice_is_stopping_once_and_the_port_is_kept_until_then(server: Server) -> None:
    proxy = Proxy(server.port)
    with pytest.raises(ConnectionRefusedError):
        await client(proxy)
    proxy.start()
    await (await client(proxy)).asks(b"hello")
    proxy.stop()
    proxy.stop()
    with pytest.raises(ConnectionRefusedError):
        await client(proxy)
