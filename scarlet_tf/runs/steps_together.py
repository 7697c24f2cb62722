"""Several training steps in one call of TensorFlow, which hides from an accelerator what Python does between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf


def steps_together(
    step: Callable[..., dict[str, tf.Tensor]], strategy: tf.distribute.Strategy, *, most: int, scalars: Sequence[str]
) -> Callable[[Sequence[tuple], Sequence[tuple]], dict[str, tf.Tensor]]:
    """Return a function that takes up to `most` training steps in one call, and ends as calls of `step` do.

    The graph has one step, in a loop. It is traced once, for any number of steps.

    Args:
        step: a tf.function, called as step(*batch, *others). Returns float32 scalars by name.
        strategy: the strategy in whose scope the variables were created.
        most: steps of a call; with 1, `step` is called as it is.
        scalars: the names of those to return.

    Returns:
        take(batches, others) -> the scalars of the last step. For each step, `batches` has a tuple of a replica's
        tensors or of PerReplica values, and `others` a tuple of tensors, in nested tuples or not, that all replicas
        share. Their shapes and dtypes are the same for every step.
    """
    if most == 1:
        return lambda batches, others: step(*batches[0], *others[0])

    @tf.function(autograph=False)
    def take(count, batches, others):
        batches = strategy.run(_stacked, args=batches)
        others = _stacked(*others)

        def body(number, _):
            batch = strategy.run(_at, args=(number, batches))
            of_step = step(*batch, *_at(number, others))
            return number + 1, [of_step[name] for name in scalars]

        zeros = [tf.zeros(()) for _ in scalars]
        _, last = tf.while_loop(lambda number, _: number < count, body, (0, zeros), parallel_iterations=1)
        return dict(zip(scalars, last, strict=True))

    def filled(steps: Sequence[tuple]) -> tuple:
        return (*steps, *[steps[-1]] * (most - len(steps)))

    return lambda batches, others: take(tf.constant(len(batches)), filled(batches), filled(others))


def _stacked(*steps):
    return tf.nest.map_structure(lambda *parts: tf.stack(parts), *steps)


def _at(number, stacked):
    return tf.nest.map_structure(lambda part: part[number], stacked)
