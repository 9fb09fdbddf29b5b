"""Who is behind the carrier: how a subscriber behaves is in the number, or drawn from it by a seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import md5

DRAWS = 10000  # a lot is one of so many


class Behaviour(IntEnum):
    """What a subscriber does; the two digits BB of its number."""

    MIX = 0  # one of the others, by lot
    PERSON = 10  # answers, says hello, talks for a while, hangs up
    MACHINE = 11  # a long greeting, a beep, ten seconds of silence
    BUSY = 12  # 486
    NO_ANSWER = 13  # rings for as long as the caller likes
    REJECTED = 14  # 603
    UNALLOCATED = 15  # 404
    SLOW = 16  # a person who lets it ring for 15 to 20 s
    HANGS_UP = 17  # answers and hangs up at once
    PRESSES_1 = 18  # a person who presses 1 two seconds after hello
    PRESSES_2 = 19


def number(behaviour: Behaviour, index: int) -> str:
    """The E.164 number of a subscriber; `index` is 0 to 9999."""
    if not 0 <= index < 10000:
        raise ValueError(f"index {index} is not between 0 and 9999")
    return f"+358401{behaviour:02d}{index:04d}"


@dataclass(frozen=True, slots=True)
class Subscribers:
    """How the subscribers are: times in seconds, spread evenly from half to one and a half times the mean.

    `mix` gives shares (any positive numbers) to behaviours.
    """

    seed: int = 1
    mix: Mapping[Behaviour, float] = field(
        default_factory=lambda: {
            Behaviour.PERSON: 45,
            Behaviour.MACHINE: 15,
            Behaviour.NO_ANSWER: 18,
            Behaviour.BUSY: 10,
            Behaviour.REJECTED: 4,
            Behaviour.UNALLOCATED: 3,
            Behaviour.SLOW: 3,
            Behaviour.HANGS_UP: 2,
        }
    )
    ring_seconds: float = 3.0
    talk_seconds: float = 20.0
    greeting: str = "hello"  # a sound file of about a second
    silent: bool = False  # people and agents say nothing: sound costs the processors of both Asterisks, not dialerd's

    def behaviour(self, e164: str) -> Behaviour:
        """How the subscriber of a number behaves: what the carrier's dialplan does with it."""
        behaviour = Behaviour(int(e164[7:9]))
        if behaviour is not Behaviour.MIX:
            return behaviour
        lot = draw(self.seed, "mix", e164)
        return next(b for limit, b in self.thresholds() if lot < limit)

    def thresholds(self) -> list[tuple[int, Behaviour]]:
        """The mix as rising limits: a lot below the first limit is the first behaviour, and so on."""
        total = sum(self.mix.values())
        limits: list[tuple[int, Behaviour]] = []
        so_far = 0.0
        for behaviour, share in self.mix.items():
            if share < 0 or behaviour is Behaviour.MIX:
                raise ValueError(f"the mix cannot hold {behaviour!r} with share {share}")
            so_far += share
            limits.append((round(DRAWS * so_far / total), behaviour))
        return limits


def draw(seed: int, purpose: str, e164: str) -> int:
    """A lot below `DRAWS`: the first four decimal digits in a hash. The dialplan counts the same way."""
    digest = md5(f"{seed}-{purpose}-{e164}".encode(), usedforsecurity=False).hexdigest()
    return int("".join(c for c in digest if c.isdigit())[:4])
