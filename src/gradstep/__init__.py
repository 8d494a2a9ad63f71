"""gradstep: the mathematics of a neural network, derived step by step."""
