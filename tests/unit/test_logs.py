"""Log lines: their forms, and that nothing harmful or private gets into them."""

import io
import json
import logging

import pytest

from dialerd import logs
from dialerd.config import Log


class Out(io.StringIO):
    def __init__(self, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def setup(form: str, terminal: bool = False, mask: bool = True) -> Out:
    out = Out(terminal)
    logs.configure(Log.model_validate({"format": form, "mask_numbers": mask}), out)
    return out


def test_without_a_terminal_a_line_has_its_priority_and_no_colour_or_time() -> None:
    out = setup("auto")
    logs.logger().bind(attempt="a-1").warning("no agent", queue="sales team", waited=2.5, quiet=None, ok=True)
    logs.logger().debug("not shown")
    assert out.getvalue() == '<4>no agent attempt=a-1 queue="sales team" waited=2.5 quiet=- ok=true\n'


def test_on_a_terminal_it_is_pretty() -> None:
    out = setup("auto", terminal=True)
    logs.logger().info("ringing", attempt="a-1")
    assert "ringing" in out.getvalue()
    assert "<6>" not in out.getvalue()


def test_json_is_one_document_a_line() -> None:
    out = setup("json")
    logs.logger().info("ringing", attempt="a-1", lines=3)
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"], line["attempt"], line["lines"]) == ("ringing", "info", "a-1", 3)
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("form", ["json", "journal", "pretty"])
def test_numbers_are_masked_wherever_they_stand(form: str) -> None:
    out = setup(form)
    hidden = ValueError("bad +358401234567")
    logs.logger().info(
        "dial +358401234567 now",
        to="+358401234567",
        many=[{"n": ["x+358401234567"]}],
        channel="PJSIP/358401234567@t",
    )
    logs.logger().error("failed", error=hidden)
    try:
        raise hidden
    except ValueError:
        logs.logger().exception("worse")
    assert "401234567" not in out.getvalue()
    assert "+35840***67" in out.getvalue()


def test_numbers_show_when_the_operator_says_so() -> None:
    out = setup("journal", mask=False)
    logs.logger().info("dial", to="+358401234567")
    assert out.getvalue() == "<6>dial to=+358401234567\n"


@pytest.mark.parametrize("form", ["json", "journal", "pretty"])
def test_control_characters_cannot_forge_lines_or_drive_a_terminal(form: str) -> None:
    out = setup(form)
    logs.logger().info("a\n<0>forged \x1b]0;title\x07", name="b\r\nc\u2028d\u202ee\x9bf\x00")
    text = out.getvalue()
    assert text.count("\n") == 1
    plain = text.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[32m", "")
    assert not any(c in plain for c in "\r\x07\x00\u2028\u202e\x9b\x1b]0"[:6])
    assert "\x1b]" not in text


def test_long_values_are_cut_and_say_how_long_they_were() -> None:
    out = setup("journal")
    logs.logger().info("x", value="y" * 1_000_000, many=list(range(10_000)))
    assert len(out.getvalue()) < 1500
    assert "(1000000 characters)" in out.getvalue()


def test_secrets_do_not_appear_by_key_or_inside_an_address() -> None:
    out = setup("journal")
    logs.logger().info(
        "link postgresql://u:hunter2@h/d",
        password="hunter2",
        headers={"Authorization": "hunter2"},
        url="?api_key=hunter2",
    )
    assert "hunter2" not in out.getvalue()


def test_a_traceback_is_one_line_in_the_journal() -> None:
    out = setup("journal")
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logs.logger().exception("broken")
    assert out.getvalue().count("\n") == 1
    assert "ZeroDivisionError" in out.getvalue()


def test_libraries_are_heard_from_warnings_upwards() -> None:
    out = setup("journal")
    logging.getLogger("panoramisk").info("chatter")
    logging.getLogger("panoramisk").warning("lost %s", "+358401234567")
    assert out.getvalue() == "<4>lost +35840***67 logger=panoramisk\n"
