"""Does anything get through to the local app that does not come from its own page?"""

import json
import re
import socket
import time
from importlib import resources

import pytest

from gradstep.app import sockets
from gradstep.app.desk import file_name
from gradstep.app.server import ANSWERS, PAGES

QUESTION = json.dumps({"formula": "mean((y - X @ w)**2)"}).encode()
PATHS = [path.replace("{job:int}", "1").replace("{name}", "page.html") for path in ANSWERS]
POSTED = [path for path, (method, _) in ANSWERS.items() if method == "POST"]

# What is wrong with a request, and what it gets for it: its headers are otherwise those of the app's page.
HOSTS = [
    "evil.example:{port}",
    "evil.example",
    "127.0.0.1",
    "127.0.0.1.evil.example:{port}",
    "0.0.0.0:{port}",
]
HOSTS += ["localhost:1", "127.0.0.1:{port}@evil.example", ["127.0.0.1:{port}", "evil.example"], ""]
ORIGINS = [
    "https://evil.example",
    "null",
    "http://127.0.0.1:1",
    "http://127.0.0.1",
    "http://localhost:{port}",
]
ORIGINS += ["https://127.0.0.1:{port}", ["http://127.0.0.1:{port}", "null"], "", None]
TOKENS = [
    None,
    "",
    "gradstep-{port}=",
    "gradstep-{port}=wrong",
    "gradstep-1={token}",
    "gradstep-{port}={token}x",
]
TOKENS += ["gradstep-{port}=\u00e4", "token={token}"]


def filled(value, serving):
    if isinstance(value, list):
        return [filled(each, serving) for each in value]
    return value and value.replace("{port}", str(serving.port)).replace("{token}", serving.token)


@pytest.mark.parametrize("host", HOSTS)
def test_another_host_is_refused_before_routing(client, serving, host):
    for path in ("/", "/derive", "/nowhere"):
        assert client("GET", path, host=filled(host, serving))[0] in (403, 400)
    assert client("POST", "/derive", QUESTION, host=filled(host, serving))[0] in (403, 400)


@pytest.mark.parametrize("origin", ORIGINS)
def test_another_origin_is_refused(client, serving, origin):
    for path in [*POSTED, "/enter"]:
        assert client("POST", path, QUESTION, origin=filled(origin, serving))[0] == 403
    if origin is not None:
        assert client("GET", "/", origin=filled(origin, serving))[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"upgrade": "websocket", "connection": "upgrade"},
    ],
)
def test_a_request_from_elsewhere_is_refused(client, headers):
    assert client("GET", "/", **headers)[0] == 403
    assert client("GET", "/jobs/1", **headers)[0] == 403


@pytest.mark.parametrize("cookie", TOKENS)
def test_nothing_of_the_users_is_had_without_the_token(client, serving, cookie):
    for path in PATHS:
        method = "POST" if path in POSTED else "GET"
        assert client(method, path, QUESTION, cookie=filled(cookie, serving))[0] == 401
    assert client("GET", "/nowhere", cookie=filled(cookie, serving))[0] == 401


@pytest.mark.parametrize("key", [None, "", "wrong", "{token}", ["", "{token}"]])
def test_the_cookie_alone_asks_for_nothing(client, serving, key):
    """A server on another port of this machine is sent the cookie too."""
    for path in POSTED:
        assert client("POST", path, QUESTION, x_key=filled(key, serving))[0] == 401


def test_the_token_becomes_a_cookie(client, serving):
    for token in ("", "wrong", serving.token + "x", None, 7, ["x"], "\ud800"):
        status, headers, _ = client("POST", "/enter", json.dumps({"token": token}).encode(), cookie=None)
        assert status == 401 and "set-cookie" not in headers
    entered = json.dumps({"token": serving.token}).encode()
    status, headers, body = client("POST", "/enter", entered, cookie=None, x_key=None)
    assert json.loads(body)["key"] == serving.server.config.app.key != serving.token
    name, *flags = headers["set-cookie"].split("; ")
    assert status == 200 and name == client.cookie
    assert set(flags) == {"HttpOnly", "SameSite=Strict", "Path=/"}
    for host in (f"localhost:{serving.port}", f"[::1]:{serving.port}"):
        assert client("POST", "/derive", QUESTION, host=host, origin=f"http://{host}")[0] == 200


