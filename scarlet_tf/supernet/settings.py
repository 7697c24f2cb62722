"""Valid values of a supernet's settings. Does not import TensorFlow, so that tools can check flags quickly."""

AT_A_TIME = 2  # blocks of a layer that run at once: one block rarely keeps two threads busy
BN_MODES = ("moving", "recalibrated")
LET_INITS = ("normal", "identity")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SHARED_GRADIENTS = ("sum", "mean")


def share_out_threads(threads: int) -> dict[str, int]:
    """Divide `threads` into TensorFlow's "inter" and "intra" op threads, to train a supernet on one device.

    A layer runs two of its blocks at a time (AT_A_TIME). One thread for each is faster than two threads for one block,
    because many operations are too small to be split: on two cores, a fair step takes 1.62 s instead of 2.68 s.
    """
    inter = min(AT_A_TIME, threads)
    return {"inter": inter, "intra": max(1, threads // inter)}
