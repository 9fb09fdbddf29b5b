"""Which addresses a webhook may go to: hosts that the configuration names, over https and on the internet. Pure.

A name that leads to a private address is refused where it is resolved (`engine.webhooks`), by `is_private`.
"""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_URL = re.compile(r"[!-~]{1,2000}\Z", re.ASCII)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z", re.ASCII)


def problem(url: str, hosts: Collection[str], private_hosts: Collection[str]) -> str | None:
    """What is wrong with a webhook's address, or None. `private_hosts` may have private addresses, and be spoken to
    without TLS; an address that is none of `hosts` either is refused."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "not an address"
    if not _URL.match(url) or "\\" in url or parts.scheme not in ("https", "http") or not host or port == 0:
        return "https://host/path, in printable ASCII"
    if parts.username is not None or parts.password is not None:
        return "a user or password in an address ends up in logs: leave it out"
    if host in private_hosts:
        return None
    if host not in hosts:
        return f"{host!r} is not in webhook_hosts of [flows]: put it there, if flows may tell it things"
    if parts.scheme != "https":
        return f"https, or put {host!r} into webhook_private_hosts of [flows]"
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        # What is not a name of letters is left to no resolver: some read 0x7f.1 and 2130706433 as 127.0.0.1.
        if not _HOST.match(host) or not re.search(r"[a-z]", host.rpartition(".")[2]) or host.endswith("localhost"):
            return f"{host!r} is no public name: use one, or put it into webhook_private_hosts of [flows]"
        return None
    if is_private(str(literal)):
        return f"{host} is a private address: refused unless it is in webhook_private_hosts of [flows]"
    return None


def is_private(address: str) -> bool:
    """Whether an IP address is anything but one of the public internet; what is none counts as private."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    inner = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    if ip.version == 6 and ip in _NAT64:
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return not ip.is_global or ip.is_multicast or (inner is not None and not inner.is_global)
