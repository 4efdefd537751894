# `make` alone explains what there is. Everything runs in .venv; nothing outside this folder is changed (but missing system
# packages, and those only when root).

SHELL  := /bin/bash
PYTHON_IN_VENV := .venv/bin/python

# Headless rendering, and one thread a process: with another core busy, several threads take many times as long as one.
export MUJOCO_GL       ?= egl
export OMP_NUM_THREADS ?= 1
export LP_NUM_THREADS  ?= 1
# The venv is a complete ROS 2 of its own: one that is sourced from apt in this shell must not mix in.
unexport PYTHONPATH AMENT_PREFIX_PATH COLCON_PREFIX_PATH CMAKE_PREFIX_PATH ROS_DISTRO RMW_IMPLEMENTATION \
    LD_LIBRARY_PATH ROS_VERSION ROS_PYTHON_VERSION FASTRTPS_DEFAULT_PROFILES_FILE \
    FASTDDS_DEFAULT_PROFILES_FILE
# .venv comes without bytecode (scripts/setup.sh): a process that may not keep it compiles 8 s of torch and transformers at every start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo play test nightly lerobot ray faults gpu lint clean clean-all

help:  ## this list
	@echo "DIAL for ROS 2. Usage: make <target>"; echo
	@sed -nE 's/^([a-z-]+):.*## (.*)$$/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  %-11s %s\n", $$1, $$2}'
	@echo; echo "Every target makes .venv first if it is missing. Then also: .venv/bin/dial --help"

setup: .venv/.ready  ## make .venv: dependencies, ROS interfaces (a few minutes once, then nothing)

demo: setup  ## a humanoid does three tasks in simulation, through real ROS 2 nodes; results in out/demo/
	$(PYTHON_IN_VENV) -m dial_ros.tools.demo $(ARGS)

play: setup  ## the same robot, and a page on which you instruct, watch and stop it: http://127.0.0.1:8080
	$(PYTHON_IN_VENV) -m dial_ros.bringup.runner sim --page true --record true $(ARGS)

# What starts real nodes runs alone, one file after another; everything else on two to four processes.
test: setup  ## all tests (ARGS="-k name" picks some)
ifdef ARGS
	$(PYTHON_IN_VENV) -m pytest $(ARGS)
else
	@trap 'exit 130' INT; status=0; \
	$(PYTHON_IN_VENV) -m pytest test/unit --numprocesses logical --maxprocesses 4 --dist loadfile || status=$$?; \
	$(PYTHON_IN_VENV) -m pytest test/ros || status=$$?; \
	exit $$status
endif

lerobot: setup  ## datasets judged by LeRobot itself, in an environment of its own (needs python3.12)
	scripts/judge_by_lerobot.sh

ray: setup  ## jobs over a real Ray cluster on this machine (adds the extra `ray` to .venv; `make test` skips them without it)
	$(PYTHON_IN_VENV) scripts/install_packages.py --no-build-isolation --config-settings editable_mode=compat -e ".[ray]"
	$(PYTHON_IN_VENV) -m pytest test/unit/jobs/test_ray_engine.py $(ARGS)

nightly: setup  ## 10,000 random corrupted files for each reader (hours), and robosuite's GR1 in its own environment (5 min, 1.3 GB)
	$(PYTHON_IN_VENV) -m pytest -m nightly -o faulthandler_timeout=0 $(ARGS)

faults: setup  ## real nodes, one fault after another; report in out/faults/report.md (ARGS="--quick", ARGS="--minutes 30")
	$(PYTHON_IN_VENV) -m dial_ros.faults $(ARGS)

gpu: setup  ## every check that needs a GPU; results in out/gpu/ (ARGS="--device cpu --preset dial_tiny" tries it without one)
	$(PYTHON_IN_VENV) -m dial_core.cli bench gpu $(ARGS)

lint: setup  ## ruff on everything, mypy on dial_core and dial_ros
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m mypy

clean:  ## remove what builds, tests and demo made (keeps .venv)
	rm -rf build install log out/demo .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

clean-all: clean  ## clean, and remove .venv
	rm -rf .venv *.egg-info

.venv/.dependencies: requirements.txt setup.cfg setup.py
	@scripts/setup.sh environment
	@touch $@

.venv/.interfaces: .venv/.dependencies CMakeLists.txt package.xml dial_ros/__init__.py $(wildcard msg/*.msg srv/*.srv)
	@scripts/setup.sh interfaces
	@touch $@

.venv/.ready: .venv/.interfaces
	@scripts/setup.sh verify
	@touch $@
