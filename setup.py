"""Which folders are packages; everything else is in setup.cfg, which cannot say that a package lies elsewhere."""

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

# Tools that call benchmarks/, which no wheel holds: they run in a checkout only.
IN_A_CHECKOUT = {("scarlet_tf.tools", "rank"), ("scarlet_tf.tools", "reproduce")}


class BuildWithoutBenchmarks(build_py):
    """Leave out the tools of `IN_A_CHECKOUT`."""

    def find_package_modules(self, package, package_dir):
        modules = super().find_package_modules(package, package_dir)
        return [module for module in modules if module[:2] not in IN_A_CHECKOUT]


# In a wheel the tools are inside the package: the console script runs them there.
setup(
    packages=[*find_packages(include=["scarlet_tf*"]), "scarlet_tf.tools"],
    package_dir={"scarlet_tf.tools": "tools"},
    cmdclass={"build_py": BuildWithoutBenchmarks},
)
