"""Standard TFLite metadata, read back by an independent walk over the flatbuffer, and the label file."""

import flatbuffers
import numpy as np
import pytest
from flatbuffers.number_types import Float32Flags, UOffsetTFlags

from scarlet_tf.tflite import Graph, add_metadata, add_record, client_obstacle, read_files, read_record, run_passes
from scarlet_tf.tflite.graph import Op, Type
from scarlet_tf.tflite.passes.split_depthwise import split_depthwise

RECORD = {"model": "pets", "output": "probabilities", "input": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.125]}}


@pytest.fixture(scope="module")
def classifier(new_graph):
    """Function (classes, channels, image type) -> a file that gives the means of an image's channels, repeated."""

    def make(classes=3, channels=3, kind=Type.FLOAT32):
        graph = new_graph()
        image = graph.add_tensor(kind, (1, 4, 6, channels), "serving_default_image:0")
        result = graph.add_tensor(kind, (1, classes), "StatefulPartitionedCall:0")
        weights = graph.add_constant(np.ones((classes, 4 * 6 * channels), np.float32), "weights")
        graph.operators.append(graph.new_operator(Op.FULLY_CONNECTED, [image, weights, -1], [result]))
        return graph.between([image], [result])

    return make


class Table:
    """A flatbuffer table by the numbers of its fields, as the schema numbers them."""

    def __init__(self, data, position):
        self.table = flatbuffers.table.Table(data, position)

    @classmethod
    def root(cls, data):
        return cls(bytearray(data), flatbuffers.encode.Get(UOffsetTFlags.packer_type, data, 0))

    def place(self, number):
        offset = self.table.Offset(4 + 2 * number)
        assert offset, f"no field {number}"
        return offset + self.table.Pos

    def has(self, number):
        return bool(self.table.Offset(4 + 2 * number))

    def text(self, number):
        return self.table.String(self.place(number)).decode()

    def byte(self, number):
        return self.table.Bytes[self.place(number)]

    def uint(self, number):
        return int.from_bytes(self.table.Bytes[self.place(number) : self.place(number) + 4], "little")

    def child(self, number):
        return Table(self.table.Bytes, self.table.Indirect(self.place(number)))

    def children(self, number):
        field = self.place(number) - self.table.Pos
        start = self.table.Vector(field)
        return [
            Table(self.table.Bytes, self.table.Indirect(start + 4 * index))
            for index in range(self.table.VectorLen(field))
        ]

    def floats(self, number):
        return self.table.GetVectorAsNumpy(Float32Flags, self.place(number) - self.table.Pos).tolist()


def ends(content):
    """(model, input tensor, output tensor) of the metadata."""
    model = Table.root(Graph(content).metadata("TFLITE_METADATA"))
    (subgraph,) = model.children(3)
    (image,), (result,) = subgraph.children(2), subgraph.children(3)
    return model, image, result


