"""Who is where during a conversation: the person, the agent, and perhaps a third party; and the only steps between.

Pure. The engine asks `step` before it does anything with a call that its agent or a supervisor asks for: hold and back,
consult, send, park, the message on a machine, take-over, and all that is done with a third party. A call with a third
party goes through every step here (`engine.exchange`). Where there is none, what happens by itself is not asked whether
it may: a phone that dies, a parked person who is picked up, a wait that ends. Its steps are here for what follows.
`SCENES` says whom a party is with in each state: nobody who is in the call is ever alone in silence;
tests/property/test_incall.py proves it.
"""

from collections.abc import Mapping
from enum import StrEnum


class Party(StrEnum):
    """Who may be in a call. A colleague who is asked, or to whom a call goes, is a third party until it is theirs."""

    PERSON = "person"
    AGENT = "agent"
    THIRD = "third"


class Talk(StrEnum):
    """Where a conversation is, from the moment in which person and agent have met."""

    TALKING = "talking"
    ON_HOLD = "on_hold"
    RINGING = "ringing"  # a third party is called, for the agent to ask
    CONSULTING = "consulting"  # agent and third party talk, the person waits
    THREE_WAY = "three_way"
    SENT = "sent"  # a third party is called, for the person; the agent is out
    TOGETHER = "together"  # person and third party talk; the agent is out
    PARKED = "parked"  # until somebody picks the person up
    WAITING = "waiting"  # for the next agent, as a caller does
    MESSAGE = "message"  # a message is played to what answered, or to whoever nobody came for; then it ends
    OVER = "over"


class Do(StrEnum):
    """What may happen."""

    HOLD = "hold"
    RESUME = "resume"
    CONSULT = "consult"
    SEND = "send"
    PARK = "park"
    ANSWER = "answer"  # the third party
    THIRD_GONE = "third_gone"  # refused, no answer in time, hung up
    CANCEL = "cancel"  # the agent goes back to the person
    CONFER = "confer"
    COMPLETE = "complete"
    LEAVE_MESSAGE = "leave_message"
    TAKE_OVER = "take_over"  # a supervisor is the agent now
    AGENT_GONE = "agent_gone"
    PICK_UP = "pick_up"
    LIMIT = "limit"  # the time of a wait is over
    PERSON_GONE = "person_gone"


T, D = Talk, Do
TRANSITIONS: dict[tuple[Talk, Do], Talk] = {
    (T.TALKING, D.HOLD): T.ON_HOLD,
    (T.ON_HOLD, D.RESUME): T.TALKING,
    **{
        (state, do): after
        for state in (T.TALKING, T.ON_HOLD)
        for do, after in (
            (D.CONSULT, T.RINGING), (D.SEND, T.SENT), (D.PARK, T.PARKED), (D.LEAVE_MESSAGE, T.MESSAGE),
            (D.TAKE_OVER, T.TALKING), (D.AGENT_GONE, T.WAITING),
        )
    },
    **{
        (state, do): after
        for state in (T.RINGING, T.CONSULTING)
        for do, after in (
            (D.THIRD_GONE, T.TALKING), (D.CANCEL, T.TALKING), (D.TAKE_OVER, T.TALKING), (D.AGENT_GONE, T.WAITING),
        )
    },
    (T.RINGING, D.ANSWER): T.CONSULTING,
    (T.RINGING, D.COMPLETE): T.SENT,
    (T.CONSULTING, D.CONFER): T.THREE_WAY,
    (T.CONSULTING, D.COMPLETE): T.TOGETHER,
    (T.THREE_WAY, D.COMPLETE): T.TOGETHER,
    (T.THREE_WAY, D.AGENT_GONE): T.TOGETHER,
    (T.THREE_WAY, D.THIRD_GONE): T.TALKING,
    (T.THREE_WAY, D.CANCEL): T.TALKING,
    (T.THREE_WAY, D.TAKE_OVER): T.TALKING,
    (T.SENT, D.ANSWER): T.TOGETHER,
    (T.SENT, D.THIRD_GONE): T.WAITING,
    (T.TOGETHER, D.THIRD_GONE): T.OVER,
    (T.PARKED, D.PICK_UP): T.TALKING,
    (T.PARKED, D.LIMIT): T.WAITING,
    (T.WAITING, D.PICK_UP): T.TALKING,
    (T.WAITING, D.LIMIT): T.MESSAGE,
    **{(state, D.PERSON_GONE): T.OVER for state in T if state is not T.OVER},
}  # fmt: skip

P = Party
_BOTH, _ALL = frozenset({P.PERSON, P.AGENT}), frozenset(P)
# State → its rooms: who is in it, and what is played to them.
SCENES: Mapping[Talk, tuple[tuple[frozenset[Party], str], ...]] = {
    T.TALKING: ((_BOTH, ""),),
    T.ON_HOLD: ((frozenset({P.PERSON}), "music"), (frozenset({P.AGENT}), "the agent's own choice")),
    T.RINGING: ((frozenset({P.PERSON}), "music"), (frozenset({P.AGENT}), "ringing")),
    T.CONSULTING: ((frozenset({P.PERSON}), "music"), (frozenset({P.AGENT, P.THIRD}), "")),
    T.THREE_WAY: ((_ALL, ""),),
    T.SENT: ((frozenset({P.PERSON}), "music"),),
    T.TOGETHER: ((frozenset({P.PERSON, P.THIRD}), ""),),
    T.PARKED: ((frozenset({P.PERSON}), "music"),),
    T.WAITING: ((frozenset({P.PERSON}), "music"),),
    T.MESSAGE: ((frozenset({P.PERSON}), "message"),),
    T.OVER: (),
}


class IllegalStep(ValueError):
    """This cannot be done now. The message says which state forbids it."""

    def __init__(self, state: Talk, do: Do) -> None:
        super().__init__(f"a call that is {state.replace('_', ' ')} allows no {do.replace('_', ' ')}")
        self.state = state
        self.do = do


def step(state: Talk, do: Do) -> Talk:
    """The next state, or `IllegalStep`."""
    try:
        return TRANSITIONS[state, do]
    except KeyError:
        raise IllegalStep(state, do) from None
