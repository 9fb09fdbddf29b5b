"""One shift of a scenario on the virtual clock, paced by the daemon's own code. The same seed gives the same shift."""

from math import inf

from dialerd.pacing import world
from dialerd.pacing.driver import Paced
from dialerd.pacing.scenario import Length, Mode, Scenario
from dialerd.pacing.simulator import Presence, Run, Simulation

_SHORT = 4 * 3600


def shift(scenario: Scenario, mode: Mode, seed: int) -> Run:
    """What happens from its start to its end."""
    pacing, trunk, contacts = scenario.pacing, scenario.trunk, scenario.list
    return Simulation(
        people(scenario),
        agents(scenario),
        Paced(mode, pacing.abandonment_cap, pacing.grace_seconds, pacing.pacing_ratio),
        seed,
        scenario.shift.seconds,
        slice_seconds(scenario),
        trunk.calls_per_second or inf,
        trunk.max_calls or inf,
        contacts.contacts or inf,
        contacts.attempts_per_contact,
        contacts.retry_minutes * 60,
    ).run()


def slice_seconds(scenario: Scenario) -> int:
    """How finely a shift is drawn: ten minutes, five of a short one."""
    return 300 if scenario.shift.seconds <= _SHORT else 600


def agents(scenario: Scenario) -> list[Presence]:
    """Each agent's day."""
    found: list[Presence] = []
    for group in scenario.agents:
        start, end = scenario.presence(group)
        found += [Presence(start, end, group.pause_share, group.pause_seconds)] * group.count
    return found


def people(scenario: Scenario) -> world.Campaign:
    """Those who are called."""
    answers, detection = scenario.answers, scenario.machine_detection
    return world.Campaign(
        chances=scenario.chances(),
        rings=_lengths(scenario.ring),
        talks=_lengths(scenario.talk),
        wrap_ups=_lengths(scenario.wrap_up),
        ring_timeout=scenario.ring.timeout_seconds,
        fast_fail=answers.fast_fail,
        fast_fail_seconds=answers.fast_fail_seconds,
        machines=answers.machines,
        detection=(detection.seconds, detection.wrong) if detection else None,
        patience_seconds=scenario.pacing.grace_seconds,
    )


def _lengths(length: Length) -> world.Length:
    if length.shares_seconds:
        return world.Shares(length.shares_seconds)
    return world.Lognormal(length.mean_seconds, length.variation)
