"""`dialer-admin simulate`: figures that can be checked by hand, the command, the picture."""

import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from dialerd.cli import picture, simulate
from dialerd.cli.main import cli
from dialerd.pacing.outlook import Curves, Point, curves, figures, quantile
from dialerd.pacing.scenario import Detection
from dialerd.pacing.scenario_text import read
from dialerd.pacing.shift import shift
from dialerd.pacing.simulator import Run, Slice

# One agent; everybody answers after 10 s and talks for 80, then 10 s of wrap-up: a round of 100 s, 12 in 20 minutes.
CLOCKWORK = """
name = "Clockwork"
[shift]
start = "09:00"
end = "09:20"
[[agents]]
count = 1
[answers]
rate = 1.0
fast_fail = 0
[ring]
mean_seconds = 10
variation = 0
[talk]
mean_seconds = 80
variation = 0
[wrap_up]
mean_seconds = 10
[pacing]
mode = "progressive"
"""


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["simulate", *map(str, arguments)])


@pytest.fixture
def clockwork(tmp_path: Path) -> Path:
    path = tmp_path / "clockwork.toml"
    path.write_text(CLOCKWORK)
    return path


def figures_of(text: str, shifts: int = 1) -> Any:
    scenario = read(text, "f")
    mode = scenario.pacing.mode
    return figures(scenario, mode, [shift(scenario, mode, seed) for seed in range(shifts)])


def test_one_agent_and_no_chance() -> None:
    f = figures_of(CLOCKWORK, shifts=2)
    assert (f.lines, f.live_answers, f.talks, f.peak_calls) == (12, 12, 12, 1)
    assert f.occupancy == pytest.approx(0.9)
    assert f.occupancy_p5 == pytest.approx(0.9)
    assert (f.abandonment, f.abandonment_p95, f.over_cap) == (0, 0, 0)
    assert f.live_answers_per_agent_hour == pytest.approx(36)
    assert f.talks_per_agent_hour == pytest.approx(36)
    assert f.calls_per_hour == pytest.approx(36)
    assert (f.contacts_left, f.used_up, f.used_up_at) == (None, 0, None)


def test_two_lines_for_one_agent_lose_every_second_answer() -> None:
    text = CLOCKWORK.replace('mode = "progressive"', 'mode = "power"\npacing_ratio = 2\nabandonment_cap = 1.0')
    f = figures_of(text)
    assert (f.lines, f.live_answers, f.talks, f.abandonment, f.peak_calls) == (24, 24, 12, 0.5, 2)
    assert f.live_answers_per_agent_hour == pytest.approx(72)
    assert f.talks_per_agent_hour == pytest.approx(36)


def test_the_list_ends_with_its_last_call() -> None:
    f = figures_of(CLOCKWORK + "[list]\ncontacts = 6\n")
    assert (f.lines, f.used_up, f.used_up_at, f.contacts_left) == (6, 1, "09:08", 0)  # the sixth leaves at 500 s
    f = figures_of(CLOCKWORK + "[list]\ncontacts = 20\n")
    assert (f.used_up, f.used_up_at, f.contacts_left) == (0, None, 8)


def test_who_never_answers_is_called_as_often_as_may_be() -> None:
    text = CLOCKWORK.replace("rate = 1.0", "rate = 0.0")
    f = figures_of(text + "[list]\ncontacts = 2\nattempts_per_contact = 3\nretry_minutes = 0\n")
    assert (f.lines, f.live_answers, f.abandonment, f.used_up_at) == (6, 0, None, "09:02")  # 30 s each
    f = figures_of(text + "[list]\ncontacts = 2\nattempts_per_contact = 3\nretry_minutes = 15\n")
    assert (f.lines, f.used_up, f.contacts_left) == (4, 0, 2)  # there is no time for a third round


def test_a_trunk_bounds_the_lines() -> None:
    many = CLOCKWORK.replace("count = 1", "count = 9")
    assert figures_of(many).peak_calls == 9
    assert figures_of(many + "[trunk]\nmax_calls = 4\n").peak_calls == 4
    slow = figures_of(many + "[trunk]\ncalls_per_second = 0.1\n")
    assert slow.lines == pytest.approx(108, abs=9)


