"""A chart of ratios as SVG: bars from the baseline, on a logarithmic scale."""

from __future__ import annotations

import collections.abc as cabc
import html
import math

_WIDTH, _LABELS, _ROW, _GAP = 820, 330, 20, 34
# Readable on a light page and on a dark one, whose colour shows through.
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #57606a }
.title { font-weight: 600; font-size: 13px }
.own { fill: #1a7f64 } .other { fill: #8c959f } .line { stroke: #8c959f55 }
@media (prefers-color-scheme: dark) { text { fill: #adbac7 } .own { fill: #3fb68b } }
"""


def draw(groups: cabc.Mapping[str, cabc.Mapping[str, float]]) -> str:
    """Draw each group of ratios, its baseline 1.

    :param groups: By title: the ratio of each case. A case whose name starts with
        "flaskware" stands out.
    """
    largest = max(
        [2.0, *(value for part in groups.values() for value in part.values())]
    )
    ticks = [2**power for power in range(math.ceil(math.log2(largest)) + 1)]

    def place(ratio: float) -> float:
        share = math.log2(max(ratio, 1)) / math.log2(ticks[-1])
        return _LABELS + share * (_WIDTH - _LABELS - 60)

    body: list[str] = []
    y = 0
    for title, ratios in groups.items():
        y += _GAP
        body.append(
            f'<text class="title" x="0" y="{y - 12}">{html.escape(title)}</text>'
        )
        for name, ratio in ratios.items():
            kind = "own" if name.startswith("flaskware") else "other"
            end = max(place(ratio), _LABELS + 1)
            body.append(
                f'<text x="{_LABELS - 8}" y="{y + 9}" text-anchor="end">'
                f"{html.escape(name)}</text>"
                f'<rect class="{kind}" x="{_LABELS}" y="{y - 2}" rx="2"'
                f' width="{end - _LABELS:.1f}" height="{_ROW - 6}"/>'
                f'<text x="{end + 6:.1f}" y="{y + 9}">{ratio:.2f} &#215;</text>'
            )
            y += _ROW
    height = y + 30
    grid = [
        f'<line class="line" x1="{place(tick):.1f}" x2="{place(tick):.1f}" y1="14"'
        f' y2="{y}"/><text x="{place(tick):.1f}" y="{y + 16}" text-anchor="middle">'
        f"{tick} &#215;</text>"
        for tick in ticks
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' role="img" aria-label="Time of each case as a multiple of bare Flask">'
        f"<style>{_STYLE}</style>{''.join(grid)}{''.join(body)}</svg>\n"
    )
