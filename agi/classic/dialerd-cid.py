#!/usr/bin/env python3
"""A caller ID from dialerd for a dialplan that can only run local AGI scripts. Stand-alone; Python 3.6 or later.

    AGI(dialerd-cid.py,next-cid,<to>,<campaign>,<agent>,<fallback>)
    AGI(dialerd-cid.py,release-cid,${DIALSTATUS},${ANSWEREDTIME},${HANGUPCAUSE})        in the h extension

Copy it to /var/lib/asterisk/agi-bin/ (mode 755). It asks over HTTP and sets what agi://…/next-cid sets: CID_STATUS
(OK, FALLBACK, NONE), CID_NUMBER, CID_NATIONAL, CID_ID, CID_REASON, and CALLERID(num) when there is a number. When
dialerd does not answer it sets the fallback that it was given, or nothing at all.

/etc/dialerd/agi.conf (or the file that $DIALERD_AGI_CONF names), readable by Asterisk only, holds

    url = http://127.0.0.1:8000
    token = …                        not needed on dialerd's own machine

$DIALERD_URL and $DIALERD_TOKEN win over it. A token never stands in the dialplan, and on no command line.

500 ms after the process began it is over, whatever happens: the request runs in a thread of its own, so that neither a
name server nor a silent host can hold it, and a timer ends the process. Speaks to Asterisk through pyst2 where that
can be imported, else by itself: both are a few lines on stdin and stdout. Of pyst2's habits it avoids two: printing
the whole request to stderr, and replies that never come.
"""

import contextlib
import http.client
import io
import json
import os
import pathlib
import re
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple
from urllib.parse import urlencode, urlsplit

LIMIT_SECONDS = 0.5
_TO_TELL_SECONDS = 0.1  # of these, for telling Asterisk
_CONF = "/etc/dialerd/agi.conf"
_MAX_REPLY_BYTES = 65536
_MAX_LINE = 8192
_VALUE = re.compile(r"[A-Za-z0-9+_.:=@ -]{0,200}\Z", re.ASCII)
_NUMBER = re.compile(r"\+?[0-9]{3,15}\Z", re.ASCII)
_CALL = re.compile(r"[A-Za-z0-9_.:;-]{1,150}\Z", re.ASCII)
_REFUSES = (404, 422, 503)  # with a reason from dialerd itself: it has answered, and the answer is no
_RESULTS = {"NOANSWER": "no_answer", "CANCEL": "no_answer", "BUSY": "busy", "CONGESTION": "failed",
            "CHANUNAVAIL": "failed", "INVALIDARGS": "failed", "DONTCALL": "rejected",
            "TORTURE": "rejected"}  # fmt: skip
_CAUSES = {"1": "failed", "22": "failed", "28": "failed", "17": "busy", "18": "no_answer", "19": "no_answer",
           "21": "rejected"}  # fmt: skip

Answer = Dict[str, str]


def age() -> float:
    """Seconds since this process began, start-up of Python included; 0 where that cannot be known."""
    try:
        stat = pathlib.Path("/proc/self/stat").read_bytes().rsplit(b")", 1)[1].split()
        began = int(stat[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, min(LIMIT_SECONDS, float(pathlib.Path("/proc/uptime").read_bytes().split()[0]) - began))
    except (OSError, ValueError, IndexError):
        return 0.0


def settings(environ: Mapping[str, str]) -> Tuple[str, str]:
    """Address and token."""
    told = {"url": "http://127.0.0.1:8000", "token": ""}
    text = ""
    with contextlib.suppress(OSError, ValueError):  # no such file: the defaults
        text = pathlib.Path(environ.get("DIALERD_AGI_CONF", _CONF)).read_text(encoding="utf-8")
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and name.strip() in told:
            told[name.strip()] = value.strip()
    return environ.get("DIALERD_URL") or told["url"], environ.get("DIALERD_TOKEN") or told["token"]


def ask(method: str, path: str, body: Optional[str], seconds: float) -> Tuple[int, Dict[str, Any]]:
    """Status and JSON object of a reply. Raises OSError, ValueError or HTTPException for whatever is none."""
    url, token = settings(os.environ)
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind: Any = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port or (443 if secure else 80), timeout=seconds)
    headers = {"Accept": "application/json", "Connection": "close"}
    if token:
        headers["Authorization"] = "Bearer " + token
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request(method, parts.path.rstrip("/") + path, body, headers)
    reply = connection.getresponse()
    told = json.loads(reply.read(_MAX_REPLY_BYTES).decode("utf-8"))
    if not isinstance(told, dict):
        raise ValueError("not an object")
    return reply.status, told


def within(seconds: float, work: Callable[[], Any]) -> Any:
    """What `work` returns, or None when it fails or is not done in time; it may then go on for nobody."""
    found: List[Any] = []

    def run() -> None:
        with contextlib.suppress(Exception):  # whatever it is, the call must go on
            found.append(work())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    return found[0] if found else None


