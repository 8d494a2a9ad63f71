"""Who may ask the local app for anything? Only its own page, in the browser that was given the token.

Any web page can make a browser send requests to 127.0.0.1, and a name that its owner controls can be made to
mean 127.0.0.1 (DNS rebinding: jupyter/notebook#3714). So a request is looked at before it is routed: the name
that it asks for, the page that sent it, the token, and the size of its body.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

ENTRANCE = "/enter"
OPEN = frozenset({"/", ENTRANCE, "/app.js", "/app.css", "/page.css", "/math.woff2"})  # nothing of the user's
DRAINED, SOON = 100_000, 0.2  # bytes of a refused body that are read, and seconds for it
LOCAL = ("127.0.0.1", "localhost", "[::1]")
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
REFUSED: Mapping[int, str] = {
    400: "this request cannot be read",
    401: "this needs the token: open the address that gradstep app has printed",
    403: "only the page of this app may ask for this",
    405: "there are only GET and POST here",
    408: "the request took too long to arrive",
    413: "this is too large",
}


@dataclass(frozen=True)
class Limits:
    """How many bytes a file with data, another question and a token may have, and how slowly they come."""

    table: int = 32_000_000
    words: int = 400_000
    token: int = 1_000
    seconds: float = 20.0


class Refused(Exception):
    """A request that is not answered: the status says why."""

    def __init__(self, status: int) -> None:
        super().__init__(REFUSED[status])
        self.status = status


@dataclass(frozen=True)
class Guard:
    """Stands before an application and lets requests through that may be answered.

    `port` is where the app listens, `token` what the browser has to know, `tables` the paths that take files.
    """

    application: Application
    port: int
    token: str
    tables: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)

    @property
    def cookie(self) -> str:
        """The name of the cookie; browsers do not tell ports apart, so it says which."""
        return f"gradstep-{self.port}"

    @property
    def key(self) -> str:
        """What the page says with each question: cookies go to other ports too, this does not."""
        return hmac.new(self.token.encode(), b"page", "sha256").hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.application(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_headers(send)
        try:
            self.check(scope)
            body = await self.body(scope, receive) if scope["method"] == "POST" else b""
            if scope["path"] == ENTRANCE:
                await self.enter(body, send)
                return
        except Refused as refused:
            await _drained(receive)
            await answer(send, refused.status, str(refused))
            return
        await self.application(scope, _replayed(body, receive), send)

    def check(self, scope: Scope) -> None:
        """Raises `Refused` where the request does not come from the app's own page."""
        headers = _headers(scope)
        host = _only(headers, "host")
        if host not in {f"{name}:{self.port}" for name in LOCAL}:
            raise Refused(403)
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise Refused(405)
        foreign = headers.get("sec-fetch-site", ["none"]) not in (["same-origin"], ["none"])
        if foreign or "upgrade" in headers:
            raise Refused(403)
        if (scope["method"] == "POST" or "origin" in headers) and _only(
            headers, "origin"
        ) != f"http://{host}":
            raise Refused(403)
        if scope["path"] in OPEN:
            return
        known = same(_cookies(headers).get(self.cookie, ""), self.token)
        if not known or (scope["method"] == "POST" and not same(_only(headers, "x-key") or "", self.key)):
            raise Refused(401)

    async def body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body, if it is not too large and arrives in time."""
        path = scope["path"]
        most = self.limits.token if path == ENTRANCE else self.limits.words
        most = self.limits.table if path in self.tables else most
        length = _headers(scope).get("content-length", ["0"])
        if not length[0].isdecimal() or len(length[0]) > 12 or int(length[0]) > most:
            raise Refused(413)
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self.limits.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400)
                    parts.append(message.get("body", b""))
                    if sum(map(len, parts)) > most:
                        raise Refused(413)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise Refused(408) from None

    async def enter(self, body: bytes, send: Send) -> None:
        """The token, which stood in the fragment of the address, becomes a cookie that no script can read."""
        asked = read_json(body)
        token = asked.get("token") if isinstance(asked, dict) else None
        if not isinstance(token, str) or not same(token, self.token):
            raise Refused(401)
        cookie = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
        await answer(send, 200, self.key, {"set-cookie": cookie})


def same(given: str, secret: str) -> bool:
    """Whether this is the secret; wrong ones take as long as others."""
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode())


def read_json(body: bytes) -> Any:
    """The JSON of a body; `Refused` where it is none, or nests too deeply."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(400) from None


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


async def answer(send: Send, status: int, words: str, headers: Mapping[str, str] | None = None) -> None:
    """A short answer; after a refusal the connection ends, and with it what is left of the request."""
    said = {"key": words} if status < 400 else {"error": {"what": words, "text": words}}
    content = json.dumps(said).encode()
    told = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
    if status >= 400:
        told["connection"] = "close"
    start = {"type": "http.response.start", "status": status, "headers": _encoded(told.items())}
    await send(start)
    await send({"type": "http.response.body", "body": content})


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _with_headers(send: Send) -> Send:
    """`send`, with the headers of every answer; an answer may have a stricter policy of its own."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            known = {name.lower() for name, _ in given}
            given += [each for each in _encoded(HEADERS.items()) if each[0] not in known]
            message = {**message, "headers": given}
        await send(message)

    return sent


async def _drained(receive: Receive) -> None:
    """What has come of a body is read before it is refused: else the other side may not see the answer."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SOON):
            while size < DRAINED:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that has been read, then whatever comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return waiting.pop() if waiting else await receive()

    return received


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _only(headers: Mapping[str, list[str]], name: str) -> str | None:
    """A header that may stand there once."""
    values = headers.get(name, [])
    return values[0] if len(values) == 1 else None


def _cookies(headers: Mapping[str, list[str]]) -> dict[str, str]:
    pairs = [pair.partition("=") for line in headers.get("cookie", ()) for pair in line.split(";")]
    return {name.strip(): value.strip() for name, _, value in pairs}
