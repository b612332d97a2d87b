"""Curves as SVG that stands by itself in a page: no script, letters in the page's colour, every mark says its numbers."""

import html
import math
from collections.abc import Sequence
from typing import final

import attrs
import numpy
from numpy.typing import ArrayLike, NDArray

# Okabe and Ito's colours, told apart by most eyes; dashes tell them apart without colour.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f7f7f")
DASHES = ("", "6 3", "2 3", "8 3 2 3")
LEFT, RIGHT, TOP, BOTTOM = 64.0, 14.0, 12.0, 42.0
# So many points of a curve are drawn, and so many of them can be pointed at.
DRAWN, MARKED = 400, 40


def _numbers(values: ArrayLike) -> NDArray:
    return numpy.asarray(values, dtype=numpy.float64)


@final
@attrs.frozen(eq=False)
class Series:
    """One curve: its name and its points; points that are not finite are left out. `dots` draws no line."""

    label: str
    x: NDArray = attrs.field(converter=_numbers)
    y: NDArray = attrs.field(converter=_numbers)
    dots: bool = False
    style: int | None = None


@final
@attrs.frozen
class Axis:
    """How numbers become places between `start` and `stop`; logarithmic or linear."""

    low: float
    high: float
    start: float
    stop: float
    is_log: bool

    def place(self, values: NDArray) -> NDArray:
        low, high = self._scaled(numpy.array([self.low, self.high]))
        share = (self._scaled(values) - low) / (high - low) if high > low else numpy.full_like(values, 0.5)
        return self.start + share * (self.stop - self.start)

    def _scaled(self, values: NDArray) -> NDArray:
        return numpy.log10(values) if self.is_log else values

    @property
    def ticks(self) -> list[float]:
        """Round numbers inside: powers of ten where there are some, else multiples of 1, 2 or 5."""
        if self.is_log:
            return log_ticks(self.low, self.high)
        return linear_ticks(self.low, self.high)


