#!/bin/bash
# Two machines with four GPUs each, one process a machine: sbatch docs/launch/slurm.sh
# A lost worker ends the step; the loop starts it again, and the run resumes from its last checkpoint.
#SBATCH --job-name=supernet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=2-00:00:00
#SBATCH --output=supernet-%j.log
set -euo pipefail

cd "${SLURM_SUBMIT_DIR:-.}"
source tools/set_up.sh
for attempt in 1 2 3 4 5; do
    srun --kill-on-bad-exit=1 python tools/train_supernet.py --strategy=multi_worker --space=scarlet \
        --dataset=imagenet2012 --search_validation=50000 --augment=inception --output=runs/supernet && exit
    echo "attempt $attempt ended; starting again" >&2
    sleep 10
done
exit 1
