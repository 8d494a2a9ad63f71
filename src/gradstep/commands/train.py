"""`gradstep train`: a small network for a table of data, its gradient worked out and its descent shown."""

from __future__ import annotations

import contextlib
import functools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gradstep.commands.tables import (
    answers_csv,
    as_options,
    check_outputs,
    in_a_terminal,
    kinds_of,
    predictions_of,
    read_any,
    table_options,
)
from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.learn.columns import Table, listed, shown
from gradstep.learn.encoding import Encoder, Prepared
from gradstep.learn.fit import Fit
from gradstep.learn.models import Model, default_model
from gradstep.learn.optimisers import AUTOMATIC_STEP, GRADIENT_DESCENT, OPTIMISERS, optimiser_named
from gradstep.learn.penalty import L2
from gradstep.learn.progress import progress_bar, reading_bar
from gradstep.learn.training import TRAINED_HERE, train_model

if TYPE_CHECKING:
    import shlex
    from pathlib import Path

    from gradstep.commands import models, resuming, sweeping
    from gradstep.learn import cluster, packing, prints, reaching, stored_tables, variants
    from gradstep.learn.checkpoints import Checkpoint
    from gradstep.learn.cluster import Cluster
    from gradstep.learn.stores import Store
    from gradstep.learn.sweeps import Sweep
    from gradstep.notation import declaring, plain, views
    from gradstep.notation.presentation import Said
    from gradstep.page import fitted
else:
    shlex = late("shlex")
    models = late("gradstep.commands.models")
    resuming = late("gradstep.commands.resuming")
    prints = late("gradstep.learn.prints")
    reaching = late("gradstep.learn.reaching")
    sweeping = late("gradstep.commands.sweeping")
    cluster = late("gradstep.learn.cluster")
    packing = late("gradstep.learn.packing")
    stored_tables = late("gradstep.learn.stored_tables")
    variants = late("gradstep.learn.variants")
    declaring = late("gradstep.notation.declaring")
    plain = late("gradstep.notation.plain")
    views = late("gradstep.notation.views")
    fitted = late("gradstep.page.fitted")

MOST_LINES = 14  # of a derivation; `gradstep derive` shows it whole
WIDTH = 100
INTERRUPTED = 130


