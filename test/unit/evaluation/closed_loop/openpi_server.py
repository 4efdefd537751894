"""A server of openpi's protocol with an answer of the test's own. It packs messages by itself, as openpi-client 0.1.2 does."""

import threading
from contextlib import contextmanager

import msgpack
import numpy as np
from websockets.sync.server import serve


def pack(value) -> bytes:
    """As openpi-client 0.1.2 packs."""
    return msgpack.packb(value, default=lambda a: {b"__ndarray__": True, b"data": a.tobytes(), b"dtype": a.dtype.str, b"shape": a.shape})


def unpack(message: bytes):
    def array(found):
        return np.frombuffer(found[b"data"], found[b"dtype"]).reshape(found[b"shape"]) if b"__ndarray__" in found else found

    return msgpack.unpackb(message, object_hook=array)


@contextmanager
def peer(answer, metadata={"model": "pi0"}):  # noqa: B006
    """A server that answers every observation with `answer(observation)`; yields its address and what it was asked."""
    asked = []

    def talk(connection):
        connection.send(pack(metadata))
        for message in connection:
            asked.append(unpack(message))
            reply = answer(asked[-1])
            connection.send(reply if isinstance(reply, str | bytes) else pack(reply))
            if isinstance(reply, str):  # a traceback: openpi's server hangs up after it
                return

    server = serve(talk, "127.0.0.1", 0, compression=None, max_size=None)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}", asked
    finally:
        server.shutdown()
        thread.join()
