"""Images that do not decode: named wherever they are met, or left out as if they were not there."""

import base64
import re
import shutil
import warnings
import zlib

import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.data import DataConfig, DataError, DataWarning, dataset, open_dataset
from scarlet_tf.data.bmp import decode_palette_bmp
from scarlet_tf.data.folder import ImageFolder

JPEG = tf.io.encode_jpeg(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).numpy()
PNG = tf.io.encode_png(np.zeros((8, 8, 3), np.uint8)).numpy()
TIFF = b"II*\0\x08\0\0\0\0\0\0\0\0\0"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def opened(folder, **changes):
    return open_dataset(DataConfig(**{"name": f"folder:{folder}", "image_size": 16} | changes))


def use(data, split="train"):
    """Everything of a split once, in training an epoch."""
    if split == "train":
        return list(data.train_batches(4, seed=1).take(data.num_examples["train"] // 4))
    return list(data.eval_batches(split, 4))


WAYS = ["none", "flip_crop", "inception", "streamed none", "streamed flip_crop"]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    *streamed, augment = request.param.split()
    if streamed:
        monkeypatch.setattr(dataset, "MEMORY_LIMIT_BYTES", 0)
    return {"augment": augment}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_damaged_image_is_named_however_it_is_met(folder, way, split):
    path = folder / split / "red" / "1.png"
    path.write_bytes(JPEG[: len(JPEG) // 2])
    with pytest.raises(
        DataError, match=rf"^image {path} in split '{split}' of 'folder:.*' cannot be decoded: .*Invalid JPEG"
    ):
        use(opened(folder, **way), split)


def test_the_reason_is_one_line_without_a_stack(folder):
    (folder / "train/red/1.png").write_bytes(b"no picture")
    with pytest.raises(DataError) as caught:
        use(opened(folder))
    reason = str(caught.value).partition("cannot be decoded: ")[2]
    assert reason.startswith("Unknown image file format") and "File" not in reason and len(reason) < 200


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Input is empty"),
        (JPEG[:-2], "Invalid JPEG"),
        (PNG[:-20], "Invalid PNG"),
        (b"a letter", "Unknown image file format"),
        (TIFF, "Unknown image file format"),
        (None, "No such file"),  # a link to nothing
    ],
)
def test_every_kind_of_damage_is_named_and_can_be_left_out(folder, content, reason):
    path = folder / "test" / "red" / "extra.JPG"
    if content is None:
        path.symlink_to("/not/there.jpg")
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{path} .* cannot be decoded: .*{reason}.*--skip_damaged skips such images$"):
        use(opened(folder, augment="inception"), "test")
    with pytest.warns(DataWarning, match=rf"1 damaged image: {path}$"):
        data = opened(folder, skip_damaged=True)
    assert data.num_examples["test"] == 9 and len(use(data, "test")) == 3


def test_a_set_without_its_damaged_images_is_the_set_that_never_had_them(folder, way, tmp_path):
    shutil.copytree(folder, tmp_path / "sound")
    (tmp_path / "sound" / "train" / "red" / "1.png").unlink()
    (folder / "train" / "red" / "1.png").write_bytes(b"damaged")
    (folder / "train" / "blue" / "new.jpg").write_bytes(JPEG[:100])
    settings = {"search_validation": 5, **way}
    sound = opened(tmp_path / "sound", **settings)
    with pytest.warns(DataWarning, match="2 damaged images: .*blue/new.jpg"):
        skipped = opened(folder, skip_damaged=True, **settings)
    assert skipped.fingerprint == sound.fingerprint and skipped.num_examples == sound.num_examples
    for split in ("train", "search_validation", "test"):
        for (x, y), (x_sound, y_sound) in zip(use(skipped, split), use(sound, split), strict=True):
            np.testing.assert_array_equal(x, x_sound)
            np.testing.assert_array_equal(y, y_sound)


def test_the_check_is_made_once_and_again_after_a_change(folder, monkeypatch):
    from scarlet_tf.data import decoding

    checks = []
    real = decoding._find_damaged
    monkeypatch.setattr(
        decoding, "_find_damaged", lambda source, split, **how: checks.append(split) or real(source, split, **how)
    )
    path = folder / "train" / "red" / "1.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:20])
    for _ in range(2):
        with pytest.warns(DataWarning, match="1 damaged"):
            opened(folder, skip_damaged=True)
    assert checks == ["train", "test"]
    path.write_bytes(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert opened(folder, skip_damaged=True).num_examples["train"] == 24
    assert checks == ["train", "test", "train"]


def test_a_class_whose_images_are_all_damaged_is_no_class(folder):
    for path in (folder / "train" / "red").iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(DataError, match="test images of classes without training images: 'red'"), pytest.warns():
        opened(folder, skip_damaged=True)


def test_only_images_that_are_used_are_decoded(folder):
    """Of 24 training images 3 are held out: the damaged ones are among the others."""
    shutil.rmtree(folder / "test")
    config = DataConfig(name=f"folder:{folder}", image_size=16, search_validation=3)
    data = open_dataset(config, splits=["train"])
    order = np.random.default_rng(0).permutation(24)
    for number, (path, _) in enumerate(ImageFolder(folder).examples("train")):
        if number not in order[:3]:
            open(path, "wb").close()
    assert len(data.arrays("search_validation")[0]) == 3
    with pytest.raises(DataError, match="Input is empty"):
        data.arrays("train")


def test_evaluation_needs_its_split_alone(folder):
    shutil.rmtree(folder / "train")
    with pytest.raises(DataError, match=r"no train images in .*: expected .*/train/CLASS/"):
        opened(folder)
    config = DataConfig(name=f"folder:{folder}", image_size=16, search_validation=6)
    assert len(open_dataset(config, splits=["test"]).arrays("test")[0]) == 9


# Pictures of users, red throughout: each decodes to red by its content, whatever its name says.
CMYK = (
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAQCwwODAoQDg0OEhEQExgoGhgWFhgxIyUdKDozPTw5Mzg3QEhcTkBEV0U3OFBtUVdfYmdoZz5NcXlwZHhcZWdj"
    "/8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EABQAAQAAAAAAAAAAAAAAAAAAAAf/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/9oADgRDAE0AWQBLAAA/AEAfj8gP"
    "/9k="
)
ANIMATION = (
    "R0lGODdhCAAIAIEAAP8AAAAAAAAAAAAAACwAAAAACAAIAAAIDwABCBxIsKDBgwgTKkwYEAAh+QQBAAABACwAAAAACAAIAIEAAP8AAAAAAAAAAAAIDwAB"
    "CBxIsKDBgwgTKkwYEAA7"
)


def png(color_type, depth, row, *, palette=b""):
    """An 8x8 PNG whose rows are all the same bytes."""

    def chunk(kind, content):
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    header = (8).to_bytes(4) * 2 + bytes([depth, color_type, 0, 0, 0])
    colours = chunk(b"PLTE", palette) if palette else b""
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + row) * 8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + colours + pixels + chunk(b"IEND", b"")


def bmp():
    pixels = bytes([0, 0, 255]) * 64
    header = b"BM" + (54 + len(pixels)).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    info = [(40, 4), (8, 4), (8, 4), (1, 2), (24, 2), (0, 4), (len(pixels), 4), (0, 4), (0, 4), (0, 4), (0, 4)]
    return header + b"".join(number.to_bytes(size, "little") for number, size in info) + pixels


def palette_bmp(*colours, pixel, compression=0):
    """An 8x8 BMP whose pixels all have the colour `colours[pixel]`, (red, green, blue)."""
    palette = b"".join(bytes([blue, green, red, 0]) for red, green, blue in colours)
    pixels = bytes([pixel]) * 64
    start = 54 + len(palette)
    header = b"BM" + (start + 64).to_bytes(4, "little") + bytes(4) + start.to_bytes(4, "little")
    info = [
        (40, 4),
        (8, 4),
        (8, 4),
        (1, 2),
        (8, 2),
        (compression, 4),
        (64, 4),
        (0, 4),
        (0, 4),
        (len(colours), 4),
        (0, 4),
    ]
    return header + b"".join(number.to_bytes(size, "little") for number, size in info) + palette + pixels


def rotated():
    """A wide JPEG, its left half red, whose EXIF says that it stands on its side."""
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8, 0] = 255
    jpeg = tf.io.encode_jpeg(pixels, quality=100, chroma_downsampling=False).numpy()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + jpeg[2:]


RED = (255, 0, 0)


@pytest.mark.parametrize(
    ("name", "content", "pixel"),
    [
        ("bmp.png", bmp(), RED),
        ("plain.BMP", bmp(), RED),
        ("palette.bmp", palette_bmp((0, 0, 255), (255, 0, 0), pixel=1), RED),
        ("grey.bmp", palette_bmp(*[(grey,) * 3 for grey in range(256)], pixel=90), (90, 90, 90)),
        ("gif.jpg", base64.b64decode(ANIMATION), RED),  # its second frame is not red
        ("cmyk.jpg", base64.b64decode(CMYK), RED),
        ("palette.png", png(3, 1, b"\xff", palette=bytes([0, 0, 0, 255, 0, 0])), RED),
        ("with_alpha.png", png(6, 8, bytes([255, 0, 0, 40]) * 8), RED),
        ("16_bit_grey.png", png(0, 16, b"\x80\xff" * 8), (128, 128, 128)),
        ("grey_alpha.png", png(4, 8, bytes([90, 7]) * 8), (90, 90, 90)),
        ("grey.jpeg", tf.io.encode_jpeg(np.full((8, 8, 1), 90, np.uint8)).numpy(), (90, 90, 90)),
    ],
)
def test_pictures_of_any_kind_are_read_by_their_content(name, content, pixel, tmp_path):
    for path in ("train/a", "train/b"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / name).write_bytes(content)
    data = open_dataset(DataConfig(name=f"folder:{tmp_path}", image_size=8), splits=["train"])
    pixels = (data.arrays("train")[0] * np.array(data.std) + data.mean) * 255
    np.testing.assert_allclose(pixels, np.broadcast_to(pixel, pixels.shape), atol=2)  # JPEG's quantization


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (palette_bmp((0, 0, 255), pixel=1), "a colour that is not in the BMP's palette"),
        (palette_bmp((0, 0, 255), pixel=0, compression=1), "a compressed BMP"),
        (palette_bmp((0, 0, 255), pixel=0)[:100], ""),
        (palette_bmp((0, 0, 255), pixel=0)[:56], ""),
    ],
)
def test_damaged_bmps_with_a_palette_are_named(content, reason, folder):
    (folder / "train/red/1.bmp").write_bytes(content)
    with pytest.raises(DataError, match=rf"red/1.bmp in split 'train' .* cannot be decoded: .*{reason}"):
        use(opened(folder))
    with pytest.warns(DataWarning, match="1 damaged image"):
        assert len(use(opened(folder, skip_damaged=True)))