@click.command()
@click.argument("data", metavar="DATA", required=False)
@click.argument("shapes", nargs=-1, metavar="[SHAPES]...")
@click.option("--target", metavar="COLUMN", help="The column to predict.")
@click.option(
    "--model", metavar="EXPR", help="A loss of your own, of X, y (or Y, for classes) and parameters."
)
@click.option("--hidden", metavar="32,16", default="", help="The widths of hidden layers of ReLU units.")
@click.option("--task", metavar="TASK", help="regression or classification; seen from the target by itself.")
@click.option(
    "--optimiser",
    "--optimizer",
    default=GRADIENT_DESCENT.name,
    show_default=True,
    metavar="NAME",
    help=f"{', '.join(OPTIMISERS)} (for sums of squares).",
)
@click.option(
    "--learning-rate", type=float, metavar="η", help="A fixed rate; without one each step is chosen safely."
)
@click.option("--l2", type=float, metavar="λ", help="A penalty: λ times the squares of the weights.")
@click.option("--steps", type=int, default=2000, show_default=True, help="At most so many steps.")
@click.option("--batch", type=int, metavar="ROWS", help="Mini-batches of so many rows.")
@click.option(
    "--holdout", type=float, default=0.2, show_default=True, help="The share of rows kept for judging."
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Which rows are held out, and the start."
)
@click.option(
    "--sweep",
    multiple=True,
    metavar="NAME=A,B,C",
    help="Train a variant for each value, and keep the best: learning_rate, l2, optimiser, seed, batch, "
    "steps, tolerance, or a number in --model. Several: every combination.",
)
@click.option(
    "--exact",
    is_flag=True,
    help="Round every sum once: the same bits on every machine, for any order of the rows; about 30 times "
    "as slow.",
)
@click.option("--kind", multiple=True, metavar="COLUMN=KIND", help="Read a column as number or as category.")
@click.option(
    "--cluster",
    metavar="WHERE",
    help="Let the workers of a Dask cluster go through rows in files: local:4, or tcp://… of a scheduler.",
)
@table_options
@click.option("--save", metavar="FILE", help="Keep the model, as model.safetensors, for gradstep predict.")
@click.option("--page", metavar="FILE", help="Write a page with the network, the derivation and the fit.")
@click.option("--predictions", metavar="FILE", help="Write the predictions for every row, as CSV.")
@click.option(
    "--checkpoint",
    metavar="FOLDER",
    help="Keep the training there, now and then, to --resume it.",
)
@click.option(
    "--every",
    metavar="SECONDS",
    default="60",
    show_default=True,
    help="How often it is kept: so many seconds, or '500 steps'.",
)
@click.option(
    "--resume",
    metavar="FOLDER",
    help="Go on with the training that is kept there, to the same bits, perhaps with more --steps.",
)
@click.option("--quiet", is_flag=True, help="Print the result alone.")
@click.pass_context
def command(context: click.Context, /, data: str | None, shapes: Sequence[str], **options: Any) -> None:
    """Fit a small network to a table and show how.

    DATA is a .csv (or .csv.gz) file whose first line names its columns, a .parquet or .arrow file, a matrix
    in a .npy file, whose columns are called 0, 1, 2 …, or with --query the address of a data base. Several
    files are given as a folder or a pattern, 'part-*.parquet'; they may lie elsewhere, 's3://bucket/part-*.parquet'.
    Rows that are too many for memory stay in their files, which are read once for each step.

    Without --model the network is a single neuron, or logistic or softmax regression where the target holds
    classes. SHAPES are those of parameters in --model that cannot be worked out, such as W1:d,16.

    \b
        gradstep train houses.csv --target price
        gradstep train houses.csv --target price --hidden 32,16 --page houses.html
        gradstep train houses.csv --target price --model 'mean(abs(y - (X @ w + b)))'
        gradstep train houses.csv --target price --sweep learning_rate=0.01,0.1,1 --sweep seed=0,1
        gradstep train houses.csv --target price --hidden 32,16 --checkpoint run
        gradstep train --resume run

    Ctrl-C, and SIGTERM, end the training after the step that is under way with what was reached; a second one
    does so at once.
    """
    with in_a_terminal(), resuming.outlived():
        checkpoint, data, shapes, options = resuming.taken_up(context, data, shapes, options)
        with checkpoint or contextlib.nullcontext():
            fit, interrupted = _trained(data, shapes, options, checkpoint)
    if context.find_root().params.get("verbose"):
        click.echo(f"\nHow it ran\n{textwrap.indent(chr(10).join(fit.ran), '  ')}", err=True)
    if interrupted:
        context.exit(INTERRUPTED)


