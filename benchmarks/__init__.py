"""Experiments: each folder holds the config, the code and the page of one, and calls scarlet_tf like any user.

    python -m benchmarks.elpv --seeds=0,1,2

Call them in the repository's root; `--help` lists an experiment's flags. They write to zoo/results. figure1, figure4,
figure6 and rank are called by tools/reproduce.py and tools/rank.py, and write to a run directory.
"""
