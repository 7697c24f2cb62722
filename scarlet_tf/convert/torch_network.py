"""A network in plain PyTorch, from an ArchSpec and an official state dict: the reference for conversions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.convert.checkpoint_file import read_checkpoint
from scarlet_tf.convert.pytorch import from_state_dict

BN_EPSILON = 1e-5


def torch_function(
    spec: ArchSpec, state: Mapping[str, np.ndarray], *, softmax: bool = False
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that runs an official state dict in PyTorch, by its own keys, without our table of names.

    Args:
        spec: the network.
        state: arrays by official key, as in `Checkpoint.state`; has to fit the spec, see `from_state_dict`.
        softmax: return probabilities instead of logits.

    Returns:
        A function from normalised float32 images (B, H, W, C) to float32 logits or probabilities, (B, classes).

    Raises:
        ImportError: if torch is not installed.
    """
    import torch

    network = _Network(torch, {key: torch.from_numpy(np.array(array)) for key, array in state.items()})

    def function(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            x = torch.from_numpy(np.ascontiguousarray(np.asarray(images).transpose(0, 3, 1, 2)))
            logits = network.logits(x, spec)
            return (torch.softmax(logits, 1) if softmax else logits).numpy()

    return function


class _Network:
    """Layers, looked up by the prefix of their tensors' keys; feature maps are (B, C, H, W)."""

    def __init__(self, torch, tensors: Mapping) -> None:
        self._torch, self._functional, self._tensors = torch, torch.nn.functional, tensors

    def logits(self, x, spec: ArchSpec):
        relu6 = self._functional.relu6
        x = relu6(self._bn(self._conv(x, "stem.0", stride=spec.stem_stride), "stem.1"))
        x = relu6(self._bn(self._conv(x, "separable_conv.0", groups=spec.stem_channels), "separable_conv.1"))
        x = self._bn(self._conv(x, "separable_conv.3"), "separable_conv.4")
        for index, block in enumerate(spec.blocks):
            x = self._block(x, block, f"mb_module.{index}")
        x = relu6(self._bn(self._conv(x, "conv_before_pooling.0"), "conv_before_pooling.1"))
        weight, bias = self._tensors["classifier.weight"], self._tensors["classifier.bias"]
        return self._functional.linear(x.mean((2, 3)), weight, bias)

    def _block(self, x, block: BlockSpec, key: str):
        if block.kind == "identity":
            return self._functional.max_pool2d(x, 2, ceil_mode=True) if block.stride == 2 else x
        y = self._functional.hardswish(self._bn(self._conv(x, f"{key}.conv1"), f"{key}.bn1"))
        y = self._conv(y, f"{key}.conv2", stride=block.stride, groups=block.hidden_channels)
        y = self._functional.hardswish(self._bn(y, f"{key}.bn2"))
        if block.has_se:
            gate = self._functional.relu(self._conv(y.mean((2, 3), keepdim=True), f"{key}.mid_se.squeeze_conv"))
            y = y * self._functional.hardsigmoid(self._conv(gate, f"{key}.mid_se.excite_conv"))
        y = self._bn(self._conv(y, f"{key}.conv3"), f"{key}.bn3")
        return x + y if block.shortcut else y

    def _conv(self, x, key: str, *, stride: int = 1, groups: int = 1):
        weight, bias = self._tensors[f"{key}.weight"], self._tensors.get(f"{key}.bias")
        padding = weight.shape[-1] // 2
        return self._functional.conv2d(x, weight, bias, stride=stride, padding=padding, groups=groups)

    def _bn(self, x, key: str):
        mean, variance, scale, shift = (
            self._tensors[f"{key}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        return self._functional.batch_norm(x, mean, variance, scale, shift, eps=BN_EPSILON)


def checkpoint_function(
    spec: ArchSpec, path: str | os.PathLike, *, key: str | None = None, softmax: bool = False
) -> Callable[[np.ndarray], np.ndarray]:
    """Return `torch_function` for a checkpoint file's weights. Raise StateDictError if they do not fit the spec."""
    state = read_checkpoint(path, key=key).state
    from_state_dict(spec, state)
    return torch_function(spec, state, softmax=softmax)
