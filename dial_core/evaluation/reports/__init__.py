"""Results as tables, intervals and plots."""
