"""Dynamic loss scaling for float16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

FIRST_SCALE = 2.0**15
STEADY_STEPS = 2000  # finite steps after which the scale is doubled


class LossScale:
    """The factor by which a float16 loss is scaled, so that small gradients do not underflow.

    Source: Micikevicius et al., "Mixed Precision Training", section 3.2.

    A step whose gradients overflow must be skipped, and halves the scale; STEADY_STEPS finite steps in a row double it.

    Attributes:
        scale: the factor, a float32 variable.
        steady: finite steps since the last change, a float32 variable.
    """

    def __init__(self) -> None:
        # Every replica sets its own copy, to the same value.
        how = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self.scale = tf.Variable(np.float32(FIRST_SCALE), name="loss_scale", **how)
        self.steady = tf.Variable(np.float32(0), name="loss_scale_steady", **how)

    def unscale(self, gradients: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Return the gradients of the unscaled loss, and whether all are finite, bool ().

        Args:
            gradients: of the scaled loss, summed over all replicas.
        """
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
        scale = tf.convert_to_tensor(self.scale)
        return [gradient / scale for gradient in gradients], finite

    def adjust(self, finite: tf.Tensor) -> None:
        """Set the scale for the next step after one whose gradients were finite or not, bool ()."""
        scale, steady = tf.convert_to_tensor(self.scale), tf.convert_to_tensor(self.steady)
        longer = tf.where(finite, steady + 1.0, 0.0)
        grown = tf.where(longer >= STEADY_STEPS, scale * 2.0, scale)
        set_own(self.scale, tf.where(finite, grown, tf.maximum(scale / 2.0, 1.0)))
        set_own(self.steady, tf.where(longer >= STEADY_STEPS, 0.0, longer))

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays that a resumed run needs, by name."""
        return {"loss_scale": self.scale.numpy(), "loss_scale_steady": self.steady.numpy()}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` returned."""
        self.scale.assign(arrays["loss_scale"])
        self.steady.assign(arrays["loss_scale_steady"])


def set_own(variable: tf.Variable, value: tf.Tensor) -> None:
    """Set this replica's copy of a variable, in a replica context where all replicas have the same value."""
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
