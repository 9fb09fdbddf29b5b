"""The picture of a simulation: agents' time and abandoned calls over the shift, one above the other, as SVG or PNG.

Colours are of Okabe and Ito's set, which colour-blind people tell apart; nothing is told by colour alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from dialerd.core import words
from dialerd.pacing.outlook import Curves, Point
from dialerd.pacing.scenario import Scenario, clock
from dialerd.pacing.shift import slice_seconds
from dialerd.store.errors import Refused

_LEFT, _RIGHT = 76.0, 872.0  # where the panels begin and end
_AGENTS_UP_TO = 0.5  # of the panel: below where occupancy is seen
_SCALE = 2.0  # of PNG, for screens that show more than one dot a pixel
_STEPS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


class PictureRefused(Refused):
    """A picture of this kind cannot be drawn here; the text says what to do."""


def check(path: Path) -> None:
    """Raises `PictureRefused` unless a picture of that name can be drawn."""
    kind = path.suffix.lower()
    if kind not in (".svg", ".png"):
        raise PictureRefused(f"{path}: a picture's name ends in .svg or .png")
    if not path.parent.is_dir():
        raise PictureRefused(f"{path}: there is no folder {path.parent}")
    if kind == ".png":
        try:
            import_module("cairosvg")
        except (ImportError, OSError) as error:  # itself, or the C library that it stands on
            raise PictureRefused(
                f"{path}: PNG needs CairoSVG, which is not there ({str(error)[:60]}): pip install 'dialerd[png]' and "
                "libcairo2, or name a .svg"
            ) from None


def draw(path: Path, scenario: Scenario, mode: str, curves: Curves, shifts: int) -> None:
    """Writes the picture; an older one of that name is replaced. Raises `PictureRefused`, OSError."""
    check(path)
    text = svg(scenario, mode, curves, shifts)
    if path.suffix.lower() == ".svg":
        path.write_text(text, encoding="utf-8")
        return
    path.write_bytes(import_module("cairosvg").svg2png(bytestring=text.encode(), scale=_SCALE))


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the two: where it is, up to which value it goes, and what is drawn in it."""

    title: str
    top: float
    bottom: float
    highest: float
    step: float
    bands: Sequence[str]
    lines: Sequence[str]
    dots: Sequence[tuple[float, float]]

    def y(self, value: float) -> float:
        """Where a value is."""
        return _height(self.top, self.bottom, self.highest, value)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """(place, label) of each line across."""
        count = round(self.highest / self.step)
        digits = 1 if self.step < 0.01 else 0
        return [(self.y(n * self.step), f"{n * self.step * 100:.{digits}f} %") for n in range(count + 1)]


def svg(scenario: Scenario, mode: str, curves: Curves, shifts: int) -> str:
    """The picture as a document."""
    width, seconds = slice_seconds(scenario), scenario.shift.seconds
    ends = [min(seconds, (n + 1) * width) for n in range(len(curves.agents))]
    middles = [(n * width + end) / 2 for n, end in enumerate(ends)]
    cap = scenario.pacing.abandonment_cap
    time = _Time(seconds)
    busy = _panel("agents' time in talk and wrap-up", 96, 316, 1.0, 0.2, time, middles, curves.occupancy)
    highest, step = _scale(cap, curves.abandonment)
    lost = _panel("abandoned of live answers since the start", 368, 548, highest, step, time, ends, curves.abandonment)
    most = max(1, *(round(agents) for agents in curves.agents))
    return _template().render(
        name=words.plain(scenario.name),
        about=f"{mode}, {shifts} simulated {'shift' if shifts == 1 else 'shifts'}, "
        f"{clock(scenario.shift.start)} to {clock(scenario.shift.end)} local time",
        panels=(busy, lost),
        busy=busy,
        lost=lost,
        left=_LEFT,
        right=_RIGHT,
        cap=cap,
        cap_words=f"cap {cap * 100:g} %",
        hours=time.ticks(scenario.shift.start),
        agents=_steps(busy, time, ends, curves.agents, most),
        agents_most=most,
        agents_up_to=_AGENTS_UP_TO,
    )


@cache
def _template() -> Template:
    loader = PackageLoader("dialerd.cli")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("simulation.svg")


class _Time:
    """The axis that both panels share."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def x(self, second: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * second / self._seconds, 1)

    def ticks(self, start: int) -> list[tuple[float, str]]:
        """(place, label) at full hours, or what is fine enough; `start`: minute of the day."""
        minutes = self._seconds / 60
        step = next((step for step in (5, 15, 30, 60) if minutes / step <= 12), 120)
        first = -(-start // step) * step
        return [(self.x((at - start) * 60), clock(at)) for at in range(first, int(start + minutes) + 1, step)]


def _panel(
    title: str, top: float, bottom: float, highest: float, step: float, time: _Time,
    seconds: Sequence[float], points: Sequence[Point | None],
) -> Panel:  # fmt: skip
    bands, lines, dots = [], [], []

    def at(second: float, value: float) -> tuple[float, float]:
        return time.x(second), round(_height(top, bottom, highest, min(value, highest * 1.2)), 1)

    for known, run in groupby(zip(seconds, points, strict=True), key=lambda pair: pair[1] is not None):
        if not known:
            continue
        here = [(second, point) for second, point in run if point is not None]
        there = [at(second, point.high) for second, point in here]
        back = [at(second, point.low) for second, point in reversed(here)]
        middle = [at(second, point.middle) for second, point in here]
        bands.append(_path((*there, *back)))
        lines.append(_path(middle))
        if len(middle) == 1:
            dots.append(middle[0])
    return Panel(title, top, bottom, highest, step, bands, lines, dots)


def _steps(panel: Panel, time: _Time, ends: Sequence[float], agents: Sequence[float], most: int) -> str:
    """How many are at work, as steps from the panel's floor."""
    corners: list[tuple[float, float]] = [(time.x(0), panel.bottom)]
    start = 0.0
    for end, count in zip(ends, agents, strict=True):
        y = round(panel.y(_AGENTS_UP_TO * panel.highest * count / most), 1)
        corners += [(time.x(start), y), (time.x(end), y)]
        start = end
    return _path((*corners, (time.x(start), panel.bottom)))


def _scale(cap: float, points: Sequence[Point | None]) -> tuple[float, float]:
    """(highest value, distance of the lines): room for the cap and for what is seen after the first eighth; before
    that a single call is a large share."""
    later = [point.high for point in points[len(points) // 8 :] if point is not None]
    wanted = min(1.0, max(0.01, cap * 1.5, *later, 0.0))
    step = next((step for step in _STEPS if wanted / step <= 6), 0.2)
    return round(-(-wanted // step) * step, 6), step


def _height(top: float, bottom: float, highest: float, value: float) -> float:
    return bottom - (bottom - top) * value / highest


def _path(corners: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in corners)
