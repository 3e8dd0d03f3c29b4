"""The ratios as an SVG: a point per subject on a logarithmic axis, with the spread of its rounds."""

import math
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, ROW, TOP = 900, 372, 110, 26, 46
OURS, OTHERS = "#c2410c", "#475569"


@dataclass(frozen=True, slots=True)
class Point:
    """One subject: its label, ratio over the base, and the spread as ratios."""

    label: str
    value: float
    low: float
    high: float
    note: str
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One load."""

    title: str
    points: list[Point]


def _ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 … within the axis."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    marks = [factor * 10**exponent for exponent in range(first, last + 1) for factor in (1, 2, 5)]
    return [mark for mark in marks if low <= mark <= high * 1.001]


def _text(x: float, y: float, text: str, **more: str) -> str:
    options = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{options}>{escape(text)}</text>'


def _line(x1: float, x2: float, y1: float, y2: float, more: str) -> str:
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" {more}/>'


def svg(panels: list[Panel]) -> str:
    """All panels below each other, on one common axis."""
    points = [point for panel in panels for point in panel.points]
    if not points:
        return ""
    low = min(0.5, *(point.low for point in points)) / 1.15
    high = max(2.0, *(point.high for point in points)) * 1.1
    span = math.log(high / low)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(max(value, low) / low) / span

    parts, top = [], 10.0
    for panel in panels:
        parts += _panel(panel, top, x, _ticks(low, high))
        top += TOP + ROW * len(panel.points) + 34
    style = "font-family:system-ui,sans-serif;font-size:13px;fill:#0f172a"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" style="{style}" role="img">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{top:.0f}" fill="#ffffff"/>', *parts, "</svg>", ""])


def _panel(panel: Panel, top: float, x, ticks: list[float]) -> list[str]:
    bottom = top + TOP + ROW * len(panel.points)
    parts = [_text(16, top + 22, panel.title, font_weight="600", font_size="15")]
    for tick in ticks:
        strong = "#94a3b8" if tick == 1 else "#e2e8f0"
        parts.append(_line(x(tick), x(tick), top + TOP - 8, bottom, f'stroke="{strong}"'))
        parts.append(_text(x(tick), bottom + 16, f"×{tick:g}", text_anchor="middle", fill="#64748b", font_size="11"))
    for index, point in enumerate(panel.points):
        y = top + TOP + ROW * index + 8
        colour = OURS if point.ours else OTHERS
        parts += [
            _text(LEFT - 14, y + 4, point.label, text_anchor="end", fill=colour if point.ours else "#0f172a"),
            _line(x(point.low), x(point.high), y, y, f'stroke="{colour}" stroke-width="2"'),
            f'<circle cx="{x(point.value):.1f}" cy="{y}" r="5" fill="{colour}"/>',
            _text(WIDTH - RIGHT + 12, y + 4, point.note, fill=colour),
        ]
    return parts
