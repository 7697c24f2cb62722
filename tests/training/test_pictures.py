import json
import struct
import warnings

import numpy as np
import pytest

from scarlet_tf.training.pictures import draw_confusion, draw_curves, write_figure


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_numbers_and_names_of_few_classes():
    figure = draw_confusion([[8, 2], [1, 9]], class_names=["cat", "dog"])
    axes = figure.axes[0]
    assert texts(axes) == ["8", "2", "1", "9"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.8, 0.2], [0.1, 0.9]])
    assert axes.get_title() == "20 images, top-1 0.8500"


@pytest.mark.parametrize(("classes", "named"), [(15, True), (16, True), (60, True), (61, False), (1000, False)])
def test_many_classes_stay_readable(classes, named, tmp_path):
    """Numbers up to 15 classes, names up to 60; the picture has at most 2,200 pixels a side."""
    figure = draw_confusion(np.eye(classes, dtype=int), class_names=[f"class {n}" for n in range(classes)])
    axes = figure.axes[0]
    assert len(axes.texts) == (classes**2 if classes <= 15 else 0)
    assert (axes.get_yticklabels()[-1].get_text() == f"class {classes - 1}") == named
    if classes in (16, 1000):
        write_figure(tmp_path / "c.png", figure)
        width, height = struct.unpack(">II", (tmp_path / "c.png").read_bytes()[16:24])  # PNG's first chunk
        assert max(height, width) <= 2200


def test_any_class_name_and_an_empty_class(tmp_path):
    names = ["$\\frac{", "猫", "x" * 60, ""]
    figure = draw_confusion([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]], class_names=names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ending in ("png", "svg", "pdf"):
            write_figure(tmp_path / f"c.{ending}", figure)
            assert (tmp_path / f"c.{ending}").stat().st_size > 1000
    assert figure.axes[0].get_yticklabels()[2].get_text() == "x" * 23 + "…"


def test_curves_show_what_the_log_holds(tmp_path):
    lines = [{"step": step, "loss": 1 / step, "accuracy": 0.5, "learning_rate": 0.1} for step in (1, 2, 3)]
    lines[1] |= {"validation_loss": 0.7, "validation_accuracy": 0.6, "validation_balanced_accuracy": 0.4}
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    loss, accuracy, rate = draw_curves(tmp_path / "log.jsonl").axes
    shown = {line.get_label(): line.get_xydata().tolist() for line in (*loss.lines, *accuracy.lines)}
    assert shown["validation loss"] == [[2, 0.7]] and shown["validation balanced accuracy"] == [[2, 0.4]]
    assert loss.lines[0].get_xydata().tolist() == [[1, 1], [2, 0.5], [3, 1 / 3]]
    assert len(accuracy.lines) == 3 and rate.lines[0].get_ydata().tolist() == [0.1] * 3


def test_equal_figures_are_equal_files(tmp_path):
    for ending in ("png", "svg", "pdf"):
        for name in ("a", "again"):
            write_figure(tmp_path / f"{name}.{ending}", draw_confusion([[8, 2], [1, 9]], class_names=["cat", "dog"]))
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"again.{ending}").read_bytes()
    assert "<dc:date>" not in (tmp_path / "a.svg").read_text()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
