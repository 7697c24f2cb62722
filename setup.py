"""Which folders are packages; everything else is in setup.cfg, which cannot say that a package lies elsewhere."""

from setuptools import find_packages, setup

# In a wheel the tools are inside the package: the console script runs them there.
setup(
    packages=[*find_packages(include=["scarlet_tf*"]), "scarlet_tf.tools"],
    package_dir={"scarlet_tf.tools": "tools"},
)
