"""Serves one gymnasium environment over a local socket, in a Python environment of its own.

Needs numpy and gymnasium only and is run as a file, so that a simulator with other pins than ours (mujoco, numpy) stands
beside us. The client starts it (`closed_loop.environment_client`) and hands it one end of a socket pair; when the other end
closes, it exits. A message is a length (4 bytes, big-endian), that many bytes of JSON, and the arrays it lists, raw; nothing
is unpickled.

    python environment_server.py SOCKET_DESCRIPTOR
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import math
import os
import platform
import random
import socket
import struct
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.pop(0)  # this folder: its files must not hide modules of the simulator

import gymnasium
import numpy as np

MAX_HEADER_BYTES, MAX_ARRAY_BYTES = 1 << 20, 1 << 27
DTYPES = ("uint8", "float32", "float64")
BASE_BODY = "robot0_base"  # robosuite's name of the first robot's base
ROBOT_PREFIXES = ("robot0_", "gripper0_", "mobilebase0_", "fixed_mount0_", "leggedbase0_", "base0_")

Arrays = dict[str, np.ndarray]


class Server:
    """Answers one client's calls: `describe`, `make`, `reset`, `step`, `look`, `poses`."""

    def __init__(self) -> None:
        self._env: Any = None
        self._state_keys: list[str] = []
        self._image = self._words = ""
        self._seen: dict[str, Any] = {}

    def answer(self, call: str, values: dict[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        """The reply to one call."""
        if call == "describe":
            return describe(values["packages"], values["assets"]), {}
        if call == "make":
            return self._make(**values), {}
        if call == "reset":
            return self._reset(**values)
        if call == "step":
            return self._step(arrays)
        if call == "look":
            return self._look()
        if call == "poses":
            return self._poses(**values)
        raise ValueError(f"unknown call '{call}'; known: describe, make, reset, step, look, poses")

    def close(self) -> None:
        """Frees the simulator."""
        if self._env is not None:
            self._env.close()

    def _make(self, modules: list[str], id: str, options: dict[str, Any], image: str, instruction: str) -> dict[str, Any]:
        """Makes the environment and reports the shapes of its spaces."""
        for module in modules:
            _import(module)
        self._env = gymnasium.make(id, disable_env_checker=True, **options)
        self._image, self._words = image, instruction
        seen, acted = self._env.observation_space, self._env.action_space
        self._state_keys = [key for key in seen.spaces if key.startswith("state.")]
        shapes = {f"{key}": list(space.shape or ()) for spaces in (seen, acted) for key, space in spaces.spaces.items()}
        return {"shapes": shapes}

    def _reset(self, seed: int, settle_steps: int, limits: dict[str, float]) -> tuple[dict[str, Any], Arrays]:
        """The scene of a seed, held still for `settle_steps` control steps; and what is wrong with it."""
        inner = self._inner()
        random.seed(seed)
        inner.rng = np.random.default_rng(seed)  # robosuite seeds it only when it is made; `reset` seeds numpy's global one
        self._seen, _ = self._env.reset(seed=seed)
        held = {"action." + key.removeprefix("state."): self._seen[key] for key in self._state_keys}
        held = {key: np.asarray(value, np.float32) for key, value in held.items() if key in self._env.action_space.spaces}
        for _ in range(settle_steps):
            self._advance(held)
        if settle_steps:
            self._render()
        faults = broken_start(inner.sim, limits) if hasattr(inner, "sim") else list(getattr(inner, "faults", []))
        if inner._check_success():  # robosuite's own; a reset reports no success
            faults.append("already done")
        return self._observation(False, {"faults": faults}), self._arrays(image=True)

    def _step(self, actions: Arrays) -> tuple[dict[str, Any], Arrays]:
        """One control step towards absolute targets. Renders nothing: an image is most of a step's time."""
        success = self._advance(dict(actions))
        return self._observation(success, {}), self._arrays(image=False)

    def _look(self) -> tuple[dict[str, Any], Arrays]:
        """The image of the simulation as it stands."""
        self._render()
        return self._observation(False, {}), self._arrays(image=True)

    def _poses(self, bodies: list[str], cameras: list[str]) -> tuple[dict[str, Any], Arrays]:
        """Poses (4, 4) in the world of bodies and cameras of robosuite's model, and the cameras' vertical fields of view [deg]."""
        model, data = self._inner().sim.model, self._inner().sim.data
        poses = {name: _pose(data.get_body_xpos(name), data.get_body_xmat(name)) for name in bodies}
        poses |= {name: _pose(data.get_camera_xpos(name), data.get_camera_xmat(name)) for name in cameras}
        return {"fovy": {name: float(model.cam_fovy[model.camera_name2id(name)]) for name in cameras}}, poses

    def _advance(self, actions: dict[str, np.ndarray]) -> bool:
        sim: Any = getattr(self._inner(), "sim", None)
        render = getattr(sim, "render", None)
        if render is not None:
            sim.render = _nothing
        try:
            self._seen, _, _, _, info = self._env.step(actions)
        finally:
            if render is not None:
                sim.render = render
        return bool(info["success"])

    def _render(self) -> None:
        """Renews the observation, image included, without moving time."""
        env = self._env.unwrapped
        if hasattr(env, "look"):
            self._seen = env.look()
        elif hasattr(env, "get_groot_observation"):  # robocasa-gr1-tabletop-tasks
            source = env.env.viewer if env.env.viewer_get_obs else env.env
            self._seen = env.get_groot_observation(env.get_basic_observation(source._get_observations(force_update=True)))

    def _observation(self, success: bool, more: dict[str, Any]) -> dict[str, Any]:
        return {"success": success, "steps": int(self._inner().timestep), "instruction": str(self._seen[self._words]), **more}

    def _arrays(self, image: bool) -> Arrays:
        arrays = {key: np.asarray(self._seen[key], np.float64) for key in self._state_keys}
        if (base := self._base()) is not None:
            arrays["base"] = base
        if image:
            arrays["image"] = np.asarray(self._seen[self._image], np.uint8)
        return arrays

    def _base(self) -> np.ndarray | None:
        """Pose (4, 4) of the robot's base in the world."""
        inner = self._inner()
        if hasattr(inner, "base_pose"):
            return np.asarray(inner.base_pose, np.float64)
        if not hasattr(inner, "sim"):
            return None
        data = inner.sim.data
        return _pose(data.get_body_xpos(BASE_BODY), data.get_body_xmat(BASE_BODY))

    def _inner(self) -> Any:
        """robosuite's environment inside the gymnasium one."""
        return self._env.unwrapped.env


def _pose(position: Any, rotation: Any) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = np.array(rotation).reshape(3, 3), position
    return pose


def broken_start(sim: Any, limits: dict[str, float]) -> list[str]:
    """What is wrong with a scene before the robot has moved, from robosuite's `sim`.

    `limits`: `depth_m` by which robot and things may overlap, `speed_m_s` of free bodies, `below_m` under which one has fallen.
    """
    model, data = sim.model._model, sim.data._data
    faults = []
    robot = [model.body(body).name.startswith(ROBOT_PREFIXES) for body in range(model.nbody)]
    for contact in data.contact[: data.ncon]:
        first, second = (model.geom_bodyid[geom] for geom in (contact.geom1, contact.geom2))
        if contact.dist < -limits["depth_m"] and robot[first] != robot[second]:
            faults.append("the robot overlaps something")
            break
    free = [joint for joint in range(model.njnt) if model.jnt_type[joint] == 0 and not robot[model.jnt_bodyid[joint]]]
    velocities = [data.qvel[model.jnt_dofadr[joint] : model.jnt_dofadr[joint] + 3] for joint in free]
    if any(np.linalg.norm(velocity) > limits["speed_m_s"] for velocity in velocities):
        faults.append("something still moves")
    if any(data.qpos[model.jnt_qposadr[joint] + 2] < limits["below_m"] for joint in free):
        faults.append("something has fallen")
    return faults


def describe(packages: list[str], assets: str) -> dict[str, Any]:
    """Versions and settings that scenes depend on, and the folder of the first package.

    `assets`: a folder in it, hashed by names and sizes.
    """
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "missing"
    return {
        "python": platform.python_version(),
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
        "packages": versions,
        "assets": assets_hash(packages[0], assets) if assets else "",
        "folder": str(package_folder(packages[0]) or ""),
    }


def package_folder(package: str) -> Path | None:
    """Where a package is imported from, without importing it; None where it is not installed."""
    found = importlib.util.find_spec(package)
    return Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else None


def assets_hash(package: str, folder: str) -> str:
    """12 hex digits over the names and sizes of all files in a package's folder, and the content of its XML; "missing" without it."""
    package_root = package_folder(package)
    if package_root is None or not (package_root / folder).is_dir():
        return "missing"
    root = package_root / folder
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(root)} {path.stat().st_size}\n".encode())
        if path.suffix == ".xml":
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def send(wire: socket.socket, header: dict[str, Any], arrays: Arrays) -> None:
    """Writes one message."""
    listed = [[name, values.dtype.name, list(values.shape)] for name, values in arrays.items()]
    text = json.dumps({**header, "arrays": listed}).encode()
    wire.sendall(b"".join([struct.pack(">I", len(text)), text, *(np.ascontiguousarray(v).tobytes() for v in arrays.values())]))


def receive(wire: socket.socket) -> tuple[dict[str, Any], Arrays]:
    """Reads one message. Raises EOFError if the other side hung up, ValueError if it is no message."""
    (length,) = struct.unpack(">I", _exactly(wire, 4))
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes is no message")
    header = json.loads(_exactly(wire, length))
    arrays = {}
    for name, dtype, shape in header.pop("arrays"):
        size = math.prod(shape) * np.dtype(dtype).itemsize if dtype in DTYPES else -1
        if not 0 <= size <= MAX_ARRAY_BYTES:
            raise ValueError(f"array '{name}' of {dtype} {shape} is no array of a message")
        arrays[name] = np.frombuffer(_exactly(wire, size), dtype).reshape(shape)
    return header, arrays


def serve(wire: socket.socket) -> None:
    """Answers calls until the client hangs up; an error is an answer too."""
    server = Server()
    while True:
        try:
            header, arrays = receive(wire)
        except (EOFError, OSError):
            break
        try:
            answer, result = server.answer(header.pop("call"), header, arrays)
        except Exception as error:  # whatever a simulator raises is the client's to report
            traceback.print_exc()
            answer, result = {"error": f"{type(error).__name__}: {error}"}, {}
        send(wire, answer, result)
    server.close()


def _import(module: str) -> None:
    """Imports a module by its name, or a file by its path."""
    if not module.endswith(".py"):
        importlib.import_module(module)
        return
    name = Path(module).stem
    spec = importlib.util.spec_from_file_location(name, module)
    if spec is None or spec.loader is None:
        raise ImportError(f"{module} cannot be imported")
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


def _nothing(*_: Any, width: int = 0, height: int = 0, **__: Any) -> np.ndarray:
    """Replaces `sim.render` where no image is asked for."""
    return np.zeros((height, width, 3), np.uint8)


def _exactly(wire: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = wire.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise EOFError("the other side hung up")
        parts += part
    return bytes(parts)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
