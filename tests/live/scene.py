"""A call in mid-talk: who hears whom is told by the tones in what each party heard."""

import asyncio
from typing import Any

from lab.subscribers import Behaviour, number
from tests.live.place import Place
from tests.live.test_agents import post
from tests.tones import Tones, agent_hz, person_hz, quiet_seconds, timeline

THIRD = number(Behaviour.PERSON, 7779)
KNOWN = {f"agent-{n}": agent_hz(f"agent-{n}") for n in range(1, 7)} | {"third": person_hz(THIRD)}
A, B, C = "agent-1", "agent-2", "agent-3"
_SETTLES = 800  # samples: 0.1 s on the wire


class Scene:
    """A call between a person and the first agent; `heard` is what each party did."""

    def __init__(self, place: Place, tones: Tones) -> None:
        self.place = place
        self.tones = tones
        self.person = ""
        self._marks: dict[str, int] = {}

    async def begin(self, count: int = 1, **settings: Any) -> None:
        """So many agents, and the first of them talks to a person."""
        await self.place.campaign(Behaviour.PERSON, **{"wrap_up_seconds": 60, **settings})
        self.person = await self.place.pool.fetchval("SELECT e164 FROM numbers")
        names = await self.place.agents(count)
        if not self.place.daemon.running():
            self.place.start()
        self.place.connect(names[:1])
        self.state(A, "on_call", 20)
        self.hears("person", A)
        if names[1:]:
            self.place.connect(names[1:])

    def state(self, name: str, state: str, seconds: float = 10.0) -> None:
        self.place.wait(lambda: self.place.agent(name)["state"] == state, seconds, f"{name} {state}")

    def name(self, who: str) -> str:
        """As `Tones` has it."""
        return {"person": self.person, "third": THIRD}.get(who, who)

    def heard(self, who: str, after: int = 0) -> list[set[str]]:
        """In order; `after`: samples that do not count."""
        known = {**KNOWN, "person": person_hz(self.person)}
        return [set(what) for what in timeline(self.tones.samples(self.name(who))[after:], known)]

    def now(self) -> None:
        """Something else is heard from here on: what `hears` waits for comes later."""
        names = (self.person, THIRD, *self.place.site.lab.agents)
        self._marks = {name: self.tones.length(name) + _SETTLES for name in names}

    def hears(self, who: str, *whom: str, seconds: float = 15.0) -> None:
        """Waits until what a party hears after the last thing that was done is this."""
        wanted = [set(whom)]
        try:
            self.place.wait(
                lambda: self.heard(who, self._marks.get(self.name(who), 0))[-1:] == wanted, seconds, f"{who}: {whom}"
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{who} heard {self.heard(who)}") from None

    async def do(self, name: str, verb: str, **fields: Any) -> None:
        await post(self.place, f"/agents/{name}/{verb}", **fields)
        self.now()

    async def view(self, name: str) -> dict[str, Any]:
        return await asyncio.to_thread(self.place.daemon.get, f"/agents/{name}/view")

    def press(self, name: str, keys: str) -> None:
        self.place.wait(lambda: self.tones.is_up(name), 5, f"the phone of {name}")
        self.place.site.lab.carrier.press(name, keys)
        self.now()

    def hang_up(self, who: str) -> None:
        """A person's or the third party's phone."""
        self.tones.hang_up(self.name(who))
        self.now()

    def phone_dies(self, name: str) -> None:
        self.place.site.lab.phone_hang_up(name)
        self.state(name, "offline")
        self.now()

    async def kinds(self) -> list[str]:
        """What is on record of the talk."""
        rows = await self.place.pool.fetch("SELECT kind FROM call_events WHERE kind LIKE 'talk.%' ORDER BY id")
        return [row["kind"].removeprefix("talk.") for row in rows]

    def never_silent(self) -> None:
        """The person was left in silence at no time (a second: the answer, and Asterisk's own changes)."""
        assert quiet_seconds(self.tones.samples(self.person)) <= 1.0, self.heard("person")