def answer_of(reply: Optional[Tuple[int, Dict[str, Any]]], fallback: str) -> Answer:
    """The variables to set, in order. Empty: there is no answer and no fallback, and Asterisk is told nothing."""
    status, told = reply if reply is not None else (0, {})
    number, cid = told.get("caller_id"), told.get("cid_id")
    if status in (200, 429) and isinstance(number, str) and _NUMBER.match(number):
        given = told.get("status") == "OK" and told.get("fallback") is not True and type(cid) is int
        national = told.get("national")
        shown = (number, national if isinstance(national, str) and _NUMBER.match(national) else "")
        return variables("OK" if given else "FALLBACK", shown, str(cid) if given else "", reasons(told))
    if status in _REFUSES and isinstance(told.get("error"), dict):
        return variables("NONE", ("", ""), "", reasons(told))
    if _NUMBER.match(fallback):
        return variables("FALLBACK", (fallback, ""), "", "unreachable=1")
    return {}


def variables(status: str, shown: Tuple[str, str], cid: str, reason: str) -> Answer:
    """`shown`: the number, and the same without its country code. The status last, so that it is only seen beside a
    complete answer."""
    number, national = shown
    told = {"CALLERID(num)": number} if number else {}
    told.update({"CID_NUMBER": number, "CID_NATIONAL": national, "CID_ID": cid, "CID_REASON": reason})
    told["CID_STATUS"] = status
    return {name: value for name, value in told.items() if _VALUE.match(value)}


def reasons(told: Mapping[str, Any]) -> str:
    """`reserved=3 hourly_limit=2`, as FastAGI has it."""
    counts, error = told.get("reasons"), told.get("error")
    if isinstance(counts, dict):
        said = [f"{rule}={n}" for rule, n in sorted(counts.items()) if type(n) is int and n]
    else:
        said = [f"{error['reason']}=1"] if isinstance(error, dict) and "reason" in error else []
    text = " ".join(said)
    return text if _VALUE.match(text) else ""


def next_cid(channel: "Channel", arguments: List[str], until: Callable[[], float]) -> None:
    """Ask, and tell the channel."""
    to, campaign, agent, fallback = [*arguments, "", "", "", ""][:4]
    query = {"to": to, "campaign": campaign, "agent": agent}
    if _CALL.match(channel.uniqueid):
        query["call"] = channel.uniqueid
    seconds = until() - _TO_TELL_SECONDS
    reply = within(seconds, lambda: ask("GET", "/next-cid?" + urlencode(query), None, seconds))
    for name, value in answer_of(reply, fallback).items():
        channel.set_variable(name, value)


def release_cid(channel: "Channel", arguments: List[str], until: Callable[[], float]) -> None:
    """The call ended, in that way."""
    status, seconds_talked, cause = [*arguments, "", "", ""][:3]
    told: Dict[str, Any] = {"call": channel.uniqueid}
    if status == "ANSWER":
        told["result"] = "answered"
        if re.match(r"[0-9]{1,6}\Z", seconds_talked, re.ASCII):
            told["talk_seconds"] = int(seconds_talked)
    elif status in _RESULTS:
        told["result"] = _CAUSES.get(cause) or _RESULTS[status]
    left = until()
    within(left, lambda: ask("POST", "/release-cid", json.dumps(told), left))


class Channel:
    """Asterisk's side, read and told by ourselves."""

    def __init__(self) -> None:
        self._env: Dict[str, str] = {}
        for _ in range(200):
            line = sys.stdin.readline(_MAX_LINE).rstrip("\n")
            if not line:
                break
            name, _, value = line.partition(":")
            self._env[name] = value.strip()

    @property
    def uniqueid(self) -> str:
        return self._env.get("agi_uniqueid", "")

    def set_variable(self, name: str, value: str) -> None:
        """Values have been checked: nothing in them needs to be escaped."""
        sys.stdout.write(f'SET VARIABLE {name} "{value}"\n')
        sys.stdout.flush()
        sys.stdin.readline(_MAX_LINE)


class PystChannel(Channel):
    """The same through pyst2, which wants to be made in the main thread and prints all that is said to stderr."""

    def __init__(self) -> None:
        from asterisk.agi import AGI

        self._agi: Any = AGI(stderr=io.StringIO())
        self._env = dict(self._agi.env)

    def set_variable(self, name: str, value: str) -> None:
        self._agi.set_variable(name, value)


def main() -> int:
    """0: whatever happened, the dialplan goes on."""
    began = time.monotonic() - age()

    def until() -> float:
        return began + LIMIT_SECONDS - time.monotonic()

    timer = threading.Timer(max(0.0, until()), os._exit, (0,))
    timer.daemon = True
    timer.start()
    verb = {"next-cid": next_cid, "release-cid": release_cid}.get(sys.argv[1] if len(sys.argv) > 1 else "")
    if verb is None:
        sys.stderr.write("dialerd-cid.py,next-cid,<to>,<campaign>,<agent>,<fallback> or release-cid,…\n")
        return 0
    try:
        import asterisk.agi  # noqa: F401

        channel: Channel = PystChannel()
    except ImportError:
        channel = Channel()
    with contextlib.suppress(Exception):  # a channel that is gone, pyst2's own exceptions
        verb(channel, sys.argv[2:], until)
    return 0


if __name__ == "__main__":
    main()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(0)  # a request that is still under way must not be waited for
