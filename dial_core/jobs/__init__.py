"""Work spread over processes, and its progress bar."""
