"""How many lines to start now, and why: a pure function of a snapshot, one per mode.

The daemon calls `decide` at every event that may change the answer (an agent gets free, a call ends, a campaign
starts) and a few times a second. Caps of campaign and trunk bound every mode; the claim checks them again (rule 3).
What is absurd or missing in a snapshot leads to fewer lines, never to more.
"""

from math import isfinite

from dialerd.pacing.curves import Model
from dialerd.pacing.predictive import lines_within_risk
from dialerd.pacing.snapshot import Decision, Snapshot

MODES = frozenset({"preview", "progressive", "predictive", "power"})
_MOST_LINES_PER_AGENT = 10.0


def decide(s: Snapshot, model: Model | None = None) -> Decision:
    """The decision of the snapshot's mode, under the caps. `model`: what the campaign has learned; None: too little."""
    if s.mode == "preview":
        return Decision(0, "preview: agents place these calls themselves")
    if s.mode not in MODES:
        return Decision(0, f"there is no mode {s.mode!r}: nothing is dialled")
    if _absurd(s):
        return Decision(0, "the snapshot is absurd: nothing is dialled")
    if s.mode == "power":
        wanted = _power(s)
    elif s.mode == "predictive":
        wanted = _predictive(s, model)
    else:
        wanted = _progressive(s)
    return _one_at_a_time(_capped(wanted, s), s)


def _absurd(s: Snapshot) -> bool:
    """Numbers that no campaign can have."""
    ages = [0.0, *s.talking, *s.wrapping_up, *[age for age, _ in s.ringing]]
    chances = [0.0, *[chance for _, chance in s.ringing]]
    fewest = min(s.ready, s.lines, s.connected, s.waiting)
    lowest = min(s.pacing_ratio, min(ages), min(chances))
    # A sum is finite only if all of it is, and not a number if any of it is not.
    finite = isfinite(sum(ages, 0.0) + sum(chances, 0.0) + s.pacing_ratio)
    return not (fewest >= 0 and lowest >= 0 and max(chances) <= 1 and finite)


def _progressive(s: Snapshot) -> Decision:
    """One line per free agent: an answer always finds one."""
    if s.ready == 0:
        return Decision(0, "no agent is ready")
    wanted = s.ready - s.shared_lines
    if wanted <= 0:
        return Decision(0, f"{s.ready} ready, {s.shared_lines} lines already out for them")
    return Decision(wanted, f"{s.ready} ready − {s.shared_lines} lines out = {wanted}")


def _cautious(s: Snapshot, why: str) -> Decision:
    one_each = _progressive(s)
    return Decision(one_each.lines, f"{why}; one line per free agent: {one_each.reason}")


def _power(s: Snapshot) -> Decision:
    """A fixed number of lines for each free agent, as long as the abandoned calls are within the budget; a broadcast
    fills its channels."""
    if s.broadcast:
        wanted = max(0, s.max_concurrent_calls - s.lines - s.connected)
        return Decision(
            wanted, f"broadcast: {s.max_concurrent_calls} channels − {s.lines + s.connected} in use = {wanted}"
        )
    if s.agents == 0:
        return Decision(0, "no agent is at work")
    if (why := _no_budget(s)) is not None:
        return _cautious(s, why)
    ratio = max(1.0, min(_MOST_LINES_PER_AGENT, s.pacing_ratio))
    wanted = max(0, int(ratio * s.ready) - s.shared_lines)
    return Decision(wanted, f"{s.ready} ready × {ratio:g} − {s.shared_lines} lines out = {wanted}")


def _predictive(s: Snapshot, model: Model | None) -> Decision:
    """As many lines as the risk allows that the budget affords; never fewer than one for each free agent."""
    if s.agents == 0:
        return Decision(0, "no agent is at work")
    if s.agents == 1:
        return _cautious(s, "a single agent")
    if model is None:
        return _cautious(s, "too few calls to predict from")
    if (why := _no_budget(s)) is not None or s.budget is None:
        return _cautious(s, why or "")
    risk = s.budget.risk(s.agents)
    most = max(0, int(s.pacing_ratio * s.agents) - s.shared_lines)
    wanted, last = lines_within_risk(s, model, risk, most)
    wanted = max(wanted, min(most, s.ready - s.shared_lines))
    out = f"{s.ready} ready, {len(s.talking)} talking, {len(s.wrapping_up)} in wrap-up, {s.shared_lines} lines out"
    bound = f"; {s.pacing_ratio:g} lines per agent allow {most}" if wanted == most else ""
    chance = f"answer chance {model.curves.chance:.1%}"
    return Decision(wanted, f"{out}; {chance}, risk {last:.2%} of {risk:.2%} allowed{bound} → {wanted}")


def _no_budget(s: Snapshot) -> str | None:
    """Why no line may be risked, or None."""
    if s.budget is None or not s.budget.windows:
        return "the count of abandoned calls could not be read"
    if s.budget.spent(s.agents):
        lost = max(window.lost for window in s.budget.windows)
        taken = f", with up to {lost:.1f} persons who were taken for machines" if lost else ""
        return f"the budget of {s.budget.cap:.1%} abandoned calls is spent ({s.budget.left:+.1f} calls{taken})"
    return None


def _capped(decision: Decision, s: Snapshot) -> Decision:
    room = max(0, s.max_concurrent_calls - s.lines - s.connected)
    if room < decision.lines and room <= s.headroom:
        return Decision(room, f"{decision.reason}; campaign cap of {s.max_concurrent_calls} leaves {room}")
    if s.headroom < decision.lines:
        return Decision(max(0, s.headroom), f"{decision.reason}; trunk and tenant leave {max(0, s.headroom)}")
    return decision


def _one_at_a_time(decision: Decision, s: Snapshot) -> Decision:
    if s.serial_wait is None or decision.lines == 0:
        return decision
    if s.lines + s.connected > 0:
        return Decision(0, f"{decision.reason}; one call at a time: one is in progress")
    if s.serial_wait > 0:
        return Decision(0, f"{decision.reason}; one call at a time: the next one in {s.serial_wait:.1f} s")
    return Decision(1, f"{decision.reason}; one call at a time")
