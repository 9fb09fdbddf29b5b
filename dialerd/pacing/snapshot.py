"""What pacing looks at, and what it answers."""

from dataclasses import dataclass

from dialerd.pacing.budget import Budget

Line = tuple[float, float]  # seconds since it was started, and the chance that it had then of being answered


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a campaign looks like at one instant.

    `ready`: agents who could take a call now; `talking`, `wrapping_up`: of each other agent of its queue, the seconds
    since that began. `ringing`: lines that nobody has answered yet, `waiting`: answered calls that nobody has taken
    yet; both of every campaign that these agents serve. `lines`: both together, of this campaign alone; `connected`:
    its calls with an agent. `headroom`: how many more calls trunk and tenant carry. `pacing_ratio`: lines per agent, as
    the mode means it. `serial_wait`: None, or seconds until the next call of a campaign that dials one at a time may
    start. `budget`: None, when it could not be read. `broadcast`: people hear a message, and no agent is wanted.
    """

    mode: str
    ready: int
    lines: int
    connected: int
    max_concurrent_calls: int
    headroom: int
    waiting: int = 0
    ringing: tuple[Line, ...] = ()
    talking: tuple[float, ...] = ()
    wrapping_up: tuple[float, ...] = ()
    pacing_ratio: float = 1.0
    budget: Budget | None = None
    serial_wait: float | None = None
    broadcast: bool = False

    @property
    def shared_lines(self) -> int:
        """Lines out for these agents, whosever they are."""
        return len(self.ringing) + self.waiting

    @property
    def agents(self) -> int:
        """Agents at work: free, talking, or in wrap-up."""
        return self.ready + len(self.talking) + len(self.wrapping_up)


@dataclass(frozen=True, slots=True)
class Decision:
    """`lines` to start now (never negative), and the reason in words and figures."""

    lines: int
    reason: str
