#!/bin/bash
# Machines without a scheduler: call this on each, with the same file of workers, which all can read.
#   WORKERS=/shared/workers ME=second:9000 bash docs/launch/machines.sh python tools/train_supernet.py \
#       --strategy=multi_worker --output=/shared/supernet
# The file has HOST:PORT of every worker, a line each. It is read again before every start: to go on without a lost
# machine, delete its line within the 20 seconds after the loss, or stop the others, edit the file and start them again.
while workers=$(grep . "$WORKERS"); do
    index=$(grep --fixed-strings --line-regexp --line-number "$ME" <<< "$workers") || { echo "$ME: not in $WORKERS" >&2; exit 2; }
    mapfile -t workers <<< "$workers"
    list=$(printf '"%s",' "${workers[@]}")
    task="{\"type\": \"worker\", \"index\": $((${index%%:*} - 1))}"
    TF_CONFIG="{\"cluster\": {\"worker\": [${list%,}]}, \"task\": $task}" "$@"
    code=$?
    [[ $code == 75 || $code == 137 ]] || exit $code # 75: another worker was lost; 137: this one was killed
    sleep "${PAUSE:-20}"
done
echo "cannot read workers from $WORKERS" >&2
exit 2
