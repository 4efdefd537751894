"""The two sessions at run time: numpy in, numpy out."""

COMPILE_SWITCH = "DIAL_COMPILE"
"""Environment variable; 0: a session with runtime `auto` compiles nothing and uses what has been compiled before."""
