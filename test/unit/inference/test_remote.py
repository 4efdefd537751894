import json
import select
import socket
import struct
import threading

import numpy as np
import pytest
import torch

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.control.overlap import Committed
from dial_core.errors import ConnectionLostError, DialError
from dial_core.inference import policy_server
from dial_core.inference.policy_server import PolicyServer
from dial_core.inference.remote import Connection, RemoteSystem2, connect
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.inference.wire import HungUpError, receive, send
from dial_core.jobs.results import EndOfJobsError
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


@pytest.mark.parametrize(("device", "dtype"), [("cpu", torch.float32), ("cuda", torch.bfloat16)])
def test_a_server_reads_weights_in_the_precision_that_it_computes_in(folder, monkeypatch, device, dtype):
    """Read in float32, a model takes twice the memory until it is converted."""

    def refused(*_, **options):
        raise DialError(f"asked for {options.get('dtype', torch.float32)}")

    monkeypatch.setattr(policy_server, "require_device", lambda _: None)
    monkeypatch.setattr(policy_server, "load_checkpoint", refused)
    with pytest.raises(DialError, match=f"asked for {dtype}"):
        PolicyServer(folder, device=device)


def test_a_remote_chunk_starts_by_default_where_a_local_one_does(server, folder, image):
    checkpoint = load_checkpoint(folder)
    inputs = image, System2Session(checkpoint).foresight(image, INSTRUCTION), np.zeros(checkpoint.contract.state_dim, np.float32)
    np.testing.assert_array_equal(connect(server.address)[1].chunk(*inputs), System1Session(checkpoint).chunk(*inputs))


def test_clients_of_equal_options_share_sessions_that_are_made_one_at_a_time(server, monkeypatch):
    made = []

    class Recorded(System1Session):
        def __init__(self, *args):
            made.append(server.one_at_a_time.locked())
            super().__init__(*args)

    monkeypatch.setattr(policy_server, "System1Session", Recorded)
    for noise_seed in (7, 7, 8):
        connect(server.address, flow_steps=3, noise_seed=noise_seed)
    assert made == [True, True]


def test_a_refusal_comes_with_its_reason_and_the_connection_lives_on(server, image):
    system2, _ = connect(server.address)
    with pytest.raises(DialError, match=r"refused: DialError: image of camera 'ego': expected uint8 \(96, 96, 3\)"):
        system2.foresight(image[:50], INSTRUCTION)
    with pytest.raises(DialError, match="instruction is empty"):
        system2.foresight(image, "  ")
    with pytest.raises(DialError, match=r"refused: DialError: the instruction 'pick <\|image_pad\|> up' contains"):
        system2.foresight(image, "pick <|image_pad|> up")
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


def test_after_a_timeout_the_next_call_gets_its_own_answer(server, image):
    system2, system1 = connect(server.address, flow_steps=2, noise_seed=3)
    other = image[::-1].copy()
    expected = system2.foresight(other, INSTRUCTION)
    system2._connection._socket.settimeout(0.05)
    with server.one_at_a_time, pytest.raises(ConnectionLostError, match="timed out"):
        system2.foresight(image, INSTRUCTION)
    np.testing.assert_array_equal(system2.foresight(other, INSTRUCTION), expected)
    chunk = system1.chunk(image, expected, np.zeros(47, np.float32))  # with the options that it was opened with
    np.testing.assert_array_equal(chunk, connect(server.address, 2, 3)[1].chunk(image, expected, np.zeros(47, np.float32)))


def test_a_client_that_was_let_go_for_its_silence_connects_again(server, image, monkeypatch):
    monkeypatch.setattr(policy_server, "IDLE_S", 0.01)
    connection = Connection(server.address)
    select.select([connection._socket], [], [])  # the server has hung up
    monkeypatch.undo()
    with pytest.raises(DialError, match="unknown call"):
        connection.call("anything")


