"""The parameters of node `recorder`, with defaults, ranges and units. docs/nodes.md shows them; a test keeps the two together."""

from dial_ros.node.lifecycle import Parameter

PARAMETERS = {
    "directory": Parameter("recordings", "folder in which every episode gets a folder"),
    "embodiment": Parameter("gr1", "name in config/embodiments, or path of a YAML"),
    "cameras": Parameter("", "which of the embodiment's cameras, by commas; empty: all"),
    "image_transport": Parameter("raw", "raw: Image on image/<camera>; compressed: CompressedImage on image/<camera>/compressed"),
    "extra_topics": Parameter("", "further topics as topic:package/msg/Type, by commas"),
    "split_mb": Parameter(2048, "a bag continues in a next file after this much [MiB]", 1, 1_000_000),
    "queue_mb": Parameter(512, "what may wait for the disk before messages are lost [MiB]", 1, 100_000),
    "min_free_mb": Parameter(500, "free disk space below which recording ends [MiB]", 1, 1_000_000),
    "wait_for_streams": Parameter(True, "refuse to start an episode while a camera or the joints do not flow"),
}
