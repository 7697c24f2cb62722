"""Times a matrix product for every line of standard input: the process that `scarlet_tf.latency.matrix_product` starts.

Answers with the multiply-adds a second, in 10^9. Ends with standard input.
"""

import sys
import time

import numpy as np

SIZE = 512  # the three matrices take 3 MB, so this measures arithmetic, not memory


def main() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, SIZE, SIZE), np.float32)
    product = np.empty_like(a)
    for _ in sys.stdin:
        np.matmul(a, b, out=product)  # untimed: the matrices, and the core's clock, come up
        start = time.perf_counter()
        np.matmul(a, b, out=product)
        print(1e-9 * SIZE**3 / (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
