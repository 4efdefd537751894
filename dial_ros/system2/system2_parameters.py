"""The parameters of node `system2`, with defaults, ranges and units. docs/nodes.md shows them; a test keeps the two together."""

from dial_ros.node.lifecycle import Parameter

PARAMETERS = {
    "checkpoint": Parameter("", "folder of the checkpoint (save_pretrained)"),
    "device": Parameter("cpu", "where the model runs: cpu, cuda, cuda:1, ..."),
    "runtime": Parameter(
        "auto",
        "what computes: auto, eager, or a program of `dial export`: aoti, onnx, int8, tensorrt-bf16; see docs/export.md",
    ),
    "embodiment": Parameter("gr1", "name in config/embodiments, or path of a YAML"),
    "camera": Parameter("ego", "name of the embodiment's camera that both systems see"),
    "image_transport": Parameter("raw", "raw: Image on image/<camera>; compressed: CompressedImage on image/<camera>/compressed"),
    "rate_hz": Parameter(4.0, "foresights a second of ROS time at most [Hz]", 0.1, 100.0),
    "camera_timeout": Parameter(0.5, "age of the newest frame beyond which the camera counts as stale [s]", 0.05, 60.0),
    "max_instruction_length": Parameter(200, "longest instruction accepted [characters]", 1, 10000),
    "foresight_image": Parameter(False, "also publish foresight/image: the foresight in PCA colours beside the change map"),
}
