"""What reconcile is told of the live calls."""

from dialerd.core.attempt import Event, Facts, Kind
from dialerd.core.retry import History
from dialerd.engine.calls import Call, Calls
from tests.unit.test_conversations import ATTEMPT, NOW, campaign


def believed(at: float, *kinds: Kind) -> bool:
    calls = Calls(lambda *_: None)
    calls.add(Call(ATTEMPT, campaign(), 1, "+358401234567", History(1, {}), Facts(NOW), 100.0))
    for kind in kinds:
        calls.learn(ATTEMPT, Event(kind, NOW))
    return calls.believed(at, 15.0)[0].proved_alive


def test_an_originate_that_was_only_just_queued_proves_no_channel_yet() -> None:
    """Else a list that is asked for at that instant closes the attempt, and hangs up its channel when it comes."""
    assert not believed(100.1, Kind.SENT)
    assert believed(106.0, Kind.SENT)


def test_a_call_that_rang_has_a_channel_or_is_over() -> None:
    assert believed(100.1, Kind.SENT, Kind.RINGING)
    assert not believed(106.0, Kind.LINK_LOST)
