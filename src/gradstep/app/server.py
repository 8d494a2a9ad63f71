"""How does the local app answer? Routes to its page, to questions about formulas, to tables and trainings."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib import resources
from typing import Any
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gradstep.app.desk import FILES, Desk
from gradstep.app.guard import POLICY, Guard, Limits, Refused, read_json
from gradstep.app.sockets import Patient
from gradstep.app.work import as_data
from gradstep.expression.errors import MathError
from gradstep.page.document import FONT

TABLES = frozenset({"/table"})
MOST_STREAMS = 16
EVERY = 0.05  # seconds between two looks at a training
QUIET = 10.0  # seconds after which an unchanged state is said again, so that the line is known to be open
Handler = Callable[[Request], Awaitable[Response]]

# What is sent as it is: path, folder, file, kind.
PAGES = (
    ("/", "gradstep.app", "app.html", "text/html; charset=utf-8"),
    ("/app.js", "gradstep.app", "app.js", "text/javascript; charset=utf-8"),
    ("/app.css", "gradstep.app", "app.css", "text/css; charset=utf-8"),
    ("/page.css", "gradstep.page", "page.css", "text/css; charset=utf-8"),
    ("/math.woff2", "gradstep.page", f"fonts/{FONT}", "font/woff2"),
)


def _page(folder: str, file: str, kind: str) -> Handler:
    content = resources.files(folder).joinpath(*file.split("/")).read_bytes()

    async def sent(request: Request) -> Response:
        return Response(content, media_type=kind)

    return sent


def _question(task: str) -> Handler:
    async def answered(request: Request) -> Response:
        return _json(await _desk(request).asked(task, await _asked(request)))

    return answered


async def table(request: Request) -> Response:
    """A file with data, as it is: the body is the file, its name stands in a header."""
    name = unquote(request.headers.get("x-name", ""))[:400]
    return _json(await _desk(request).read(await request.body(), name, {}))


async def sample(request: Request) -> Response:
    """Data to begin with."""
    desk = _desk(request)
    return _json(await desk.read(*desk.sample(), {}))


async def look(request: Request) -> Response:
    """A table that is here already, read in another style."""
    asked = await _asked(request)
    return _json(await _desk(request).looked(asked.get("table", 0), asked))


async def train(request: Request) -> Response:
    """Begin a training; what becomes of it is told by `watch`."""
    return _json({"job": _desk(request).train(await _asked(request)).number})


async def stop(request: Request) -> Response:
    """Stop a training."""
    await _desk(request).stop((await _asked(request)).get("job"))
    return _json({"ok": True})


async def watch(request: Request) -> Response:
    """How far a training is, as server-sent events until it is over."""
    job = _desk(request).job(request.path_params["job"])
    if job is None:
        return _missing()
    if request.app.state.streams >= MOST_STREAMS:
        return _json({"error": as_data(MathError("too many pages watch trainings"))}, 503)

    async def events() -> AsyncIterator[str]:
        request.app.state.streams += 1
        try:
            seen, quiet = -1, 0.0
            while True:
                if job.version != seen or quiet >= QUIET:
                    seen, quiet = job.version, 0.0
                    yield f"data: {json.dumps(job.state)}\n\n"
                    if job.over:
                        return
                await asyncio.sleep(EVERY)
                quiet += EVERY
        finally:
            request.app.state.streams -= 1

    return StreamingResponse(events(), media_type="text/event-stream")


async def result(request: Request) -> Response:
    """A file that a training has left. A page runs its own script alone, and can ask this app for nothing."""
    name = request.path_params["name"]
    job = _desk(request).job(request.path_params["job"])
    if job is None or not job.over or name not in FILES or not (job.folder / name).is_file():
        return _missing()
    headers = {}
    if name.endswith(".html"):
        policy = job.state.get("policy", POLICY)
        headers["content-security-policy"] = f"{policy}; frame-ancestors 'self'; sandbox allow-scripts"
    if not name.endswith(".html") or request.url.query == "download":
        headers["content-disposition"] = f'attachment; filename="{name}"'
    return Response((job.folder / name).read_bytes(), media_type=FILES[name], headers=headers)


def _json(data: object, status: int = 200) -> Response:
    return Response(json.dumps(data), status, media_type="application/json")


def _missing() -> Response:
    return _json({"error": as_data(MathError("there is nothing here"))}, 404)


async def _not_found(request: Request, error: Exception) -> Response:
    return _missing()


async def _wrong(request: Request, error: Exception) -> Response:
    """What is wrong with a question is an answer too."""
    assert isinstance(error, MathError)
    return _json({"error": as_data(error)})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _json({"error": as_data(MathError(str(error)))}, error.status)


async def _failed(request: Request, error: Exception) -> Response:
    traceback.print_exception(error)  # for whoever started the app; the browser is told no more than its kind
    words = f"gradstep itself failed: {type(error).__name__}"
    return _json({"error": as_data(MathError(words))}, 500)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


async def _asked(request: Request) -> dict[str, Any]:
    """The question in a body: fields by name."""
    asked = read_json(await request.body())
    if not isinstance(asked, dict):
        raise Refused(400)
    return asked


ANSWERS: Mapping[str, tuple[str, Handler]] = {
    **{f"/{task}": ("POST", _question(task)) for task in ("derive", "check", "code")},
    "/table": ("POST", table),
    "/sample": ("POST", sample),
    "/look": ("POST", look),
    "/train": ("POST", train),
    "/stop": ("POST", stop),
    "/jobs/{job:int}": ("GET", watch),
    "/results/{job:int}/{name}": ("GET", result),
}


@contextlib.asynccontextmanager
async def _life(app: Starlette) -> AsyncIterator[None]:
    app.state.desk, app.state.streams = Desk(), 0
    app.state.desk.open()
    try:
        yield
    finally:
        await app.state.desk.close()


def application(port: int, token: str, limits: Limits | None = None) -> Guard:
    """The app behind its guard."""
    routes = [Route(path, _page(*where), methods=["GET"]) for path, *where in PAGES]
    routes += [Route(path, handler, methods=[method]) for path, (method, handler) in ANSWERS.items()]
    handlers = {MathError: _wrong, Refused: _refused, 404: _not_found, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=_life)
    app.router.redirect_slashes = False
    return Guard(app, port, token, TABLES, limits or Limits())


class Serving:
    """The app on a socket of 127.0.0.1: `address` opens it, `run` serves until it is stopped."""

    def __init__(self, port: int = 0, limits: Limits | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.socket.bind(("127.0.0.1", port))
            self.socket.listen()  # who is early waits until it is served
        except OSError as error:
            self.socket.close()
            raise MathError(
                f"the port {port} of 127.0.0.1 cannot be used: {(error.strerror or str(error)).lower()}",
                mend="gradstep app without --port, which takes a free one",
            ) from None
        self.port = int(self.socket.getsockname()[1])
        self.token = secrets.token_urlsafe(32)
        config = uvicorn.Config(
            application(self.port, self.token, limits),
            interface="asgi3",
            http=Patient,
            ws="none",
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
            limit_concurrency=256,
            h11_max_incomplete_event_size=16_384,
            proxy_headers=False,
        )
        self.server = uvicorn.Server(config)

    @property
    def address(self) -> str:
        """What the browser opens; the token stands in the fragment, which is sent to no one."""
        return f"http://127.0.0.1:{self.port}/#{self.token}"

    def run(self) -> None:
        """Serve until Ctrl-C, or until `stop`."""
        with contextlib.suppress(KeyboardInterrupt):
            self.server.run(sockets=[self.socket])

    def stop(self) -> None:
        """End soon."""
        self.server.should_exit = True
