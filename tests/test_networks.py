"""Has every network that comes along the gradients that PyTorch gives its own layer of that name?"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tables import each

import gradstep as gs
from gradstep.cli import main
from gradstep.datasets import sonnets, windows
from gradstep.expression.errors import MathError
from gradstep.expression.shapes import Lengths
from gradstep.operations.evaluation import variables

DEPTH = 2
NAMES = tuple(gs.networks)
DRAWS = (
    {
        "N": 5,
        "n": 4,
        "m": 3,
        "d": 2,
        "e": 3,
        "k": 2,
        "h": 2,
        "p": 2,
        "q": 3,
        "f": 3,
        "v": 6,
        "r": 2,
        "b": 2,
        "c": 3,
    },
)
DRAWS += (
    {
        "N": 3,
        "n": 6,
        "m": 7,
        "d": 4,
        "e": 2,
        "k": 3,
        "h": 3,
        "p": 3,
        "q": 4,
        "f": 5,
        "v": 4,
        "r": 1,
        "b": 3,
        "c": 2,
    },
)
UNTOLD = {
    "multi-head attention": ("h", "k"),
    "group norm": ("p", "q"),
    "language model": ("h", "c"),
}  # sizes that no array has alone
Arrays = dict[str, np.ndarray]


def arrays(network: Any, draw: int) -> Arrays:
    """Random arrays in the shapes of its variables, that keep what is known of them."""
    rng, lengths = np.random.default_rng(draw), Lengths({**DRAWS[draw], 1: 1})
    found: Arrays = {}
    for name, variable in variables(network.loss(DEPTH)).items():
        shape = [lengths[size] for size in variable.shape]
        fact = network.assume.get(name)
        if name in ("t", "u") and variable.shape[-1] == "n":
            found[name] = rng.integers(0, lengths["v"], shape)
        elif fact == "rows sum to one":
            found[name] = rng.dirichlet(np.ones(shape[1]), size=shape[0])
        elif fact == "positive" or name == "p":
            found[name] = rng.uniform(0.2, 0.8, shape)
        elif network.name == "dropout" and name == "M":
            found[name] = rng.integers(0, 2, shape).astype(float)
        else:
            found[name] = rng.normal(size=shape)
    return found


# --------------------------------------------------------------------------- what PyTorch has of that name

Torch = Callable[[Any, Any, dict[str, Any]], Any]


def lstm(torch: Any, F: Any, v: dict[str, Any]) -> Any:
    W, U, b = (torch.cat([v[f"{w}{g}"] for g in "ifgo"]) for w in ("W", "U", "b"))
    h, c = v["h0"][None], v["c0"][None]
    for k in range(1, DEPTH + 1):
        h, c = torch.lstm_cell(v[f"x{k}"][None], (h, c), W, U, b, torch.zeros_like(b))
    return (v["G"] * h[0]).sum()


def gru(torch: Any, F: Any, v: dict[str, Any]) -> Any:
    W, U = (torch.cat([v[f"{w}{g}"] for g in "rzn"]) for w in ("W", "U"))
    b = torch.cat([v["br"], v["bz"], v["bn"]])
    other = torch.cat([torch.zeros_like(v["br"]), torch.zeros_like(v["bz"]), v["cn"]])
    h = v["h0"][None]
    for k in range(1, DEPTH + 1):
        h = torch.gru_cell(v[f"x{k}"][None], h, W, U, b, other)
    return (v["G"] * h[0]).sum()


def decoder(torch: Any, F: Any, v: dict[str, Any], H: Any, eps: float, heads: int, depth: int) -> Any:
    """What goes into the last layer, the same for one window (n, d) and for several (b, n, d)."""

    def norm(x: Any, g: Any, b: Any) -> Any:
        return F.layer_norm(x, x.shape[-1:], g, b, eps)

    for k in range(1, depth + 1):
        A = norm(H, v[f"gm{k}"], v[f"bm{k}"])
        parts = ((A @ v[f"W{w}{k}"]).unflatten(-1, (heads, -1)).transpose(-3, -2) for w in "qkv")
        O = F.scaled_dot_product_attention(*parts, attn_mask=v["M"]).transpose(-3, -2).flatten(-2)
        H = H + O @ v[f"Wo{k}"]
        B = norm(H, v[f"gn{k}"], v[f"bn{k}"])
        H = H + F.gelu(B @ v[f"Wa{k}"] + v[f"a{k}"]) @ v[f"Wb{k}"] + v[f"b{k}"]
    return norm(H, v["gu"], v["bu"]) @ v["U"]


def transformer(torch: Any, F: Any, v: dict[str, Any]) -> Any:
    Z = decoder(torch, F, v, v["X"] @ v["E"] + v["T"], float(v["eps"]), 1, DEPTH)
    return F.cross_entropy(Z, v["Y"])


def language_model(torch: Any, F: Any, v: dict[str, Any], depth: int = DEPTH) -> Any:
    Z = decoder(torch, F, v, F.embedding(v["t"], v["E"]) + v["T"], 1e-5, v["heads"], depth)
    return F.cross_entropy(Z.flatten(0, 1), v["u"].flatten())


def perceptron(torch: Any, F: Any, v: dict[str, Any]) -> Any:
    A = v["A0"]
    for k in range(1, DEPTH + 1):
        A = F.relu(F.linear(A, v[f"W{k}"].T, v[f"b{k}"]))
    return F.mse_loss(A, v["Y"])


def residual(torch: Any, F: Any, v: dict[str, Any]) -> Any:
    H = v["H0"]
    for k in range(1, DEPTH + 1):
        H = H + F.linear(F.relu(F.linear(H, v[f"W{k}"].T, v[f"a{k}"])), v[f"V{k}"].T, v[f"b{k}"])
    return (v["G"] * H).sum()


def multihead(torch: Any, F: Any, v: dict[str, Any]) -> Any:
    n, d, h = len(v["X"]), v["X"].shape[1], v["heads"]
    q, k, w = ((v["X"] @ v[name]).reshape(n, h, -1).transpose(0, 1) for name in ("Wq", "Wk", "Wv"))
    O = F.scaled_dot_product_attention(q, k, w, attn_mask=v["M"]).transpose(0, 1).reshape(n, -1)
    assert d == v["G"].shape[1]
    return (v["G"] * (O @ v["Wo"])).sum()


def rotary(torch: Any, F: Any, v: dict[str, Any]) -> Any:
    """As complex numbers: each pair of features times e^(iθ)."""
    half = v["X"].shape[1] // 2
    turned = torch.complex(v["X"][:, :half], v["X"][:, half:]) * torch.polar(torch.ones_like(v["A"]), v["A"])
    return (v["G"] * torch.cat([turned.real, turned.imag], dim=1)).sum()


def variational(torch: Any, F: Any, v: dict[str, Any]) -> Any:
    from torch.distributions import Normal, kl_divergence

    mean, scale = v["X"] @ v["Wm"], torch.exp(v["X"] @ v["Ws"] / 2)
    decoded = (mean + scale * v["E"]) @ v["V"] + v["b"]
    apart = kl_divergence(Normal(mean, scale), Normal(torch.zeros_like(mean), torch.ones_like(scale)))
    return (F.mse_loss(decoded, v["X"], reduction="sum") / 2 + apart.sum()) / len(v["X"])


def experts(torch: Any, F: Any, v: dict[str, Any]) -> Any:
    each_ = [F.relu(v["X"] @ W) @ V for W, V in zip(v["W"], v["V"], strict=True)]
    return (v["G"] * sum(r[:, None] * E for r, E in zip(v["R"].T, each_, strict=True))).sum()


def diffusion(torch: Any, F: Any, v: dict[str, Any]) -> Any:
    a = v["a"][:, None]
    noisy = torch.sqrt(a) * v["X"] + torch.sqrt(1 - a) * v["E"]
    H = F.silu(noisy @ v["W"] + a * v["u"] + v["b"])
    return F.mse_loss(H @ v["V"] + v["c"], v["E"])


def convolutional(torch: Any, F: Any, v: dict[str, Any]) -> Any:
    A = F.max_pool2d(F.relu(F.conv2d(v["X"], v["W"], v["a"])), 2)
    B = F.avg_pool2d(F.relu(F.conv2d(A, v["U"], v["b"])), 2)
    return F.cross_entropy(B.flatten(1) @ v["V"] + v["v"], v["Y"])


PEERS: dict[str, Torch] = {
    "convolution of signals": lambda torch, F, v: (v["G"] * F.conv1d(v["X"], v["W"], v["b"])).sum(),
    "convolution of images": lambda torch, F, v: (
        v["G"] * F.conv2d(v["X"], v["W"], v["b"], stride=2, padding=1)
    ).sum(),
    "convolutional network": convolutional,
    "perceptron": perceptron,
    "classifier": lambda torch, F, v: F.cross_entropy(v["X"] @ v["W"] + v["b"], v["Y"]),
    "attention": lambda torch, F, v: (
        v["G"] * F.scaled_dot_product_attention(v["Q"], v["K"], v["V"], attn_mask=v["M"])
    ).sum(),
    "attention of many heads": lambda torch, F, v: (
        v["G"] * F.scaled_dot_product_attention(v["Q"], v["K"], v["V"], attn_mask=v["M"])
    ).sum(),
    "multi-head attention": multihead,
    "layer norm": lambda torch, F, v: (
        v["G"] * F.layer_norm(v["X"], v["g"].shape, v["g"], v["b"], float(v["eps"]))
    ).sum(),
    "RMS norm": lambda torch, F, v: (
        v["G"] * F.rms_norm(v["X"], v["g"].shape, v["g"], float(v["eps"]))
    ).sum(),
    "batch norm": lambda torch, F, v: (
        v["G"] * F.batch_norm(v["X"], None, None, v["g"], v["b"], True, 0.1, float(v["eps"]))
    ).sum(),
    "batch norm, inference": lambda torch, F, v: (
        v["G"] * F.batch_norm(v["X"], v["m"], v["v"], v["g"], v["b"], False, 0.1, float(v["eps"]))
    ).sum(),
    "group norm": lambda torch, F, v: (
        v["G"] * F.group_norm(v["X"], v["groups"], v["g"], v["b"], float(v["eps"]))
    ).sum(),
    "embedding": lambda torch, F, v: (v["G"] * (F.embedding(v["t"], v["E"]) + v["T"])).sum(),
    "rotary positions": rotary,
    "residual block": residual,
    "SwiGLU": lambda torch, F, v: (v["G"] * ((F.silu(v["X"] @ v["W"]) * (v["X"] @ v["V"])) @ v["U"])).sum(),
    "dropout": lambda torch, F, v: (
        v["G"] * (F.relu(F.linear(v["X"], v["W"].T, v["b"])) * v["M"] / (1 - v["p"]))
    ).sum(),
    "LoRA": lambda torch, F, v: (
        v["G"] * (v["X"] @ (v["W"] + v["alpha"] / v["A"].shape[1] * (v["A"] @ v["B"])))
    ).sum(),
    "mixture of experts": experts,
    "contrastive loss": lambda torch, F, v: F.cross_entropy(
        F.normalize(v["A"], dim=1) @ F.normalize(v["B"], dim=1).T / v["tau"], torch.arange(len(v["A"]))
    ),
    "ranking loss": lambda torch, F, v: F.binary_cross_entropy_with_logits(
        v["beta"] * ((v["A"] @ v["w"]) - (v["B"] @ v["w"])), torch.ones(len(v["A"]), dtype=torch.float64)
    ),
    "triplet loss": lambda torch, F, v: F.relu(
        torch.square((v["A"] - v["P"]) @ v["W"]).sum(1)
        - torch.square((v["A"] - v["B"]) @ v["W"]).sum(1)
        + v["c"]
    ).mean(),
    "variational autoencoder": variational,
    "diffusion loss": diffusion,
    "LSTM": lstm,
    "GRU": gru,
    "transformer": transformer,
    "language model": language_model,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_gradients_are_those_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    network = gs.networks[name]
    for draw, sizes in enumerate(DRAWS):
        told = {size: sizes[size] for size in UNTOLD.get(name, ())}
        derivation = network.derive(DEPTH, told)
        assert derivation.certificate is not None and derivation.certificate.verdict is True
        values = arrays(network, draw)
        tensors: dict[str, Any] = {
            key: torch.tensor(value, requires_grad=key in derivation.answers) for key, value in values.items()
        }
        tensors |= {"heads": sizes["h"], "groups": sizes["p"]}
        PEERS[name](torch, torch.nn.functional, tensors).backward()
        for parameter, answer in derivation.answers.items():
            wanted = tensors[parameter].grad.numpy()
            found = gs.evaluate(answer, **values)
            np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10, err_msg=parameter)


def test_a_language_model_learns_as_in_pytorch() -> None:
    """Sonnets, 100 steps of Adam from the same start: the losses agree to six digits, and more."""
    torch = pytest.importorskip("torch")
    letters, t, u = windows(sonnets(), 12, step=200)
    network, depth, sizes = gs.networks["language model"], 2, {"h": 2, "c": 4}
    lengths = {"v": len(letters), "n": 12, "d": 12, "f": 16}
    rng, start = np.random.default_rng(1), {}
    for name in network.parameters(depth):
        shape = [
            np.prod([lengths.get(part) or int(part) for part in size.split("*")], dtype=int)
            for size in network.variables(depth, sizes)[name].split()
        ]
        gain = np.ones(shape) if name.startswith("g") else np.zeros(shape)
        start[name] = gain if len(shape) == 1 else rng.normal(size=shape) / np.sqrt(shape[0])
    data = {"t": t, "u": u, "M": np.where(np.tri(12) > 0, 0, -1e9)}
    fit = gs.train(
        network.loss(depth, sizes),
        data,
        wrt=[*start],
        start=start,
        optimiser="adam",
        learning_rate=0.01,
        steps=100,
        standardise=False,
    )
    theirs = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
    adam = torch.optim.Adam(theirs.values(), lr=0.01)
    values = theirs | {name: torch.tensor(value) for name, value in data.items()} | {"heads": 2}
    wanted = []
    for _ in range(101):
        loss = language_model(torch, torch.nn.functional, values, depth)
        wanted.append(float(loss.detach()))
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert wanted[100] < 0.6 * wanted[0]
    np.testing.assert_allclose(fit.history, wanted, atol=1e-6)


@each("name", NAMES, tests=3)
def test_every_line_of_a_network_is_worked_out_again(name: str) -> None:
    derivation = gs.networks[name].derive(1)
    for view in ("matrix", "sample", "index"):
        assert "could not be worked out" not in derivation.text(view=view)


def test_a_network_is_text() -> None:
    attention = gs.networks["attention"]
    assert attention.loss() is gs.parse("; ".join(attention.written().splitlines()), **attention.variables())
    deep = gs.networks["LSTM"]
    assert deep.written(2).count("\n") == 12 and deep.variables(2)["x2"] == "d"
    assert "layer norm" in gs.networks and len(gs.networks) == len(NAMES) > 20
    assert re.search(r"^layer norm +each row less its mean", repr(gs.networks), re.M)


@pytest.mark.parametrize(
    ("act", "said", "mend"),
    [
        (lambda: gs.networks["layernorm"], "no network called layernorm", "layer norm"),
        (lambda: gs.networks["LSTM"].loss(0), "1 to 1000 layers, not 0", "depth=3"),
        (lambda: gs.networks["LSTM"].loss(True), "1 to 1000 layers, not True", "depth=3"),
        (lambda: gs.networks["LSTM"].derive(wrt="W"), "no variable W", None),
    ],
)
def test_what_is_asked_wrongly_is_an_error_with_a_mend(act: Any, said: str, mend: str | None) -> None:
    with pytest.raises(MathError, match=said) as caught:
        act()
    assert mend is None or mend in str(caught.value)


def test_the_command_lists_them_and_tells_each(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str, status: int = 0) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["networks", *words])
        assert (stop.value.code or 0) == status
        found = capsys.readouterr()
        return found.err if status else found.out

    listed = said()
    assert all(name in listed for name in NAMES)
    assert "∂C/∂V = Pᵀ ∂C/∂O" in said("attention", "--wrt", "V")
    assert "H2 = H1 + relu(Z2) @ V2 + b2" in said("residual block", "--depth", "2", "--text")
    third = said("residual block", "--depth", "4", "--layers", "3")
    assert "∂C/∂W₃ = H₂ᵀ ∂C/∂Z₃" in third and "∂C/∂W₂" not in third
    assert "its lines open" in said("residual block", "--layers", "3", "--to", "html", status=2)
    assert "no layers to repeat" in said("attention", "--depth", "7", status=2)
