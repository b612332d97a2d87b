"""Comparisons: many runs of training, by methods, charts and seeds, kept in a file and told in tables and figures."""
