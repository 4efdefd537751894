"""The stand-in for Qwen's pretraining: the tiny VLM learns to see and to read rendered views."""
