"""Writes the figures into docs/performance.md, and draws docs/rates.svg."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../spec/support")
import world  # noqa: E402

DOCS = HERE + "/../docs/"

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" viewBox="0 0 760 {height}" role="img">
<title>Requests per second, relative to the routing ceiling</title>
<style>
text {{ font: 13px sans-serif; fill: #1f2328 }}
.ours {{ fill: #0969da }} .ceiling {{ fill: #8c959f }} line {{ stroke: #8c959f }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }} .ours {{ fill: #4493f8 }} .ceiling {{ fill: #6e7681 }} line {{ stroke: #6e7681 }}
}}
</style>
<text x="0" y="16">Requests per second, relative to a route that only routes a prebuilt message of 100 bytes</text>
{bars}
</svg>
"""


def chart(bars):
    widest = max(share for _, share, _ in bars)
    lines = []
    for row, (label, share, ours) in enumerate(bars):
        y = 32 + 26 * row
        width = share / widest * 340
        lines.append(f'<text x="350" y="{y + 13}" text-anchor="end">{label}</text>'
                     f'<rect class="{"ours" if ours else "ceiling"}" x="360" y="{y}" width="{width:.0f}" height="18"/>'
                     f'<text x="{366 + width:.0f}" y="{y + 13}">{share:.2f}</text>')
    x = 360 + 340 / widest
    lines.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="26" y2="{32 + 26 * len(bars)}" stroke-dasharray="3 3"/>')
    return SVG.format(height=40 + 26 * len(bars), bars="\n".join(lines))


def write(bench):
    with open(DOCS + "rates.svg", "w", encoding="utf-8") as file:
        file.write(chart(bench.bars))
    with open(DOCS + "performance.md", "r+", encoding="utf-8") as file:
        old = file.read()
        begin, end = "<!-- bench -->", "<!-- /bench -->"
        if begin not in old or end not in old:
            raise world.Trouble(f"docs/performance.md has no {begin} … {end}")
        before, after = old.split(begin)[0], old.split(end)[1]
        file.seek(0)
        file.write(f"{before}{begin}\n\n![Rates](rates.svg)\n\n{bench.markdown()}\n{end}{after}")
        file.truncate()
