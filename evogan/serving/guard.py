"""Around an application: it answers only those who ask for it by its own name.

A page elsewhere whose name is made to mean this machine (DNS rebinding) is refused by the Host header; what a page may
load, run or be framed in is said by its policy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """Around the application: who may ask, how, and what every answer says besides."""

    def __init__(
        self, app: ASGIApp, hosts: Collection[str], anywhere: bool, methods: Collection[str] = ("GET", "HEAD")
    ) -> None:
        self._app, self._hosts, self._anywhere, self._methods = app, hosts, anywhere, methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI calls it."""
        if scope["type"] != "http":
            return
        refused = None
        if scope["method"] not in self._methods:
            refused = Response("only GET\n", 405, {"allow": ", ".join(self._methods)})
        elif not self._may_ask(Request(scope).headers.get("host", "")):
            refused = Response("this page is not served under this name\n", 421)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        await (refused or self._app)(scope, receive, answer)

    def _may_ask(self, host: str) -> bool:
        """By one of its names; where it is served to others too, by any address, which no foreign page can have."""
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if name.lower() in self._hosts:
            return True
        return self._anywhere and _is_address(name.strip("[]"))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
