"""Plots with matplotlib, each one function that returns its axes; needs the extra `plot`."""

from manifoldnet.views.matplotlib.comparison import draw_figures
from manifoldnet.views.matplotlib.history import plot_history
from manifoldnet.views.matplotlib.spectrum import plot_condition, plot_spectrum
from manifoldnet.views.matplotlib.trajectory import plot_trajectory

__all__ = ["draw_figures", "plot_condition", "plot_history", "plot_spectrum", "plot_trajectory"]
