"""The page takes a port that is free, and refuses one at which another page may be.

pytest test/unit/dial_ros/operator/test_page_port.py
"""

import socket

import pytest

from dial_core.errors import DialError
from dial_ros.operator.page_port import free_port, require_free_port
from dial_ros.operator.playback import main


@pytest.fixture
def taken():
    """A port of this machine at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_taken_port_is_refused_with_what_to_do_and_a_free_one_is_not(taken, host):
    with pytest.raises(DialError, match=rf"port {taken} is taken \(the live page\?\): give --port"):
        require_free_port(host, taken, "give --port")
    require_free_port(host, free_port(host), "give --port")


def test_a_port_that_was_used_just_now_is_free(taken):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            accepted.close()  # this side first: its port waits for late packets
    require_free_port("127.0.0.1", port, "give --port")


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("192.0.2.1", 0), ("no such host", 0)])
def test_an_address_that_cannot_be_listened_on_is_an_error_in_words(host, port):
    with pytest.raises(DialError, match=f"cannot listen on {host}, port {port}"):
        require_free_port(host, port, "give --port")


def test_a_bag_is_not_played_where_another_page_is(taken, tmp_path, capsys):
    assert main([str(tmp_path), "--port", str(taken)]) == 1
    said = capsys.readouterr()
    assert said.err == f"dial play: port {taken} is taken (the live page?): give --port\n"
    assert "http://" not in said.out
