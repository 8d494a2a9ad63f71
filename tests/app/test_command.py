"""Does `gradstep app` open, serve, and leave nothing behind?"""

import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from gradstep import cli
from gradstep.app.folders import LOCK, PREFIX, Folder, throw_away_what_was_left

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")


def workers_of(parent):
    """The processes that this one has started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [Path(f"/proc/{child}") for child in children]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_it_ends_with_all_its_processes(how):
    command = [sys.executable, "-m", "gradstep", "app", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as app:
        try:
            address = next(line for line in app.stdout if "http" in line).strip()
            port = int(address.split(":")[2].split("/")[0])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/")
            assert b"gradstep" in connection.getresponse().read()
            connection.close()
            workers, ends = workers_of(app.pid), time.monotonic() + 30
            assert workers
        finally:
            app.send_signal(how)
        assert app.wait(30) == (0 if how is signal.SIGINT else -signal.SIGKILL)
        while any(worker.exists() for worker in workers):
            assert time.monotonic() < ends
            time.sleep(0.05)


def test_what_a_killed_server_left_is_thrown_away_and_nothing_else(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    open_one, left = Folder(), Folder()
    (left.path / "table.csv").write_text("x\n1\n")
    os.close(left._held)  # as the system does when a process ends
    (tmp_path / f"{PREFIX}other").mkdir()
    (tmp_path / f"{PREFIX}file").write_text("kept")
    home = tmp_path / "home"
    home.mkdir()
    (home / LOCK).touch()
    (tmp_path / f"{PREFIX}link").symlink_to(home)
    before = {each.name for each in tmp_path.iterdir()}
    throw_away_what_was_left()
    assert before - {each.name for each in tmp_path.iterdir()} == {left.path.name} and (home / LOCK).exists()
    open_one.close()
    assert not open_one.path.exists()


def test_without_its_packages_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as left:
        cli.main(["app"])
    assert left.value.code == 2 and "gradstep[app]" in capsys.readouterr().err


def test_a_port_in_use_is_an_error(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(SystemExit) as left:
            cli.main(["app", "--no-browser", "--port", str(taken.getsockname()[1])])
        assert left.value.code == 2 and "cannot be used" in capsys.readouterr().err