def _trained(
    data: str, shapes: Sequence[str], options: dict[str, Any], checkpoint: Checkpoint | None
) -> tuple[Fit, bool]:
    """The fit, or the best of a sweep, and whether Ctrl-C cut it short."""
    say = _silent if options["quiet"] else click.echo
    sweep = sweeping.sweep_of(options["sweep"]) if options["sweep"] else {}
    check_outputs(options["save"], options["page"], options["predictions"])
    with contextlib.ExitStack() as reached:

        @functools.cache
        def workers() -> Cluster | None:
            return reached.enter_context(cluster.cluster_of(options["cluster"]))

        table = read_any(data, options, options["target"], kinds_of(options["kind"]), workers=workers)
        if not isinstance(table, Table):
            return _from_files(table, [data, *shapes], options, sweep, say, checkpoint, workers())
    if not options["target"]:
        raise MathError(
            "which column is to be predicted?",
            facts=[f"the columns are {listed(table.columns)}"],
            mend=f"--target {shlex.quote(list(table.columns)[-1])}",
        )
    if checkpoint is not None:
        checkpoint.agree("files", resuming.files_of(data, options["query"]))
    prepared = Encoder.fit(
        table, options["target"], task=options["task"], holdout=options["holdout"], seed=options["seed"]
    )
    for part in _read(table, prepared):
        say(part)
    if options["cluster"] is not None:
        reaching.check_cluster(options["cluster"])
        say(f"  {TRAINED_HERE}")
    model = _model(prepared, options, shapes, _numbers(sweep))
    say(f"\nThe model: {model.title}")
    settings = {**_settings(options), "checkpoint": checkpoint}
    with progress_bar() as show:
        found = train_model(model, prepared, progress=show, sweep=sweep or None, **settings)
    fit, options, interrupted = _best(found, options, say)

    def predictions(path: str) -> None:
        packing.write_whole(path, _predictions(fit, table, prepared).encode())

    _told(fit, [data, *shapes], options, say, predictions)
    return fit, interrupted


def _from_files(
    store: Store,
    words: Sequence[str],
    options: dict[str, Any],
    sweep: Mapping[str, Sequence[Any]],
    say: Callable[[str], None],
    checkpoint: Checkpoint | None,
    workers: Cluster | None,
) -> tuple[Fit, bool]:
    """The same for rows that are too many for memory."""
    if checkpoint is not None:
        checkpoint.agree("files", prints.lasting(store.prints()))
    with reading_bar() as show:
        rows = stored_tables.prepared_rows(
            store,
            options["target"],
            task=options["task"],
            holdout=options["holdout"],
            progress=show,
            workers=workers,
            checkpoint=checkpoint,
        )
        for part in _read(store, rows.prepared):
            say(part)
        model = _model(rows.prepared, options, words[1:], _numbers(sweep))
        say(f"\nThe model: {model.title}")
        settings = {**_settings(options), "checkpoint": checkpoint, "cluster": workers}
        found = stored_tables.train_stored_model(model, rows, progress=show, sweep=sweep or None, **settings)
    fit, options, interrupted = _best(found, options, say)

    def predictions(path: str) -> None:
        rows = read_any(words[0], options, options["target"], None, fit.encoder)
        assert not isinstance(rows, Table)  # as before
        packing.write_whole(path, predictions_of(fit.predictor, rows))

    _told(fit, words, options, say, predictions)
    return fit, interrupted


def _numbers(sweep: Mapping[str, Any]) -> list[str]:
    """The numbers in the formula that a sweep sets."""
    return [name for name in sweep if name not in (*variants.MANNERS, L2)]


def _best(
    found: Fit | Sweep, options: dict[str, Any], say: Callable[[str], None]
) -> tuple[Fit, dict[str, Any], bool]:
    """The fit, or the best of a sweep, which is shown; its options; and whether Ctrl-C cut it short."""
    if isinstance(found, Fit):
        return found, options, found.stopped == "interrupted"
    click.echo(f"\nThe sweep\n{textwrap.indent(str(found), '  ')}")
    say("")
    return found.best, sweeping.chosen(options, found.best_settings), found.interrupted


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    names = ("optimiser", "learning_rate", "l2", "steps", "batch", "seed", "exact")
    return {name: options[name] for name in names}


def _told(
    fit: Fit,
    words: Sequence[str],
    options: dict[str, Any],
    say: Callable[[str], None],
    predictions: Callable[[str], None],
) -> None:
    """What happened and what came of it, and the files that were asked for."""
    for part in () if options["quiet"] else (*_derived(fit), *_descended(fit, options["learning_rate"])):
        say(part)
    for fault in fit.faults if options["quiet"] else ():
        click.echo(fault, err=True)
    click.echo("\nThe result")
    for row in fit.compared() or [f"  loss {fit.loss:.6g}"]:
        click.echo(row)
    for part in ("", "What it learned", *fit.learnt()):
        say(part)
    for part in (*_kept(fit, options, predictions), *_next(fit, words, options)):
        say(part)


