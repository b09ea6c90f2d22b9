#!/usr/bin/env python3
"""Seconds a step and memory on made-up graphs of growing size; a table and a log-log figure in docs/bench/.

    cargo build --release && python3 tests/scaling.py FOLDER [LARGEST]

FOLDER takes the data (5 to 8 bytes an interaction, written once); LARGEST is 1e7 by default. Users are a hundredth of the
interactions, items half of the users. LightGCN, 2 layers, d = 64, batches of 2048, all processors.
"""
import json, math, os, pathlib, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/cl-bench"
NOTE = """Added up from what is held: an interaction takes about 40 bytes (the graph from both sides with edge numbers 12, the adjacency 16,
the user of each edge and the order of an epoch 8, the training part 4), a node of 64 numbers 1.8 KB (parameters, two moments, a gradient,
three buffers of a step). For the largest graph that is 6.7 GB.
"""
FILE = """name = "scaling"
data = { path = "%s", format = "lightgcn" }
split = { type = "ratio", by = "global", validation = 0.0, test = 0.0001 }
encoder = { type = "light_gcn", layers = 2 }
train = { batch_size = 2048, select = "last" }
evaluate = { cutoffs = [20], slices = [] }
"""


def measure(folder, interactions):
    data = folder / f"{interactions}.txt"
    users, items = interactions // 100, interactions // 200
    if not data.exists():
        sizes = ["--users", str(users), "--items", str(items), "--interactions", str(interactions)]
        subprocess.run([PROGRAM, "data", "synth", data] + sizes, check=True, stdout=subprocess.DEVNULL)
    file = folder / f"{interactions}.toml"
    file.write_text(FILE % data)
    steps = "20" if interactions < 10**7 else "6"
    done = subprocess.run([PROGRAM, "bench", file, "--steps", steps], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout)
    phases = found["phase_s"]
    return {"interactions": interactions, "nodes": users + items, "most": max(phases, key=phases.get), **found}


def figure(rows):
    """Two lines over interactions, both axes logarithmic: seconds a step, and MiB."""
    width, height, margin = 640, 400, 60
    across = [math.log10(row["interactions"]) for row in rows]
    series = [("seconds a step", "#1f77b4", [row["step_s"] for row in rows]), ("peak memory, GiB", "#d62728", [row["peak_rss_mib"] / 1024 for row in rows])]
    values = [math.log10(value) for _, _, line in series for value in line]
    low, high = math.floor(min(values)), math.ceil(max(values))
    x = lambda value: margin + (value - across[0]) / max(across[-1] - across[0], 1) * (width - 2 * margin)
    y = lambda value: height - margin - (value - low) / (high - low) * (height - 2 * margin)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>']
    for power in range(low, high + 1):
        parts.append(f'<path d="M{margin} {y(power):.1f}H{width - margin}" stroke="#ddd"/><text x="{margin - 8}" y="{y(power) + 4:.1f}" text-anchor="end">{10.0 ** power:g}</text>')
    for value in across:
        parts.append(f'<path d="M{x(value):.1f} {margin}V{height - margin}" stroke="#ddd"/><text x="{x(value):.1f}" y="{height - margin + 18}" text-anchor="middle">{10 ** value:,.0f}</text>')
    parts.append(f'<text x="{width / 2}" y="{height - 14}" text-anchor="middle">interactions</text>')
    for at, (name, colour, line) in enumerate(series):
        points = [(x(a), y(math.log10(value))) for a, value in zip(across, line)]
        parts.append(f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points]
        parts.append(f'<text x="{margin + 10}" y="{margin + 16 + 18 * at}" fill="{colour}">{name}</text>')
    return "\n".join(parts + ["</svg>"]) + "\n"


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    largest = float(sys.argv[2]) if len(sys.argv) > 2 else 1e7
    rows = [measure(folder, 10**power) for power in range(5, round(math.log10(largest)) + 1)]
    lines = ["| interactions | nodes | load and build, s | s a step | most of it | peak memory, MiB |", "|---:|---:|---:|---:|---|---:|"]
    for row in rows:
        lines.append(f"| {row['interactions']:,} | {row['nodes']:,} | {row['load_s']:.2f} | {row['step_s']:.4f} | {row['most']} | {row['peak_rss_mib']:,} |")
        print(lines[-1])
    target = ROOT / "docs/bench"
    (target / "scaling.svg").write_text(figure(rows))
    text = f"# Growing graphs\n\n{os.cpu_count()} processors, {time.strftime('%Y-%m-%d')}; `python3 tests/scaling.py`: LightGCN, 2 layers, d = 64, batches of 2048, made-up data.\n\n" + "\n".join(lines) + "\n\n![log-log figure](scaling.svg)\n\n" + NOTE
    (target / "scaling.md").write_text(text)
