#!/bin/bash
# Two machines with four GPUs each, one process a machine: sbatch docs/launch/slurm.sh
# If a worker is lost, the others end with code 75, a temporary failure; the loop starts all again, and the run resumes
# from its last checkpoint. If a machine fails, Slurm ends the job and queues it again, for other machines.
#SBATCH --job-name=supernet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=2-00:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=supernet-%j.log
set -uo pipefail

cd "${SLURM_SUBMIT_DIR:-.}" || exit 1
source tools/set_up.sh || exit 1
for attempt in 1 2 3 4 5; do
    srun --kill-on-bad-exit=1 python tools/train_supernet.py --strategy=multi_worker --space=scarlet \
        --dataset=imagenet2012 --search_validation=50000 --augment=inception --output=runs/supernet
    code=$?
    case $code in
        75 | 137) echo "attempt $attempt ended with code $code; starting again" >&2 ;;
        *) exit $code ;; # 0: complete; 2: a setting that cannot be used; 143: stopped by SIGTERM
    esac
    sleep 30 # a file server may keep the lock of a lost chief for 90 seconds
done
exit $code
