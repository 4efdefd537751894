"""Training: the stand-in for Qwen's pretraining, and the two stages of DIAL."""
