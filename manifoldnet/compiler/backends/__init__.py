"""Backends: what computes a program's stages in place of the reference, which is autograd on NumPy."""
