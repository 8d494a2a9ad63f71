"""Who may hold a connection to the local app? Whoever asks: those that only hold it are cut off."""

from __future__ import annotations

import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = (
    10.0  # seconds from the opening of a connection, or the last answer, to the end of the next headers
)
MOST = 64  # connections at a time; a browser holds six


class Patient(H11Protocol):
    """A connection that ends when its next request does not come in time, or newer ones need its room."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.since, self.unread = time.monotonic(), 0
        self.clock = self.loop.call_later(PATIENCE, self.look)
        others = [each for each in self.connections if each is not self and (each.waits() or each.arrives())]
        others.sort(key=lambda each: each.since)
        for each in others[: max(0, len(self.connections) - MOST)]:
            each.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.clock.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self.since = time.monotonic()
        super().on_response_complete()

    def waits(self) -> bool:
        """Whether it is the other side's turn: to send the headers of a request, or to read an answer."""
        answered = self.cycle is None or self.cycle.response_complete
        return bool(answered or self.transport.get_write_buffer_size())

    def arrives(self) -> bool:
        """Whether the body of a request has not come yet; the guard says for how long it may take."""
        return bool(self.cycle is not None and self.cycle.more_body)

    def look(self) -> None:
        """Ends the connection if the other side has let it wait for too long."""
        unread, self.unread = self.unread, self.transport.get_write_buffer_size()
        if self.waits() and time.monotonic() - self.since >= PATIENCE and self.unread in (0, unread):
            self.transport.abort()
            return
        self.clock = self.loop.call_later(PATIENCE / 4, self.look)
