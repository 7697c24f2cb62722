"""Dynamic loss scaling for training in float16 (Micikevicius et al., "Mixed Precision Training", section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from scarlet_tf.supernet.mixed import new_variable, variable_key

FIRST = 2.0**15
STEADY = 2000  # finite steps after which the scale is doubled


class LossScale:
    """The factor by which a float16 loss is scaled, so that small gradients do not underflow.

    A step whose gradients overflow is skipped and halves the scale; STEADY finite steps in a row double it.
    """

    def __init__(self) -> None:
        self.scale = new_variable(np.float32(FIRST), "loss_scale", trainable=False)
        self.steady = new_variable(np.float32(0), "loss_scale_steady", trainable=False)

    def guard(self, gradients: Sequence[tf.Tensor], update: Callable[[list[tf.Tensor]], None]) -> None:
        """Unscale the gradients and pass them to `update`, unless one is not finite; then adjust the scale."""
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
        scale, steady = tf.convert_to_tensor(self.scale), tf.convert_to_tensor(self.steady)

        def take() -> tf.Tensor:
            update([g / scale for g in gradients])
            return finite

        tf.cond(finite, take, lambda: finite)
        longer = tf.where(finite, steady + 1.0, 0.0)
        grown = tf.where(longer >= STEADY, scale * 2.0, scale)
        # By handle: every replica has the same gradients, so each sets its own copy.
        for variable, value in (
            (self.scale, tf.where(finite, grown, tf.maximum(scale / 2.0, 1.0))),
            (self.steady, tf.where(longer >= STEADY, 0.0, longer)),
        ):
            tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)

    def state(self) -> dict[str, np.ndarray]:
        return {variable_key(variable): variable.numpy() for variable in (self.scale, self.steady)}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        for variable in (self.scale, self.steady):
            variable.assign(arrays[variable_key(variable)])
