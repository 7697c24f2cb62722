"""The process that `scarlet_tf.latency.matrix_product` starts: times a matrix product for every line of standard input.

Each answer is in 10^9 multiply-adds per second. The process exits at the end of standard input.
"""

import sys
import time

import numpy as np

SIZE = 512  # the three matrices take 3 MB, so this measures arithmetic, not memory


def main() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, SIZE, SIZE), np.float32)
    product = np.empty_like(a)
    for _ in sys.stdin:
        np.matmul(a, b, out=product)  # untimed: fills the caches and raises the core's clock
        start = time.perf_counter()
        np.matmul(a, b, out=product)
        print(1e-9 * SIZE**3 / (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
