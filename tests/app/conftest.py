"""The local app, as it is started by `gradstep app`, on a free port."""

import http.client
import threading
import time

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

from gradstep.app.guard import Limits
from gradstep.app.server import Serving


class Client:
    """Sends what a browser would, unless told otherwise."""

    def __init__(self, serving):
        self.serving, self.port = serving, serving.port
        self.cookie = f"gradstep-{self.port}={serving.token}"

    def __call__(self, method, path, body=None, **changed):
        """Status, headers and body; a header that is None is left out, and _ in a name is -."""
        host = changed.get("host", f"127.0.0.1:{self.port}")
        headers = {"host": host, "origin": f"http://127.0.0.1:{self.port}", "cookie": self.cookie}
        headers["x-key"] = self.serving.server.config.app.key
        if method != "POST":
            headers.pop("origin")
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if body is not None and "content-length" not in headers:
                headers["content-length"] = str(len(body))
            for name, value in headers.items():
                for each in value if isinstance(value, list) else [value] if value is not None else []:
                    connection.putheader(name, each)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except ConnectionResetError:  # what is no HTTP is cut off, and the answer that says so may be lost
            return 400, {}, b""
        finally:
            connection.close()


@pytest.fixture(scope="session")
def serving():
    app = Serving(limits=Limits(table=300_000, words=60_000, seconds=0.5))
    thread = threading.Thread(target=app.run)
    thread.start()
    ends = time.monotonic() + 20
    while not app.server.started:
        assert thread.is_alive() and time.monotonic() < ends
        time.sleep(0.02)
    yield app
    app.stop()
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def client(serving):
    return Client(serving)
