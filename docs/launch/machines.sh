#!/bin/bash
# Machines without a scheduler: call this on each, with the same file of workers, which all can read.
#   WORKERS=/shared/workers ME=second:9000 bash docs/launch/machines.sh python tools/train_supernet.py \
#       --strategy=multi_worker --output=/shared/supernet
# The file has HOST:PORT of every worker, a line each. It is read again before every start: to go on without a lost
# machine, delete its line within the 20 seconds after the loss, or stop the others, edit the file and start them again.
# After 20 starts in a row that each ended within 10 minutes (TRIES, LONG), it gives up: what fails so often will not pass.
refuse() {
    echo "machines.sh: $1, as in: WORKERS=/shared/workers ME=second:9000 bash docs/launch/machines.sh COMMAND" >&2
    exit 2
}
[[ -n ${WORKERS:-} ]] || refuse "set WORKERS to a file with HOST:PORT of every worker, a line each"
[[ -n ${ME:-} ]] || refuse "set ME to the line of $WORKERS that is this machine's"
(($#)) || refuse "expected the command that trains"
tries=0
while workers=$(grep --no-messages . "$WORKERS"); do
    index=$(grep --fixed-strings --line-regexp --line-number "$ME" <<< "$workers") || {
        echo "machines.sh: ME=$ME is not a line of $WORKERS" >&2
        exit 2
    }
    mapfile -t workers <<< "$workers"
    list=$(printf '"%s",' "${workers[@]}")
    task="{\"type\": \"worker\", \"index\": $((${index%%:*} - 1))}"
    started=$SECONDS
    TF_CONFIG="{\"cluster\": {\"worker\": [${list%,}]}, \"task\": $task}" "$@"
    code=$?
    [[ $code == 75 || $code == 137 ]] || exit $code # 75: a temporary failure, such as a lost worker; 137: killed
    ((SECONDS - started < ${LONG:-600})) || tries=0
    ((++tries < ${TRIES:-20})) || {
        echo "machines.sh: the last $tries starts ended soon, with code $code at the end; giving up" >&2
        exit $code
    }
    sleep "${PAUSE:-20}"
done
echo "machines.sh: cannot read workers from WORKERS=$WORKERS" >&2
exit 2
