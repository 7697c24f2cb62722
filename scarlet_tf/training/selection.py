"""Validation during a run: which weights are kept, and whether the run stops early."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from scarlet_tf.runs.workers import Workers
from scarlet_tf.training.config import TrainConfig
from scarlet_tf.training.evaluation import Metrics

_STATE, _BEST = "selection/state", "selection/best/"


class Selection:
    """Validation after every epoch, which keeps the best weights and counts epochs without better ones.

    Weights are better if `measure` is higher or, where it is equal, if the loss is lower. Of equal weights, the first
    are kept.

    Args:
        judge: called with a number of finished steps, returns the weights as they would be kept then, by name, and
            their metrics on the validation images.
        strategy: with several workers, all use the chief's metrics, so that none stops alone.

    Attributes:
        measure: "balanced_accuracy" if classes are weighted, else "top1".
        best_step: number of steps after which the best weights were reached; None before the first validation.
        stopped: whether the run stopped early because there were no better weights.
        step: number of finished steps at the last validation.
    """

    def __init__(
        self,
        judge: Callable[[int], tuple[Mapping[str, np.ndarray], Metrics]],
        config: TrainConfig,
        *,
        strategy: tf.distribute.Strategy,
        steps_per_epoch: int,
        total_steps: int,
    ) -> None:
        self.measure = "top1" if config.class_weight == "none" else "balanced_accuracy"
        self.best_step: int | None = None
        self.stopped = False
        self.step = 0
        self._judge = judge
        self._config = config
        self._workers = Workers(strategy)
        self._steps_per_epoch = steps_per_epoch
        self._total_steps = total_steps
        self._score = (-math.inf, -math.inf)
        self._waited = 0
        self._best: dict[str, np.ndarray] = {}

    @property
    def best_weights(self) -> dict[str, np.ndarray]:
        """The weights to keep; empty if the recipe keeps the last ones."""
        return self._best

    def is_due(self, step: int) -> bool:
        """Return whether an epoch or the run ends after `step` finished steps."""
        return step % self._steps_per_epoch == 0 or step == self._total_steps

    def review(self, step: int) -> dict[str, float]:
        """Validate after `step` finished steps, and return scalars for the log."""
        weights, metrics = self._judge(step)
        own = np.array([metrics.top1, metrics.balanced_accuracy, metrics.loss])
        top1, balanced, loss = self._workers.add(own if self._workers.index == 0 else np.zeros(3)).tolist()
        score = (top1 if self.measure == "top1" else balanced, -loss)
        self.step = step
        self._waited += 1
        if math.isfinite(loss) and score > self._score:
            self._score, self.best_step, self._waited = score, step, 0
            if self._config.keep == "best":
                self._best = {name: np.array(array) for name, array in weights.items()}
        self.stopped = 0 < self._config.patience <= self._waited and step < self._total_steps
        return {"validation_loss": loss, "validation_accuracy": top1, "validation_balanced_accuracy": balanced}

    def describe(self) -> dict:
        """Return the record for training.json; an epoch is a whole number of training batches."""
        epoch = None if self.best_step is None else self.best_step / self._steps_per_epoch
        return {
            "keep": self._config.keep,
            "measure": self.measure,
            "best_step": self.best_step,
            "best_epoch": epoch and round(epoch, 2),
            "stopped_early": self.stopped,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays that a resumed run needs, by name."""
        best_step = -1 if self.best_step is None else self.best_step
        state = np.array([*self._score, best_step, self._waited, self.stopped, self.step], np.float64)
        return {_STATE: state} | {_BEST + name: array for name, array in self._best.items()}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `arrays` returned."""
        measured, minus_loss, best_step, waited, stopped, step = arrays[_STATE].tolist()
        self._score = (measured, minus_loss)
        self.best_step = None if best_step < 0 else int(best_step)
        self._waited, self.stopped, self.step = int(waited), bool(stopped), int(step)
        self._best = {name.removeprefix(_BEST): a for name, a in arrays.items() if name.startswith(_BEST)}
