"""The legal profiles that are shipped: `dialerd/core/legal/*.toml`."""

from functools import cache
from importlib.resources import files

from dialerd.core.profile import Profile, read


class UnknownProfile(ValueError):
    """There is no legal profile of that name; the message lists those there are."""


@cache
def names() -> tuple[str, ...]:
    """The names of all profiles, sorted."""
    folder = files("dialerd.core") / "legal"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


@cache
def profile(name: str) -> Profile:
    """A profile by name. Raises `UnknownProfile`, `core.profile.ProfileRefused`."""
    if name not in names():
        raise UnknownProfile(f"there is no legal profile {name[:40]!r}: {', '.join(names())}")
    return read((files("dialerd.core") / "legal" / f"{name}.toml").read_text(encoding="utf-8"), name)
