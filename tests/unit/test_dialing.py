"""Between the claim and the Originate time passes: what came in between holds. The parts around it are fakes."""

import asyncio
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from dialerd.clock import Clock
from dialerd.config import Trunk
from dialerd.core.abandonment import Allowance
from dialerd.core.attempt import Facts
from dialerd.core.callerid import Selection
from dialerd.core.retry import History
from dialerd.core.singlecall import Options
from dialerd.engine.calls import Call, Calls
from dialerd.engine.dialing import Dialing
from dialerd.engine.node import Node
from tests.unit.test_conversations import ATTEMPT, NOW, campaign


class Scene:
    """One claimed call whose caller ID is being asked for; `meanwhile` happens then."""

    def __init__(self, caller_id: str | None = "+358401109999") -> None:
        self.gate: str | None = None
        self.sent: list[Any] = []
        self.details: list[str] = []
        self.calls = Calls(lambda call, event, _: self.details.append(event.detail))
        self.call = Call(ATTEMPT, campaign(), 1, "+358401234567", History(1, {}), Facts(NOW), 0.0)
        self.calls.add(self.call)
        self.meanwhile: Any = lambda: None
        self.until = Clock().now() + timedelta(minutes=1)
        self.barred: dict[str, str] | Exception = {}
        self.pool: Any = SimpleNamespace(fetch=self._fetch)
        trunk = Trunk(endpoint="t", calls_per_second=20)
        config = SimpleNamespace(
            trunks={"t": trunk}, dialing=SimpleNamespace(max_call_seconds=60), ari=SimpleNamespace(app="dialerd")
        )

        async def select(*_: Any) -> Selection:
            self.meanwhile()
            return Selection.without_pool(caller_id, {"no_match": 1})

        parts: list[Any] = [config, Clock(), self.calls, None, {}, {}, None, lambda: self.pool, lambda: self.gate, None]
        ami: Any = SimpleNamespace(originate=lambda originate: self.sent.append((time.monotonic(), originate)))
        ids: Any = SimpleNamespace(next_cid=select)
        self.dialing, self.trunk = Dialing(Node(*parts), ami, ids, lambda _: None, lambda _: None), trunk

    async def run(self, *more: Call) -> None:
        await self.dialing.place([self.call, *more], self.trunk, self.until)

    async def _fetch(self, _sql: str, tenant: int, campaign: int, numbers: list[str]) -> list[dict[str, str]]:
        if isinstance(self.barred, Exception):
            raise self.barred
        return [{"e164": n, "list": self.barred[n]} for n in numbers if n in self.barred]


async def test_a_call_that_may_still_be_placed_is_placed() -> None:
    scene = Scene()
    await scene.run()
    assert len(scene.sent) == 1


@pytest.mark.parametrize("what", ["gate", "campaign", "window"])
async def test_a_drain_or_a_pause_after_the_claim_keeps_the_originate_back(what: str) -> None:
    scene = Scene()

    def meanwhile() -> None:
        if what == "gate":
            scene.gate = "draining"
        elif what == "window":
            scene.until = Clock().now()
        else:
            scene.call.campaign.state = "paused"

    scene.meanwhile = meanwhile
    if what == "window":
        meanwhile()
    await scene.run()
    assert scene.sent == []
    assert len(scene.calls) == 0 and "not dialled any more" in scene.details[0]


async def test_a_campaign_whose_calls_cannot_leave_rests_before_the_next() -> None:
    """Else every contact of the list becomes an attempt that was never sent, ten a second."""
    scene = Scene(caller_id=None)
    await scene.run()
    assert scene.call.campaign.idle_until > Clock().monotonic()


@pytest.mark.parametrize("lists", [TimeoutError(), ConnectionError("gone"), None])
async def test_nothing_leaves_while_the_do_not_call_lists_cannot_be_read(lists: Exception | None) -> None:
    scene = Scene()
    if lists is None:
        scene.pool = None
    else:
        scene.barred = lists
    await scene.run()
    assert scene.sent == []
    assert len(scene.calls) == 0 and "could not be read" in scene.details[0]


async def test_a_number_that_was_barred_after_the_claim_is_not_dialled_and_the_campaign_goes_on() -> None:
    scene = Scene()
    scene.meanwhile = lambda: setattr(scene, "barred", {"+358401234567": "opt-outs"})
    await scene.run()
    assert scene.sent == []
    assert len(scene.calls) == 0 and "'opt-outs'" in scene.details[0]
    assert scene.call.campaign.idle_until <= Clock().monotonic()


@pytest.mark.accepts("PAC-04")
async def test_claims_that_come_back_all_at_once_leave_no_faster_than_the_trunk_allows() -> None:
    """After a pause of the database the attempts of several claims are there in one moment."""
    scene = Scene()
    more = [
        Call(f"{ATTEMPT[:-2]}{n:02}", campaign(), n, "+358401234567", History(1, {}), Facts(NOW), 0.0)
        for n in range(10, 20)
    ]
    for call in more:
        scene.calls.add(call)
    await asyncio.gather(scene.run(*more[:5]), scene.dialing.place(more[5:], scene.trunk, scene.until))
    times = [at for at, _ in scene.sent]
    assert len(times) == 11
    for first, begin in enumerate(times):
        for n, end in enumerate(times[first:], 1):
            assert n <= 20 * (end - begin) + 4 + 1e-3


@pytest.mark.accepts("ORI-15")
async def test_in_a_dry_run_no_originate_leaves_even_when_something_was_claimed() -> None:
    scene = Scene()
    scene.gate = "dry_run"
    await scene.run()
    assert scene.sent == [] and "dry_run" in scene.details[0]


@pytest.mark.accepts("ORI-04", "ORI-07")
async def test_a_single_call_carries_its_campaign_contact_and_variables() -> None:
    scene = Scene()
    scene.call.asked = Options(
        7, "MyCompany", None, {"CUSTOMER_ID": "456", "DIALERD_APP": "another", "CONTACT_ID": "9"}
    )
    await scene.run()
    sent = scene.sent[0][1]
    assert (sent.ring_timeout_seconds, sent.name) == (7, "MyCompany")
    told = {name: sent.variables[name] for name in ("CAMPAIGN_ID", "CONTACT_ID", "CUSTOMER_ID", "DIALERD_APP")}
    campaign_id = str(scene.call.campaign.id)
    assert told == {"CAMPAIGN_ID": campaign_id, "CONTACT_ID": "1", "CUSTOMER_ID": "456", "DIALERD_APP": "dialerd"}


def test_a_phone_rings_no_shorter_than_the_legal_profile_wants() -> None:
    call = Scene().call
    call.campaign.allowance = Allowance(min_ring_seconds=15.0)
    call.asked = Options(7)
    assert call.ring_seconds == 15
    call.asked = Options(20)
    assert call.ring_seconds == 20
    call.asked = Options()
    assert call.ring_seconds == call.campaign.ring_timeout_seconds
