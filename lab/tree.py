"""Where the lab's Asterisk comes from: an installed one (18 or later), or a tree of packages in the user's cache.

The tree is made once, out of the machine's own package mirror, and needs neither installation nor chroot: its programs
run through its own loader. Only making it needs root (or sudo).
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SUITE = "forky"  # Debian 12 and 13 carry no asterisk; this one carries the LTS line 22
PACKAGES = "asterisk,asterisk-core-sounds-en-gsm"
OLDEST = 18
_BUILD_SECONDS = 900.0


class NoAsterisk(RuntimeError):
    """No usable Asterisk, and none could be fetched; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """An Asterisk that can be started: how to call it, its modules, its data (documentation, REST API), its sounds."""

    argv: tuple[str, ...]
    modules: Path
    data: Path
    sounds: Path  # a folder with hello.gsm


def find(environment: Mapping[str, str] = os.environ) -> Program:
    """The Asterisk to use; fetches the tree when there is none. Raises `NoAsterisk`.

    `LAB_ASTERISK_TREE` names a ready tree and wins; `LAB_CACHE` is where trees are kept (default
    ~/.cache/dialerd-lab).
    """
    if tree := environment.get("LAB_ASTERISK_TREE"):
        return in_tree(Path(tree))
    return _installed() or in_tree(_cached(environment))


def in_tree(tree: Path) -> Program:
    """The Asterisk inside a tree of packages. Raises `NoAsterisk` when it is not whole."""
    for loader in tree.glob("usr/lib/*-linux-gnu/ld-linux-*.so.*"):
        libraries = loader.parent
        program = Program(
            argv=(str(loader), "--library-path", str(libraries), str(tree / "usr/sbin/asterisk")),
            modules=libraries / "asterisk/modules",
            data=tree / "usr/share/asterisk",
            # sounds/en is a link through /etc/alternatives: it leads out of the tree
            sounds=tree / "usr/share/asterisk/sounds/en_US_f_Allison",
        )
        if program.modules.is_dir() and (program.sounds / "hello.gsm").exists():
            return program
    raise NoAsterisk(f"{tree} is not a tree with Asterisk and its sounds: remove it, and it is made again")


def _installed() -> Program | None:
    path = shutil.which("asterisk", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        return None
    said = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=10, check=False).stdout
    version = re.match(r"Asterisk (?:certified/)?(\d+)\.", said)
    if version is None or int(version.group(1)) < OLDEST:
        return None
    modules = _first(Path("/usr"), ("lib/*-linux-gnu/asterisk/modules", "lib*/asterisk/modules"), "app_stasis.so")
    data = _first(Path("/"), ("usr/share/asterisk", "var/lib/asterisk"), "rest-api")
    sounds = _first(Path("/"), ("usr/share/asterisk/sounds/en*", "var/lib/asterisk/sounds/en*"), "hello.gsm")
    if modules is None or data is None or sounds is None:
        print(f"lab: {path} lacks its modules, data or English gsm sounds; using the tree", file=sys.stderr)
        return None
    return Program((path,), modules, data, sounds)


def _first(top: Path, patterns: tuple[str, ...], having: str) -> Path | None:
    return next((p for pattern in patterns for p in sorted(top.glob(pattern)) if (p / having).exists()), None)


def _cached(environment: Mapping[str, str]) -> Path:
    """The tree in the cache, made by whoever comes first while the others wait."""
    home = environment.get("LAB_CACHE") or str(Path.home() / ".cache/dialerd-lab")
    cache = Path(home).expanduser().absolute()
    tree = cache / f"asterisk-{SUITE}"
    if tree.is_dir():
        return tree
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.is_dir():
            _build(cache, tree)
    return tree


def _build(cache: Path, tree: Path) -> None:
    root = [] if os.geteuid() == 0 else ["sudo"]
    for tool in ("mmdebstrap", *root):
        if shutil.which(tool) is None:
            raise NoAsterisk(f"Asterisk cannot be fetched without {tool}: apt-get install {tool}")
    print(f"lab: fetching Asterisk from Debian {SUITE} into {tree} (once)", file=sys.stderr)
    work = Path(tempfile.mkdtemp(prefix="build-", dir=cache))
    work.chmod(0o755)
    # a mirror that lags may carry a Release file past its date; signatures are checked all the same
    argv = [*root, "mmdebstrap", "--quiet", "--variant=apt", f"--include={PACKAGES}"]
    argv += ['--aptopt=Acquire::Check-Valid-Until "false"', SUITE, str(work / "tree"), _mirror()]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_BUILD_SECONDS, check=False)
        if done.returncode != 0:
            raise NoAsterisk("mmdebstrap failed:\n" + done.stderr.decode(errors="replace")[-2000:])
        in_tree(work / "tree")
        # not rename(): only root may move a folder of root's to another parent
        subprocess.run([*root, "mv", "-T", str(work / "tree"), str(tree)], timeout=120, check=True)
    finally:
        subprocess.run([*root, "rm", "-rf", "--one-file-system", str(work)], timeout=120, check=False)


def _mirror() -> str:
    """The package mirror that this machine uses."""
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False).stdout.split()
    mirrors = [uri for uri in said if "security" not in uri]
    if not mirrors:
        raise NoAsterisk("apt knows no package mirror: check /etc/apt/sources.list")
    return max(set(mirrors), key=mirrors.count)
