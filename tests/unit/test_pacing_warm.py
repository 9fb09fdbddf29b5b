"""A learner that is taught from the record knows what one knew that was there all the time."""

from datetime import UTC, datetime, timedelta
from random import Random

from dialerd.pacing.learner import Learner
from dialerd.pacing.warm import Past, teach

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_what_was_taught_is_what_would_have_been_learned() -> None:
    lots, told, past = Random(5), [], []
    for n in range(400):
        at, ring = 20.0 * n, lots.uniform(3, 25)
        answered = n % 4 == 0
        talk, wrap = (lots.uniform(20, 300), 15.0) if answered else (None, None)
        told.append((at + ring, "line", ring, answered))
        if talk is not None and wrap is not None:
            told.append((at + ring + talk, "talk", talk, True))
            told.append((at + ring + talk + wrap, "wrap_up", wrap, True))
        past.append(Past(NOW + timedelta(seconds=at), 10_000.0 - at - ring, ring, answered, 3, talk, wrap))
    there = Learner()
    for at, what, seconds, answered in sorted(told):
        if what == "line":
            there.line_ended(at, seconds, answered, 3)
        elif what == "talk":
            there.talk_ended(at, seconds)
        else:
            there.wrap_up_ended(at, seconds)
    taught = Learner()
    teach(taught, past, 10_000.0)
    assert taught.knows_enough(10)
    assert taught.curves(3) == there.curves(3)


def test_the_segment_is_the_callers_to_name() -> None:
    past = [Past(NOW + timedelta(hours=n % 2), 100.0, 5.0, n % 2 == 0, 9) for n in range(200)]
    learner = Learner()
    teach(learner, past, 0.0, lambda each: (each.list_id, each.started_at.hour))
    assert learner.chances.of((9, 12)) > 1.5 * learner.chances.of((9, 13))


def test_nothing_is_taught_of_the_future() -> None:
    """The clocks of database and daemon differ a little."""
    learner = Learner()
    teach(learner, [Past(NOW, 1.0, 5.0, True, None, 90.0, 15.0)], 50.0)
    learner.line_ended(50.0, 3.0, False)
    assert (learner.answers, learner.talks) == (1, 1)