def test_grey_sets_get_the_luminance_of_a_palette():
    content = palette_bmp((0, 0, 255), (255, 0, 0), pixel=1)
    grey = decode_palette_bmp(tf.constant(content), channels=1)
    np.testing.assert_array_equal(grey, np.full((8, 8, 1), round(0.2989 * 255)))


def test_images_of_a_split_for_validation_are_left_out_too(folder):
    shutil.copytree(folder / "test", folder / "val")
    (folder / "val/red/1.png").write_bytes(b"no picture")
    with pytest.warns(DataWarning, match=r"1 damaged image: .*val/red/1.png"):
        data = opened(folder, skip_damaged=True, validation="val")
    assert data.num_examples["validation"] == data.num_examples["test"] - 1 and use(data, "validation")


def test_pixels_are_as_stored_whatever_exif_says(tmp_path):
    for path in ("train/a", "train/b"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "photo.jpg").write_bytes(rotated())
    data = open_dataset(DataConfig(name=f"folder:{tmp_path}", image_size=(8, 16)), splits=["train"])
    red = (data.arrays("train")[0] * np.array(data.std) + data.mean)[..., 0]
    assert red[:, :, :7].min() > 0.9 and red[:, :, 9:].max() < 0.1


@pytest.mark.skipif(tuple(map(int, re.findall(r"\d+", tf.__version__)[:2])) < (2, 21), reason="decoded from 2.21 on")
def test_webp_is_read(tmp_path):
    (tmp_path / "train" / "a").mkdir(parents=True)
    webp = base64.b64decode("UklGRhwAAABXRUJQVlA4TA8AAAAvB8ABAAcQ/Y/+ByKi/wEA")
    (tmp_path / "train" / "a" / "1.webp").write_bytes(webp)
    data = open_dataset(DataConfig(name=f"folder:{tmp_path}", image_size=8), splits=["train"])
    pixels = data.arrays("train")[0] * np.array(data.std) + data.mean
    np.testing.assert_allclose(pixels, np.broadcast_to([1, 0, 0], pixels.shape), atol=1e-6)
