# %% [markdown]
# # Your own loss on your own table
#
# How long does a delivery take? Not on average: what time do nine of ten deliveries keep? The loss for that
# counts a minute too late nine times as much as a minute too early.

# %%
import numpy as np

import gradstep as gs

random = np.random.default_rng(4)
kilometres, parcels = random.uniform(1, 20, 80), random.integers(1, 12, 80)
minutes = 4 + 2.1 * kilometres + 1.5 * parcels + random.gamma(2, 3, 80)
table = {"X": np.column_stack([kilometres, parcels]), "y": minutes}

# %% [markdown]
# With your own file it would be `np.loadtxt("deliveries.csv", delimiter=",", skiprows=1)`.

# %%
loss = gs.parse("e = y - (X @ w + b); mean(maximum(0.9*e, -0.1*e))", X="N d", w="d", b="", y="N")
gs.derive(loss, wrt=["w", "b"])

# %%
fit = gs.train(loss, table)
fit

# %%
promised = table["X"] @ fit.parameters["w"] + fit.parameters["b"]
print(f"{np.mean(minutes <= promised):.0%} of the deliveries keep the promised time")

# %% [markdown]
# Which rate is best for plain descent? Variants share their passes over the data.

# %%
gs.train(loss, table, steps=300, sweep={"learning_rate": [0.03, 0.3, 3.0]})

# %%
fit.widget()
