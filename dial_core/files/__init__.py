"""How files are written: atomically, and with a fingerprint of the inputs of unfinished work."""
