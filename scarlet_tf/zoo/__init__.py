"""The published networks by name, and Keras models of them. Loads TensorFlow when the first model is made or read."""

from scarlet_tf.lazy import later
from scarlet_tf.zoo.checks import check_model
from scarlet_tf.zoo.files import (
    MissingWeightsError,
    ModelFileError,
    load_keras_file,
    read_training,
    skipped_damaged,
)
from scarlet_tf.zoo.labels import decode_predictions
from scarlet_tf.zoo.preprocessing import (
    ASSUMED_PREPROCESSING,
    IMAGENET_PREPROCESSING,
    Preprocessing,
    preprocess_input,
    read_preprocessing,
)
from scarlet_tf.zoo.registry import ModelInfo, get_spec, list_models, model_info, register, resolve_spec

__getattr__ = later(
    __name__,
    {
        "scarlet_tf.models": ("feature_extractor",),
        "scarlet_tf.zoo.create": (
            "create_model",
            "scarlet_a",
            "scarlet_a2",
            "scarlet_a4",
            "scarlet_b",
            "scarlet_c",
        ),
        "scarlet_tf.zoo.loading": ("LoadedModel", "open_model"),
        "scarlet_tf.zoo.starting": ("StartingPoint", "starting_point"),
    },
)

__all__ = [
    "ASSUMED_PREPROCESSING",
    "IMAGENET_PREPROCESSING",
    "LoadedModel",
    "MissingWeightsError",
    "ModelFileError",
    "ModelInfo",
    "Preprocessing",
    "StartingPoint",
    "check_model",
    "create_model",
    "decode_predictions",
    "feature_extractor",
    "get_spec",
    "list_models",
    "load_keras_file",
    "model_info",
    "open_model",
    "preprocess_input",
    "read_preprocessing",
    "read_training",
    "register",
    "resolve_spec",
    "scarlet_a",
    "scarlet_a2",
    "scarlet_a4",
    "scarlet_b",
    "scarlet_c",
    "skipped_damaged",
    "starting_point",
]
