"""Whether the nodes of a flow hang together: every way leads somewhere, every node is reached, no circle goes round by
itself."""

from collections.abc import Iterator

from dialerd.core.flow import Flow, FlowRefused, Menu, Node, Problem, parse, targets


def read(text: str, name: str, where: str) -> Flow:
    """A flow that may run, as far as its own file says; `where` names the file. Raises `FlowRefused`."""
    flow = parse(text, name, where)
    if problems := check(flow):
        raise FlowRefused(where, problems)
    return flow


def check(flow: Flow) -> list[Problem]:
    """Everything that is wrong with how the nodes hang together."""
    return [*_unknown(flow), *_unreachable(flow), *_loops(flow), *_wordless(flow)]


def _unknown(flow: Flow) -> Iterator[Problem]:
    for name, node in flow.nodes.items():
        for way, target in targets(node).items():
            if target not in flow.nodes and not (way == "invalid" and isinstance(node, Menu) and node.invalid is None):
                yield Problem(name, f"{way} leads to {target!r}: there is no such node; write [nodes.{target}]")


def _unreachable(flow: Flow) -> Iterator[Problem]:
    reached, ahead = {flow.start}, [flow.start]
    while ahead:
        for target in targets(flow.nodes[ahead.pop()]).values():
            if target in flow.nodes and target not in reached:
                reached.add(target)
                ahead.append(target)
    for name in flow.nodes:
        if name not in reached:
            yield Problem(name, f"nothing leads here from {flow.start!r}: lead to it, or remove it")


def _by_itself(node: Node) -> set[str]:
    """Where a node leads a caller who presses nothing."""
    return {to for way, to in targets(node).items() if not isinstance(node, Menu) or way == "timeout"}


def _loops(flow: Flow) -> Iterator[Problem]:
    """Circles that a caller who presses nothing goes round for ever; each told once, at its first node in the file."""
    told: set[str] = set()
    for name in flow.nodes:
        if name not in told and (circle := _circle(flow, name)):
            told.update(circle)
            way = " → ".join([*circle, name])
            yield Problem(name, f"goes round without a key being pressed: {way}; let one of them lead elsewhere")


def _circle(flow: Flow, start: str) -> list[str]:
    """A way from a node back to itself, without its end; empty when there is none."""
    came_from: dict[str, str] = {}
    ahead = [start]
    while ahead:
        name = ahead.pop()
        for target in sorted(_by_itself(flow.nodes[name])):
            if target == start:
                way = [name]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if target in flow.nodes and target not in came_from:
                came_from[target] = name
                ahead.append(target)
    return []


def _wordless(flow: Flow) -> Iterator[Problem]:
    for prompt, name in flow.prompts().items():
        if prompt.text and not prompt.language:
            yield Problem(
                name, f'the text {prompt.text[:30]!r} has no language: write language = "…" at the file\'s top'
            )
