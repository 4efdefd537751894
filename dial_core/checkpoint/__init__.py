"""Checkpoint folders: weights, architecture, tokenizer, statistics and the contract they were made for."""
