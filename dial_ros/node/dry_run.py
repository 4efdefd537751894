"""What lies below `dry_run/`: trajectories that no controller executes, whoever subscribes to them."""

ASIDE = "dry_run/"


def is_aside(topic: str, namespace: str = "") -> bool:
    """Whether a topic, as it is remapped or in full, lies below `dry_run/` or, in full, below that of a robot's `namespace`."""
    own = f"{namespace.strip('/')}/{ASIDE}".lstrip("/")
    return topic.lstrip("/").startswith((ASIDE, own))
