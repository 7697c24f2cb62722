"""Short trainings of models on their own, which pause to be measured on held-out images and then go on."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from benchmarks.equal_cost.costs import TRAINING
from scarlet_tf.arch import ArchSpec, count
from scarlet_tf.data import ImageData
from scarlet_tf.files import write_atomically
from scarlet_tf.models import build, set_weights
from scarlet_tf.runs.distribution import distributed_batches
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.training.config import MEASURED_IMAGES, TrainConfig
from scarlet_tf.training.evaluation import Evaluator
from scarlet_tf.training.session import count_steps
from scarlet_tf.training.step import TrainState
from scarlet_tf.training.trainer import measure_statistics


class ShortTraining:
    """A training of a model with a schedule of `total_steps`.

    Measured accuracies are kept in a file. A training with such a file trains only if it is asked for a later one, and
    then from the start, which ends with the same weights.

    Args:
        spec: the model.
        data: the images.
        config: the training settings; `total_steps` counts, not their epochs.
        total_steps: after which the learning rate has decayed to 0.
        images: number of held-out images to measure on.
        record: path of the file.

    Attributes:
        accuracies: those measured so far, by number of steps.
    """

    def __init__(
        self, spec: ArchSpec, data: ImageData, config: TrainConfig, *, total_steps: int, images: int, record: Path
    ) -> None:
        self._spec, self._data, self._config, self._record = spec, data, config, record
        self._total_steps, self._images = total_steps, images
        self.accuracies: dict[int, float] = {}
        if record.exists():
            kept = json.loads(record.read_text(encoding="utf-8"))
            if kept["genome"] != list(spec.genome):
                raise ValueError(f"{record} is of another model, {kept['genome']}, expected {list(spec.genome)}")
            self.accuracies = {int(step): accuracy for step, accuracy in kept["accuracies"].items()}

    def cost(self, first: int, last: int) -> int:
        """Return the cost of steps `first` to `last` - 1 and of the measurement after them."""
        measured = min(MEASURED_IMAGES, self._data.num_examples["train"]) + self._images
        return count(self._spec).madds * (TRAINING * (last - first) * self._config.batch_size + measured)

    def accuracy_after(self, steps: int) -> float:
        """Return top-1 on held-out images after `steps` steps, with averaged weights and measured statistics.

        Later calls must not ask for fewer steps.
        """
        if steps not in self.accuracies:
            self._running.advance(steps)
            self.accuracies[steps] = self._running.accuracy()
            kept = {"genome": list(self._spec.genome), "accuracies": self.accuracies}
            self._record.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._record, json.dumps(kept) + "\n")
        return self.accuracies[steps]

    @functools.cached_property
    def _running(self) -> _Running:
        return _Running(self._spec, self._data, self._config, total_steps=self._total_steps, images=self._images)


class _Running:
    """The network in training, and its copy in inference form."""

    def __init__(self, spec: ArchSpec, data: ImageData, config: TrainConfig, *, total_steps: int, images: int) -> None:
        strategy = make_strategy("one_device")
        steps_per_epoch, _ = count_steps(data, config)
        self._state = TrainState(
            spec,
            config,
            strategy=strategy,
            image_shape=data.config.image_shape,
            steps_per_epoch=steps_per_epoch,
            total_steps=total_steps,
            normalise=data.normalise,
        )
        self._batches = distributed_batches(
            strategy,
            functools.partial(data.train_pixels, config.batch_size, seed=config.seed),
            batch_size=config.batch_size,
        )
        shape = (*data.config.image_shape, spec.input_channels)
        self._model = build(spec, input_shape=shape, classifier_activation=None)
        self._evaluator = Evaluator(self._model, data)
        self._data, self._images, self._step = data, images, 0

    def advance(self, steps: int) -> None:
        for number in range(self._step, steps):
            self._state.take_steps(number, [next(self._batches)])
        self._step = steps

    def accuracy(self) -> float:
        set_weights(self._model, self._state.final_weights())
        measure_statistics(self._model, self._data)
        return self._evaluator.evaluate("search_validation", limit=self._images).top1
