"""How files are written: whole or not at all; and whether unfinished work was begun with the same inputs."""
