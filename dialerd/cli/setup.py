"""`dialer-admin setup`: the first configuration and its secrets. Nothing that exists is written over."""

import grp
import os
import pwd
import re
import secrets
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import click

from dialerd.cli.common import Session, command, say, show_json
from dialerd.store.errors import Refused

_FIRST_FILE = """\
# dialerd's configuration. Every key and its default: dialerd/config.py, docs. Secrets are in conf.d/secrets.toml.

# The way out: the PJSIP endpoint of your carrier in Asterisk.
# [trunks.trunk-out]
# endpoint = "trunk-out"
# max_calls = 30
# calls_per_second = 10
"""
_SAFE = re.compile(r"[!#-:<-\[\]-~]{1,256}\Z", re.ASCII)  # printable, without space " ; and backslash
_ASTERISK = {"ami.secret": ("manager.conf", "secret"), "ari.password": ("ari.conf", "password")}


@dataclass
class Outcome:
    """What was written, what was there already, what to do next."""

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)


def set_up(etc: Path, asterisk: Path) -> Outcome:
    """Write what is missing. A secret that exists in one place is used in the other.

    Raises `Refused` when Asterisk's folder is missing or the two places disagree, OSError when it may not write.
    """
    if not asterisk.is_dir():
        raise Refused(f"{asterisk} is not there: is Asterisk on this machine? Its folder goes into --asterisk")
    outcome = Outcome()
    secrets_file = etc / "conf.d" / "secrets.toml"
    folder = asterisk / "dialerd-secrets"
    values = _agreed(_from_toml(secrets_file), _from_asterisk(folder))
    (etc / "conf.d").mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o750, exist_ok=True)
    _hand_over(folder, "asterisk", 0o750)
    _write(etc / "dialerd.toml", _FIRST_FILE, 0o644, None, outcome)
    ami, ari, token = (values[key] for key in ("ami.secret", "ari.password", "web.token"))
    text = f'[ami]\nsecret = "{ami}"\n\n[ari]\npassword = "{ari}"\n\n[web]\ntoken = "{token}"\n'
    _write(secrets_file, text, 0o600, "dialerd", outcome)
    for key, (name, word) in _ASTERISK.items():
        _write(folder / name, f"{word} = {values[key]}\n", 0o640, "asterisk", outcome)
    outcome.next = [
        f"let Asterisk read dialerd's drop-ins and {folder}: asterisk-conf/README says how; then reload it",
        f"declare your trunk in {etc / 'dialerd.toml'}",
        "make the database: createuser dialerd; createdb -O dialerd dialerd; then dialer-admin db migrate",
        "dialerd --check-config, then start dialerd",
    ]
    return outcome


def _from_toml(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Refused(f"{path}: {error}") from None
    found = {f"{s}.{k}": v for s, table in tree.items() if isinstance(table, dict) for k, v in table.items()}
    missing = [key for key in (*_ASTERISK, "web.token") if not isinstance(found.get(key), str) or not found[key]]
    if missing:
        raise Refused(f"{path} lacks {', '.join(missing)}: add it there, or move the file away and run this again")
    return found


def _from_asterisk(folder: Path) -> dict[str, str]:
    found = {}
    for key, (name, word) in _ASTERISK.items():
        with suppress(FileNotFoundError):
            text = (folder / name).read_text(encoding="utf-8")
            if match := re.search(rf"^{word}\s*=>?\s*(\S+)\s*$", text, re.MULTILINE):
                found[key] = match[1]
    return found


def _agreed(ours: dict[str, str], asterisk: dict[str, str]) -> dict[str, str]:
    values = {}
    for key in (*_ASTERISK, "web.token"):
        known = {place[key] for place in (ours, asterisk) if key in place}
        if len(known) > 1:
            raise Refused(f"{key} differs between conf.d/secrets.toml and dialerd-secrets/: remove the wrong one")
        # hex: no character that any of the files, or AMI, would read as its own
        values[key] = known.pop() if known else secrets.token_hex(24)
    if bad := [key for key, value in values.items() if not _SAFE.match(value)]:
        raise Refused(f"{', '.join(bad)}: only printable ASCII without quotes, backslashes, semicolons or spaces")
    return values


def _write(path: Path, text: str, mode: int, owner: str | None, outcome: Outcome) -> None:
    """Create the file with its mode from the first moment on; never over one that exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        outcome.kept.append(str(path))
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    path.chmod(mode)
    if owner is not None:
        _hand_over(path, owner, mode)
    outcome.written.append(str(path))


def _hand_over(path: Path, owner: str, mode: int) -> None:
    """Give the file to the account that has to read it, where root runs this and the account is there.

    Ours is dialerd's own file; Asterisk's stay root's, readable by its group.
    """
    if os.geteuid() != 0:
        return
    with suppress(KeyError):
        if owner == "asterisk":
            os.chown(path, 0, grp.getgrnam(owner).gr_gid)
        else:
            account = pwd.getpwnam(owner)
            os.chown(path, account.pw_uid, account.pw_gid)
        path.chmod(mode)


def register(cli: click.Group) -> None:
    """Add this file's commands."""

    @command(cli, "setup")
    @click.option("--etc", type=click.Path(path_type=Path), default="/etc/dialerd", show_default=True)
    @click.option("--asterisk", type=click.Path(path_type=Path), default="/etc/asterisk", show_default=True)
    async def setup(_session: Session, as_json: bool, etc: Path, asterisk: Path) -> None:
        """First set-up: make the secrets and write them for dialerd and for Asterisk.

        Writes dialerd.toml, conf.d/secrets.toml (mode 0600), and dialerd-secrets/manager.conf and ari.conf in
        Asterisk's folder. Files that exist are left as they are, so it may be run again.
        """
        outcome = set_up(etc, asterisk)
        for path in outcome.written:
            say(f"wrote {path}")
        for path in outcome.kept:
            say(f"kept  {path}")
        for number, step in enumerate(outcome.next, 1):
            say(f"next {number}. {step}")
        if as_json:
            show_json(outcome)
