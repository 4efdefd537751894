"""How fast, and how far from what the device could do: the model's calls, the data's path, the field's peers."""
