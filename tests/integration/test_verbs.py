"""Which files become verbs: the shipped ones, a site's own, and what stops the start."""

import os
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from dialerd.fastagi import verbs
from dialerd.paths import shipped

GOOD = "async def run(call, desk): pass\n"
SHIPPED = {"contact-info", "dnc-check", "next-cid", "ping", "release-cid"}
NOBODY = 65534


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "agi"
    folder.mkdir(mode=0o755)
    return folder


def put(folder: Path, name: str, text: str = GOOD, mode: int = 0o644) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def test_what_is_shipped_is_loaded_and_a_site_without_a_folder_adds_nothing(site: Path) -> None:
    assert set(verbs.load(shipped("agi"))) == SHIPPED
    assert set(verbs.load(shipped("agi"), site / "nowhere")) == SHIPPED
    assert set(verbs.load(shipped("agi"), site)) == SHIPPED


async def test_a_sites_file_is_a_verb_and_one_with_a_shipped_name_takes_its_place(
    site: Path, logged: list[MutableMapping[str, Any]]
) -> None:
    put(site, "my-verb.py")
    put(site, "ping.py", "async def run(call, desk): raise ValueError('mine')\n")
    (site / "notes.txt").write_text("no verb")
    loaded = verbs.load(shipped("agi"), site)
    assert set(loaded) == {*SHIPPED, "my-verb"}
    with pytest.raises(ValueError, match="mine"):
        await loaded["ping"](None, None)  # type: ignore[arg-type]
    said = {line["event"]: (line["verb"], line["file"]) for line in logged}
    assert said["fastagi.site_verb_replaces_shipped"] == ("ping", str(site / "ping.py"))
    assert said["fastagi.site_verb"][0] == "my-verb"
    assert not (site / "__pycache__").exists()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a_b.py", GOOD, "named like"),
        ("No.py", GOOD, "named like"),
        (f"{'x' * 41}.py", GOOD, "named like"),
        ("ok.py", "run = 1\n", "async def run"),
        ("sync.py", "def run(a, b): pass\n", "async def run"),
        ("three.py", "async def run(a, b, c): pass\n", "async def run"),
        ("syntax.py", "def\n", "SyntaxError"),
        ("raises.py", "raise KeyError('x')\n", "KeyError"),
        ("exits.py", "import sys; sys.exit(0)\n", "SystemExit"),
        ("import.py", "import no_such_module\n", "ModuleNotFoundError"),
        ("zero.py", "\0", "ValueError|SyntaxError"),
        ("large.py", "#" * 1_100_000, "larger than"),
    ],
)
def test_one_broken_file_is_named_and_stops_the_start(site: Path, name: str, text: str, says: str) -> None:
    put(site, "fine.py")
    put(site, name, text)
    with pytest.raises(verbs.BadVerb, match=f"{name}.*({says})"):
        verbs.load(shipped("agi"), site)


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o664, 0o662])
def test_a_file_that_others_may_write_is_refused_by_name(site: Path, mode: int) -> None:
    put(site, "mine.py", mode=mode)
    with pytest.raises(verbs.BadVerb, match=r"mine\.py.*chmod go-w"):
        verbs.load(shipped("agi"), site)


def test_a_folder_that_others_may_write_is_refused_and_so_is_one_above_it(site: Path) -> None:
    put(site, "mine.py")
    site.chmod(0o777)
    with pytest.raises(verbs.BadVerb, match=r"agi: others.*chmod go-w"):
        verbs.load(shipped("agi"), site)
    site.chmod(0o1777)  # sticky helps against renaming, not against new files
    with pytest.raises(verbs.BadVerb, match="agi: others"):
        verbs.load(shipped("agi"), site)
    site.chmod(0o755)
    site.parent.chmod(0o777)
    with pytest.raises(verbs.BadVerb, match="others than its owner"):
        verbs.load(shipped("agi"), site)


@pytest.mark.parametrize("whose", ["mine.py", "."])
def test_what_another_user_owns_is_refused(site: Path, whose: str) -> None:
    put(site, "mine.py")
    os.chown(site / whose, NOBODY, -1)
    with pytest.raises(verbs.BadVerb, match=f"user {NOBODY}.*chown root"):
        verbs.load(shipped("agi"), site)


def test_links_and_things_that_are_no_files_are_refused(site: Path, tmp_path: Path) -> None:
    (site / "link.py").symlink_to(put(tmp_path, "elsewhere.py"))
    with pytest.raises(verbs.BadVerb, match=r"link\.py.*links are not followed"):
        verbs.load(shipped("agi"), site)
    (site / "link.py").unlink()
    os.mkfifo(site / "pipe.py")
    with pytest.raises(verbs.BadVerb, match=r"pipe\.py.*not a file"):
        verbs.load(shipped("agi"), site)
    (site / "pipe.py").unlink()
    (site / "folder.py").mkdir()
    with pytest.raises(verbs.BadVerb, match=r"folder\.py.*not a file"):
        verbs.load(shipped("agi"), site)


def test_the_shipped_folder_must_hold_verbs(tmp_path: Path) -> None:
    with pytest.raises(verbs.BadVerb, match="no verb"):
        verbs.load(tmp_path)


@pytest.mark.parametrize("check", [["--check-config"], []])
def test_the_daemon_ends_with_78_and_names_the_file(site: Path, tmp_path: Path, check: list[str]) -> None:
    bad = put(site, "broken.py", "def\n")
    config = put(
        tmp_path,
        "dialerd.toml",
        f'[ami]\nsecret = "x"\n[ari]\npassword = "x"\n[web]\ntoken = "x"\n[fastagi]\nsite_verbs = "{site}"\n',
        0o600,
    )
    argv = [sys.executable, "-m", "dialerd.daemon", "--config", str(config), *check]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 78
    assert str(bad) in done.stderr
    bad.write_text(GOOD)
    argv = [sys.executable, "-m", "dialerd.daemon", "--config", str(config), "--check-config"]
    assert subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == 0
