"""`dial serve`: a checkpoint behind a TCP port, for a simulation or a robot on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dial_core.cli.options import Checkpoint, console


def serve(
    checkpoint: Checkpoint,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")] = 5555,
    device: Annotated[str, typer.Option(help="Where the model runs: cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Serve both sessions of a checkpoint: `dial eval tcp://HOST:PORT` then equals `dial eval CHECKPOINT`.

    There is no encryption and no password: listen inside a trusted network only, or through a tunnel of ssh.
    """
    from dial_core.inference.policy_server import PolicyServer

    with PolicyServer(Path(checkpoint), host, port, device) as server:
        console.print(f"serving {server.checkpoint.contract.model_id} at [bold]{server.address}[/]; Ctrl-C ends it")
        server.serve_forever()
