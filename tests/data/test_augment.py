import numpy as np
import pytest
import tensorflow as tf
from rounding import rounding_limit

from scarlet_tf.data import augment


def draws(seed, batch, rows=slice(None)):
    return augment.Draws(seed=tf.constant(seed), batch=batch, rows=rows)


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("side", [28, 29, 31])
def test_fit_zero_pads_slightly_smaller_images(side):
    image = random_images(side, side, 1)
    fitted = augment.fit(tf.constant(image), (32, 32)).numpy()
    before = (32 - side) // 2
    expected = np.zeros((32, 32, 1), np.uint8)
    expected[before : before + side, before : before + side] = image
    np.testing.assert_array_equal(fitted, expected)


def test_fit_resizes_the_short_side_and_crops_the_centre():
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, 20:40] = 200  # the centre square
    fitted = augment.fit(tf.constant(image), (10, 10)).numpy()
    assert fitted.shape == (10, 10, 3)
    assert (fitted[:, 1:-1] == 200).all()


def test_fit_of_a_batch_is_that_of_its_images():
    images = random_images(3, 20, 24, 3)
    one_by_one = [augment.fit(tf.constant(image), (12, 12)).numpy() for image in images]
    np.testing.assert_array_equal(augment.fit(tf.constant(images), (12, 12)), one_by_one)


def test_centre_crop_keeps_224_of_256():
    image = np.zeros((256, 256, 1), np.uint8)
    image[16:240, 16:240] = 255
    assert (augment.centre_crop(tf.constant(image), (224, 224), share=224 / 256).numpy() == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_flips_gives_each_of_four_mirrored_images_equally_often(channels):
    images = random_images(400, 3, 5, channels)
    out = augment.flips(tf.constant(images), draws([3, 4], 400)).numpy()
    mirrored = [images, images[:, ::-1], images[:, :, ::-1], images[:, ::-1, ::-1]]
    same = np.array([(out == one).all(axis=(1, 2, 3)) for one in mirrored])
    assert (same.sum(axis=0) == 1).all()
    assert abs(same.sum(axis=1) - 100).max() < 5 * (400 * 1 / 4 * 3 / 4) ** 0.5  # five standard deviations
    np.testing.assert_array_equal(out, augment.flips(tf.constant(images), draws([3, 4], 400)))


@pytest.mark.parametrize("channels", [1, 3])
def test_flip_crop_is_a_shifted_perhaps_flipped_image(channels):
    images = random_images(64, 8, 8, channels)
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    out = augment.flip_crop(tf.constant(images), draws([3, 4], 64)).numpy()
    found = []
    for one, source in zip(out, padded, strict=True):
        windows = {
            (y, x, flip): source[y : y + 8, x : x + 8][:, :: -1 if flip else 1]
            for y in range(9)
            for x in range(9)
            for flip in (0, 1)
        }
        (place,) = [place for place, window in windows.items() if np.array_equal(window, one)]
        found.append(place)
    rows, columns, flips = zip(*found, strict=True)
    assert len(set(rows)) == 9 and len(set(columns)) == 9
    assert 16 < sum(flips) < 48


@pytest.mark.parametrize("channels", [1, 3])
def test_both_forms_of_flip_crop_agree(channels):
    images, chosen = tf.constant(random_images(20, 8, 8, channels)), tf.constant([3, 17, 3, 0])
    own = draws([1, 2], 9, slice(5, 9))
    rows = tf.reshape(augment.zero_pad(images), (-1, 16 * channels))
    out = augment.flip_crop_rows(rows, chosen, own, size=(8, 8), channels=channels).numpy()
    expected = augment.flip_crop(tf.gather(images, chosen), own).numpy()
    np.testing.assert_array_equal(out, np.broadcast_to(expected, out.shape))


def test_rows_are_augmented_as_in_the_whole_batch():
    images = tf.constant(random_images(9, 8, 8, 3))
    for augmentation in (augment.flips, augment.flip_crop):
        whole = augmentation(images, draws([1, 2], 9)).numpy()
        some = augmentation(images[3:7], draws([1, 2], 9, slice(3, 7)))
        np.testing.assert_array_equal(some, whole[3:7])


def test_inception_crop_depends_on_its_seed_alone_and_keeps_the_range_of_areas():
    ramp = np.stack(np.meshgrid(np.arange(100), np.arange(100), indexing="ij"), -1).astype(np.uint8)
    image = tf.constant(np.concatenate([ramp, np.zeros((100, 100, 1), np.uint8)], -1))
    first = augment.inception_crop(image, tf.constant([1, 1]), size=(32, 32))
    np.testing.assert_array_equal(first, augment.inception_crop(image, tf.constant([1, 1]), size=(32, 32)))
    assert first.shape == (32, 32, 3) and first.dtype == tf.uint8
    others = [augment.inception_crop(image, tf.constant([1, n]), size=(32, 32)).numpy() for n in range(2, 20)]
    assert len({other.tobytes() for other in others}) == 18


def test_normalise_is_per_channel_and_repeats_gray():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.2)
    images = random_images(2, 4, 4, 1)
    expected = (np.repeat(images, 3, axis=-1) / 255.0 - mean) / std
    limit = rounding_limit(3) * np.abs(expected).max()
    np.testing.assert_allclose(augment.normalise(tf.constant(images), mean=mean, std=std), expected, atol=limit)
    colour = random_images(2, 4, 4, 3)
    normalised = augment.normalise(tf.constant(colour), mean=mean, std=std)
    np.testing.assert_allclose(normalised, (colour / 255.0 - mean) / std, atol=limit)
