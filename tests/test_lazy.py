"""Packages that import part of their names later look as if they had them."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

PACKAGES = ["scarlet_tf.compression", "scarlet_tf.data", "scarlet_tf.zoo"]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_is_there_and_none_is_a_submodule(name):
    package = importlib.import_module(name)
    assert set(package.__all__) <= set(dir(package))
    assert all(getattr(package, exported) is not None for exported in package.__all__)
    assert not set(package.__all__) & {module.name for module in pkgutil.iter_modules(package.__path__)}
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'absent'"):
        _ = package.absent


def test_they_load_no_tensorflow():
    code = f"import sys, {', '.join(PACKAGES)}; sys.exit(bool({{'tensorflow', 'keras'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
