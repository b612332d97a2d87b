"""Output interpretations omega, each with the metric Omega of its output manifold (paper: example 1, appendix A)."""
