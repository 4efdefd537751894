"""Node `recorder` and its parts."""
