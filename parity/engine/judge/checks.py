"""Names of the checks of one examination, in the order in which a run computes what they look at.

Before: nothing. gates.py has the limits, report/gist.py the columns that checks belong to.
"""

from __future__ import annotations

NAMES = "trained parameters"
INPUTS = "inputs"
LEFT = "what forward leaves"  # in buffers
INITIAL = "initial values"
PLAIN_64 = "float64 plain results"
LOCAL_PLAIN_64 = "float64 local plain results"
FORWARD_64 = "float64 forward"
CHOICES_64 = "float64 choices"
LOSSES_64 = "float64 losses"
DETECTIONS_64 = "float64 detections"
NODE_GRADIENTS_64 = "float64 node gradients"
GRADIENTS_64 = "float64 gradients"
LOCAL_FORWARD_64 = "float64 local forward"
LOCAL_LOSSES_64 = "float64 local losses"
LOCAL_DETECTIONS_64 = "float64 local detections"
LOCAL_GRADIENTS_64 = "float64 local gradients"
FORWARD_32 = "float32 forward"
LOSSES_32 = "float32 losses"
CHOICES_32 = "float32 choices"
DETECTIONS_32 = "float32 detections"
GRADIENTS_32 = "float32 gradients"
LOCAL_FORWARD_32 = "float32 local forward"
LOCAL_GRADIENTS_32 = "float32 local gradients"
STEP_LOSSES = "float64 losses"
DISPLACEMENT = "float64 displacement"
# of a user's own training step (own_steps.py)
MODES, TRAINABLE, RATES = "training modes", "frozen or not", "learning rates"
MOVES, REACHED = "what moves", "what gets a gradient"
OWN_NUMBERS, OWN_GRADIENTS, OWN_MOVED = "step: numbers", "step: gradients", "step: moved"
OWN_STATISTICS, OWN_EMA = "step: statistics", "step: EMA"
OWN_VALUES = (OWN_NUMBERS, OWN_GRADIENTS, OWN_MOVED, OWN_STATISTICS, OWN_EMA)
NOT_LOOKED_INTO = "not looked into"
BRANCHES = "other branches"
FUNCTIONS = "functions"  # of the case that looks at them one by one
BATCHES, CATEGORIES, FLIPS = "batches", "categories", "flips"
BEHIND = "crash behind a difference"
BEFORE = (NAMES, INPUTS, INITIAL)  # anything is computed
WEIGHTS = "weights: "  # checks that begin so are of what sides give back

# checks whose verdicts are on nodes, by name
ON_NODES = (
    *(FORWARD_64, NODE_GRADIENTS_64, GRADIENTS_64, LOCAL_FORWARD_64, LOCAL_GRADIENTS_64),
    *(FORWARD_32, GRADIENTS_32, LOCAL_FORWARD_32, LOCAL_GRADIENTS_32),
)


def round_trip(side: str) -> str:
    """What a side gives back of the weights that it was given."""
    return f"{WEIGHTS}{side} round trip"
