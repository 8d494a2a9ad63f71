# %% [markdown]
# # Check your backward pass
#
# You wrote a backward pass by hand. Is it right, and if not, which line is wrong?

# %%
import numpy as np

import gradstep as gs

loss = gs.parse(
    "z = X @ W + b; p = softmax(z, axis=1); -sum(Y * log(p))/N",
    X="N d",
    W="d k",
    b="k",
    Y="N k",
    assume={"Y": "rows sum to one"},
)
loss

# %% [markdown]
# A formula is compared with the gradient that gradstep derives and proves. The verdict names the slip, and
# gives numbers small enough to see it.

# %%
gs.check(loss, wrt="b", claim="1/N * sum(Y - p, axis=0)")

# %%
gs.check(loss, wrt="b", claim="1/N * sum(p - Y, axis=0)")

# %% [markdown]
# So is a function: it is called, and what it returns is compared.


# %%
def backward(X, W, b, Y):
    z = X @ W + b
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    dz = (p - Y) / len(X)
    return {"W": X.T @ dz, "b": dz.mean(axis=0)}


found = gs.check(loss, wrt=["W", "b"], claim=backward)
found

# %% [markdown]
# It was the bias: a sum over the rows, not their mean. The verdict is True, False, or None where nothing
# could be found out, and None is never a pass.

# %%
assert found.verdict is False
