import importlib.util
from pathlib import Path

import pytest

from scarlet_tf.arch import get_space
from scarlet_tf.search import evaluated_models, search_history


@pytest.fixture(scope="session")
def synthetic():
    """The module with a search whose accuracy is a formula."""
    path = Path(__file__).parents[1] / "search" / "synthetic.py"
    spec = importlib.util.spec_from_file_location("synthetic_for_report", path)
    synthetic = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(synthetic)
    return synthetic


@pytest.fixture(scope="session")
def archive(synthetic, tmp_path_factory):
    """The archive of a finished search with 3 picks."""
    path = tmp_path_factory.mktemp("report") / "search.sqlite"
    synthetic.search(path, generations=4).run(synthetic.SyntheticEvaluator(19))
    return path


@pytest.fixture(scope="session")
def searched(archive):
    """(history, evaluated, space)."""
    return search_history(archive), evaluated_models(archive), get_space("scarlet")


@pytest.fixture(scope="session")
def written():
    """Values, their units and how the page writes them, in its tables (Python) and its tips (JavaScript) alike."""
    return [
        (0.51234, "percent", "51.23 %"),
        (96_300, "millions", "96.3 k"),
        (999_400, "millions", "999 k"),
        (999_600, "millions", "1 M"),
        (1_234_000, "millions", "1.23 M"),
        (99_960_000, "millions", "100 M"),
        (365_310_000, "millions", "365.3 M"),
        (12.345, "ms", "12.3 ms"),
        (0.0012345, "ms", "0.00123 ms"),
        (12345.6, "plain", "12350"),
        (0.00123456, "plain", "0.001235"),
    ]
