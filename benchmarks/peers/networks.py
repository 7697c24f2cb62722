"""Build SCARLET's networks and their keras.applications peers, each with random weights and a softmax.

All take the normalised image: preprocessing inside the peers, a few percent of a run, is cut off. Accuracy is not
measured, so no trained weights are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scarlet_tf.choices import check_known

SCARLET = {"SCARLET-A": "scarlet_a", "SCARLET-B": "scarlet_b", "SCARLET-C": "scarlet_c"}
PEERS = ("EfficientNetB0", "MobileNetV2", "MobileNetV3Large")
NAMES = (*SCARLET, *PEERS)
_SIDE = 224


def choose_networks(names: Sequence[str]) -> dict[str, Callable]:
    """Return, by name, functions that build keras.Models: float32 (B, 224, 224, 3) -> (B, 1000) probabilities.

    Raises:
        ValueError: for an unknown name.
    """
    for name in names:
        check_known("network", name, NAMES)
    return {name: _scarlet(SCARLET[name]) if name in SCARLET else _peer(name) for name in names}


def _scarlet(model: str) -> Callable:
    def build():
        from scarlet_tf.zoo import create_model

        return create_model(model, input_shape=(_SIDE, _SIDE, 3))

    return build


def _peer(name: str) -> Callable:
    def build():
        import keras

        options = {"include_preprocessing": False} if name == "MobileNetV3Large" else {}
        model = getattr(keras.applications, name)(weights=None, input_shape=(_SIDE, _SIDE, 3), **options)
        if name == "EfficientNetB0":  # which lacks this option
            model = keras.Model(model.get_layer("stem_conv_pad").input, model.output)
        return model

    return build
