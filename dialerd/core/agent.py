"""An agent's states and the only steps between them."""

from enum import StrEnum


class AgentState(StrEnum):
    """Where an agent is in the working day."""

    OFFLINE = "offline"
    CONNECTING = "connecting"  # the phone is being called
    READY = "ready"
    RESERVED = "reserved"  # an answered call is being joined to this agent
    ON_CALL = "on_call"
    WRAP_UP = "wrap_up"
    PAUSED = "paused"


class Do(StrEnum):
    """What may happen to an agent."""

    CONNECT = "connect"  # asked for a call to the phone
    LEG_UP = "leg_up"  # the phone answered and stands in the agent's bridge
    LEG_DOWN = "leg_down"  # the phone is gone
    RESERVE = "reserve"
    RELEASE = "release"  # the reserved call went away before it was joined
    JOIN = "join"
    CALL_ENDED = "call_ended"
    READY = "ready"  # the agent, or the wrap-up limit, says so
    PAUSE = "pause"


S, D = AgentState, Do
TRANSITIONS: dict[tuple[AgentState, Do], AgentState] = {
    (S.OFFLINE, D.CONNECT): S.CONNECTING,
    (S.CONNECTING, D.LEG_UP): S.READY,
    (S.READY, D.RESERVE): S.RESERVED,
    (S.RESERVED, D.RELEASE): S.READY,
    (S.RESERVED, D.JOIN): S.ON_CALL,
    (S.ON_CALL, D.CALL_ENDED): S.WRAP_UP,
    (S.WRAP_UP, D.READY): S.READY,
    (S.PAUSED, D.READY): S.READY,
    (S.READY, D.PAUSE): S.PAUSED,
    (S.WRAP_UP, D.PAUSE): S.PAUSED,
    **{(state, D.LEG_DOWN): S.OFFLINE for state in S},
}

WORKING = frozenset({S.ON_CALL, S.WRAP_UP})  # what occupancy counts
LOGGED_IN = frozenset(S) - {S.OFFLINE, S.CONNECTING}
IN_CALL = frozenset({S.RESERVED, S.ON_CALL})


class IllegalStep(ValueError):
    """An agent cannot do this now. The message says which state forbids it."""

    def __init__(self, state: AgentState, do: Do) -> None:
        super().__init__(f"an agent who is {state} cannot {do}")
        self.state = state
        self.do = do


def step(state: AgentState, do: Do) -> AgentState:
    """The next state, or `IllegalStep`."""
    try:
        return TRANSITIONS[state, do]
    except KeyError:
        raise IllegalStep(state, do) from None
