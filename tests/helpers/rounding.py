"""How far rounding alone may take a result, whatever the CPU: limits for tests that follow from the arithmetic.

Kernels sum in any order, with fused multiply-adds or without, and some keep the partial sums of 16-bit products in 16
bits. A sum of n products comes out as the exact sum of products that are each wrong by a factor 1 + d, where
|d| <= 4 sqrt(n) u with a probability above 1 - 2n exp(-8) for roundings as likely up as down, u the unit roundoff
(Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM J. Sci. Comput. 41, 2019, A2815).
Sums that follow each other add their errors' squares. This holds where a relative change of what is summed changes the
result as much: with batch normalisation, and away from the kinks of ReLU6, where a slope jumps.
"""

import contextlib

import numpy as np

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}


def rounding_limit(*terms: int, dtype: str = "float32") -> float:
    """Return the limit of the relative error after sums of so many terms each, one after the other.

    An operation on single elements counts as one term.
    """
    return float(4 * np.sqrt(sum(terms)) * UNIT[dtype])


def network_limit(spec) -> float:
    """Return the limit of the relative error of a network's float32 logits, for weights that keep maps at one scale.

    Two float32 computations of them differ by at most twice as much.
    """
    terms = [27, 9, spec.stem_channels]
    for block in spec.blocks:
        if block.kind == "inverted_residual":
            terms += [block.in_channels, block.kernel_size**2, block.hidden_channels]
            terms += [block.hidden_channels, block.se_channels] if block.se_channels else []
        elif block.kind.startswith("let"):
            terms.append(block.in_channels)
    terms += [spec.blocks[-1].out_channels, spec.tail_channels]
    return rounding_limit(*terms, 4 * len(terms))  # BN and an activation after each


def rounded(weights: dict[str, np.ndarray], *, seed: int = 0) -> dict[str, np.ndarray]:
    """Return float64 weights that make a network as wrong, computed exactly, as float32 may make it with `weights`.

    Each kernel is multiplied by the 1 + d of the sums it stands in. So the effect of rounding errors, larger in an
    ill-conditioned network, is measured rather than guessed.
    """
    rng = np.random.default_rng(seed)
    result = {}
    for name, array in weights.items():
        summed = array.shape[:2] if "depthwise" in name else array.shape[:-1]
        terms = np.prod(summed) if name.endswith("/kernel") else 1
        result[name] = array * (1 + np.sqrt(terms) * UNIT["float32"] * rng.standard_normal(array.shape))
    return result


@contextlib.contextmanager
def float64():
    """Build and run Keras models in float64, as the reference for rounding errors of float32."""
    import keras

    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])
