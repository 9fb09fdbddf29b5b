"""Talking to systemd: readiness, status line, watchdog. Does nothing where systemd did not start us."""

import os
import socket


def notify(*lines: str) -> None:
    """Sends lines such as "READY=1" or "STATUS=…" to the service manager."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.connect("\0" + address[1:] if address.startswith("@") else address)
            sock.send("\n".join(lines).encode())
        except OSError:
            pass  # a manager that does not listen must not stop the daemon
