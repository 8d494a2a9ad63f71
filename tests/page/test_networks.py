"""Is the network that is drawn the one that the loss describes?"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import gradstep as gs
from gradstep.operations.evaluation import mentioned
from gradstep.page.networks import signals_of
from gradstep.page.rehearsal import rehearse

# A loss, its shapes, and its layers as "weights bias activation width"; no layers where they are no chain.
LAYERS = {
    "mean((y - relu(X @ w + b))**2)": ("X:N,d w:d b: y:N", ["w b relu 1"]),
    "mean((y - X @ w)**2) + lam*sum(w**2)": ("X:N,d w:d y:N lam:", ["w  linear 1"]),
    "mean((y - (X @ w + b))**2) + sum(w**2)": ("X:N,d w:d b: y:N", ["w b linear 1"]),
    "-sum(Y*log(softmax(X @ W.T + b, axis=1)))/N": ("X:N,d W:k,d b:k Y:N,k", ["W b softmax k"]),
    "mean((Y - (gelu(X @ W + b) @ V))**2)": ("X:N,d W:d,h b:h V:h,k Y:N,k", ["W b gelu h", "V  linear k"]),
    "mean((X - (tanh(X @ W + b) @ V + c))**2)": ("X:N,d W:d,h b:h V:h,d c:d", ["W b tanh h", "V c linear d"]),
    "mean((X - X @ W @ W.T)**2)": ("X:N,d W:d,h", ["W  linear h", "W  linear d"]),
    "sum(M*(R - U @ V.T)**2)/sum(M) + sum(U**2)": ("R:m,n M:m,n U:m,k V:n,k", ["U  linear k", "V  linear n"]),
    "mean((y - take(E, i) @ w)**2)": ("E:u,k i:N w:k y:N", ["E  linear k", "w  linear 1"]),
    "mean((y - (X @ w + Z @ v))**2)": ("X:N,d w:d Z:N,e v:e y:N", []),
    "mean((Y - softmax(X @ W @ X.T, axis=1) @ X @ V)**2)": ("X:N,d W:d,d V:d,k Y:N,k", []),
    "logdet(A) + sum(A**2)": ("A:n,n", []),
}


def fitted(text):
    shapes = {name: size.replace(",", " ") for name, size in (s.split(":") for s in LAYERS[text][0].split())}
    trained = [name for name in shapes if name not in ("X", "Y", "y", "Z", "R", "M", "i", "lam")]
    return rehearse(gs.derive(gs.parse(text, **shapes), trained, certify=False))[0]


@pytest.mark.parametrize("text", LAYERS)
def test_layers_are_read_off_the_loss(text):
    fit = fitted(text)
    found = signals_of(fit.of, fit.derivation.parameters, fit.prediction)
    assert [f"{s.weight} {s.bias} {s.activation} {s.width}" for s in found] == LAYERS[text][1]
    for before, after in pairwise(found):
        assert after.inner is before.out
    assert [s.inner is None for s in found[1:]] == [False] * len(found[1:])


@pytest.mark.parametrize(
    "text", [text for text in LAYERS if "gelu" in text or "take" in text or "M*" in text]
)
def test_the_page_draws_them_with_the_numbers_of_an_example(text, browser, tmp_path):
    """What stands in the last neuron is what the network answers; and in the first what it is given."""
    page = tmp_path / "page.html"
    fit = fitted(text)
    page.write_text(gs.derive(fit.of, list(fit.derivation.parameters), certify=False).html(), "utf-8")
    tab = browser.new_page()
    wrong = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(page.as_uri())
    tab.click("#example-after")
    row = tab.evaluate("gradstep.row")
    last = f"{len(LAYERS[text][1])}-0" if tab.locator("[data-part='z-0']").count() == 0 else "y-0"
    shown = tab.locator(f"#gs-network [data-part='{last}'] .value").text_content().replace("−", "-")
    known = {name: stack[0] for name, stack in fit.path.items()} | fit.data
    (*_, signal) = signals_of(fit.of, fit.derivation.parameters, fit.prediction)
    answer = np.asarray(
        gs.evaluate(signal.out, **{n: v for n, v in known.items() if n in mentioned(signal.out)})
    )
    assert float(shown) == pytest.approx(np.ravel(answer[row])[0], abs=0.06 * np.abs(answer).max())
    assert wrong == []
    tab.close()


def test_a_row_that_is_looked_up_can_be_dragged(browser, tmp_path):
    page = tmp_path / "table.html"
    page.write_text(
        gs.derive(gs.parse("mean((R - U @ V.T)**2)", R="m n", U="m k", V="n k"), ["U", "V"]).html(), "utf-8"
    )
    tab = browser.new_page()
    tab.goto(page.as_uri())
    tab.click("#example-after")
    before, width = (
        tab.evaluate("[...gradstep.descent.parameters().U]"),
        tab.evaluate("gradstep.model.sizes.k"),
    )
    tab.locator("#gs-network .grip").first.dispatch_event("keydown", {"key": "ArrowRight"})
    after = tab.evaluate("[...gradstep.descent.parameters().U]")
    assert [k for k, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [
        width
    ]  # row 1, column 0
    tab.close()
