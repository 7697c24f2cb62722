#!/usr/bin/env bash
# All set-up, then the fast tests. Arguments go to pytest; -m "slow or not slow" runs the slow tests too, as CI does.
set -euo pipefail
source "$(dirname "$0")/set_up.sh"
export PYTHONUTF8=1 # tests read the project's files and pages, which are UTF-8 whatever the locale
exec python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" "$@"
