"""Everything that the machine says to people, behind one door: flows, the safe-harbour message, and calls that are
returned."""

from collections.abc import Awaitable, Callable

from dialerd.ari.leg import Legs
from dialerd.ari.link import AriLink
from dialerd.engine.calls import Call
from dialerd.engine.campaign import Campaign
from dialerd.engine.conversations import Conversations
from dialerd.engine.harbour import SafeHarbour
from dialerd.engine.ivr import Ivr
from dialerd.engine.node import Node
from dialerd.engine.optouts import OptOuts
from dialerd.engine.queues import Queues
from dialerd.engine.returned import ReturnedCalls
from dialerd.engine.webhooks import Webhooks


class Attendant:
    """`broken` is told of a call whose flow could not go on, and why; `campaign`: see `ReturnedCalls`."""

    def __init__(
        self,
        node: Node,
        ari: AriLink,
        legs: Legs,
        conversations: Conversations,
        queues: Queues,
        turn: Callable[[str], Awaitable[bool]],
        broken: Callable[[Call, str], None],
        doubt: Callable[[], None],
        campaign: Callable[[int], Awaitable[Campaign | None]],
    ) -> None:
        self._opt_outs = OptOuts(node)
        self._webhooks = Webhooks(node.config.flows)
        talk = conversations
        self._queues = queues
        self._ivr = Ivr(
            node, legs, talk.offer, talk.to_message, broken, doubt, self._opt_outs, self._webhooks, queues, turn
        )  # fmt: skip
        self._harbour = SafeHarbour(node, legs, ari, self._opt_outs, queues.leave)
        self.returned = ReturnedCalls(node, legs, ari, self._opt_outs, campaign)
        self.begin_flow = self._ivr.begin
        self.say_message = self._harbour.say
        self.run = self._webhooks.run

    def call_ended(self, attempt: str) -> None:
        """A call is over, however that was learned."""
        self._ivr.call_ended(attempt)

    def lost(self) -> None:
        """ARI came or went: what was under way begins again when reconcile has found the calls."""
        self._ivr.lost()
        self._queues.lost()
        self._harbour.lost()
        self.returned.lost()

    async def written(self) -> None:
        """Waits until every opt-out is in PostgreSQL."""
        await self._opt_outs.written()