def test_the_page_without_a_token_says_nothing_of_the_user(client, serving):
    for path, *_ in PAGES:
        status, _, body = client("GET", path, cookie=None)
        assert status == 200 and serving.token.encode() not in body


def test_no_get_changes_anything(client):
    for path in POSTED:
        for method in ("GET", "HEAD"):
            assert client(method, path)[0] == 405
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"):
        assert client(method, "/train")[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/app.html",
        "/results/1/..%2f..%2fetc%2fpasswd",
        "/results/1/page.html",
        "/results/x/page.html",
        "/results/99999999999999999999/page.html",
        "/jobs/-1",
        "/jobs/77",
        "/app.js/",
        "/%00",
        "/page.css%00.html",
        "/static/../app.js",
        "/server.py",
        "/derive/",
    ],
)
def test_there_is_no_way_to_other_files(client, path):
    status, _, body = client("GET", path)
    assert status == 404 and b"root:" not in body and b"Traceback" not in body


@pytest.mark.parametrize(
    "body", ["[" * 100_000, '{"a":' * 50_000, "", "{", "[1]", '"x"', '{"formula": NaN}', "null"]
)
def test_what_is_no_question_is_refused(client, body):
    status, _, answer = client("POST", "/derive", body.encode()[:59_000])
    assert status == 400 and "error" in json.loads(answer)


@pytest.mark.parametrize(
    "question",
    [
        {"formula": 7},
        {"formula": None},
        {"formula": ["x"]},
        {"formula": "x" * 30_000},
        {"formula": "x\ud800"},
        {},
        {"formula": "x", "shapes": 3},
        {"formula": "x", "shapes": {"x": {}}},
        {"formula": "x**2", "wrt": "x"},
        {"formula": "x**2", "view": "nothing"},
        {"formula": "__import__('os').system('id')"},
        {"formula": "x**2", "shapes": {"x": "N N N N N N N"}},
        {"formula": "x**2", "facts": {"x": "\0"}},
    ],
)
def test_a_question_that_cannot_be_is_an_error_in_words(client, question):
    status, _, answer = client("POST", "/derive", json.dumps(question).encode())
    error = json.loads(answer)["error"]
    assert (
        status == 200 and error["what"] and "Traceback" not in error["text"] and "itself" not in error["text"]
    )


def test_too_much_is_cut_off(client):
    for path, size in (
        ("/derive", 60_001),
        ("/table", 300_001),
        ("/enter", 1_001),
        ("/derive", 10**15),
        ("/table", "-1"),
        ("/table", "x"),
    ):
        assert client("POST", path, b"", content_length=str(size))[0] in (413, 400)
    chunked = b"".join(b"8000\r\n" + b"x" * 0x8000 + b"\r\n" for _ in range(2)) + b"0\r\n\r\n"
    assert client("POST", "/derive", chunked, transfer_encoding="chunked", content_length=None)[0] == 413
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as endless:
        endless.sendall(b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000)
        assert b" 400 " in endless.recv(1000)


def test_a_slow_body_is_cut_off(client):
    began = time.monotonic()
    assert client("POST", "/derive", b"{", content_length="1000")[0] == 408
    assert time.monotonic() - began < 5


