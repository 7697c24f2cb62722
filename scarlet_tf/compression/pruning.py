"""Magnitude pruning: the smallest weights of a kernel stay at zero while the rest is fine-tuned.

Kernels of convolutions and dense layers are pruned. Depthwise kernels are not: tfmot has no masks for them, and they
are 3 % of SCARLET-A's weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from scarlet_tf.compression.toolkit import tfmot
from scarlet_tf.compression.twin import clone_with, has_dense_kernel
from scarlet_tf.models import get_weights

RAMP_SHARE = 0.5  # of the steps, over which sparsity rises to its final value; then the masks are fixed
MASK_UPDATES = 20  # over these steps


class PrunedModel:
    """A twin whose kernels carry masks, by tfmot's PruneLowMagnitude.

    Attributes:
        model: the tf_keras model to train.
        variables: the variables that training changes.
        state: all variables.
    """

    def __init__(self, twin, *, sparsity: float, total_steps: int) -> None:
        self.sparsity = sparsity
        frequency = max(1, int(total_steps * RAMP_SHARE) // MASK_UPDATES)
        # tfmot counts steps from 1. In the shortest runs, the first step has to set the final masks.
        end = 1 + frequency * min(MASK_UPDATES, (total_steps - 1) // frequency)

        def wrap(layer):
            if not has_dense_kernel(layer):
                return layer
            # Rounded up to whole weights, so that no kernel has fewer zeros than requested.
            size = math.prod(layer.kernel.shape)
            final = math.ceil(sparsity * size - 1e-9) / size
            if end == 1:
                schedule = tfmot.sparsity.keras.ConstantSparsity(final, begin_step=1, end_step=1, frequency=1)
            else:
                schedule = tfmot.sparsity.keras.PolynomialDecay(
                    initial_sparsity=0.0, final_sparsity=final, begin_step=1, end_step=end, frequency=frequency
                )
            return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule)

        self.model = clone_with(twin, wrap)
        self.variables, self.state = self.model.trainable_variables, self.model.variables
        self._wrappers = [layer for layer in self.model.layers if hasattr(layer, "pruning_vars")]
        for wrapper in self._wrappers:
            wrapper.pruning_step.assign(0)  # as tfmot's callback does; every training call increments it

    def apply_masks(self) -> None:
        """Reset masked weights to 0, which the last step may have changed."""
        for wrapper in self._wrappers:
            for kernel, mask, _ in wrapper.pruning_vars:
                kernel.assign(kernel * mask)

    def stripped(self):
        """Apply the masks, and return the plain tf_keras model without them."""
        self.apply_masks()
        return tfmot.sparsity.keras.strip_pruning(self.model)

    def weights(self) -> dict[str, np.ndarray]:
        """Return the weights by the network's own names."""
        return get_weights(self.stripped())

    def record(self, weights: Mapping[str, np.ndarray]) -> dict:
        """Return the fraction of zeros in every pruned kernel of `weights`, and in all of them together."""
        kernels = {name: weights[name] for name in self._kernel_names()}
        zeros = sum(int(np.sum(kernel == 0)) for kernel in kernels.values())
        return {
            "sparsity": zeros / sum(kernel.size for kernel in kernels.values()),
            "sparsity_by_kernel": {name: float(np.mean(kernel == 0)) for name, kernel in kernels.items()},
        }

    def _kernel_names(self) -> list[str]:
        return [f"{wrapper.layer.name}/kernel" for wrapper in self._wrappers]
