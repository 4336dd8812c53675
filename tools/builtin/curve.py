"""Draw the learning curve of a run (WORK/NAME/log.jsonl) as a small SVG."""
import json
import pathlib

import data

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 300, 56, 40, 24


def line(points, colour):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'


def text(x, y, words, anchor="middle", colour="#444"):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def main():
    parser = data.options(__doc__)
    parser.add_argument("--name", default="run")
    parser.add_argument("--out", default="docs/builtin-model-curve.svg")
    args = parser.parse_args()
    rows = [json.loads(row) for row in (pathlib.Path(args.work) / args.name / "log.jsonl").read_text().splitlines()]
    checks = [(row["step"], row["validation"]["mean"]) for row in rows if "validation" in row]
    losses = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    baseline = next(row["bm25"]["mean"] for row in rows if "bm25" in row)
    last = max(step for step, _ in checks + losses)
    low = min([baseline] + [value for _, value in checks]) - 0.02
    high = max([baseline] + [value for _, value in checks]) + 0.02
    worst, best = max(v for _, v in losses), min(v for _, v in losses)
    wide, tall = WIDTH - 2 * LEFT, HEIGHT - BOTTOM - TOP

    def x(step):
        return LEFT + wide * step / last

    def y(value, low=low, high=high):
        return HEIGHT - BOTTOM - tall * (value - low) / (high - low)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
             f'<rect x="{LEFT}" y="{TOP}" width="{wide}" height="{tall}" fill="none" stroke="#bbb"/>',
             line([(x(s), y(v, best, worst)) for s, v in losses], "#c9c9c9"),
             line([(x(0), y(baseline)), (x(last), y(baseline))], "#d1772f"),
             line([(x(s), y(v)) for s, v in checks], "#1f6fb2")]
    parts += [f'<circle cx="{x(s):.1f}" cy="{y(v):.1f}" r="3" fill="#1f6fb2"/>' for s, v in checks]
    parts += [text(x(last * i / 4), HEIGHT - BOTTOM + 16, round(last * i / 4)) for i in range(5)]
    parts += [text(LEFT - 6, y(v) + 4, f"{v:.2f}", "end") for v in (low + 0.02, baseline, high - 0.02)]
    parts += [text(WIDTH / 2, HEIGHT - 6, "step"),
              text(LEFT + 4, 16, f"validation NDCG@10 (averaged weights): best {max(v for _, v in checks):.3f}", "start", "#1f6fb2"),
              text(LEFT + 330, 16, f"BM25 {baseline:.3f}", "start", "#d1772f"),
              text(WIDTH - LEFT, 16, f"training loss {worst:.2f} to {best:.2f}", "end", "#888"), "</svg>"]
    pathlib.Path(args.out).write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