def _silent(text: str) -> None:
    """Says nothing."""


# ------------------------------------------------------------------------------------------- before


def _read(table: Table | Store, prepared: Prepared) -> list[str]:
    """What was read, and what was done to it."""
    features = len(prepared.feature_names)
    if not isinstance(table, Table):
        held = f"{table.count:,} rows, {features + 1} columns of numbers, read window by window"
    else:
        held = f"{table.rows:,} rows, {len(table.columns)} columns"
    aim = "a number" if prepared.classes is None else f"one of {len(prepared.classes)} classes"
    return [
        f"{table.source}: {held}",
        f"  to predict: {shown(prepared.target)}, {aim}, from {features} feature{'s' * (features != 1)}",
        *(f"  {as_options(note)}" for note in prepared.notes),
    ]


def _model(
    prepared: Prepared, options: dict[str, Any], arguments: Sequence[str], numbers: Sequence[str] = ()
) -> Model:
    """The model that was asked for; `numbers` in its formula are set, not trained."""
    if options["model"] is None:
        if arguments:
            raise MathError(
                f"{arguments[0]!r:.60} is not expected here",
                facts=["shapes belong to --model EXPR"],
                mend="quotes around a file name or a column with spaces",
            )
        return default_model(prepared, models.widths(options["hidden"]) if options["hidden"] else ())
    if options["hidden"]:
        raise MathError("--model and --hidden are two ways to say which network", mend="one of them")
    return models.written_model(
        options["model"], declaring.shapes_from_arguments(arguments), prepared, numbers
    )


# ------------------------------------------------------------------------------------------- what happened


def _derived(fit: Fit) -> list[str]:
    """The loss, its parts and its gradient, a line each."""
    story = views.present(fit.derivation)
    lines: list[str] = []
    for section in story.sections:
        if section.title.startswith("One step"):
            continue
        told = [each for said in section.lines for each in _lines(said)]
        if len(told) > MOST_LINES:
            left_out = len(told) - MOST_LINES + 1
            told[MOST_LINES // 2 : MOST_LINES // 2 + left_out] = [
                f"… {left_out} more lines: gradstep derive shows all"
            ]
        lines += ["", section.title, *(f"    {each}" for each in told)]
    return [*lines[1:], *(["", story.proof] if story.proof else [])]


def _lines(said: Said) -> Sequence[str]:
    """∂C/∂w = Xᵀ ∂C/∂z: the left side and its last form, no wider than a terminal."""
    told = plain.line(said.forms[-1])
    if said.left is None:
        return textwrap.wrap(told.replace(" × ", "×"), WIDTH - 4)
    return plain.wrap(f"{plain.line(said.left)} = {told}", WIDTH - 4)


def _descended(fit: Fit, rate: float | None) -> list[str]:
    """The formula of the optimiser, and the way in one line."""
    rule = optimiser_named(fit.optimiser)
    automatic = rate is None and rule is GRADIENT_DESCENT
    formula = AUTOMATIC_STEP if automatic else rule.formula
    names = list(fit.parameters)
    meant = "all parameters" if len(names) > 8 else f"{', '.join(names[:-1])} and {names[-1]}"
    theta = [f"    θ stands for {meant}"] if len(names) > 1 else []
    formulas = formula.text("θ" if theta else names[0], fit.derivation.names[fit.of])
    lines = [*(f"    {each}" for each in formulas), *theta, f"  {fit.descended()}", f"  {fit.exactness()}"]
    return ["", "The descent", *lines, *(f"  {note}" for note in fit.notes)]


# ------------------------------------------------------------------------------------------- afterwards


