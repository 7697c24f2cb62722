"""The values that named settings of a supernet take; without TensorFlow, so that tools can check them first."""

AT_A_TIME = 2  # blocks of a layer; what one leaves idle of two threads, the other takes
BN_MODES = ("moving", "recalibrated")
DRAWS = ("uniform", "depth")  # of models whose ranking is measured
LET_INITS = ("normal", "identity")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SHARED_GRADIENTS = ("sum", "mean")


def share_out_threads(threads: int) -> dict[str, int]:
    """TensorFlow's "inter" and "intra" op threads for training a supernet on one device, `threads` in all.

    A layer runs two of its blocks at a time (AT_A_TIME). A thread for each is quicker than both threads for
    one block, as many of its operations are too small to be cut: 1.62 s a fair step against 2.68 on two cores.
    """
    inter = min(AT_A_TIME, threads)
    return {"inter": inter, "intra": max(1, threads // inter)}
