"""The two sessions at run time: numpy in, numpy out."""
