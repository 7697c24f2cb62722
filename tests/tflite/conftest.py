"""Tiny .tflite files: most put together from the flatbuffer's objects, which takes no converter; and running them."""

import functools

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from scarlet_tf.tflite import Graph
from scarlet_tf.tflite.graph import Activation, Op, Type


@pytest.fixture(scope="session")
def run():
    """Function (content, *inputs, delegate=True) -> outputs."""

    def run(content, *inputs, delegate=True):
        resolver = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        for source, values in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(source["index"], values)
        interpreter.invoke()
        return [interpreter.get_tensor(result["index"]) for result in interpreter.get_output_details()]

    return run


@pytest.fixture(scope="session")
def kinds():
    """Function content -> names of its operators, in order."""
    return lambda content: [Graph(content).name(operator) for operator in Graph(content).operators]


@pytest.fixture(scope="session")
def new_graph():
    """Function () -> Graph without tensors or operators, to be filled; ends are set with `between`."""

    def new():
        builder = schema.flatbuffers.Builder(256)
        subgraph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[])
        model = schema.ModelT(version=3, operatorCodes=[], subgraphs=[subgraph], buffers=[schema.BufferT()])
        builder.Finish(model.Pack(builder), b"TFL3")
        graph = Graph(bytes(builder.Output()))
        graph.quantized = lambda shape, name, scale, zero_point: _quantized(graph, shape, name, scale, zero_point)
        graph.between = lambda inputs, outputs: _between(graph, inputs, outputs)
        return graph

    return new


def _quantized(graph, shape, name, scale, zero_point):
    index = graph.add_tensor(Type.INT8, shape, name)
    graph.tensor(index).quantization = schema.QuantizationParametersT(
        scale=np.float32([scale]), zeroPoint=np.int64([zero_point])
    )
    return index


def _between(graph, inputs, outputs):
    graph.subgraph.inputs, graph.subgraph.outputs = inputs, outputs
    return graph.to_bytes()


@pytest.fixture(scope="session")
def depthwise(new_graph):
    """Function (size, ...) -> a file with one depthwise convolution of a (1, size, size + 1, 3) map."""

    def make(
        size,
        *,
        stride=1,
        padding="same",
        kernel=7,
        activation=Activation.NONE,
        bias=1.0,
        float16=False,
        pad_read=False,
        amounts=((3, 3), (3, 3)),
        dilation=1,
    ):
        rng = np.random.default_rng(size)
        graph = new_graph()
        image = source = graph.add_tensor(Type.FLOAT32, (1, size, size + 1, 3), "image")
        height, width = size, size + 1
        outputs = []
        if padding == "pad":
            height, width = height + sum(amounts[0]), width + sum(amounts[1])
            amounts = graph.add_constant(np.int32([[0, 0], *amounts, [0, 0]]), "amounts")
            image = graph.add_tensor(Type.FLOAT32, (1, height, width, 3), "padded")
            graph.operators.append(graph.new_operator(Op.PAD, [source, amounts], [image], options=schema.PadOptionsT()))
            outputs = [image] if pad_read else []
        values = rng.standard_normal((1, kernel, kernel, 3)).astype(np.float32)
        weights = graph.add_constant(values.astype(np.float16) if float16 else values, "weights")
        if float16:
            loaded = graph.add_tensor(Type.FLOAT32, values.shape, "loaded")
            graph.operators.append(graph.new_operator(Op.DEQUANTIZE, [weights], [loaded], version=3))
            weights = loaded
        ends = [image, weights]
        if bias is not None:
            ends.append(graph.add_constant(np.float32(bias * rng.standard_normal(3)), "bias"))
        if padding == "same":
            shape = (1, -(-height // stride), -(-width // stride), 3)
        else:
            span = dilation * (kernel - 1)
            shape = (1, (height - span - 1) // stride + 1, (width - span - 1) // stride + 1, 3)
        result = graph.add_tensor(Type.FLOAT32, shape, "result")
        options = schema.DepthwiseConv2DOptionsT(
            padding=schema.Padding.SAME if padding == "same" else schema.Padding.VALID,
            strideH=stride,
            strideW=stride,
            depthMultiplier=1,
            dilationHFactor=dilation,
            dilationWFactor=dilation,
            fusedActivationFunction=activation,
        )
        graph.operators.append(graph.new_operator(Op.DEPTHWISE_CONV_2D, ends, [result], options=options))
        return graph.between([source], [result, *outputs])

    return make


@pytest.fixture(scope="session")
def relative_difference():
    """Function (expected, got) -> max |difference| / max |expected|, over lists of arrays."""

    def difference(expected, got):
        pairs = list(zip(expected, got, strict=True))
        assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)
        return max(float(np.abs(a.astype(float) - b).max() / np.abs(a.astype(float)).max()) for a, b in pairs)

    return difference


@pytest.fixture(scope="session")
def float_file():
    """Function (Keras model, size) -> float file for images (1, size, size, 3).

    Frozen first: without Keras's export to a SavedModel, which takes most of a conversion's time.
    """
    return _float_file


def _float_file(model, size):
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    function = tf.function(lambda x: model(x, training=False), autograph=False)
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(tf.TensorSpec((1, size, size, 3))))
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()


@pytest.fixture(scope="session")
def converted():
    """Function ("float" | "dynamic" | "int8") -> file of a network with 7x7 kernels, converted once."""
    return functools.cache(_converted)


def _converted(quantize):
    import tensorflow as tf

    model, representative = _network(), np.random.default_rng(6).standard_normal((16, 1, 12, 12, 3))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantize != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "int8":
        converter.representative_dataset = lambda: ([image.astype(np.float32)] for image in representative)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


def _network():
    """Convolution of the image, 7x7 depthwise at strides 1 and 2 with h-swish, softmax: (1, 12, 12, 3) -> (1, 5)."""
    import keras

    keras.utils.set_random_seed(1)
    layers, normal = keras.layers, keras.initializers.RandomNormal
    depthwise = {"depthwise_initializer": normal(stddev=0.25), "bias_initializer": normal(stddev=0.5)}
    dense = {"kernel_initializer": "he_normal", "bias_initializer": normal(stddev=0.5)}
    x = image = keras.Input((12, 12, 3), batch_size=1, name="image")
    x = layers.Activation("hard_silu")(layers.Conv2D(32, 3, padding="same", **dense)(x))
    x = layers.Activation("hard_silu")(layers.DepthwiseConv2D(7, padding="same", **depthwise)(x))
    x = layers.DepthwiseConv2D(7, strides=2, **depthwise)(layers.ZeroPadding2D(3)(x))
    x = layers.Activation("hard_silu")(layers.Conv2D(40, 1, **dense)(x))
    x = layers.Flatten()(x)
    return keras.Model(image, layers.Dense(5, activation="softmax", name="probabilities", **dense)(x))
