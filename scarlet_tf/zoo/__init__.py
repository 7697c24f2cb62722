"""The published networks by name, and models of them."""

from scarlet_tf.models import feature_extractor
from scarlet_tf.zoo.create import create_model, resolve_spec, scarlet_a, scarlet_a2, scarlet_a4, scarlet_b, scarlet_c
from scarlet_tf.zoo.files import MissingWeightsError, ModelFileError, load_keras_file
from scarlet_tf.zoo.labels import decode_predictions
from scarlet_tf.zoo.loading import LoadedModel, open_model, read_training
from scarlet_tf.zoo.preprocessing import IMAGENET_PREPROCESSING, Preprocessing, preprocess_input
from scarlet_tf.zoo.registry import ModelInfo, get_spec, list_models, model_info, register
from scarlet_tf.zoo.starting import StartingPoint, starting_point

__all__ = [
    "IMAGENET_PREPROCESSING",
    "LoadedModel",
    "MissingWeightsError",
    "ModelFileError",
    "ModelInfo",
    "Preprocessing",
    "StartingPoint",
    "create_model",
    "decode_predictions",
    "feature_extractor",
    "get_spec",
    "list_models",
    "load_keras_file",
    "model_info",
    "open_model",
    "preprocess_input",
    "read_training",
    "register",
    "resolve_spec",
    "scarlet_a",
    "scarlet_a2",
    "scarlet_a4",
    "scarlet_b",
    "scarlet_c",
    "starting_point",
]
