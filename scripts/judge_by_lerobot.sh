#!/usr/bin/env bash
# Every kind of dataset that we write, judged by the real LeRobot, its doctor and its linter: make lerobot
# LeRobot needs Python 3.12 and pins of its own, so it gets an environment of its own in out/lerobot/ (some 6 GB).
set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/out/lerobot
python=$PWD/.venv/bin/python
lerobot=${LEROBOT_VENV:-$work/venv}   # an environment that has the three packages already
datasets=$work/datasets

if [ ! -x "$lerobot/bin/lerobot-doctor" ]; then
  "${PYTHON312:-python3.12}" -m venv "$lerobot"
  "$lerobot/bin/pip" install -q lerobot==0.6.1 lerobot-doctor==0.2.0 lerobot-lint==0.1.1
fi

rm -rf "$datasets" "$work/scratch" && mkdir -p "$datasets" "$work/scratch"
export MUJOCO_GL=${MUJOCO_GL:-egl} OMP_NUM_THREADS=1 PYTHONPATH=$PWD
dial() { "$python" -m dial_core.cli "$@"; }
dial collect --episodes 2 --out "$datasets/expert" --workers 1
dial data human "$datasets/hands" --episodes 1 --workers 1
"$python" -c "
from pathlib import Path
from dial_core.bags.synthetic import record
record(Path('$work/scratch/bags/a')); record(Path('$work/scratch/bags/b'))"
dial convert bag "$work/scratch/bags" "$datasets/bag" --workers 0
dial convert lerobot "$datasets/expert" "$datasets/foreign" --workers 0
dial data merge "$datasets/expert" "$datasets/bag" "$datasets/merged"
dial data split "$datasets/merged" "$datasets/parts" train=0.5 rest=0.5

HF_HUB_OFFLINE=1 PYTHONPATH="" "$lerobot/bin/python" scripts/lerobot_judge.py "$work/scratch" \
  "$datasets"/{expert,hands,bag,foreign,merged} "$datasets/parts/train" 2> "$work/judge.log"
