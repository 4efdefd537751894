"""Node `system1` and its parts."""
