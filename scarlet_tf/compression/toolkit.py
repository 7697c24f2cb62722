"""tensorflow-model-optimization (tfmot) beside Keras 3. Import tfmot only from here.

tfmot works on tf_keras models. Importing it sets TF_USE_LEGACY_KERAS; if nothing has used tf.keras yet, that turns
tf.keras into tf_keras for the rest of the process. So this module loads tf.keras first, and restores the variable
afterwards: everything else still sees Keras 3, child processes too.
"""

from __future__ import annotations

import os

import tensorflow as tf

_VARIABLE = "TF_USE_LEGACY_KERAS"
_before = os.environ.get(_VARIABLE)
tf.keras.version()  # loads the module behind the lazy name

import tensorflow_model_optimization as tfmot  # noqa: E402

if _before is None:
    os.environ.pop(_VARIABLE, None)
else:
    os.environ[_VARIABLE] = _before

__all__ = ["tfmot"]
