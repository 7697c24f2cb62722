"""The published networks by name, and models of them."""

from scarlet_tf.zoo.create import create_model, resolve_spec, scarlet_a, scarlet_a2, scarlet_a4, scarlet_b, scarlet_c
from scarlet_tf.zoo.files import ModelFileError, load_keras_file
from scarlet_tf.zoo.loading import LoadedModel, open_model, read_training
from scarlet_tf.zoo.preprocessing import IMAGENET_PREPROCESSING, Preprocessing
from scarlet_tf.zoo.registry import ModelInfo, get_spec, list_models, model_info

__all__ = [
    "IMAGENET_PREPROCESSING",
    "LoadedModel",
    "ModelFileError",
    "ModelInfo",
    "Preprocessing",
    "create_model",
    "get_spec",
    "list_models",
    "load_keras_file",
    "model_info",
    "open_model",
    "read_training",
    "resolve_spec",
    "scarlet_a",
    "scarlet_a2",
    "scarlet_a4",
    "scarlet_b",
    "scarlet_c",
]
