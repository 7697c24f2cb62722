"""Plain PyTorch versions of SCARLET-A and -C, independent of scarlet_tf; writes the float64 logits beside it.

python tests/golden/pytorch_reference.py      (needs torch and NumPy)
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rule import fill, images

HERE = Path(__file__).parent
STRIDES = (2, 1, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
GENOMES = {
    "scarlet_a": (4, 8, 2, 5, 7, 3, 7, 0, 5, 4, 2, 5, 0, 5, 7, 9, 1, 7, 11),
    "scarlet_c": (3, 1, 3, 12, 12, 0, 11, 1, 1, 2, 5, 4, 1, 5, 1, 12, 7, 11, 9),
}


def logits(genome, weights, x):
    """Logits (B, 1000) of x (B, 3, 224, 224), in the dtype of both."""

    def bn(y, name):
        mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return F.batch_norm(y, mean, variance, weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-5)

    def conv(y, name, **options):
        return F.conv2d(y, weights[f"{name}.weight"], weights.get(f"{name}.bias"), **options)

    def h_swish(y):
        return y * F.relu6(y + 3) / 6

    def block(y, name, choice, stride):
        z = h_swish(bn(conv(y, f"{name}.conv1"), f"{name}.bn1"))
        kernel = weights[f"{name}.conv2.weight"]
        z = conv(z, f"{name}.conv2", stride=stride, padding=kernel.shape[-1] // 2, groups=len(kernel))
        z = h_swish(bn(z, f"{name}.bn2"))
        if choice % 2:
            gate = F.relu(conv(F.adaptive_avg_pool2d(z, 1), f"{name}.mid_se.squeeze_conv"))
            z = z * (F.relu6(conv(gate, f"{name}.mid_se.excite_conv") + 3) / 6)
        z = bn(conv(z, f"{name}.conv3"), f"{name}.bn3")
        return y + z if stride == 1 and y.shape == z.shape else z

    x = F.relu6(bn(conv(x, "stem.0", stride=2, padding=1), "stem.1"))
    x = F.relu6(bn(conv(x, "separable_conv.0", padding=1, groups=32), "separable_conv.1"))
    x = bn(conv(x, "separable_conv.3"), "separable_conv.4")
    for index, (choice, stride) in enumerate(zip(genome, STRIDES, strict=True)):
        if choice != 12:
            x = block(x, f"mb_module.{index}", choice, stride)
        elif stride == 2:
            x = F.max_pool2d(x, 2, ceil_mode=True)
    x = F.relu6(bn(conv(x, "conv_before_pooling.0"), "conv_before_pooling.1"))
    return F.linear(x.mean((2, 3)), weights["classifier.weight"], weights["classifier.bias"])


def main():
    for name, genome in GENOMES.items():
        shapes = json.loads((HERE / f"{name}.json").read_text())["state_dict"]
        golden = np.load(HERE / f"{name}_logits.npz")["logits"]
        for dtype in (torch.float32, torch.float64):
            weights = {key: torch.tensor(fill(key, shape)).to(dtype) for key, shape in shapes.items()}
            x = torch.tensor(images()).permute(0, 3, 1, 2).contiguous().to(dtype)
            with torch.no_grad():
                result = logits(genome, weights, x).numpy()
            print(f"{name} {dtype}: {np.abs(result - golden).max() / np.abs(golden).max():.1e} from the golden logits")
        np.savez_compressed(HERE / f"{name}_float64.npz", logits=result)


if __name__ == "__main__":
    main()
