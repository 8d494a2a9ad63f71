"""`gradstep demo`: the article's neuron on real data, from the network to the fit, and a page to keep."""

from __future__ import annotations

from pathlib import Path

import click

from gradstep.calculus.derivation import derive
from gradstep.datasets import iowa
from gradstep.expression.errors import MathError
from gradstep.learn.data import from_arrays
from gradstep.learn.encoding import Encoder
from gradstep.learn.models import default_model
from gradstep.learn.optimisers import optimiser_named
from gradstep.learn.progress import progress_bar
from gradstep.learn.training import train_model
from gradstep.notation.terminal import text
from gradstep.notation.views import present
from gradstep.page.fitted import write_page

PAGE = "gradstep-demo.html"
RATE = 0.1
TARGET = "renewables (TWh)"
LEAD = (
    "From 2001 to 2017 the electricity that the state of Iowa makes from renewables grew from almost nothing "
    "to 22 TWh a year: flat at first, then steeply up. A single neuron with a ReLU has just that shape. Here "
    "is all of it: the network, its loss, the gradient worked out line by line, and the descent.",
    "Data: US Energy Information Administration, in the public domain; 17 years, in terawatt-hours.",
)
NEXT = (
    "<code>gradstep train your.csv --target price</code> does the same for your own table.",
    "<code>gradstep derive 'mean((y - tanh(X @ w + b))**2)' X:N,d w:d b: y:N --wrt w,b --view sample</code> "
    "bends the neuron another way.",
    "<code>gradstep code</code> writes the gradient as a program to paste.",
)


@click.command()
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=PAGE, help="Where to write the page."
)
@click.option(
    "--seed", type=int, default=7, show_default=True, help="Seed of the certificate's random points."
)
def command(out: Path, seed: int) -> None:
    """The article's neuron on real data: derived, certified, trained, and shown."""
    year, twh = iowa()
    table = from_arrays({"year": year, TARGET: twh}, source="Iowa, renewables")
    prepared = Encoder.fit(table, TARGET, holdout=0)
    model = default_model(prepared)
    _say(
        "The problem",
        f"    Electricity from renewables in Iowa, {year[0]:.0f}–{year[-1]:.0f}: {len(year)} years, "
        f"from {twh.min():.1f} to {twh.max():.1f} TWh.",
        "    One neuron: it takes the year x, weighs it, adds a bias, and lets through what is positive,",
        "    activation(x) = max(0, w·x + b).",
    )
    derivation = derive(model.loss, list(model.parameters), names=model.names, seed=seed)
    click.echo(text(present(derivation, view="sample")))
    rule = optimiser_named("gradient descent")
    click.echo()
    _say("The descent", *(f"    {line}" for line in rule.formula.text("w", "C")))
    with progress_bar("descending") as show:
        fit = train_model(model, prepared, learning_rate=RATE, progress=show)
    click.echo(f"    {fit.descended()}")
    click.echo()
    _say("What it learned", *(f"  {line}" for line in (*fit.compared(), "", *fit.learnt())))
    try:
        page = write_page(fit, out, title="One neuron and the wind of Iowa", lead=LEAD, next_steps=NEXT)
    except OSError as error:
        raise MathError(
            f"the page cannot be written: {error.strerror or error}", mend="--out another/path.html"
        ) from None
    click.echo(f"The page, to keep and to open by double click:\n    {page}")


def _say(title: str, *lines: str) -> None:
    click.echo(title)
    for line in lines:
        click.echo(line)
    click.echo()
