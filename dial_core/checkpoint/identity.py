"""The model id of a checkpoint covers everything that changes what its policy does.

Nodes, programs and evaluations compare model ids to know one policy from another. Ids of older checkpoints cover
weights and architecture alone; they stay as they are, since documents, runs and programs name them. The two are told apart by
their first character.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from dial_core.checkpoint.contract import FILE as CONTRACT
from dial_core.errors import DialError

NORMALISATION = "normalisation.json"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
COMPLETE = "p"  # begins ids of the whole policy; others begin with a hexadecimal digit


def policy_id(folder: Path, weights_id: str) -> str:
    """`p` and 15 hex digits of the SHA-256 over the id of the weights, the statistics, the contract and the tokenizer of a folder.

    How a JSON file is indented and ordered does not matter, nor what its contract says the id is.

    Raises:
        DialError: a file is missing or cannot be read.
    """
    digest = hashlib.sha256(weights_id.encode())
    for name in (CONTRACT, NORMALISATION, *TOKENIZER):
        text = _content(folder / name)
        digest.update(f"{name} {len(text)} {text}".encode())
    return COMPLETE + digest.hexdigest()[:15]


def covers_policy(model_id: str) -> bool:
    """Whether an id is that of the whole policy, and not of weights and architecture alone."""
    return model_id.startswith(COMPLETE)


def _content(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix != ".json":
            return text
        values = json.loads(text)
    except (OSError, ValueError) as error:
        raise DialError(f"{file} cannot be read: {error}; restore the file") from error
    if file.name == CONTRACT:
        values.pop("model_id", None)
    return json.dumps(values, sort_keys=True)
