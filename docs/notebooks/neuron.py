# %% [markdown]
# # The neuron
#
# One neuron: weights **w**, a bias b, a ReLU, mean squared error. Its gradient is worked out line by line,
# as on paper, and every line is proved; then it is trained on the electricity that Iowa made from
# renewables.

# %%
import gradstep as gs

loss = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
loss

# %% [markdown]
# The derivation shows itself: each line with the rule that made it and the reason for the rule.

# %%
derivation = gs.derive(loss, wrt=["w", "b"])
derivation

# %% [markdown]
# How is it known that no line is wrong? Each was evaluated exactly, in a field of integers modulo a large
# prime.

# %%
derivation.certificate

# %%
from gradstep.datasets import iowa

years, terawatt_hours = iowa()
fit = gs.train(loss, {"X": years[:, None], "y": terawatt_hours}, learning_rate=0.1, steps=200)
fit

# %% [markdown]
# The fit as a widget: press Train, drag a weight, or the point on the loss surface. It needs `pip install
# 'gradstep[notebook]'`.

# %%
cell = fit.widget()
cell

# %% [markdown]
# What is moved there is known here, and the other way.

# %%
cell.step(20)
print(f"after {cell.steps} steps the loss is {cell.loss:.4f}")
cell.parameters

# %%
cell.settings = {"optimiser": "momentum", "learning_rate": 0.05}
cell.parameters["b"] += 5
print(f"with b five larger the loss is {cell.loss:.4f}")
cell.step(100)
print(f"after {cell.steps} steps the loss is {cell.loss:.4f}")
