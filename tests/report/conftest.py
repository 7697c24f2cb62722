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
