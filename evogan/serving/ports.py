"""Ports of this machine."""

from __future__ import annotations

import errno
import ipaddress
import socket

from evogan.errors import UserError

PORTS = 50  # that are tried, from the one that was asked for


def bound(host: str, port: int) -> tuple[int, socket.socket]:
    """The first port from this one on that can be had, and its socket. Errors: UserError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise UserError(f"host '{host}': {error.strerror or error}") from None
    for at in range(port, min(port + PORTS, 65536)):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, at))
            listening.listen()
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise UserError(f"cannot serve on {host}:{at}: {error.strerror or error}") from None
        return listening.getsockname()[1], listening
    last = min(port + PORTS, 65536) - 1
    raise UserError(f"ports {port} to {last} of {host} are all in use: name another with --port")


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
