"""A zip behind a .tflite file stays, bit for bit, and can be read after every rewriting of the file."""

import io
import struct
import zipfile

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite import Graph, add_files, add_record, optimize, read_files, run_passes
from scarlet_tf.tflite.passes.split_depthwise import split_depthwise

FILES = {"labels.txt": "Katze\nÄpfel, rot\n猫\n".encode(), "docs/card.md": b"# A network\n" * 40, "empty": b""}


def zip_of(start=b"", *, method=zipfile.ZIP_STORED, comment=b"", files=FILES):
    """A zip that begins with `start`, as `zipfile` appends to a file."""
    stream = io.BytesIO(start)
    with zipfile.ZipFile(stream, "a" if start else "w", method) as archive:
        archive.comment = comment
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def absolute(content, **options):
    """Offsets from the file's beginning: TFLite's and MediaPipe's metadata writers."""
    return zip_of(content, **options)


def relative(content, **options):
    """Offsets from the zip's own beginning: cat model.tflite files.zip."""
    return content + zip_of(**options)


@pytest.fixture(scope="module")
def plain(depthwise):
    return depthwise(8)


@pytest.fixture(scope="module")
def shrinking(plain):
    """The same network with a megabyte that nobody uses."""
    graph = Graph(plain)
    graph.add_constant(np.ones(1 << 18, np.float32), "unused")
    return graph.to_bytes()


OPTIONS = [{}, {"method": zipfile.ZIP_DEFLATED}, {"comment": b"made elsewhere"}, {"files": {}}]


@pytest.mark.parametrize("options", OPTIONS, ids=["stored", "deflated", "comment", "empty"])
@pytest.mark.parametrize("append", [absolute, relative])
@pytest.mark.parametrize("size", ["grows", "shrinks"])
def test_zip_stays(append, size, options, plain, shrinking):
    source = plain if size == "grows" else shrinking
    file = append(source, **options)
    appended = file[len(source) :]
    rewritten, (report,) = run_passes(file, [split_depthwise])
    assert report.changes and rewritten.endswith(appended)
    assert (len(rewritten) - len(appended) > len(source)) == (size == "grows")
    assert read_files(rewritten) == options.get("files", FILES)
    with zipfile.ZipFile(io.BytesIO(rewritten)) as archive:
        assert archive.testzip() is None and archive.comment == options.get("comment", b"")


def test_offsets_are_right_where_they_can_be(shrinking):
    """What counts from the file's beginning keeps its place, so that readers need not correct the offsets."""
    rewritten, _ = run_passes(absolute(shrinking), [split_depthwise])
    with zipfile.ZipFile(io.BytesIO(rewritten)) as archive:
        (stated,) = struct.unpack_from("<I", rewritten, rewritten.rindex(b"PK\x05\x06") + 16)
        assert archive.start_dir == stated


@pytest.mark.parametrize("append", [absolute, relative])
def test_zip_stays_through_every_step(append, plain, relative_difference):
    """Rewriting twice and adding a record; the network computes what it did."""
    file = append(plain)
    appended = file[len(plain) :]
    for content in (add_record(file, {"a": 1}), add_record(add_record(file, {"a": 1}), {"b": 2})):
        result = optimize(content, label="a file")
        again = optimize(result.content, label="a file")
        assert result.content.endswith(appended) and again.content.endswith(appended)
        assert relative_difference(result.before.outputs, again.after.outputs) <= 1e-5


def test_a_file_that_no_pass_changes_is_the_same(plain):
    once, _ = run_passes(relative(plain), [split_depthwise])
    assert run_passes(once, [split_depthwise])[0] == once


@pytest.mark.parametrize("look_alike", [b"PK\x05\x06", b"PK\x05\x06" + bytes(18), b"PK\x05\x06" + b"\xff" * 18])
def test_constants_that_look_like_a_zip(look_alike, plain):
    graph = Graph(plain)
    values = np.frombuffer(look_alike + bytes(-len(look_alike) % 4 + 64), np.uint8)
    graph.subgraph.outputs = [*graph.subgraph.outputs, graph.add_constant(values, "magic")]
    content = graph.to_bytes()
    rewritten, _ = run_passes(content, [split_depthwise])
    assert rewritten.count(b"PK\x05\x06") == 1 and read_files(rewritten) == {}


def test_what_else_others_put_in(plain):
    """Description, names, entries of any name, of one name twice, empty ones, and the list of older files."""
    graph = Graph(plain)
    graph.model.description, graph.subgraph.name = b"made elsewhere", b"main"
    entries = {b"min_runtime_version": b"2.14.0\0", b"CONVERSION_METADATA": bytes(range(64)), b"empty": b""}
    contents = [*entries.items(), (b"empty", b"not quite")]
    graph.model.metadata = []
    for name, content in contents:
        graph.model.buffers.append(schema.BufferT(data=np.frombuffer(content, np.uint8)))
        graph.model.metadata.append(schema.MetadataT(name=name, buffer=len(graph.model.buffers) - 1))
    graph.model.metadataBuffer = [entry.buffer for entry in graph.model.metadata][::-1]
    after = Graph(add_record(run_passes(graph.to_bytes(), [split_depthwise])[0], {"a": 1})).model
    assert (after.description, after.subgraphs[0].name) == (b"made elsewhere", b"main")

    def stored(index):
        data = after.buffers[index].data
        return b"" if data is None else bytes(data)

    assert [(entry.name, stored(entry.buffer)) for entry in after.metadata[:-1]] == contents
    assert [stored(index) for index in after.metadataBuffer] == [content for _, content in contents][::-1]


def test_add_files(plain):
    """Any unzip reads them without a warning; adding anew replaces them; the time of day does not matter."""
    file = add_files(plain, FILES)
    assert file.startswith(plain) and file == add_files(plain, FILES) == add_files(add_files(plain, {"b": b""}), FILES)
    assert read_files(file) == FILES
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.start_dir == struct.unpack_from("<I", file, file.rindex(b"PK\x05\x06") + 16)[0]
