"""Replicas over time, one panel for each trace: a small SVG, written by hand."""

from __future__ import annotations

from collections.abc import Sequence

from bench.simulation.runs import OURS, Runs

WIDTH, HEIGHT, LEFT, TOP, GAP = 440, 130, 40, 76, 44
POINTS = 160
"""Points of the load's outline."""
COLOURS = ("#1f6feb", "#d9730d", "#8250df")


def plot(consumers: Runs, gateways: Runs, traces: list[str]) -> str:
    """The whole picture: consumers on the left, gateways on the right."""
    columns = [("Consumers", consumers), ("Gateways", gateways)]
    total_width = LEFT + len(columns) * (WIDTH + LEFT)
    total_height = TOP + len(traces) * (HEIGHT + GAP)
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_width} {total_height}"',
        ' font-family="sans-serif" font-size="11" fill="#333">',
        f'<rect width="{total_width}" height="{total_height}" fill="white"/>',
    ]
    for column, (title, runs) in enumerate(columns):
        x = LEFT + column * (WIDTH + LEFT)
        shown = _shown(runs)
        body += _legend(x, title, shown)
        for row, trace in enumerate(traces):
            body += _panel(x, TOP + row * (HEIGHT + GAP), runs, trace, shown)
    return "\n".join([*body, "</svg>"]) + "\n"


def _shown(runs: Runs) -> list[str]:
    """Ours, and each rival with the setting that costs as much."""
    return [OURS, *(runs.alike(rival) for rival in runs.rivals)]


def _legend(x: int, title: str, names: Sequence[str]) -> list[str]:
    parts = [f'<text x="{x}" y="22" font-size="15" font-weight="bold">{title}: replicas</text>']
    for index, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        at = x + index * 125
        parts.append(f'<line x1="{at}" x2="{at + 18}" y1="38" y2="38" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{at + 22}" y="42">{name}</text>')
    at = x + len(names) * 125
    parts.append(f'<rect x="{at}" y="33" width="18" height="10" fill="#e3e6ea"/>')
    parts.append(f'<text x="{at + 22}" y="42">load</text>')
    return parts


def _panel(x: int, y: int, runs: Runs, trace: str, names: Sequence[str]) -> list[str]:
    results = [runs.results[name][trace] for name in names]
    load = results[0].load
    top = 1.05 * max(*load, *(max(result.replicas) for result in results))
    minutes = len(load) / 60
    parts = [
        f'<polygon points="{x},{y + HEIGHT} {_outline(x, y, load, top)} {x + WIDTH},{y + HEIGHT}" fill="#e3e6ea"/>',
        f'<line x1="{x}" x2="{x + WIDTH}" y1="{y + HEIGHT}" y2="{y + HEIGHT}" stroke="#888"/>',
        f'<text x="{x}" y="{y - 6}" font-weight="bold">{trace}</text>',
        f'<text x="{x + WIDTH}" y="{y + HEIGHT + 14}" text-anchor="end">{minutes:.0f} min</text>',
    ]
    for tick in range(0, int(top) + 1, 4):
        at = y + HEIGHT - tick / top * HEIGHT
        parts.append(f'<text x="{x - 6}" y="{at + 4:.1f}" text-anchor="end" fill="#777">{tick}</text>')
    for result, colour in reversed(list(zip(results, COLOURS, strict=False))):
        line = _steps(x, y, result.replicas, top)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    return parts


def _outline(x: int, y: int, values: Sequence[float], top: float) -> str:
    step = max(1, len(values) // POINTS)
    return " ".join(_point(x, y, values, top, index) for index in range(0, len(values), step))


def _steps(x: int, y: int, values: Sequence[float], top: float) -> str:
    """The corners alone."""
    changes = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
    corners = [0, *(index for change in changes for index in (change - 1, change)), len(values) - 1]
    return " ".join(_point(x, y, values, top, index) for index in corners)


def _point(x: int, y: int, values: Sequence[float], top: float, index: int) -> str:
    return f"{x + index / len(values) * WIDTH:.1f},{y + HEIGHT - values[index] / top * HEIGHT:.1f}"
