"""A search whose accuracy is a formula: imported by tests, and run as a process of its own by those that kill it."""

import os
import resource
import signal
import sys
import time

import numpy as np

from scarlet_tf.arch import get_space
from scarlet_tf.search import Search, SearchConfig


class SyntheticEvaluator:
    """Accuracy 0.3..0.7 by a fixed worth of every choice in every layer; identity is worth nothing."""

    def __init__(self, num_layers, *, pause=0.0):
        self.fingerprint = "synthetic"
        self.worth = np.random.default_rng(7).random((num_layers, 13))
        self.worth[:, 12] = 0.0
        self.pause = pause
        self.seen = []

    def evaluate(self, genomes):
        time.sleep(self.pause)
        self.seen += [tuple(genome) for genome in genomes.tolist()]
        return 0.3 + 0.4 * self.worth[np.arange(genomes.shape[1]), genomes].mean(axis=1)


class Dying(SyntheticEvaluator):
    """The same in portions of 4 genomes; kills the process after `last` portions."""

    def __init__(self, num_layers, *, last):
        super().__init__(num_layers)
        self._left = last

    def portions(self, genomes):
        return [np.arange(first, min(first + 4, len(genomes))) for first in range(0, len(genomes), 4)]

    def evaluate(self, genomes):
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1
        return super().evaluate(genomes)


def search(archive, *, generations=12, population=12, **settings):
    config = SearchConfig(population=population, generations=generations, picks=3, **settings)
    return Search(get_space("scarlet"), config, archive=archive)


if __name__ == "__main__":
    # ARCHIVE PAUSE [die_after=GENERATION] [die_after_portions=COUNT] [file_limit=BYTES]
    wanted = dict(option.split("=") for option in sys.argv[3:])
    if "file_limit" in wanted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(wanted["file_limit"]),) * 2)

    def show(summary):
        print(summary.generation, flush=True)
        if wanted.get("die_after") == str(summary.generation):
            os.kill(os.getpid(), signal.SIGKILL)

    evaluator = SyntheticEvaluator(19, pause=float(sys.argv[2]))
    if "die_after_portions" in wanted:
        evaluator = Dying(19, last=int(wanted["die_after_portions"]))
    search(sys.argv[1]).run(evaluator, progress=show)
