"""Where the shipped files are: beside the package in a checkout, below <prefix>/share when installed."""

import sys
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parent.parent


def shipped(name: str) -> Path:
    """The folder `name` of the shipped tree ("sql", "agi", "asterisk-conf", …).

    Raises FileNotFoundError, naming both places looked at, when the installation is incomplete.
    """
    places = [_CHECKOUT / name, Path(sys.prefix) / "share" / "dialerd" / name]
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"dialerd's own files '{name}' are missing: looked at {places[0]} and {places[1]}")
