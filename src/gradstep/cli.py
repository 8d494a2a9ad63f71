"""The command `gradstep`. A subcommand loads when it is called; an error is a sentence, never a traceback."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import IO

import click

from gradstep import __version__
from gradstep.expression.errors import MathError, resembling

# Each subcommand, where it is, and what it does.
COMMANDS = {
    "demo": ("gradstep.commands.demo", "The article's neuron on real data, end to end."),
    "derive": ("gradstep.commands.derive", "The gradient of a loss, step by step."),
    "jacobian": ("gradstep.commands.arrays:jacobian", "The Jacobian of a vector or a matrix, step by step."),
    "hessian": ("gradstep.commands.arrays:hessian", "The Hessian of a loss, step by step."),
    "jvp": ("gradstep.commands.arrays:jvp", "A Jacobian–vector product, step by step."),
    "hvp": ("gradstep.commands.arrays:hvp", "A Hessian–vector product, step by step."),
    "check": ("gradstep.commands.check", "Is this derivation right, and if not, where is it wrong?"),
    "networks": ("gradstep.commands.networks", "Layers and losses that come along, each derived."),
    "code": ("gradstep.commands.code", "The gradient as a program to paste."),
    "train": ("gradstep.commands.train", "Fit a small network to a table."),
    "predict": ("gradstep.commands.predict", "Use a saved model on new data."),
    "app": ("gradstep.commands.app", "All of it in your browser, on this machine alone."),
}
BAD_INPUT, OUR_FAULT, INTERRUPTED = 2, 70, 130


class Commands(click.Group):
    """The subcommands, found in the table when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        tell(ctx, import_module("gradstep.operations.processor").choose_kernels())
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        gc.disable()  # nothing that loads is ever thrown away
        command: click.Command = getattr(import_module(module), name or "command")
        gc.freeze()
        gc.enable()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was typed; one that does not exist is an error with a mend."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = resembling(args[0], COMMANDS, cutoff=0.5)
            raise MathError(
                f"there is no command {args[0]!r:.60}",
                facts=[f"the commands are {', '.join(COMMANDS)}"],
                mend=f"gradstep {near[0]}" if near else "gradstep --help",
            )
        tell(ctx, import_module("gradstep.operations.processor").choose_threads(args))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from the table, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in COMMANDS.items()])


def tell(context: click.Context, chosen: str) -> None:
    """How the work is done, to who wants to know."""
    if chosen and context.params.get("verbose"):
        click.echo(chosen, err=True)


@click.group(
    cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="gradstep")
@click.option("--verbose", is_flag=True, help="Say how the work is done, beside the work.")
@click.pass_context
def group(context: click.Context, /, verbose: bool) -> None:
    """The mathematics of a neural network: derived step by step, proved, run and shown."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    It leaves with 0, with 2 for input that cannot be, 130 for Ctrl-C, and 70 for a fault of our own.
    """
    for stream in (sys.stdout, sys.stderr):
        writes_anything(stream)
    try:
        status = group.main(arguments, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        status = stop.exit_code
    except click.UsageError as error:
        status = complain(usage_error(error))
    except click.ClickException as error:
        status = complain(MathError(error.format_message()))
    except MathError as error:
        status = complain(error)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        status = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python closes in peace
        status = 0
    except Exception as error:
        if os.environ.get("GRADSTEP_DEBUG"):
            raise
        words = " ".join(str(error).split())
        click.echo(
            f"error: gradstep itself failed: {type(error).__name__}: {words:.200}\n"
            "This is a fault of gradstep. Please report it with the command that you typed; "
            "GRADSTEP_DEBUG=1 in front of it shows where.",
            err=True,
        )
        status = OUR_FAULT
    sys.exit(status if isinstance(status, int) else 0)


def complain(error: MathError) -> int:
    """Say what is wrong."""
    click.echo(f"error: {error}", err=True)
    return BAD_INPUT


def usage_error(error: click.UsageError) -> MathError:
    """What click says about words on the command line, said our way."""
    message = error.format_message().rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "gradstep"
    return MathError(message[:1].lower() + message[1:], mend=f"{command} --help, which says what it takes")


def writes_anything(stream: IO[str]) -> None:
    """A letter that the terminal does not have becomes a question mark, not an error."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
