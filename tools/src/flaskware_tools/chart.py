"""A chart of ratios as SVG: bars from the baseline, on a logarithmic scale."""

from __future__ import annotations

import collections.abc as cabc
import html
import math

_WIDTH, _LABELS, _ROW, _GAP = 820, 330, 20, 34
# Readable on light and on dark pages: their colour shows through.
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
    values = [1.0, 2.0, *(ratio for part in groups.values() for ratio in part.values())]
    low = math.floor(math.log2(min(values)))
    high = math.ceil(math.log2(max(values)))

    def place(ratio: float) -> float:
        share = (math.log2(ratio) - low) / (high - low)
        return _LABELS + share * (_WIDTH - _LABELS - 60)

    def word(power: int) -> str:
        return f"{2**power}" if power >= 0 else f"1/{2**-power}"

    body: list[str] = []
    y = 0
    for title, ratios in groups.items():
        y += _GAP
        body.append(
            f'<text class="title" x="0" y="{y - 12}">{html.escape(title)}</text>'
        )
        for name, ratio in ratios.items():
            kind = "own" if name.startswith("flaskware") else "other"
            start, end = sorted([place(1), place(ratio)])
            body.append(
                f'<text x="{_LABELS - 8}" y="{y + 9}" text-anchor="end">'
                f"{html.escape(name)}</text>"
                f'<rect class="{kind}" x="{start:.1f}" y="{y - 2}" rx="2"'
                f' width="{max(end - start, 1):.1f}" height="{_ROW - 6}"/>'
                f'<text x="{end + 6:.1f}" y="{y + 9}">{ratio:.2f} &#215;</text>'
            )
            y += _ROW
    height = y + 30
    grid = [
        f'<line class="line" x1="{x:.1f}" x2="{x:.1f}" y1="14" y2="{y}"/>'
        f'<text x="{x:.1f}" y="{y + 16}" text-anchor="middle">'
        f"{word(power)} &#215;</text>"
        for power in range(low, high + 1)
        if (x := place(2.0**power))
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' role="img" aria-label="Time of each case as a multiple of bare Flask">'
        f"<style>{_STYLE}</style>{''.join(grid)}{''.join(body)}</svg>\n"
    )