def test_figures_over_shifts_are_of_all_of_them() -> None:
    scenario = read(CLOCKWORK, "f")
    runs = [Run([Slice(3600, 1800, 40, 10, 0)], 1200, 3), Run([Slice(3600, 3600, 60, 30, 2)], 1200, 5)]
    f = figures(scenario, "power", runs)
    assert (f.occupancy, f.abandonment, f.over_cap) == (0.75, 0.05, 0.5)
    assert f.occupancy_p5 == pytest.approx(0.525)
    assert f.abandonment_p95 == pytest.approx(0.0633, abs=1e-4)
    assert (f.lines, f.live_answers, f.talks, f.peak_calls, f.calls_per_hour) == (50, 20, 19, 5, 150)
    assert (f.live_answers_per_agent_hour, f.talks_per_agent_hour) == (20, 19)


def test_a_shift_in_which_nothing_happens_has_figures_too() -> None:
    f = figures(read(CLOCKWORK, "f"), "power", [Run([Slice()], 1200)])
    assert (f.occupancy, f.abandonment, f.abandonment_p95, f.live_answers_per_agent_hour) == (None, None, None, None)


def test_curves_are_by_slice_and_abandonment_since_the_start() -> None:
    scenario = read(CLOCKWORK.replace("09:20", "09:12"), "f")
    days = [[Slice(300, 150, 9, 0, 0), Slice(600, 600, 9, 10, 1), Slice(120, 0, 1, 10, 0)] for _ in range(3)]
    c = curves(scenario, [Run(day, 300) for day in days])
    assert c.occupancy == (Point(0.5, 0.5, 0.5), Point(1, 1, 1), Point(0, 0, 0))
    assert c.abandonment == (None, Point(0.1, 0.1, 0.1), Point(0.05, 0.05, 0.05))
    assert c.agents == (1, 2, 1)


def test_quantiles_lie_between_their_neighbours() -> None:
    assert [quantile([3.0, 1.0, 2.0], share) for share in (0, 0.25, 0.5, 1)] == [1, 1.5, 2, 3]
    assert quantile([7.0], 0.95) == 7


def test_the_same_seed_gives_the_same_figures_and_another_one_others(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text('[shift]\nend = "09:40"\n[[agents]]\ncount = 5\n[answers]\nrate = 0.3\n')
    outputs = [
        command(file, "--shifts", "2", "--json", "--seed", seed, "--jobs", jobs).output
        for seed, jobs in (("4", "1"), ("4", "1"), ("4", "2"), ("5", "1"))
    ]
    assert outputs[0] == outputs[1] == outputs[2]
    assert json.loads(outputs[0])["modes"] != json.loads(outputs[3])["modes"]


def test_the_table_and_the_document_say_the_same(clockwork: Path) -> None:
    shown = command(clockwork, "--shifts", "2")
    assert shown.exit_code == 0, shown.output
    rows = {line[:40].strip(): line[40:].strip() for line in shown.stdout.splitlines()}
    assert rows["Clockwork"] == "PROGRESSIVE"
    assert rows["agents' time in talk and wrap-up"] == "90.0 %"
    assert rows["abandoned, of live answers (cap 3.0 %)"] == "0.00 %"
    assert (rows["lines dialled"], rows["list used up"]) == ("12", "it has no end")
    assert "2 shifts" in shown.stderr
    document = json.loads(command(clockwork, "--shifts", "2", "--json").stdout)
    assert document["scenario"]["shift"] == {"start": "09:00", "end": "09:20"}
    assert document["seed"] == 1
    assert (document["modes"][0]["mode"], document["modes"][0]["lines"]) == ("progressive", 12)


def test_modes_side_by_side(clockwork: Path) -> None:
    document = json.loads(command(clockwork, "--shifts", "1", "--compare", "--json").stdout)
    assert [each["mode"] for each in document["modes"]] == ["progressive", "predictive", "power"]
    assert document["modes"][2]["lines"] > document["modes"][0]["lines"] == 12
    header = command(clockwork, "--shifts", "1", "--compare").stdout.splitlines()[0]
    assert header.split() == ["Clockwork", "PROGRESSIVE", "PREDICTIVE", "POWER"]
    other = json.loads(command(clockwork, "--shifts", "1", "--mode", "power", "--json").stdout)
    assert other["modes"] == [document["modes"][2]]


def test_the_example_parses_and_runs(tmp_path: Path) -> None:
    printed = command("--example")
    assert printed.stdout == Path("docs/simulate.toml").read_text(encoding="utf-8") == simulate.example()
    scenario = read(printed.stdout, "example")
    assert len(scenario.agents) == 2
    usual = re.sub(r"^# (?=\[machine|[a-z_]+ = )(?!shares|calls_per|max_calls)", "", printed.stdout, flags=re.MULTILINE)
    assert usual != printed.stdout
    said = read(usual, "all that is usual, said")
    assert said.machine_detection == Detection()
    assert said.model_copy(update={"machine_detection": None}) == scenario, "what it calls usual is"
    file = tmp_path / "example.toml"
    file.write_text(printed.stdout)
    result = command(file, "--shifts", "1", "--mode", "progressive", "--json")
    assert json.loads(result.stdout)["modes"][0]["lines"] > 5_000


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((), 2, "either a FILE or --like"),
        (("FILE", "--like", "x"), 2, "either a FILE or --like"),
        (("FILE", "--since", "7d"), 2, "belong to --like"),
        (("FILE", "--write", "x"), 2, "belong to --like"),
        (("FILE", "--mode", "power", "--compare"), 2, "either --mode or --compare"),
        (("FILE", "--mode", "preview"), 2, "preview"),
        (("FILE", "--shifts", "0"), 2, "0 is not in the range"),
        (("nothing.toml",), 2, "does not exist"),
        (("FILE", "--picture", "x.gif"), 1, "ends in .svg or .png"),
        (("FILE", "--picture", "nowhere/x.svg"), 1, "nowhere/x.svg: there is no folder nowhere"),
    ],
)
def test_wrong_use_is_named(clockwork: Path, arguments: tuple[str, ...], status: int, says: str) -> None:
    result = command(*(clockwork if each == "FILE" else each for each in arguments))
    assert result.exit_code == status
    assert says in result.stderr


