"""The staged story as one SVG: requests per second to the right, P99 to the left, both logarithmic; readable light and dark."""
import html
import math
import statistics

STYLE = ("<style>.s{font:13px system-ui,sans-serif;--ink:#1f2430;--soft:#6b7280;--grid:#e3e6eb;--good:#2563c9;--bad:#d0571a}"
         "@media(prefers-color-scheme:dark){.s{--ink:#e6e8ee;--soft:#9aa3b2;--grid:#343a46;--good:#6ea4ff;--bad:#ff9a62}}"
         ".s text{fill:var(--ink)}.s .soft{fill:var(--soft);font-size:12px}.s .title{font-weight:600;font-size:15px}"
         ".s .whisker{stroke:var(--ink);stroke-width:1.2}</style>")
WIDTH, TOP, ROW, BAR = 900, 64, 40, 20
MIDDLE = 450  # the names stand here
NAME = 125  # half the room they take
REACH = 210  # the longest bar


def draw(timed, judged):
    stages = timed["stages"]
    height = TOP + ROW * len(stages) + 30
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" class="s" viewBox="0 0 {WIDTH} {height}" role="img" '
             f'aria-label="Requests per second and P99 latency of each stage">', STYLE,
             f'<text class="title" x="{MIDDLE + NAME}" y="24">requests/s, closed loop</text>',
             f'<text class="title" x="{MIDDLE - NAME}" y="24" text-anchor="end">P99 at {timed["rate"]} requests/s, ms</text>',
             f'<text class="soft" x="{MIDDLE}" y="44" text-anchor="middle">{html.escape(timed["machine"]["cpu"])}, {timed["threads"]} threads, '
             f'{judged["model"]}, {timed["documents"]} documents a request; logarithmic; whiskers: smallest and largest round</text>']
    for side, field, color in ((1, "qps", "good"), (-1, "p99", "bad")):
        values = [v for run in stages.values() for v in run[field]]
        low, high = min(values) / 1.6, max(values)
        reach = lambda value: REACH * (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
        for i, run in enumerate(stages.values()):
            parts += bar(side, MIDDLE + side * NAME, TOP + i * ROW, [reach(v) for v in sorted(run[field])], color, statistics.median(run[field]))
    for i, name in enumerate(stages):
        parts.append(f'<text x="{MIDDLE}" y="{TOP + i * ROW + 15}" text-anchor="middle" font-size="12">{html.escape(name)}</text>')
    return "\n".join(parts) + "\n</svg>\n"


def bar(side, start, y, reaches, color, value):
    length = statistics.median(reaches)
    low, high = start + side * reaches[0], start + side * reaches[-1]
    left = start if side > 0 else start - length
    text = f"{value:.0f}" if value >= 100 else f"{value:.1f}"
    label = start + side * (max(reaches) + 8)
    anchor = "start" if side > 0 else "end"
    return [f'<rect x="{left:.1f}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2" fill="var(--{color})"/>',
            f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{y + BAR / 2}" y2="{y + BAR / 2}"/>',
            f'<text x="{label:.1f}" y="{y + 15}" text-anchor="{anchor}">{text}</text>']
