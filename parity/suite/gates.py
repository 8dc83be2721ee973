"""The limits of what this suite alone asks: optimisers, ranks, records, AP, runs over seeds, gradients of the pools.

Before: parity/engine/judge/gates.py, the limits of everything else.
"""

from __future__ import annotations

OPTIMISER_ULPS = {"sgd": 2, "adamw": 8, "adam": 8}  # of one step from the same state
CLIPPING_ULPS = 8  # norm and clipped gradients: the sum of squares has another order
RANKS_GRADIENT, RANKS_LOSS = 1e-12, 1e-12  # float64, several processes against one
LOSS_MARGIN = 0.05  # relative, of the training loss at the end, over seeds
AP_MARGIN = 0.02
AP_MEANINGFUL = 0.2  # below it on both sides, equal AP proves nothing
# the pools are (piecewise) linear in the map: central differences have no error but rounding over the step
DIFFERENCE_STEP, FINITE_DIFFERENCES = 1e-5, 1e-9
GOLDEN_FLOAT32 = 1e-5  # the Faster R-CNN records are float32
GOLDEN_TORCH = 1e-9  # float64 PyTorch against the records of the reference
# Jittor against the records: the reference computes sines in float32, and PyTorch's and Jittor's
# float32 sines differ in the last place; measured 2.3e-9 forward, 1.4e-7 in gradients
GOLDEN_JITTOR_FORWARD, GOLDEN_JITTOR_GRADIENT = 1e-8, 1e-6
