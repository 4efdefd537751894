import json
import socket
import struct
import threading

import numpy as np
import pytest

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.control.overlap import Committed
from dial_core.errors import DialError
from dial_core.inference.remote import MAX_ARRAY_BYTES, Connection, PolicyServer, connect, receive, send
from dial_core.inference.sessions import System1Session, System2Session
from dial_core.robot.embodiment import load_embodiment

INSTRUCTION = "put the can on the plate"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "checkpoint"
    make_random_checkpoint(path)
    return path


@pytest.fixture(scope="module")
def server(folder):
    with PolicyServer(folder) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)


def test_a_remote_session_gives_to_the_last_bit_what_a_local_one_gives(server, folder, image):
    system2, system1 = connect(server.address, flow_steps=2, noise_seed=3)
    checkpoint = load_checkpoint(folder)
    local2, local1 = System2Session(checkpoint), System1Session(checkpoint, flow_steps=2, noise_seed=3)
    assert system2.contract == system1.contract == checkpoint.contract
    foresight = local2.foresight(image, INSTRUCTION)
    np.testing.assert_array_equal(system2.foresight(image, INSTRUCTION), foresight)
    np.testing.assert_array_equal(system2.image_tokens(image), local2.image_tokens(image))
    state = np.concatenate([np.zeros(18), load_embodiment().home_position]).astype(np.float32)
    chunk = local1.chunk(image, foresight, state)
    np.testing.assert_array_equal(system1.chunk(image, foresight, state), chunk)
    committed = Committed(chunk.astype(np.float64) + 0.1, np.linspace(1, 0, len(chunk)))
    np.testing.assert_array_equal(system1.chunk(image, foresight, state, committed), local1.chunk(image, foresight, state, committed))
    assert np.abs(local1.chunk(image, foresight, state, committed) - chunk).max() > 1e-3


def test_a_refusal_comes_with_its_reason_and_the_connection_lives_on(server, image):
    system2, _ = connect(server.address)
    with pytest.raises(DialError, match=r"refused: DialError: image of camera 'ego': expected uint8 \(96, 96, 3\)"):
        system2.foresight(image[:50], INSTRUCTION)
    with pytest.raises(DialError, match="instruction is empty"):
        system2.foresight(image, "  ")
    with pytest.raises(DialError, match="unknown call 'shutdown'"):
        Connection(server.address).call("shutdown")
    assert system2.foresight(image, INSTRUCTION).shape == (36, 192)


def test_an_address_without_a_server_names_the_next_step():
    with pytest.raises(DialError, match="expected tcp://HOST:PORT"):
        connect("tcp://somewhere")
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(DialError, match="dial serve CHECKPOINT --port"):
            connect(f"tcp://127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.parametrize("listed", [["x", "object", [1]], ["x", "float64", [MAX_ARRAY_BYTES]], ["x", "uint8", [-4]]])
def test_arrays_that_nobody_should_send_are_refused(listed):
    near, far = socket.socketpair()
    with near, far:
        text = json.dumps({"call": "chunk", "arrays": [listed]}).encode()
        near.sendall(struct.pack(">I", len(text)) + text)
        with pytest.raises(DialError, match="expected uint8, float32, float64"):
            receive(far)


def test_messages_arrive_as_sent_and_a_hang_up_is_an_error():
    near, far = socket.socketpair()
    with near, far:
        send(near, {"call": "a"}, {"x": np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::2], "y": np.zeros((0,), np.uint8)})
        header, arrays = receive(far)
        assert header == {"call": "a"}
        np.testing.assert_array_equal(arrays["x"], [[0, 2], [3, 5]])
        assert arrays["y"].shape == (0,)
        near.close()
        with pytest.raises(DialError, match="hung up"):
            receive(far)
        with pytest.raises(OSError):
            send(near, {}, {})
