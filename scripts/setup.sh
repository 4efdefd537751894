#!/usr/bin/env bash
# The three stages of `make setup`, each called by the Makefile only when its inputs changed:
#   scripts/setup.sh environment   system packages, then .venv with the pinned dependencies
#   scripts/setup.sh interfaces    builds msg/ and srv/ into .venv, which then is a ROS 2 prefix of its own
#   scripts/setup.sh verify        one look at the result: messages, rclpy, a rendering context
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$PWD/.venv
unset PYTHONDONTWRITEBYTECODE  # uv compiles nothing in advance: without it every process would compile for itself what it imports

say()  { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
fail() { printf '\033[1;31m[setup]\033[0m %s\n' "$*" >&2; exit 1; }

find_python() {  # prints the first usable interpreter; PYTHON=... overrides
  local candidate
  for candidate in ${PYTHON:-python3.12 python3.11 python3}; do
    "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo "$candidate"; return; }
  done
  fail "no Python 3.11 or 3.12 found (looked for: ${PYTHON:-python3.12 python3.11 python3}). The ROS wheels exist for these.
        Debian 12 and Ubuntu 24.04 have one: apt-get install -y python3 python3-venv python3-dev. Or: make setup PYTHON=/path/to/python3.11"
}

missing_system_packages() {  # prints apt names; one probe for each, so that nothing is asked for that is there
  local python=$1
  command -v g++ > /dev/null || command -v clang++ > /dev/null || echo g++
  "$python" -c 'import venv, ensurepip' 2> /dev/null || echo python3-venv
  "$python" -c 'import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || echo python3-dev
  probe() { "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" 2> /dev/null || echo "$2"; }
  probe libEGL.so.1 libegl1
  probe libGL.so.1 libgl1
  probe libOpenGL.so.0 libopengl0
  local driver drivers=0
  for driver in /usr/lib/*/dri/*_dri.so /usr/lib{,64}/dri/*_dri.so /usr/lib/*/libgallium*.so /usr/share/glvnd/egl_vendor.d/*nvidia*; do
    [ -e "$driver" ] && drivers=1
  done
  [ $drivers = 1 ] || printf 'libgl1-mesa-dri\nlibegl-mesa0\n'
}

install_system_packages() {
  local packages
  packages=$(missing_system_packages "$1" | tr '\n' ' ')
  [ -z "${packages// }" ] && return
  local line="apt-get update && apt-get install -y --no-install-recommends $packages"
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    say "$line"
    (export DEBIAN_FRONTEND=noninteractive; eval "$line") > /dev/null || fail "that failed. Run it by hand to see why, then run make setup again."
  else
    fail "system packages are missing. Run this, then make setup again:
        sudo sh -c '$line'"
  fi
}

torch_index() {  # without an NVIDIA GPU the CPU build spares a download of 3 GB; it lies on PyTorch's own index
  command -v nvidia-smi > /dev/null && return
  [ "$(uname -sm)" = "Linux x86_64" ] || return 0
  local url=https://download.pytorch.org/whl/cpu
  "$1" -c "import urllib.request; urllib.request.urlopen('$url/torch/', timeout=8)" 2> /dev/null && echo "--extra-index-url $url" || true
}

environment() {
  local python
  mkdir -p build
  python=$(find_python)
  install_system_packages "$python"
  say "$("$python" -V) -> .venv, installing requirements.txt (a few minutes the first time)"
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
  # shellcheck disable=SC2046  # the option and its value are two words
  "$venv/bin/python" scripts/install_packages.py $(torch_index "$python") -r requirements.txt > build/install.log 2>&1 || {
    grep -v '^WARNING: Location' build/install.log | tail -n 20 >&2
    fail "installing the dependencies failed; the whole log is build/install.log. Without a network of one's own: set PIP_INDEX_URL to a mirror."
  }
  # Makes `dial_core`, `dial_ros` and the `dial` command available from the source tree; its dependencies are the line above.
  # compat: as a plain path entry, so that the source tree joins the generated dial_ros.msg (see dial_ros/__init__.py).
  "$venv/bin/python" scripts/install_packages.py --no-build-isolation --no-deps --config-settings editable_mode=compat -e . \
    > build/editable.log 2>&1 || { cat build/editable.log >&2; exit 1; }
}

interfaces() {
  local build=$PWD/build/interfaces
  mkdir -p build
  say "building msg/ and srv/ (a few minutes at most)"
  # A build folder made for another venv or another place would mix their paths in.
  grep -qs "^CMAKE_INSTALL_PREFIX:PATH=$venv\$" "$build/CMakeCache.txt" || rm -rf "$build"
  export AMENT_PREFIX_PATH=$venv PATH=$venv/bin:$PATH
  # -O1: messages of our own are small, and camera images are the wheels' types. -O3 takes twice as long.
  if ! { cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE="-O1 -DNDEBUG" \
           -DCMAKE_CXX_FLAGS_RELEASE="-O1 -DNDEBUG" -DBUILD_TESTING=OFF -DDIAL_INSTALL_PYTHON=OFF -DDIAL_CPP_INTERFACES=OFF \
           -DCMAKE_PREFIX_PATH="$venv" -DCMAKE_INSTALL_PREFIX="$venv" -DPython3_EXECUTABLE="$venv/bin/python" \
         && cmake --build "$build" && cmake --install "$build"; } > build/interfaces.log 2>&1; then
    tail -n 30 build/interfaces.log >&2
    fail "building the interfaces failed; the whole log is build/interfaces.log"
  fi
}

verify() {
  # What the nodes import is compiled to bytecode here, once: they start at the same time, and each would compile it for itself.
  "$venv/bin/python" - <<'PYTHON' || fail "the environment does not work; the error stands above. After a repair run make setup again; make clean-all starts from nothing."
import mujoco
context = mujoco.GLContext(16, 16)
context.make_current()
context.free()

import dial_core.inference.system1_session
import dial_core.inference.system2_session
import dial_ros.mujoco_robot.mujoco_robot_node
import dial_ros.system1.system1_node
import dial_ros.system2.system2_node
import dial_ros.tools.demo
import dial_ros.tools.demo_video
from dial_ros.msg import LatentForesight
from dial_ros.srv import ResetWorld
PYTHON
  say "ready: make demo, make test"
}

case "${1:-}" in
  environment | interfaces | verify) "$1" ;;
  *) sed -n '2,5s/^# //p' "$0"; exit 2 ;;
esac
