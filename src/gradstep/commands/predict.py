"""`gradstep predict`: what a saved model says about new rows."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from gradstep.commands.tables import (
    answers_csv,
    check_outputs,
    in_a_terminal,
    predictions_of,
    read_any,
    table_options,
)
from gradstep.expression.errors import MathError
from gradstep.learn.columns import Table, shown
from gradstep.learn.comparison import measures
from gradstep.learn.encoding import Encoder
from gradstep.learn.packing import write_whole
from gradstep.learn.predicting import Answers
from gradstep.learn.saving import load
from gradstep.learn.stores import Store


@click.command()
@click.argument("model", metavar="MODEL.safetensors")
@click.argument("data", metavar="NEW")
@click.option("--out", metavar="FILE", help="Write the predictions there instead of printing them.")
@table_options
def command(model: str, data: str, out: str | None, **style: Any) -> None:
    """What a model that `gradstep train --save` kept says about new rows.

    NEW is a table as for gradstep train, with the columns of the one that the model was trained on.

    The answers are CSV, one line for each row. Where NEW holds the true values too, how near the answers
    come is said as well.
    """
    with in_a_terminal():
        _predict(model, data, out, style)


def _predict(model: str, data: str, out: str | None, style: dict[str, Any]) -> None:
    check_outputs(out)
    predictor = load(model)
    encoder = predictor.encoder
    if encoder is None:
        raise MathError(
            f"{shown(model)} was trained on arrays, so it does not know the columns of a table",
            mend='gradstep.load("…").predict(…) in Python',
        )
    table = read_any(data, style, None, encoder.kinds, encoder)
    if isinstance(table, Store):
        if out is None:
            raise MathError(
                f"{table.source} has {table.count:,} rows: their answers go into a file",
                mend="--out answers.csv",
            )
        for note in table.notes:
            click.echo(note, err=True)
        write_whole(out, predictions_of(predictor, table))
        click.echo(f"{table.count:,} predictions are in {out}", err=True)
        return
    answers = predictor.answers(table)
    text = answers_csv(answers, encoder.target, encoder.classes, {})
    for note in (*table.notes, *answers.notes, *_judged(encoder, table, answers)):
        click.echo(note, err=True)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_whole(out, text.encode())
        click.echo(f"{table.rows:,} predictions are in {out}", err=True)


def _judged(encoder: Encoder, table: Table, answers: Answers) -> list[str]:
    """How near the answers come, if the table holds the true values."""
    if encoder.target not in table.columns:
        return []
    known = np.flatnonzero(~table.columns[encoder.target].missing)
    if not len(known):
        return []
    try:
        y = encoder.encode_target(table.take(known))
    except MathError as error:
        return [f"the answers are not compared with {shown(encoder.target)}: {error.what}"]
    values = answers.values[known]
    if values.ndim > y.ndim:
        y = np.stack([1 - y, y], axis=1)
    found = measures(y, values, encoder.classes is not None)
    told = ", ".join(
        f"{name} {100 * v:.1f} %" if name == "right" else f"{name} {v:.4g}" for name, v in found.items()
    )
    return [f"compared with {shown(encoder.target)} in {len(known):,} rows: {told}"]
