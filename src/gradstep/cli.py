"""The command `gradstep`. A subcommand loads when it is called; an error is a sentence, never a traceback."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from gradstep import __version__
from gradstep.expression.errors import MathError

# Each subcommand, where it is, and what it does.
COMMANDS = {
    "demo": ("gradstep.commands.demo", "The article's neuron on real data, end to end."),
    "derive": ("gradstep.commands.derive", "The gradient of a loss, step by step."),
    "code": ("gradstep.commands.code", "The gradient as a program to paste."),
    "train": ("gradstep.commands.train", "Fit a small network to a table."),
    "predict": ("gradstep.commands.predict", "Use a saved model on new data."),
}
BAD_INPUT, OUR_FAULT, INTERRUPTED = 2, 70, 130


class Commands(click.Group):
    """The subcommands, found in the table when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from the table, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gradstep")
def group() -> None:
    """The mathematics of a neural network: derived step by step, proved, run and shown."""


def main() -> None:
    """Run the command line, and leave with 0, 2 for input that cannot be, 130 for Ctrl-C, 70 for our own fault."""
    try:
        status = group.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        status = stop.exit_code
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except MathError as error:
        click.echo(f"error: {error}", err=True)
        status = BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        status = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python closes in peace
        status = 0
    except Exception as error:
        click.echo(
            f"gradstep failed: {type(error).__name__}: {error}\n"
            "This is a fault of gradstep. Please report it with the command that you typed.",
            err=True,
        )
        if os.environ.get("GRADSTEP_DEBUG"):
            raise
        status = OUR_FAULT
    sys.exit(status if isinstance(status, int) else 0)
