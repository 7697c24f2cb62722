"""Export for inference: LET folding, SavedModel, ONNX and TFLite writers, and verification of the exported files."""

from scarlet_tf.export.chain import Chain, export_chain, possible_formats
from scarlet_tf.export.ends import output_name, with_preprocessing, with_softmax
from scarlet_tf.export.fold import FoldError, FoldResult, SlotReport, fold, fold_dense, fold_model, verify_fold
from scarlet_tf.export.from_name import Exportable, prepare
from scarlet_tf.export.labelled_images import labelled_images
from scarlet_tf.export.onnx_export import export_onnx
from scarlet_tf.export.policy import PolicyError, float32_policy, in_float32
from scarlet_tf.export.saved_model import export_saved_model, read_saved_record
from scarlet_tf.export.tflite import Converted, convert, export_tflite
from scarlet_tf.export.verify import ExportError, FormatCheck, VerifyReport, builtin_operations, verify
from scarlet_tf.formats import END_TYPES, FORMATS, QUANTIZATIONS, TARGETS

__all__ = [
    "END_TYPES",
    "FORMATS",
    "QUANTIZATIONS",
    "TARGETS",
    "Chain",
    "Converted",
    "ExportError",
    "Exportable",
    "FoldError",
    "FoldResult",
    "FormatCheck",
    "PolicyError",
    "SlotReport",
    "VerifyReport",
    "builtin_operations",
    "convert",
    "export_chain",
    "export_onnx",
    "export_saved_model",
    "export_tflite",
    "float32_policy",
    "fold",
    "fold_dense",
    "fold_model",
    "in_float32",
    "labelled_images",
    "output_name",
    "possible_formats",
    "prepare",
    "read_saved_record",
    "verify",
    "verify_fold",
    "with_preprocessing",
    "with_softmax",
]