def test_a_lost_server_is_an_error_of_its_own_and_another_checkpoint_in_its_place_is_refused(server, folder, image, tmp_path):
    with PolicyServer(folder) as first:
        host, port = first.server_address[:2]
        thread = threading.Thread(target=first.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        system2, _ = connect(first.address)
        first.shutdown()
        thread.join()
    system2._connection._socket.shutdown(socket.SHUT_RDWR)  # as the end of the server's process does
    with pytest.raises(ConnectionLostError, match="no policy server"):
        system2.foresight(image, INSTRUCTION)
    make_random_checkpoint(tmp_path / "other", seed=1)
    with PolicyServer(tmp_path / "other", host, port) as second:
        threading.Thread(target=second.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with pytest.raises(EndOfJobsError, match="now serves another checkpoint"):
            system2.foresight(image, INSTRUCTION)
        second.shutdown()


@pytest.mark.parametrize(
    ("answer", "arrays", "message"),
    [
        ({}, {"result": np.zeros((3, 4), np.float32)}, r"float32 \(3, 4\); expected float32 \(36, 192\)"),
        ({}, {"result": np.zeros((36, 192))}, r"float64 \(36, 192\); expected float32"),
        ({}, {}, "no result; expected float32"),
        ({"request": 0}, {"result": np.zeros((36, 192), np.float32)}, "answer to request 0"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused_and_ends_the_connection(folder, image, answer, arrays, message):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        near, _ = listener.accept()
        with near:
            send(near, answer, arrays)
            with pytest.raises(DialError, match=message):
                RemoteSystem2(connection, load_checkpoint(folder).contract).foresight(image, INSTRUCTION)
            receive(near)
            with pytest.raises((HungUpError, ConnectionResetError)):
                receive(near)


def test_a_device_that_is_not_there_and_a_port_that_is_taken_end_the_start(server, folder, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(DialError, match="device 'cuda': PyTorch finds 0 GPUs"):
        PolicyServer(folder, device="cuda")
    host, port = server.server_address[:2]
    with pytest.raises(DialError, match=rf"cannot listen at {host}:{port}: .*in use; choose another --port, or 0 for a free one"):
        PolicyServer(folder, host, port)


def framed(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def listing(*arrays) -> bytes:
    return framed(json.dumps({"call": "chunk", "arrays": list(arrays)}).encode())


def answer_to(server, *messages: bytes) -> list[str]:
    """The server's errors, one a message."""
    host, port = server.server_address[:2]
    with socket.create_connection((host, port), timeout=30) as wire:
        errors = []
        for message in messages:
            wire.sendall(message)
            errors.append(receive(wire)[0]["error"])
        return errors


def test_every_refusal_is_answered_and_the_connection_lives_on_where_the_next_message_can_be_found(server):
    call = lambda **values: framed(json.dumps({**values, "arrays": []}).encode())  # noqa: E731
    errors = answer_to(
        server,
        framed(b"{not json"),
        framed(b"[1, 2]"),
        framed("\xe4".encode("latin-1")),
        framed(b"[" * 5000),
        call(),
        call(call="open", flow_steps="many", noise_seed=0),
        call(call="open", flow_steps=10**9, noise_seed=0),
        call(call="open", flow_steps=4, noise_seed=-2),
        call(call="foresight", instruction="put"),
        call(call="chunk"),
        call(call=["chunk"]),
        framed(b'{"call": ' + b"1" * 5000 + b"}"),
        framed(json.dumps({"call": "foresight", "instruction": "\ud800 go", "arrays": [["image", "uint8", [0]]]}).encode()),
    )
    expected = (
        "no JSON",
        "expected an object",
        "no JSON",
        "no JSON",
        "unknown call",
        "flow_steps",
        "1 to 64",
        "noise_seed",
        "image",
        "image0",
        "unknown",
        "no JSON",
        "instruction",
    )
    assert [part for part, error in zip(expected, errors, strict=True) if part not in error] == []


def test_after_lost_framing_the_client_gets_the_reason_and_is_disconnected(server):
    host, port = server.server_address[:2]
    with socket.create_connection((host, port), timeout=30) as wire:
        wire.sendall(listing(["x", "object", [1]]))
        assert "expected [name, dtype, shape]" in receive(wire)[0]["error"]
        with pytest.raises((HungUpError, ConnectionResetError)):
            receive(wire)


def test_committed_actions_of_another_horizon_are_refused(server, image):
    _, system1 = connect(server.address)
    state, foresight = np.zeros(47, np.float32), np.zeros((36, 192), np.float32)
    with pytest.raises(DialError, match="the horizon is 16"):
        system1.chunk(image, foresight, state, Committed(np.zeros((4, 47)), np.zeros(4)))
    assert system1.chunk(image, foresight, state).shape == (16, 47)


def test_an_error_that_nobody_foresaw_is_answered_and_the_connection_lives_on(server, image, monkeypatch, caplog):
    system2, _ = connect(server.address)

    def fails(*_):
        raise TypeError("a text input must be a text")

    monkeypatch.setattr(System2Session, "foresight", fails)
    with pytest.raises(DialError, match="refused: TypeError: a text input must be a text"):
        system2.foresight(image, INSTRUCTION)
    assert "foresight" in caplog.text  # with its traceback, for who runs the server
    monkeypatch.undo()
    system2.foresight(image, INSTRUCTION)


def test_more_clients_than_are_served_get_the_reason(folder, monkeypatch):
    monkeypatch.setattr(policy_server, "MAX_CLIENTS", 1)
    with PolicyServer(folder) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        first = Connection(running.address)
        first.call("open", flow_steps=1, noise_seed=0)
        with pytest.raises(ConnectionLostError, match=r"is full: .*1 clients are connected"):
            Connection(running.address).call("open", flow_steps=1, noise_seed=0)
        running.shutdown()
        thread.join()
