"""Requests that come while one is under way go together with the next: under load many share a round trip, and when
it is quiet each goes at once and alone."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

_Answer = TypeVar("_Answer")


class Together(Generic[_Answer]):
    """`send` takes up to `most` requests and gives as many answers, in their order; what it raises, each of its
    requests raises. Requests are sent in the order in which they came, one lot at a time."""

    def __init__(self, send: Callable[[Sequence[str]], Awaitable[Sequence[_Answer]]], most: int) -> None:
        self._send = send
        self._most = most
        self._waiting: deque[tuple[str, asyncio.Future[_Answer]]] = deque()
        self._sender: asyncio.Task[None] | None = None

    async def ask(self, request: str) -> _Answer:
        """The answer to this one."""
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all(), name="together")
        return await answer

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                lot = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                await self._answer([(request, answer) for request, answer in lot if not answer.done()])
        finally:
            self._sender = None
            for _, answer in self._waiting:  # only when we are cancelled: nobody is left to send them
                answer.cancel()
            self._waiting.clear()

    async def _answer(self, lot: Sequence[tuple[str, asyncio.Future[_Answer]]]) -> None:
        if not lot:
            return
        try:
            found: Sequence[_Answer] = await self._send([request for request, _ in lot])
        except asyncio.CancelledError:
            for _, answer in lot:
                answer.cancel()
            raise
        except Exception as error:
            for _, answer in lot:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), one in zip(lot, found, strict=True):
            if not answer.done():  # whoever asked may have gone
                answer.set_result(one)
