"""Drawings of networks, and the self-contained HTML page of a search. Never imports TensorFlow."""

from scarlet_tf.report.collect import collect_results
from scarlet_tf.report.drawing import draw_architecture, draw_legend
from scarlet_tf.report.page import build_page, check_metadata, write_page
from scarlet_tf.report.payload import ReportError, recorded_space
from scarlet_tf.report.results import COLUMNS, load_json, load_results
from scarlet_tf.report.summary import summarize

__all__ = [
    "COLUMNS",
    "ReportError",
    "build_page",
    "check_metadata",
    "collect_results",
    "draw_architecture",
    "draw_legend",
    "load_json",
    "load_results",
    "recorded_space",
    "summarize",
    "write_page",
]
