"""The list of a simulated campaign: who may be called, who comes again, when nobody is left."""

from math import inf

from dialerd.pacing.calllist import CallList


def test_each_contact_is_called_once() -> None:
    contacts = CallList(2)
    assert contacts.room(0.0) == 2
    contacts.take(1)
    contacts.take(2)
    assert (contacts.room(0.0), contacts.left, contacts.used_up) == (0, 0, True)
    contacts.line_ended(10.0, 1, answered=False)
    assert contacts.used_up


def test_who_does_not_answer_comes_again_after_the_pause_and_first() -> None:
    contacts = CallList(2, attempts=2, pause=60.0)
    contacts.take(1)
    contacts.line_ended(10.0, 1, answered=False)
    assert (contacts.room(69.9), contacts.left) == (1, 2)
    assert contacts.room(70.0) == 2
    contacts.take(2)  # the one who is due
    contacts.line_ended(80.0, 2, answered=False)  # for the second time: over
    assert contacts.left == 1
    contacts.take(3)
    assert not contacts.used_up, "the contact of line 3 may come again"
    contacts.line_ended(90.0, 3, answered=True)
    assert contacts.used_up


def test_a_list_without_end_keeps_no_record() -> None:
    contacts = CallList(inf, attempts=5)
    for line in range(1000):
        contacts.take(line)
        contacts.line_ended(float(line), line, answered=False)
    assert (contacts.room(2000.0), contacts.used_up) == (inf, False)
