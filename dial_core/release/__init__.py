"""The authors' release: its configuration, weight names and files, both ways, and parity with it."""