def test_a_bad_file_is_named_with_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[[agents]]\ncount = 0\n[answers]\nrat = 1\n")
    result = command(file)
    assert result.exit_code == 1
    assert f"{file}: agents[1].count: expected a whole number" in result.stderr
    assert "answers.rat: unknown key; the nearest known is rate" in result.stderr
    file.write_bytes(b"name = '\xff'")
    assert "not UTF-8 at byte 8" in command(file).stderr
    file.write_bytes(b"#" * 1_000_001)
    assert "larger than" in command(file).stderr


def test_png_without_its_library_says_what_to_install(clockwork: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cairosvg", None)  # as if it were not there
    result = command(clockwork, "--picture", "x.png")
    assert result.exit_code == 1
    assert "pip install 'dialerd[png]'" in result.stderr


SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # noqa: S314 -- ours


def test_the_picture_is_well_formed_and_holds_the_cap(clockwork: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.svg"
    clockwork.write_text(CLOCKWORK.replace("Clockwork", "R&D <\\u0007> \\u202e"))
    result = command(clockwork, "--shifts", "3", "--picture", target)
    assert result.exit_code == 0, result.output
    root = parsed(target.read_text())
    assert root.findtext(f"{SVG}title") == "R&D <·> ·"
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert {"cap 3 %", "09:00", "09:10", "09:20", "100 %", "agents at work"} <= set(texts)
    assert "progressive, 3 simulated shifts, 09:00 to 09:20 local time" in texts
    cap = next(path for path in root.iter(f"{SVG}path") if path.get("id") == "cap")
    # Of 5 %, 180 pixels high and ending at 548, three fifths up.
    assert (cap.get("d"), cap.get("stroke-dasharray")) == ("M76.0,440.0H872.0", "8 5")
    assert "nan" not in target.read_text().lower()


def test_curves_with_gaps_and_single_points_are_drawn() -> None:
    scenario = read(CLOCKWORK, "f")
    point = Point(0.1, 0.2, 0.3)
    text = picture.svg(scenario, "power", Curves((point, None, point, point), (None,) * 4, (0, 1, 2.4, 1)), 1)
    root = parsed(text)
    assert len(list(root.iter(f"{SVG}circle"))) == 1
    assert "1 simulated shift," in text


@pytest.mark.parametrize("cap", ["0.0", "0.001", "0.05", "1.0"])
def test_the_cap_lies_within_the_picture_whatever_it_is(cap: str) -> None:
    scenario = read(CLOCKWORK + f"abandonment_cap = {cap}\n", "f")
    point = Point(0.0, 0.0, 0.4)
    root = parsed(
        picture.svg(scenario, "power", Curves((point,) * 4, (point,) * 4, (1.0,) * 4), 9)
    )  # fmt: skip
    line = next(path for path in root.iter(f"{SVG}path") if path.get("id") == "cap")
    y = float((line.get("d") or "").split(",")[1].split("H")[0])
    assert 368 <= y <= 548
