"""Asterisk's list and ours brought together: who is seen, who is gone, what nobody owns."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dialerd.core import ids
from dialerd.core.reconcile import Believed, Channel, plan

ONE, TWO, THREE = (f"0199a1b2-c3d4-7e5f-8a9b-{n:012x}" for n in (1, 2, 3))
LEG = ids.agent_leg(7, "01234567")


def channel(id_: str, state: str = "Up", account: str = ids.ACCOUNT) -> Channel:
    return Channel(id_, state, account, in_app=False)


def believed(attempt: str, age: float = 5.0, proved_alive: bool = True) -> Believed:
    return Believed(attempt, age, patience_seconds=45.0, proved_alive=proved_alive)


def test_an_attempt_with_a_channel_is_seen_in_its_state() -> None:
    result = plan([channel(ONE, "Ringing")], [believed(ONE)], {}, {ONE})
    assert (result.seen, result.gone, result.orphans) == ({ONE: "Ringing"}, (), ())


def test_an_attempt_that_was_proved_alive_and_has_no_channel_is_gone_at_once() -> None:
    assert plan([], [believed(ONE, age=0.1)], {}, {ONE}).gone == (ONE,)


def test_an_attempt_that_was_never_seen_is_gone_only_after_its_patience() -> None:
    young, old = believed(ONE, 45.0, proved_alive=False), believed(TWO, 45.1, proved_alive=False)
    assert plan([], [young, old], {}, {ONE, TWO}).gone == (TWO,)


def test_a_channel_of_ours_that_nobody_owns_is_an_orphan_with_its_far_half() -> None:
    channels = [channel(ONE), channel(f"{ONE};2"), channel(LEG)]
    assert plan(channels, [], {}, set()).orphans == (ONE, f"{ONE};2", LEG)


def test_what_was_dialled_while_the_list_was_on_its_way_is_no_orphan() -> None:
    result = plan([channel(ONE), channel(f"{ONE};2"), channel(LEG)], [], {}, {ONE, LEG})
    assert (result.seen, result.orphans) == ({}, ())


def test_an_admins_channels_are_never_touched_whatever_they_are_called() -> None:
    names = [ONE, f"{ONE};2", LEG, "1795171009.241", "dialerd-agent-8"]
    for account in ("", "office", "DIALERD", "dialerd2"):
        result = plan([channel(name, account=account) for name in names], [believed(TWO)], {}, set())
        assert (result.seen, result.orphans) == ({}, ())


def test_a_far_leg_that_asterisk_named_itself_is_left_to_end_with_the_near_one() -> None:
    assert plan([channel("1795171009.241")], [], {}, set()).orphans == ()


def test_a_leg_stands_or_is_lost_by_its_own_channel_only() -> None:
    other = ids.agent_leg(7, "89abcdef")
    assert plan([channel(LEG)], [], {7: LEG}, {LEG}).legs == {7: LEG}
    lost = plan([channel(other)], [], {7: LEG}, {LEG})
    assert (lost.legs, lost.lost_legs, lost.orphans) == ({}, (7,), (other,))


ATTEMPTS = st.sampled_from([f"0199a1b2-c3d4-7e5f-8a9b-{n:012x}" for n in range(8)])
LEGS = st.integers(1, 5).map(lambda n: ids.agent_leg(n, "01234567"))
STRANGERS = st.sampled_from(["1795171009.241", "sip-1", "dialerd-agent-x"])
CHANNELS = st.lists(
    st.builds(
        Channel,
        st.one_of(ATTEMPTS, ATTEMPTS.map(lambda a: f"{a};2"), LEGS, STRANGERS),
        st.sampled_from(["Down", "Ring", "Ringing", "Up"]),
        st.sampled_from([ids.ACCOUNT, ids.ACCOUNT, "", "office"]),
        st.booleans(),
    ),
    unique_by=lambda c: c.id,
)
BELIEVED = st.lists(
    st.builds(Believed, ATTEMPTS, st.floats(0, 100), st.floats(0, 100), st.booleans()), unique_by=lambda b: b.attempt
)


@given(CHANNELS, BELIEVED, st.dictionaries(st.integers(1, 5), LEGS), st.sets(ATTEMPTS))
def test_everything_of_ours_has_exactly_one_place(
    channels: list[Channel], attempts: list[Believed], legs: dict[int, str], dialled_meanwhile: set[str]
) -> None:
    owned = {b.attempt for b in attempts} | set(legs.values()) | dialled_meanwhile
    result = plan(channels, attempts, legs, owned)
    ours = {c.id for c in channels if c.account == ids.ACCOUNT}

    seen, gone, orphans = set(result.seen), set(result.gone), set(result.orphans)
    assert not seen & gone
    assert not orphans & (seen | gone | owned)
    for b in attempts:
        impatient = b.proved_alive or b.age_seconds > b.patience_seconds
        assert (b.attempt in seen) is (b.attempt in ours)
        assert (b.attempt in gone) is (b.attempt not in ours and impatient)
    for id_ in ours:
        named = ids.is_attempt(ids.attempt_of(id_)) or ids.agent_of(id_) is not None
        assert (id_ in orphans) is (named and ids.attempt_of(id_) not in owned)
    assert seen | gone <= {b.attempt for b in attempts}
    assert orphans <= ours
    assert set(result.legs) | set(result.lost_legs) == set(legs)
    assert not set(result.legs) & set(result.lost_legs)


@given(CHANNELS, BELIEVED)
def test_doing_it_a_second_time_finds_nothing_left_to_do(channels: list[Channel], attempts: list[Believed]) -> None:
    owned = {b.attempt for b in attempts}
    first = plan(channels, attempts, {}, owned)
    left = [c for c in channels if c.id not in first.orphans]
    alive = [replace(b, proved_alive=True) for b in attempts if b.attempt in first.seen]
    again = plan(left, alive, {}, {b.attempt for b in alive} | owned)
    assert (set(again.seen), again.gone, again.orphans) == (set(first.seen), (), ())
