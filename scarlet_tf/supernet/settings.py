"""The values that named settings of a supernet take; without TensorFlow, so that tools can check them first."""

BN_MODES = ("moving", "recalibrated")
DRAWS = ("uniform", "depth")  # of models whose ranking is measured
LET_INITS = ("normal", "identity")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SHARED_GRADIENTS = ("sum", "mean")