def test_connections_that_only_wait_make_room(client, serving, monkeypatch):
    monkeypatch.setattr(sockets, "PATIENCE", 0.5)
    waiting = [socket.create_connection(("127.0.0.1", serving.port), timeout=10) for _ in range(150)]
    waiting[-1].sendall(b"GET / HTTP/1.1\r\nHost: ")  # headers that never end
    waiting[-2].sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{serving.port}\r\n\r\nGET / HT".encode())
    for each in waiting[50:100]:  # and bodies that do not come
        each.sendall(
            f"POST /enter HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nOrigin: http://127.0.0.1:{client.port}"
            "\r\nContent-Length: 900\r\n\r\n{".encode()
        )
    began = time.monotonic()
    assert client("GET", "/")[0] == 200
    assert time.monotonic() - began < 2
    for each in waiting:
        try:
            while each.recv(65536):
                pass
        except ConnectionError:
            pass
        each.close()
    assert time.monotonic() - began < 8
    assert client("GET", "/")[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "POST /enter HTTP/1.1\r\n{headers}Content-Length: 900\r\n\r\n{{",
        "GET /math.woff2 HTTP/1.1\r\n{headers}\r\n",
    ],
)
def test_many_connections_that_hold_on_make_room(client, sent):
    headers = f"Host: 127.0.0.1:{client.port}\r\nOrigin: http://127.0.0.1:{client.port}\r\n"
    held = []
    for _ in range(3 * sockets.MOST):
        held.append(socket.socket())
        held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)  # what is answered is not read
        held[-1].connect(("127.0.0.1", client.port))
        held[-1].sendall(sent.format(headers=headers).encode())
    try:
        assert client("GET", "/")[0] == 200
        assert client("POST", "/derive", QUESTION)[0] == 200
        assert len(client.serving.server.server_state.connections) <= sockets.MOST + 2
    finally:
        for each in held:
            each.close()


def test_every_answer_has_the_strict_headers(client):
    asked = [("GET", path, None) for path, *_ in PAGES] + [
        ("GET", "/nowhere", None),
        ("POST", "/derive", QUESTION),
    ]
    for method, path, body in asked:
        for changed in ({}, {"host": "evil.example"}, {"cookie": None}):
            _, headers, _ = client(method, path, body, **changed)
            policy = headers["content-security-policy"]
            assert (
                "default-src 'self'" in policy
                and "unsafe" not in policy
                and "frame-ancestors 'none'" in policy
            )
            assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
            assert not [name for name in headers if name.lower().startswith("access-control")]
    html = resources.files("gradstep.app").joinpath("app.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", html)


MARKUP = ["<script>alert(1)</script>", "x<img src=x onerror=alert(1)>", '"><svg/onload=alert(1)>']


@pytest.mark.parametrize("markup", MARKUP)
def test_markup_in_a_formula_is_text(client, markup):
    for question in ({"formula": markup}, {"formula": "x**2", "shapes": {"x": markup}}):
        _, headers, body = client("POST", "/derive", json.dumps(question).encode())
        answer = json.loads(body)
        assert headers["content-type"] == "application/json" and "html" not in answer and "error" in answer


@pytest.mark.parametrize(
    "given, name",
    [
        ("houses.csv", "houses.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.csv", "y.csv"),
        ("", "table.csv"),
        ("..", "table.csv"),
        (".bashrc", "bashrc"),
        ("a\0b<c>.csv", "a_b_c_.csv"),
        ("ü" * 200, "ü" * 80),
    ],
)
def test_the_name_of_a_file_is_no_path(given, name):
    assert file_name(given) == name


def test_the_derivation_comes_as_lines_that_keep_the_policy(client):
    asked = {"formula": "e = y - relu(X @ w + b)\nmean(where(e > 0, e**2, -e))", "proofs": True}
    answer = json.loads(client("POST", "/derive", json.dumps(asked).encode())[2])
    assert answer["proved"] is True and "<math" in answer["html"]
    assert not re.search(r"<script|\son\w+=|\sstyle=", answer["html"])
    assert {each["name"]: each["shape"] for each in answer["variables"]} == {
        "y": "N",
        "X": "N d",
        "w": "d",
        "b": "number",
    }
    assert [each["name"] for each in answer["variables"] if each["parameter"]] == ["w", "b"]