def test_what_it_says(classifier):
    content = add_metadata(classifier(), RECORD | {"class_names": ["cat", "dog", "cat"]})
    assert Graph(content).metadata("TFLITE_METADATA")[4:8] == b"M001"
    model, image, result = ends(content)
    assert (model.text(0), model.text(7)) == ("pets", "1.0.0")
    assert image.child(3).byte(0) == 2  # ImageProperties
    properties = image.child(3).child(1)
    assert properties.byte(0) == 1 and (properties.child(1).uint(0), properties.child(1).uint(1)) == (6, 4)  # RGB
    (unit,) = image.children(4)
    assert unit.byte(0) == 1  # NormalizationOptions
    assert unit.child(1).floats(0) == np.float32([127.5, 102, 76.5]).tolist()
    assert unit.child(1).floats(1) == np.float32([51, 63.75, 31.875]).tolist()
    most, least = image.child(5).floats(0), image.child(5).floats(1)
    np.testing.assert_allclose([least, most], [[-2.5, -1.6, -2.4], [2.5, 2.4, 5.6]], rtol=1e-6)
    (labels,) = result.children(6)
    assert (labels.text(0), labels.byte(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS
    assert (result.child(5).floats(1), result.child(5).floats(0)) == ([0.0], [1.0])
    assert read_files(content) == {"labels.txt": b"cat\ndog\ncat\n"}


def test_pixels_in_and_logits_out(classifier):
    """A file that normalises by itself: nothing is left for the client to do. Logits have no known range."""
    taken = {"mean": [0.0] * 3, "std": [1 / 255] * 3}
    _, image, result = ends(add_metadata(classifier(), RECORD | {"input": taken, "output": "logits"}))
    options = image.children(4)[0].child(1)
    assert (options.floats(0), options.floats(1)) == ([0.0] * 3, [1.0] * 3)
    assert not result.has(5) and not result.has(6) and result.text(0) == "logits"


@pytest.mark.parametrize(("channels", "space"), [(1, 2), (3, 1), (4, None)])
def test_colours(channels, space, classifier):
    """GRAYSCALE, RGB, and no word for what is neither."""
    taken = {"mean": [0.5] * channels, "std": [0.25] * channels}
    _, image, _ = ends(add_metadata(classifier(channels=channels), RECORD | {"input": taken}))
    properties = image.child(3).child(1)
    assert (properties.byte(0) if properties.has(0) else None) == space
    assert len(image.children(4)[0].child(1).floats(0)) == channels


def test_uint8_images(classifier):
    _, image, _ = ends(add_metadata(classifier(kind=Type.UINT8), RECORD))
    assert (image.child(5).floats(1), image.child(5).floats(0)) == ([0.0], [255.0])


def test_normalisation_that_is_not_known(classifier):
    """Of a SavedModel that another program wrote, or three numbers for a network of grey images."""
    _, image, _ = ends(add_metadata(classifier(channels=1), RECORD))
    assert not image.has(4) and not image.has(5)
    _, image, result = ends(add_metadata(classifier(), {"model": "saved"}))
    assert not image.has(4) and not image.has(5) and result.text(0) == "output"


@pytest.mark.parametrize(
    ("label", "line"),
    [
        ("T-shirt/top", "T-shirt/top"),
        ("great white shark, white shark", "great white shark, white shark"),
        ("Äpfel 猫 🐈", "Äpfel 猫 🐈"),
        ("two\nlines", "two\\nlines"),
        ("two\r\nlines\n", "two\\r\\nlines\\n"),
        ("form\x0cfeed", "form\\x0cfeed"),
        ("line\u2028separator", "line\\u2028separator"),
        (" spaces stay ", " spaces stay "),
        ("not\udcffutf-8", "not\\udcffutf-8"),  # how Python reads a folder's name in Latin-1
        ('"quoted", back\\slash', '"quoted", back\\slash'),
    ],
)
def test_a_label_is_one_line(label, line, classifier):
    names = ["first", label, "last"]
    content = add_metadata(add_record(classifier(), {"class_names": names}), RECORD | {"class_names": names})
    assert read_files(content)["labels.txt"].decode().splitlines() == ["first", line, "last"]
    assert read_record(content)["class_names"] == names  # in full


@pytest.mark.parametrize("count", [0, 2, 4])
def test_labels_of_another_number(count, classifier):
    with pytest.raises(ValueError, match=f"expected 3 class names, one for each output, got {count}"):
        add_metadata(classifier(), RECORD | {"class_names": ["a"] * count})


@pytest.mark.parametrize(
    ("mean", "std", "input_type", "obstacle"),
    [
        ([0.5] * 3, [0.25] * 3, "float32", None),
        ([0.5, 0.4, 0.5], [0.25] * 3, "float32", "all channels alike"),
        ([0.5] * 3, [0.25, 0.25, 0.2], "float32", "all channels alike"),
        ([0.5] * 3, [0.25] * 3, "uint8", "does not normalise uint8 images"),
        ([0.0] * 3, [1 / 255] * 3, "uint8", None),
        ([0.0] * 3, [1 / 255] * 3, "float32", None),
        ([0.0] * 3, [1.0] * 3, "uint8", "not normalise uint8 images"),
    ],
)
def test_what_keeps_a_client_from_normalising(mean, std, input_type, obstacle):
    found = client_obstacle({"mean": mean, "std": std}, input_type=input_type)
    assert (found is None) == (obstacle is None) and (obstacle or "") in (found or "")
    assert "is unknown" in client_obstacle(None, input_type=input_type)


def test_it_stays_and_is_replaced(depthwise):
    """Through a rewriting bit for bit; writing it anew leaves one of each."""
    content = add_metadata(add_record(depthwise(8), {"a": 1}), {"model": "m", "class_names": list("abc")})
    rewritten, (report,) = run_passes(content, [split_depthwise])
    assert report.changes and read_record(rewritten) == {"a": 1}
    assert Graph(rewritten).metadata("TFLITE_METADATA") == Graph(content).metadata("TFLITE_METADATA")
    assert read_files(rewritten) == {"labels.txt": b"a\nb\nc\n"}
    again = add_metadata(rewritten, {"model": "m", "class_names": list("xyz")})
    assert sorted(entry.name for entry in Graph(again).model.metadata) == [b"TFLITE_METADATA", b"scarlet_tf"]
    assert read_files(again) == {"labels.txt": b"x\ny\nz\n"}
