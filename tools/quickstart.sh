#!/usr/bin/env bash
# All set-up, then the whole road on Fashion-MNIST: LET supernet, search, training of the three picked models, export,
# verification, timing, report. Goes on where it was stopped; SEED and RUN choose another seed and folder.
set -euo pipefail
source "$(dirname "$0")/set_up.sh"
seed=${SEED:-0}
run=${RUN:-runs/quickstart}

python tools/train_supernet.py --space=small --dataset=fashion_mnist --steps=1200 --batch_size=32 \
    --learning_rate=0.2 --warmup_steps=100 --checkpoint_every=100 --seed="$seed" --output="$run/supernet"

python tools/search.py --supernet="$run/supernet" --output="$run/search" --population=24 --generations=8 \
    --images=1000 --constraints="madds<1.2e6,accuracy>0.75" --picks=3 --seed="$seed"

models=()
for pick in 0 1 2; do
    model=$run/model_$pick
    models+=("$model")
    [ -e "$model/latency.json" ] && continue
    python tools/train.py --model="$run/search/pick_$pick.json" --recipe=small --epochs=1.5 --seed="$seed" --output="$model"
    rm -rf "$model/saved_model"
    python tools/export_saved_model.py --model="$model" --output="$model/saved_model"
    python tools/export_tflite.py --model="$model" --output="$model/float32.tflite"
    python tools/export_tflite.py --model="$model" --output="$model/int8.tflite" --quantize=int8 \
        --representative_dataset=fashion_mnist --representative_examples=500
    python tools/verify.py --model="$model" --saved_model="$model/saved_model" \
        --tflite="$model/float32.tflite,$model/int8.tflite" --output="$model/verify.json"
    python tools/benchmark_host.py --models="$model/float32.tflite,$model/int8.tflite" --output="$model/latency.json"
done

python tools/report.py --archive="$run/search/archive.sqlite" --output="$run/report.html" \
    --models="$(IFS=,; echo "${models[*]}")"
realpath "$run/report.html"
