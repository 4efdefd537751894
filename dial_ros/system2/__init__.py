"""Node `system2` and its parts."""
