"""The policy: System-2 (image and instruction to foresight) and System-1 (foresight, image and state to chunk).

Shape legend of the whole package, used as suffixes:
    B batch, N foresight tokens of one image, D width of tokens, M condition tokens (2 N), H horizon, A action dimension,
    S state dimension, T text-and-image sequence, L vision patches of one image (4 N), K heads.
"""
