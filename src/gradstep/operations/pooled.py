"""How is pooling computed with NumPy? Functions as source, as they stand in programs."""

from __future__ import annotations

from gradstep.operations.windows import OVERLAP_ADD, WINDOWS

SHARES = f'''{WINDOWS}

def shares(x, lengths, strides, paddings, dilations):
    """1 at the largest entry of each window of x, which those that tie share."""
    around = [(0, 0)] * (x.ndim - len(lengths)) + [(p, p) for p in paddings]
    parts = windows(np.pad(x, around, constant_values=-np.inf), lengths, strides, dilations)
    axes = tuple(range(x.ndim, parts.ndim))
    largest = parts == parts.max(axis=axes, keepdims=True)
    return largest / largest.sum(axis=axes, keepdims=True, dtype=x.dtype)
'''
MAX_TAKEN = f'''{SHARES}

def max_taken(v, x, lengths, strides, paddings, dilations):
    """What v has where the largest entry of each window of x stands."""
    around = [(0, 0)] * (x.ndim - len(lengths)) + [(p, p) for p in paddings]
    parts = windows(np.pad(v, around), lengths, strides, dilations)
    held = shares(x, lengths, strides, paddings, dilations)
    return (parts * held).sum(axis=tuple(range(x.ndim, parts.ndim)))
'''
MAX_POOLED = f'''{WINDOWS}

def max_pooled(x, lengths, strides, paddings, dilations):
    """The largest entry of each window of x."""
    around = [(0, 0)] * (x.ndim - len(lengths)) + [(p, p) for p in paddings]
    parts = windows(np.pad(x, around, constant_values=-np.inf), lengths, strides, dilations)
    return parts.max(axis=tuple(range(x.ndim, parts.ndim)))
'''
MAX_UNPOOLED = f'''{SHARES}

{OVERLAP_ADD}

def max_unpooled(g, x, lengths, strides, paddings, dilations):
    """Each entry of g where the largest entry of its window of x stands."""
    axes = len(lengths)
    held = shares(x, lengths, strides, paddings, dilations) * g[(..., *[None] * axes)]
    wide = [n + 2 * p for n, p in zip(x.shape[-axes:], paddings)]
    whole = overlap_add(held, wide, strides, dilations)
    return whole[(..., *(slice(p, n - p) for p, n in zip(paddings, wide)))]
'''
AVG_POOLED = f'''{WINDOWS}

def avg_pooled(x, lengths, strides, paddings, dilations):
    """The mean of each window of x, zeros around it included."""
    around = [(0, 0)] * (x.ndim - len(lengths)) + [(p, p) for p in paddings]
    parts = windows(np.pad(x, around), lengths, strides, dilations)
    return parts.mean(axis=tuple(range(x.ndim, parts.ndim)))
'''
AVG_UNPOOLED = f'''{OVERLAP_ADD}

def avg_unpooled(g, sizes, lengths, strides, paddings, dilations):
    """Each entry of g spread evenly over its window."""
    parts = np.broadcast_to(g[(..., *[None] * len(lengths))] / np.prod(lengths), (*g.shape, *lengths))
    wide = [n + 2 * p for n, p in zip(sizes, paddings)]
    whole = overlap_add(parts, wide, strides, dilations)
    return whole[(..., *(slice(p, n - p) for p, n in zip(paddings, wide)))]
'''
