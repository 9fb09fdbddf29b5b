"""Requests that wait go together with the next; each gets its own answer, or what went wrong with its lot."""

import asyncio
from collections.abc import Sequence

import pytest

from dialerd.live.together import Together


class Server:
    """Answers in capitals, once `open` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.lots: list[list[str]] = []
        self.fails = False

    async def send(self, requests: Sequence[str]) -> list[str]:
        self.lots.append(list(requests))
        await self.open.wait()
        if self.fails:
            raise ConnectionError("away")
        return [request.upper() for request in requests]


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_comes_meanwhile_goes_together_in_order() -> None:
    server = Server()
    together = Together(server.send, 3)
    asked = [asyncio.create_task(together.ask(letter)) for letter in "abcdef"]
    await _turns()
    assert server.lots == [["a", "b", "c"]]  # all that were there in its turn of the loop, three at most
    server.open.set()
    assert await asyncio.gather(*asked) == list("ABCDEF")
    assert server.lots == [["a", "b", "c"], ["d", "e", "f"]]


async def test_a_lone_request_goes_at_once_and_the_next_one_after_it() -> None:
    server = Server()
    server.open.set()
    together = Together(server.send, 3)
    assert [await together.ask("a"), await together.ask("b")] == ["A", "B"]
    assert server.lots == [["a"], ["b"]]


async def test_what_goes_wrong_is_told_to_its_lot_and_the_next_one_is_sent() -> None:
    server = Server()
    server.fails = True
    together = Together(server.send, 1)
    first, second = (asyncio.create_task(together.ask(letter)) for letter in "ab")
    await _turns()
    server.open.set()
    with pytest.raises(ConnectionError):
        await first
    with pytest.raises(ConnectionError):
        await second
    server.fails = False
    assert await together.ask("c") == "C"


async def test_who_gives_up_leaves_the_others_their_answers() -> None:
    server = Server()
    together = Together(server.send, 1)
    first, second, third = (asyncio.create_task(together.ask(letter)) for letter in "abc")
    await _turns()
    first.cancel()
    second.cancel()
    server.open.set()
    assert await third == "C"
    assert server.lots == [["a"], ["c"]]  # the second was not sent yet: nothing is reserved for it
    assert first.cancelled() and second.cancelled()


async def test_nobody_waits_for_a_server_that_is_being_stopped() -> None:
    server = Server()
    together = Together(server.send, 1)
    asked = [asyncio.create_task(together.ask(letter)) for letter in "ab"]
    await _turns()
    sender = next(task for task in asyncio.all_tasks() if task.get_name() == "together")
    sender.cancel()
    assert await asyncio.gather(*asked, return_exceptions=True) != ["A", "B"]
    assert all(task.cancelled() for task in asked)