def _kept(fit: Fit, options: dict[str, Any], predictions: Callable[[str], None]) -> list[str]:
    """Files that were asked for."""
    said = []
    if options["save"]:
        fit.save(options["save"])
        said.append(f"the model is in {options['save']}")
    if options["predictions"]:
        predictions(options["predictions"])
        said.append(f"the predictions for all rows are in {options['predictions']}")
    if options["page"]:
        said.append(f"the page is in {_page(fit, options['page'])}")
    return ["", *said] if said else []


def _page(fit: Fit, path: str) -> Path:
    try:
        return fitted.write_page(fit, path)
    except OSError as error:
        raise MathError(
            f"{shown(path)} cannot be written: {(error.strerror or str(error)).lower()}"
        ) from None


def _predictions(fit: Fit, table: Table, prepared: Prepared) -> str:
    """Every row of the table: what is true, what is predicted, and whether the row was held out."""
    held = {int(prepared.rows[row]) for row in prepared.test}
    known = {int(row) for row in prepared.rows}
    target = table.columns[prepared.target]
    beside = {
        "line": list(table.lines),
        prepared.target: [
            "" if absent else value for value, absent in zip(target.values, target.missing, strict=True)
        ],
        "used": [
            "held out" if row in held else "training" if row in known else "" for row in range(table.rows)
        ],
    }
    return answers_csv(fit.predictor.answers(table), prepared.target, prepared.classes, beside)


def _again(words: Sequence[str], options: dict[str, Any], **changed: object) -> str:
    """The same command once more, with some options changed; files that it wrote are not asked for again."""
    own = ("save", "page", "predictions", "checkpoint", "every", "resume")
    asked = {**options, **dict.fromkeys(own), "quiet": False, **changed}
    command_line = ["gradstep", "train", *words]
    for option in command.params:
        value: Any = asked.get(option.name or "")
        said = value is not None and value is not False and value not in ("", ())
        if isinstance(option, click.Option) and said and value != option.default:
            for each in value if option.multiple else (value,):
                command_line += [option.opts[0], str(each)]
    return shlex.join(command_line)


def _next(fit: Fit, words: Sequence[str], options: dict[str, Any]) -> list[str]:
    """What to try next, as commands."""

    kept = options["resume"] or options["checkpoint"]

    def again(**changed: object) -> str:
        if kept and changed.keys() <= {"page", "save", "steps"}:
            asked = [each for name, value in changed.items() for each in (f"--{name}", str(value))]
            return shlex.join(["gradstep", "train", "--resume", kept, *asked])
        return _again(words, options, **changed)

    ideas = []
    line_is_better = len(fit.scores) > 2 and _worse(fit)
    if not options["hidden"] and options["model"] is None:
        ideas.append((again(hidden="32,16"), "a perceptron bends where a straight line cannot"))
    elif options["hidden"] and line_is_better:
        ideas.append(
            (again(hidden=""), f"the {fit.scores[1].name} does no worse on rows that it has not seen")
        )
    if kept and fit.stopped == "interrupted":
        ideas.insert(0, (again(), "go on from here, to the same bits"))
    if fit.stopped == "steps":
        ideas.append((again(steps=4 * options["steps"]), "the loss was still falling"))
    if not options["page"]:
        ideas.append((again(page="out.html"), "see the network, the derivation and the fit on a page"))
    if options["save"]:
        ideas.append((f"gradstep predict {shlex.quote(options['save'])} new.csv", "answer for new rows"))
    else:
        ideas.append(
            (
                again(save="model.safetensors"),
                "keep the model, for gradstep predict model.safetensors new.csv",
            )
        )
    return ["", "What to try next", *(part for text, why in ideas for part in (f"  {why}:", f"    {text}"))]


def _worse(fit: Fit) -> bool:
    """Whether the line does as well as the network on held-out rows."""
    mine, line = (score.held_out or score.training for score in fit.scores[:2])
    measure = "log loss" if "log loss" in mine else "mean squared error"
    return mine[measure] >= line[measure]
