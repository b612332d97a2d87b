"""The JAX backend (extra `jax`): whole evaluations and whole runs of training as compiled functions.

A lowered network becomes a static `Structure`, which is hashed, and arrays (wiring, affine charts, parameters,
data), which are traced: networks of one structure share what has been compiled.
"""
