"""From sensor messages to model input. The only place where an image is fitted to the model."""
