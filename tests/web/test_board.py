"""The terminal board and `dialer-admin status`, the latter against a real server."""

import asyncio
import io
import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr
from rich.console import Console

from dialerd.cli import board
from dialerd.cli import status as cli
from dialerd.config import Ami, Ari, Config, Web
from dialerd.core.status import LiveEvent, Status, to_json
from dialerd.core.words import budget_level, elapsed
from dialerd.web.app import create_app
from dialerd.web.server import serve
from tests.web.engine import BUSY_DAY, TOKEN, FakeEngine, ago, links


def text_of(status: Status, width: int = 110) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(board.render(to_json(status), width))
    return console.export_text()


def config(port: int, token: str = TOKEN) -> Config:
    secret = SecretStr("unused-secret")
    return Config(ami=Ami(secret=secret), ari=Ari(password=secret), web=Web(port=port, token=SecretStr(token)))


async def invoke(port: int, *args: str, token: str = TOKEN) -> Result:
    return await asyncio.to_thread(
        CliRunner().invoke, cli.status, args, obj=SimpleNamespace(config=config(port, token))
    )


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_board_fits_its_terminal_and_says_everything(width: int) -> None:
    shown = text_of(BUSY_DAY, width)
    assert max(len(line) for line in shown.splitlines()) <= width
    for word in (
        "Dialing",
        "talking",
        "carmen",
        "2.4 %",
        "35.2 %",
        "6 ms",
        "2 lines:",
        "24.1 %",
        "12 of 431",
        "itsp-main",
        "postgres",
    ):
        assert word in shown


def test_an_empty_installation_is_shown_with_what_to_do_next() -> None:
    shown = text_of(replace(BUSY_DAY, campaigns=(), agents=(), trunks=(), calls_by_state={}))
    assert "dialer-admin campaign create" in shown
    assert "dialer-admin agent add" in shown


def test_a_link_that_is_down_is_on_the_board_with_its_reason() -> None:
    shown = text_of(replace(BUSY_DAY, links=links(ami="down"), dialing_allowed=False, dialing_reason="ami_down"))
    assert "Not dialing: ami down" in shown
    assert "down for 42s: connection refused" in shown


def test_hostile_names_cannot_steer_the_terminal() -> None:
    evil = "[bold red]x[/]\x1b]0;owned\x07\n\x9b2J"
    shown = text_of(
        replace(
            BUSY_DAY,
            node=evil,
            campaigns=(replace(BUSY_DAY.campaigns[0], name=evil, queue_name=evil),),
            agents=(replace(BUSY_DAY.agents[0], name=evil, state=evil),),
        )
    )
    assert not any(c in shown for c in "\x1b\x07\x9b")
    assert "[bold red]x[/]" in shown


def test_the_budget_colours_begin_at_two_thirds_and_above_the_budget() -> None:
    assert [budget_level(r, 0.03) for r in (None, 0.0, 0.02, 0.021, 0.03, 0.0301)] == [
        "none", "good", "good", "near", "near", "over",
    ]  # fmt: skip


def test_durations_are_short() -> None:
    now = to_json(BUSY_DAY.at)
    for delta, words in (
        ({"seconds": 7}, "7s"),
        ({"seconds": 245}, "4:05"),
        ({"hours": 3, "minutes": 2}, "3h 02m"),
        ({"days": 2, "hours": 4}, "2d 4h"),
        ({"seconds": -5}, "0s"),
    ):
        assert elapsed(to_json(ago(**delta)), now) == words
    assert elapsed("", now) == ""


async def test_status_shows_the_board_and_its_exit_status_tells_whether_all_links_are_up() -> None:
    engine = FakeEngine()
    async with serve(create_app(engine, TOKEN), "127.0.0.1", 0) as port:
        good = await invoke(port)
        assert (good.exit_code, "Spring renewals" in good.stdout) == (0, True)
        engine.current = replace(BUSY_DAY, links=links(redis="down"))
        assert (await invoke(port)).exit_code == 1


async def test_status_as_json_is_the_daemons_status_and_nothing_else_on_stdout() -> None:
    async with serve(create_app(FakeEngine(), TOKEN), "127.0.0.1", 0) as port:
        result = await invoke(port, "--json")
    assert json.loads(result.stdout)["node"] == "pbx-helsinki-1"


async def test_a_wrong_token_and_an_absent_daemon_have_their_own_exit_status() -> None:
    async with serve(create_app(FakeEngine(), TOKEN), "127.0.0.1", 0) as port:
        refused = await invoke(port, token="x" * 20)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "refuses the token" in refused.stderr
        assert "x" * 20 not in refused.stderr
    absent = await invoke(port, "--watch")
    assert absent.exit_code == 4
    assert "Is dialerd running?" in absent.stderr


async def test_a_server_that_is_no_dialerd_is_told() -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    async with server:
        result = await invoke(server.sockets[0].getsockname()[1])
    assert result.exit_code == 4
    assert "not dialerd's status" in result.stderr


WATCH = """
import sys
from types import SimpleNamespace
from dialerd.cli.status import status
from tests.web.test_board import config
status(sys.argv[2:], obj=SimpleNamespace(config=config(int(sys.argv[1]))))
"""


async def test_watch_follows_the_figures_line_by_line_over_a_restart_of_the_daemon() -> None:
    engine = FakeEngine()
    async with serve(create_app(engine, TOKEN), "127.0.0.1", 0) as port:
        watch = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WATCH, str(port), "--watch", "--json", stdout=subprocess.PIPE
        )
        assert watch.stdout
        async with asyncio.timeout(20):
            assert json.loads(await watch.stdout.readline())["draining"] is False
            engine.current = replace(BUSY_DAY, draining=True)
            engine.publish(LiveEvent("figures"))
            assert json.loads(await watch.stdout.readline())["draining"] is True
    async with serve(create_app(FakeEngine(), TOKEN), "127.0.0.1", port), asyncio.timeout(30):
        assert json.loads(await watch.stdout.readline())["draining"] is False
        watch.send_signal(2)
        assert await watch.wait() == 0


async def test_watch_on_a_terminal_draws_the_board_and_leaves_the_screen_as_it_was() -> None:
    engine = FakeEngine()
    ours, theirs = pty.openpty()
    async with serve(create_app(engine, TOKEN), "127.0.0.1", 0) as port, asyncio.timeout(20):
        watch = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WATCH, str(port), "--watch", stdout=theirs, stdin=theirs,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
        )  # fmt: skip
        os.close(theirs)
        seen = b""
        while b"Spring renewals" not in seen:
            seen += await asyncio.to_thread(os.read, ours, 65536)
        watch.send_signal(2)
        with pytest.raises(OSError, match="Input/output"):  # the terminal's other end is closed
            while True:
                seen += await asyncio.to_thread(os.read, ours, 65536)
        assert await watch.wait() == 0
    os.close(ours)
    assert b"\x1b[?1049h" in seen
    assert seen.rindex(b"\x1b[?1049l") > seen.rindex(b"\x1b[?1049h")
    assert TOKEN.encode() not in seen
