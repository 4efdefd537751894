"""Finds the words of an instruction that a checkpoint's tokenizer does not know, from tokenizer.json alone: no torch, no transformers."""

from __future__ import annotations

from pathlib import Path


class KnownWords:
    """The vocabulary of a checkpoint. One of sub-words knows every word."""

    def __init__(self, checkpoint: str) -> None:
        """`checkpoint`: its folder; without a tokenizer there, every word counts as known."""
        self._tokenizer = None
        file = Path(checkpoint) / "tokenizer.json"
        if checkpoint and file.is_file():
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_file(str(file))

    def unknown(self, text: str) -> list[str]:
        """Returns the words that are not in it, in order."""
        if self._tokenizer is None:
            return []
        unknown_id = self._tokenizer.token_to_id("<unk>")
        if unknown_id is None:
            return []
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return [text[begin:end] for token, (begin, end) in zip(encoded.ids, encoded.offsets, strict=True) if token == unknown_id]
