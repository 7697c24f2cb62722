"""The values that named settings of a supernet take; without TensorFlow, so that tools can check them first."""

BN_MODES = ("moving", "recalibrated")
DRAWS = ("uniform", "depth")  # of models whose ranking is measured
LET_INITS = ("normal", "identity")
SHARED_GRADIENTS = ("sum", "mean")
