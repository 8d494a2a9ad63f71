"""`gradstep app`: the local web app, for this browser on this machine alone."""

from __future__ import annotations

import importlib.util
import threading
import webbrowser
from typing import TYPE_CHECKING

import click

from gradstep.expression.errors import MathError
from gradstep.expression.late import late

if TYPE_CHECKING:
    from gradstep.app import server
else:
    server = late("gradstep.app.server")

SOON = 0.5  # seconds


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Where to listen; a free port by itself."
)
@click.option("--no-browser", is_flag=True, help="Print the address, and open nothing.")
def command(port: int, no_browser: bool) -> None:
    """A page in your browser: type a network and its loss, drop a table, train, check your own derivation.

    It listens on 127.0.0.1 only, and answers no one but the page that was opened with the address it prints.
    Nothing leaves this machine. Ctrl-C ends it.
    """
    if any(importlib.util.find_spec(package) is None for package in ("starlette", "uvicorn")):
        raise MathError("the local app needs Starlette and uvicorn", mend="pip install 'gradstep[app]'")
    serving = server.Serving(port)
    click.echo(f"gradstep is open at\n    {serving.address}\nCtrl-C ends it.")
    if not no_browser:
        opening = threading.Timer(SOON, webbrowser.open, [serving.address])
        opening.daemon = True
        opening.start()
    serving.run()
