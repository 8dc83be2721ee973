"""The limits of agreement, in one table. Constants are those of the design (docs/parity.md).

u = 2^-24, half a unit in the last place of a float32 near 1. e is a relative L2 error, m a greatest
absolute error relative to the greatest absolute value, both against the float64 reference.

Before: nothing. judging.py and less_precise.py measure against them; floors.py widens them.
"""

from __future__ import annotations

U32 = 2.0**-24
# a gradient that is zero in exact arithmetic is rounding noise on both sides: errors below one
# float64 epsilon (float32: u) of the norm of all gradients together are no difference
EPS64 = 2.0**-52

SEMANTIC_FORWARD = 1e-12  # relative L2, of both sides in float64
SEMANTIC_GRADIENT = 1e-11
# float64 errors up to here, where float32 agrees: a constant that one side rounds to float32
ROUNDED = 4 * U32
# those of whole runs, up to which rounded constants explain them; where all of float32 agrees, a gradient that nearly
# cancels may show more
AMPLIFIED, CANCELLED = 1e-5, 1e-2
SUMMED_FACTOR = 2.0  # times its limit, a whole float32 run's error is known where nothing fails given the same values
PLAIN_NUMBERS = 1e-9  # relative: what a float64 run tells in numbers went through sums
PRECISION_FACTOR, PRECISION_LEAST = 4.0, 16 * U32  # e <= max(4 e_other, 16 u)
FLOOR_FACTOR = 4.0  # times the measured noise floor (floors.json), where there is one
# K independent terms added one after another in float32 are expected to be wrong by u sqrt(K / 6): the order that
# some CPUs' kernels have, and the least that a layer's limit may be (K = 1536 gives the 16 u above)
SUMMATION_TERMS = 6.0
NEIGHBOURS = 4  # one unit in the last place away, at which the reference's error is measured where a local one fails
MAXIMUM_FACTOR, MAXIMUM_LEAST = 8.0, 64 * U32  # m <= max(8 m_other, 64 u)
GRADIENT_FACTOR, GRADIENT_LEAST = 8.0, 64 * U32
# a choice is explained by rounding when its regret is at most this many times the greatest error of a node
CHOICE_FACTOR = 2.0
COARSE = 1e-4  # relative, float32: beyond it no rounding is the reason
# relative, float64, of values that reach other branches: beyond all rounded constants
BRANCH = 1e-6
# where those come to nothing, all is rounding below these fractions of what came there with the values as they are
# (of gradients the second), and below the last in any case
BRANCH_NOISE, BRANCH_SATURATED, BRANCH_LEAST = 1e-12, 1e-8, 1e-30
# ... and differences below this fraction are what is left where sums of such values cancel
BRANCH_CANCELLED = 16 * EPS64
CONDITION = 8.0  # times what one unit in the last place of a layer's input moves NumPy's own result
LOSS = 1e-6  # relative, each component, float32
LOSS_64 = 1e-12
TUBE = 3.0  # times the tube of the reference's copies
TUBE_COPIES = 8  # of the reference, each started one unit in the last place away
TUBE_LEAST = 64 * U32  # of a loss that no copy moves
STEPS_STATE, STEPS_LOSS = 1e-10, 1e-12  # coupled float64 training steps
# a user's own steps, float64 (float32): values of one step; up to the last it may be rates rounded to float32
OWN_STEP, OWN_STEP_32, OWN_STEP_ROUNDED = 1e-9, 1e-4, 2e-6
# of the greatest gradient or way: errors below are those of what should be zero
OWN_STEP_LEAST = 1e-6
# ... and the biased variance of n values: elements agree on (n - 1) / n, n on being a whole number
BIASED_APART, BIASED_COUNT = 1e-6, 1e-3
# what constructors leave: standard errors that means and spreads of two draws may be apart, how much further tails,
# the chance of two samples of one distribution to be as far apart, and relative, two values that are one
INITIAL_DEVIATIONS, INITIAL_TAILS, INITIAL_CHANCE, INITIAL_SAME = 5.0, 1.5, 1e-7, 1e-6
INITIAL_NORMAL = 30  # values of a normal distribution with which a kurtosis is averaged: few values underestimate it
# two reports: a node has changed when its error is this many times as great, and not next to nothing
CHANGE_FACTOR, CHANGE_LEAST = 1.5, 0.1
ALPHA, POWER = 0.05, 0.8  # of tests over seeds
DETECTIONS_MATCHED, DETECTION_IOU, DETECTION_SCORE = 0.999, 0.99, 1e-4
# central differences of any smooth layer in float64, with the step that serves all of them
FINITE_DIFFERENCES_LOOSE = 1e-6
