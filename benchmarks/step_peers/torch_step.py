"""Time the fair step of benchmarks.fair_step's network in plain PyTorch, and print one line of JSON.

    python torch_step.py --size=224 --batch=64 --precision=bfloat16 --compile
    python torch_step.py --device=cpu --threads=1 --width=0.5 --size=32 --batch=32

Needs torch and numpy, and stands alone. A step is a loop of 13 forward and backward passes, one for each path, and one
SGD update. Paths are drawn anew in every step, so what --compile compiles are the blocks, by inductor.

The line holds step_s (the median after --warm_up steps), first_step_s from the start of the process (Linux), and peak
memory in GB: of the device, or on a CPU of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

import numpy as np
import torch
from torch import nn

WIDTHS = (32, 32, *[40] * 4, *[80] * 4, *[96] * 4, *[192] * 4, 320)
STRIDED = {2, 6, 14}
CHOICES = [(kernel, expansion, se) for kernel in (3, 5, 7) for expansion in (3, 6) for se in (False, True)]


def convolution_bn(inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = channels // 4
        parts = (nn.Conv2d(channels, reduced, 1), nn.ReLU(), nn.Conv2d(reduced, channels, 1), nn.Hardsigmoid())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), *parts)

    def forward(self, x):
        return x * self.gate(x)


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, kernel: int, expansion: int, se: bool, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            *convolution_bn(inputs, hidden),
            nn.Hardswish(),
            *convolution_bn(hidden, hidden, kernel, stride=stride, groups=hidden),
            nn.Hardswish(),
            *([SqueezeExcite(hidden)] if se else []),
            *convolution_bn(hidden, outputs),
        )

    def forward(self, x):
        return x + self.layers(x) if self.shortcut else self.layers(x)


class Supernet(nn.Module):
    """The network of `benchmarks.fair_step.least_work.reduced_space`, without the separable convolution."""

    def __init__(self, width: float, size: int) -> None:
        super().__init__()
        large = size > 64
        self.stem = nn.Sequential(*convolution_bn(3, 16, 3, stride=2 if large else 1), nn.ReLU6())
        self.choices, inputs = nn.ModuleList(), 16
        for layer, full in enumerate(WIDTHS):
            outputs = max(8, int(full * width + 4) // 8 * 8)
            stride = 2 if layer in STRIDED or (large and layer == 0) else 1
            how = [{"kernel": k, "expansion": e, "se": se, "stride": stride} for k, e, se in CHOICES]
            let = [nn.MaxPool2d(2)] if stride == 2 else []
            let.append(nn.Conv2d(inputs, outputs, 1, bias=False))
            blocks = [InvertedResidual(inputs, outputs, **each) for each in how]
            self.choices.append(nn.ModuleList([*blocks, nn.Sequential(*let)]))
            inputs = outputs
        pooled = (nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.tail = nn.Sequential(*convolution_bn(inputs, 256), *pooled, nn.Linear(256, 10))

    def forward(self, x, path):
        x = self.stem(x)
        for choices, choice in zip(self.choices, path, strict=True):
            x = choices[choice](x)
        return self.tail(x)

    def compile_blocks(self) -> None:
        for choices in self.choices:
            for block in choices:
                block.compile()


def peak_resident_bytes() -> int:
    """Return the peak resident bytes of this process since its program started (Linux).

    `getrusage` does not tell them: its peak is also that of the process which started this one, if that was larger.
    """
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def seconds_since_start() -> float:
    """Return the seconds since this process started (Linux)."""
    with open("/proc/self/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--width", type=float, default=1.0, help="width multiplier of the 19 layers")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=64, help="batch size")
    parser.add_argument("--precision", choices=("float32", "tf32", "bfloat16"), default="float32")
    parser.add_argument("--compile", action="store_true", help="compile the blocks")
    parser.add_argument("--threads", type=int, help="number of threads on a CPU")
    parser.add_argument("--steps", type=int, default=10, help="number of timed steps")
    parser.add_argument("--warm_up", type=int, default=2, help="number of steps before them")
    flags = parser.parse_args()
    if flags.threads:
        torch.set_num_threads(flags.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high" if flags.precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = flags.precision == "tf32"
    device = torch.device(flags.device)
    net = Supernet(flags.width, flags.size).to(device, memory_format=torch.channels_last)
    if flags.compile:
        torch._dynamo.config.cache_size_limit = 1000  # every block has a shape of its own
        net.compile_blocks()
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    images = torch.randn(flags.batch, 3, flags.size, flags.size, device=device).to(memory_format=torch.channels_last)
    labels = torch.arange(flags.batch, device=device) % 2
    rng = np.random.default_rng(0)

    def take_step() -> float:
        start = time.perf_counter()
        optimizer.zero_grad()
        for path in np.stack([rng.permutation(13) for _ in WIDTHS], axis=1):
            with torch.autocast(device.type, torch.bfloat16, enabled=flags.precision == "bfloat16"):
                loss = nn.functional.cross_entropy(net(images, path), labels)
            loss.backward()
        optimizer.step()
        loss.item()  # waits for the device
        return time.perf_counter() - start

    take_step()
    first = seconds_since_start()
    for _ in range(flags.warm_up - 1):
        take_step()
    seconds = statistics.median(take_step() for _ in range(flags.steps))
    on_gpu = device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() if on_gpu else peak_resident_bytes()
    result = {
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "step_s": round(seconds, 4),
        "first_step_s": round(first, 1),
        "peak_gb": round(peak / 2**30, 2),
        "params_m": round(sum(parameter.numel() for parameter in net.parameters()) / 1e6, 3),
    }
    print(json.dumps(vars(flags) | result))


if __name__ == "__main__":
    main()
