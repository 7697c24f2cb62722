"""Keras dtype policies: every export computes in float32, whatever policy the model was built or saved under."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import keras
import numpy as np

FLOAT32 = "float32"
_FLOATS = ("float16", "bfloat16", "float64")


class PolicyError(ValueError):
    """Error raised for a model that cannot compute in float32; the message names its dtype policy."""


@contextlib.contextmanager
def float32_policy() -> Iterator[None]:
    """Set Keras's global dtype policy and floatx to float32 temporarily; a context manager and a decorator."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    if (floatx, policy.name) == (FLOAT32, FLOAT32):
        yield  # do not touch the policy: one that was never set follows floatx
        return
    keras.config.set_floatx(FLOAT32)
    keras.config.set_dtype_policy(FLOAT32)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def in_float32(model):
    """Return a model with the same layers and weights that computes in float32: the model itself if it already does.

    Weights of other float dtypes are cast. Casting float64 loses precision, so a line on standard error reports it.

    Args:
        model: a keras.Model; anything else that the exporters accept is returned unchanged.

    Raises:
        PolicyError: for a quantized model (`model.quantize`), or one that Keras cannot rebuild from its config.
    """
    if not isinstance(model, keras.Model):
        return model
    policies = _other_policies(model)
    for name, layer in policies.items():
        if _is_quantized(name):
            raise PolicyError(
                f"layer {layer!r} of {model.name!r} has the dtype policy {name!r}: expected a model that is not "
                "quantized by Keras; export the original one, because the exporters quantize it themselves"
            )
    if not policies:
        return model
    names = ", ".join(sorted(policies))
    try:
        with float32_policy():
            rebuilt = type(model).from_config(_with_float32(model.get_config()))
            rebuilt.set_weights([_cast(array) for array in model.get_weights()])
    # Rebuilding runs the layers' own code, which may raise anything.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PolicyError(
            f"{model.name!r} has the dtype policy {names}, and Keras cannot rebuild it in float32: {reason}"
        ) from error
    if any("float64" in name for name in policies):
        print(f"{model.name} has the dtype policy {names}: its weights are cast to float32", file=sys.stderr)
    return rebuilt


def _other_policies(model: keras.Model) -> dict[str, str]:
    """Return the policies and input dtypes other than float32, each with the first layer or input that has it."""
    found = {}
    for layer in model._flatten_layers():
        policy = layer.dtype_policy
        if isinstance(policy, keras.dtype_policies.DTypePolicyMap):
            members = [policy.default_policy, *(policy[path] for path in policy)]
        else:
            members = [policy]
        for member in members:
            if _is_quantized(member.name) or {member.compute_dtype, member.variable_dtype} & set(_FLOATS):
                found.setdefault(member.name, layer.name)
    for tensor in getattr(model, "inputs", None) or ():  # a subclassed model has none
        if tensor.dtype in _FLOATS:
            found.setdefault(tensor.dtype, tensor.name)
    return found


def _with_float32(config):
    """Return a copy of a Keras config in which every floating-point dtype and every dtype policy is float32."""
    if isinstance(config, (list, tuple)):
        return type(config)(_with_float32(value) for value in config)
    if not isinstance(config, dict):
        return config
    if str(config.get("class_name", "")).startswith("DTypePolicy"):
        return FLOAT32
    return {
        key: FLOAT32 if key == "dtype" and isinstance(value, str) and _is_float(value) else _with_float32(value)
        for key, value in config.items()
    }


def _is_quantized(policy: str) -> bool:
    return "_from_" in policy  # as in Keras's "int8_from_float32"


def _is_float(dtype: str) -> bool:
    return dtype.removeprefix("mixed_") in _FLOATS


def _cast(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if str(array.dtype) in _FLOATS else array