def linear_ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten.

    >>> linear_ticks(0.0, 1000.0), linear_ticks(-0.3, 1.1)
    ([0.0, 200.0, 400.0, 600.0, 800.0, 1000.0], [-0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    """
    if not high > low:
        return [low]
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1.0, 2.0, 5.0, 10.0)), key=lambda s: abs(math.log(s / raw)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) + 0.0 for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten; with 2 and 5 times them where there are fewer than three, every few where there are many.

    >>> log_ticks(0.3, 20.0), log_ticks(1e-9, 1.0)
    ([0.5, 1.0, 2.0, 5.0, 10.0, 20.0], [1e-08, 1e-06, 0.0001, 0.01, 1.0])
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = [k for k in range(first, last + 1) if low <= 10.0**k * (1 + 1e-9) and 10.0**k <= high * (1 + 1e-9)]
    if len(powers) < 3:
        fine = [m * 10.0**k for k in range(first, last + 1) for m in (1, 2, 5)]
        inside = [value for value in fine if low <= value * (1 + 1e-9) and value <= high * (1 + 1e-9)]
        return inside if len(inside) > 1 else linear_ticks(low, high)
    every = math.ceil(len(powers) / 6)
    return [10.0**k for k in powers if k % every == 0]


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    title: str,
    log: bool = True,
    size: tuple[int, int] = (640, 320),
) -> str:
    """An <svg> of curves; `log` asks for a logarithmic axis upwards, taken where all numbers are positive.

    Curves of more than 400 points are thinned out evenly, the last one kept; some of them can be pointed at.
    """
    kept = [_thinned(one) for one in series]
    kept = [one for one in kept if one.x.size]
    if not kept:
        return f'<p class="empty">{html.escape(title)}: there are no finite numbers to draw.</p>'
    xs, ys = (numpy.concatenate([getattr(one, name) for one in kept]) for name in "xy")
    is_log = log and bool((ys > 0.0).all())
    width, height = size
    across = Axis(float(xs.min()), float(xs.max()), LEFT, width - RIGHT, False)
    upwards = _upwards(ys, height, is_log)
    named = [one for one in kept if one.label]
    columns = _legend_columns(named, width)
    legend_rows = math.ceil(len(named) / columns) if len(named) > 1 else 0
    whole = height + 18 * legend_rows
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" role="img" class="chart" '
        f'style="width:100%;max-width:{width}px;height:auto" font-family="sans-serif" font-size="13">',
        f"<title>{html.escape(title)}</title><desc>{html.escape(described(kept, x_label, y_label))}</desc>",
        *_frame(across, upwards, x_label, y_label, size),
    ]
    for number, one in enumerate(kept):
        parts += _curve(one, number if one.style is None else one.style, across, upwards, x_label, y_label)
    if legend_rows:
        parts += _legend(kept, height, width, columns)
    return "".join([*parts, "</svg>"])


def described(series: Sequence[Series], x_label: str, y_label: str) -> str:
    """What a curve is, for those who do not see it: where each one begins, ends, and is least."""
    told = []
    for one in series:
        first, last, least = one.y[0], one.y[-1], one.y.min()
        told.append(
            f"{one.label or y_label}: {first:.3g} at {x_label} {one.x[0]:.6g}, {last:.3g} at {one.x[-1]:.6g}, least {least:.3g}"
        )
    return f"{y_label} against {x_label}. " + ". ".join(told[:12])


def _thinned(one: Series) -> Series:
    good = numpy.isfinite(one.x) & numpy.isfinite(one.y)
    x, y = one.x[good], one.y[good]
    if x.size > DRAWN:
        rows = numpy.unique(numpy.linspace(0, x.size - 1, DRAWN).round().astype(int))
        x, y = x[rows], y[rows]
    return attrs.evolve(one, x=x, y=y)


def _upwards(values: NDArray, height: float, is_log: bool) -> Axis:
    low, high = float(values.min()), float(values.max())
    if is_log:
        # a little room, and at least a factor of two between bottom and top
        low, high = (low / 1.1, high * 1.1) if high > 1.6 * low else (low / 1.4, high * 1.4)
    else:
        room = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
        low, high = low - room, high + room
    return Axis(low, high, height - BOTTOM, TOP, is_log)


def _frame(across: Axis, upwards: Axis, x_label: str, y_label: str, size: tuple[int, int]) -> list[str]:
    width, height = size
    parts = []
    for tick, place in zip(upwards.ticks, upwards.place(numpy.array(upwards.ticks)), strict=True):
        parts.append(
            f'<line x1="{LEFT}" x2="{width - RIGHT}" y1="{place:.1f}" y2="{place:.1f}" stroke="currentColor" opacity="0.15"/>'
        )
        parts.append(_text(LEFT - 6, place + 4, number_text(tick), "end"))
    for tick, place in zip(across.ticks, across.place(numpy.array(across.ticks)), strict=True):
        parts.append(f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{height - BOTTOM}" y2="{height - BOTTOM + 4}" ')
        parts.append('stroke="currentColor" opacity="0.6"/>')
        parts.append(_text(place, height - BOTTOM + 18, number_text(tick), "middle"))
    bottom = height - BOTTOM
    parts.append(f'<line x1="{LEFT}" x2="{width - RIGHT}" y1="{bottom}" y2="{bottom}" stroke="currentColor"/>')
    parts.append(_text((LEFT + width - RIGHT) / 2, height - 6, x_label, "middle"))
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text x="14" y="{middle:.1f}" transform="rotate(-90 14 {middle:.1f})" text-anchor="middle" fill="currentColor">'
        f"{html.escape(y_label)}</text>"
    )
    return parts


def _curve(one: Series, style: int, across: Axis, upwards: Axis, x_label: str, y_label: str) -> list[str]:
    colour, dash = COLOURS[style % len(COLOURS)], DASHES[style % len(DASHES)]
    xs, ys = across.place(one.x), upwards.place(one.y)
    parts = []
    if not one.dots:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"{dashes}/>')
    # dots are marks themselves; of a line some points can be pointed at
    rows = range(len(xs)) if one.dots else numpy.unique(numpy.linspace(0, len(xs) - 1, MARKED).round().astype(int))
    radius, opacity = (2.6, 0.85) if one.dots else (5.0, 0.0)
    for row in rows:
        told = f"{one.label + ': ' if one.label else ''}{x_label} {one.x[row]:.6g}, {y_label} {one.y[row]:.4g}"
        parts.append(
            f'<circle cx="{xs[row]:.1f}" cy="{ys[row]:.1f}" r="{radius}" fill="{colour}" opacity="{opacity}" class="mark">'
            f"<title>{html.escape(told)}</title></circle>"
        )
    return parts


def _legend_columns(named: Sequence[Series], width: int) -> int:
    """Two names a row where the longest leaves room for another, at 7.5 a letter of 13."""
    longest = max((len(one.label) for one in named), default=0)
    return 2 if 32 + 7.5 * longest + 12 <= (width - LEFT) / 2 else 1


def _legend(series: Sequence[Series], height: int, width: int, columns: int) -> list[str]:
    parts = []
    named = [(number, one) for number, one in enumerate(series) if one.label]
    for place, (number, one) in enumerate(named):
        style = number if one.style is None else one.style
        x, y = LEFT + (place % columns) * (width - LEFT) / columns, height + 18 * (place // columns) + 6
        dash = DASHES[style % len(DASHES)]
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        colour = COLOURS[style % len(COLOURS)]
        parts.append(
            f'<circle cx="{x + 13}" cy="{y}" r="3" fill="{colour}"/>'
            if one.dots
            else f'<line x1="{x}" x2="{x + 26}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"{dashes}/>'
        )
        parts.append(_text(x + 32, y + 4, one.label, "start"))
    return parts


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{html.escape(text)}</text>'


def number_text(value: float) -> str:
    """A tick as people write it.

    >>> [number_text(value) for value in (0.0, 0.02, 1e-8, 2000.0, 3e6)]
    ['0', '0.02', '1e-8', '2,000', '3e6']
    """
    if value == 0.0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:,.6g}" if abs(value) < 1e3 else f"{value:,.0f}"
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    if not exponent:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        mantissa = f"{float(mantissa):g}"
    return f"{mantissa}e{int(exponent)}"
