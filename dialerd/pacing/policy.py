"""How many lines to start now, and why: a pure function of a snapshot, one per mode.

The daemon calls `decide` at every event that may change the answer (an agent gets free, a call ends, a campaign
starts) and once a second. Caps of campaign and trunk bound every mode; the claim checks them again (rule 3).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a campaign looks like at one instant.

    `ready`: agents who could take a call now. `lines`: calls of this campaign in progress that nobody has answered
    yet, and answered ones that wait for an agent. `shared_lines`: the same, of every campaign that these agents
    serve (this one included). `connected`: calls with an agent. `headroom`: how many more calls its trunk carries.
    """

    mode: str
    ready: int
    lines: int
    shared_lines: int
    connected: int
    max_concurrent_calls: int
    headroom: int


@dataclass(frozen=True, slots=True)
class Decision:
    """`lines` to start now (never negative), and the reason in words and figures."""

    lines: int
    reason: str


MODES = frozenset({"preview", "progressive"})  # what this version can run


def decide(snapshot: Snapshot) -> Decision:
    """The decision of the snapshot's mode, under the caps."""
    if snapshot.mode == "preview":
        return Decision(0, "preview: agents place these calls themselves")
    if snapshot.mode != "progressive":
        return Decision(0, f"mode {snapshot.mode} is not in this version: nothing is dialled")
    return _capped(_progressive(snapshot), snapshot)


def _progressive(s: Snapshot) -> Decision:
    """One line per free agent: an answer always finds one."""
    if s.ready == 0:
        return Decision(0, "no agent is ready")
    wanted = s.ready - s.shared_lines
    if wanted <= 0:
        return Decision(0, f"{s.ready} ready, {s.shared_lines} lines already out for them")
    return Decision(wanted, f"{s.ready} ready − {s.shared_lines} lines out = {wanted}")


def _capped(decision: Decision, s: Snapshot) -> Decision:
    room = max(0, s.max_concurrent_calls - s.lines - s.connected)
    if room < decision.lines and room <= s.headroom:
        return Decision(room, f"{decision.reason}; campaign cap of {s.max_concurrent_calls} leaves {room}")
    if s.headroom < decision.lines:
        return Decision(max(0, s.headroom), f"{decision.reason}; trunk leaves {max(0, s.headroom)}")
    return decision
