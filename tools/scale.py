"""Print what training a supernet takes on a device: operations, memory, time, and the stages of the whole method.

    python tools/scale.py --space=scarlet --batch_size=256 --device=a100 --devices=4 --precision=mixed_bfloat16
    python tools/scale.py --space=small --batch_size=256 --device=cpu

Nothing is run, and TensorFlow is not loaded. docs/scale.md says what each line means, and compares the figures with
measurements.
"""

from absl import flags

from scarlet_tf.cli import run

_SPACE = flags.DEFINE_string("space", "scarlet", "Search space: small, scarlet (the paper's), or a .json file.")
_IMAGE_SIZE = flags.DEFINE_string(
    "image_size", None, "Image size in pixels: one side, or HEIGHTxWIDTH; default: the space's."
)
_BATCH = flags.DEFINE_integer("batch_size", 256, "Global batch size, divided among the devices.", lower_bound=1)
_PRECISION = flags.DEFINE_string("precision", "float32", "Compute precision: float32, mixed_bfloat16 or mixed_float16.")
_RECOMPUTE = flags.DEFINE_bool("recompute", False, "Recompute blocks in the backward pass: less memory, more time.")
_DEVICE = flags.DEFINE_string("device", "v100", "Device: v100, a100, h100, tpu_v4, or cpu (one core).")
_DEVICES = flags.DEFINE_integer("devices", 1, "Number of devices.", lower_bound=1)
_MEMORY = flags.DEFINE_float(
    "memory", None, "Memory of a device in GB (10^9 bytes); default: the data sheet's, or this machine's for cpu."
)
_UTILISATION = flags.DEFINE_float(
    "utilisation", 0.2, "Share of the device's peak that convolutions reach: an assumption."
)
_IMAGES = flags.DEFINE_integer("images", 1_281_167, "Number of training images (default: ImageNet's).")
_HELD_OUT = flags.DEFINE_integer("search_validation", 50_000, "Number of training images held out for the search.")
_EPOCHS = flags.DEFINE_integer("epochs", 60, "Number of epochs of the supernet (paper: 60).")
_MODELS = flags.DEFINE_integer("models", 8_400, "Number of models that the search evaluates (paper: 8,400).")
_SHARING = flags.DEFINE_float(
    "sharing", 1.0, "Share of the search's operations that remain as paths share prefixes; 1: nothing is shared."
)
_TRAIN_EPOCHS = flags.DEFINE_integer("train_epochs", 350, "Number of epochs of one network's training.")


def main() -> None:
    import dataclasses

    from scarlet_tf.arch import get_space
    from scarlet_tf.image_size import parse_image_size
    from scarlet_tf.supernet.scale import FairStep, share_of_batch
    from scarlet_tf.supernet.scale_page import describe_scale
    from scarlet_tf.supernet.scale_stages import Method, get_device

    space = get_space(_SPACE.value)
    size = parse_image_size(_IMAGE_SIZE.value) or space.resolution
    step = FairStep(
        space=dataclasses.replace(space, resolution=size),
        batch_size=share_of_batch(_BATCH.value, _DEVICES.value),
        precision=_PRECISION.value,
        recompute=_RECOMPUTE.value,
        replicas=_DEVICES.value,
    )
    method = Method(
        images=_IMAGES.value,
        search_validation=_HELD_OUT.value,
        epochs=_EPOCHS.value,
        models=_MODELS.value,
        sharing=_SHARING.value,
        train_epochs=_TRAIN_EPOCHS.value,
    )
    device = get_device(_DEVICE.value, memory_gb=_MEMORY.value)
    print(describe_scale(step, device, utilisation=_UTILISATION.value, method=method))


if __name__ == "__main__":
    run(main)
