"""Horizontal bars as SVG, one panel per load. Nothing but text is written, so that a plot can be read in a diff."""

from collections import namedtuple
from html import escape

# low and high are quartiles or None; a bar may be one of ours, or a floor.
Bar = namedtuple("Bar", "name value low high ours floor")
Panel = namedtuple("Panel", "title bars form")

COLUMNS, PANEL_WIDTH, NAME_WIDTH, VALUE_WIDTH, LINE = 2, 460, 110, 70, 20
OURS, FLOOR, OTHER, INK = "#d9480f", "#adb5bd", "#4c6ef5", "#343a40"
HEAD = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12" fill="{ink}">\n<rect width="100%" height="100%" fill="white"/>\n'
        '<text x="10" y="20" font-size="14" font-weight="bold">{title}</text>\n')


def panel_height(panel):
    return 36 + LINE * len(panel.bars)


def draw_bar(bar, y, scale, form):
    color = OURS if bar.ours else FLOOR if bar.floor else OTHER
    parts = [f'<text x="{NAME_WIDTH - 6}" y="{y + 13}" text-anchor="end">{escape(bar.name)}</text>',
             f'<rect x="{NAME_WIDTH}" y="{y + 2}" width="{max(bar.value * scale, 1):.1f}" height="14" fill="{color}"/>']
    end = bar.value
    if bar.low is not None:
        parts.append(f'<path d="M{NAME_WIDTH + bar.low * scale:.1f} {y + 9}H{NAME_WIDTH + bar.high * scale:.1f}" '
                     f'stroke="{INK}" stroke-width="2"/>')
        end = max(end, bar.high)
    parts.append(f'<text x="{NAME_WIDTH + end * scale + 5:.1f}" y="{y + 13}">{form.format(bar.value)}</text>')
    return parts


def draw_panel(panel, x, y):
    most = max(max(bar.value, bar.high or 0) for bar in panel.bars)
    scale = (PANEL_WIDTH - NAME_WIDTH - VALUE_WIDTH) / most
    parts = [f'<g transform="translate({x} {y})">',
             f'<text x="{NAME_WIDTH}" y="14" font-weight="bold">{escape(panel.title)}</text>']
    for i, bar in enumerate(panel.bars):
        parts += draw_bar(bar, 22 + LINE * i, scale, panel.form)
    return parts + ["</g>"]


def svg(title, panels):
    """A whole file: the panels in rows of two; the line across a bar is from quartile to quartile."""
    rows = [panels[i:i + COLUMNS] for i in range(0, len(panels), COLUMNS)]
    parts, y = [], 32
    for row in rows:
        for i, panel in enumerate(row):
            parts += draw_panel(panel, 10 + i * PANEL_WIDTH, y)
        y += max(panel_height(panel) for panel in row)
    width = 20 + PANEL_WIDTH * min(COLUMNS, len(panels))
    head = HEAD.format(width=max(width, 700), height=y + 8, ink=INK, title=escape(title))
    return head + "\n".join(parts) + "\n</svg>\n"
