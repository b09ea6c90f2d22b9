#!/usr/bin/env python3
"""Sources of negatives side by side: one experiment, everything else equal, at equal steps and at equal time.

    python3 tests/negatives_study.py FILE.toml --data FOLDER --out RUNS --variant 'in-batch: negatives.type=in_batch' \\
        --variant 'queue: negatives.type=queue negatives.size=4096' … [--seeds 2024 2025] [--set train.epochs=30] [--metric recall@20]

Every variant is trained with every seed by target/release/cl-bench (or --program), one after another with one thread; a finished
run is not done again. An epoch's processor seconds come from `cl-bench bench` (--steps, an epoch or more), so that what else the
machine does matters little. Printed as Markdown: what each variant reaches in all its steps, and how it stands on validation when the
cheapest is through; then the staleness of what is remembered, epoch by epoch, of the first seed. Needs nothing but Python.
"""
import argparse, json, pathlib, statistics, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(args, name, sets, seed):
    out = args.out / f"{args.file.stem}-{name.replace(' ', '_').replace(',', '')}-{seed}"
    if not (out / "result.json").exists():
        command = [args.program, "run", args.file, "--data", args.data, "--out", out, "--threads", "1", "--quiet", "--resume"]
        for line in [f"seed={seed}", *args.set, *sets]:
            command += ["--set", line]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{name}: {done.stderr}")
    lines = [json.loads(line) for line in open(out / "metrics.jsonl")]
    return json.load(open(out / "result.json")), lines


def epoch_seconds(args, sets):
    """Processor seconds of an epoch's steps."""
    command = [args.program, "bench", args.file, "--data", args.data, "--threads", "1", "--clock", "cpu", "--steps", str(args.steps)]
    for line in [f"seed={args.seeds[0]}", *args.set, *sets]:
        command += ["--set", line]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return found["epoch_s"]


def at(lines, epochs, metric):
    """The best value on validation within so many epochs; 0 if none was finished."""
    values = [line["valid"][metric] for line in lines if line["epoch"] <= epochs + 1e-6 and metric in line["valid"]]
    return max(values, default=0.0)


def spread(values, digits=4):
    mean = statistics.fmean(values)
    return f"{mean:.{digits}f}" + (f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/release/cl-bench")
    parser.add_argument("--variant", action="append", required=True, help="NAME: KEY=VALUE KEY=VALUE …")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2024])
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--metric", default="recall@20")
    parser.add_argument("--steps", type=int, default=40, help="steps that are timed")
    args = parser.parse_args()
    found, epoch = {}, {}
    for variant in args.variant:
        name, _, sets = variant.partition(":")
        found[name] = [run(args, name, sets.split(), seed) for seed in args.seeds]
        epoch[name] = epoch_seconds(args, sets.split())
        print(f"{name}: done", file=sys.stderr)
    total = {name: epoch[name] * max(len(lines) for _, lines in runs) for name, runs in found.items()}
    budget = min(total.values())
    metric = args.metric
    print(f"| negatives | test {metric} | of the 80 % least popular items | epoch | processor seconds an epoch | valid {metric}, best | valid {metric} after {budget:.0f} s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, runs in found.items():
        results = [result for result, _ in runs]
        of = lambda get: spread([get(result) for result in results])
        tail = lambda result: result["slices"].get("item_popularity", {}).get("tail80", {}).get(metric, float("nan"))
        best = [max(line["valid"][metric] for line in lines if metric in line["valid"]) for _, lines in runs]
        print(
            f"| {name} | {of(lambda r: r['test'][metric])} | {of(tail)} | {', '.join(str(r['best_epoch']) for r in results)} "
            f"| {epoch[name]:.2f} | {spread(best)} | {spread([at(lines, budget / epoch[name], metric) for _, lines in runs])} |"
        )
    print()
    for name, runs in found.items():
        lines = runs[0][1]
        queues = [key for key in lines[-1].get("negatives", {}) if key != "momentum"]
        for queue in queues:
            looks = [line["negatives"][queue] for line in lines if queue in line.get("negatives", {})]
            shown = [looks[i] for i in sorted({0, 1, 2, 4, 9, 19, 29, len(looks) - 1}) if i < len(looks)]
            cosines = " ".join(f"{look['cosine']:.3f}" for look in shown)
            oldest = " ".join(f"{look['cosine_by_age'][3]:.3f}" for look in shown)
            last = looks[-1]
            print(
                f"- {name}, `{queue}`: {last['keys']:,} keys, ages {last['age_quartiles']}, cosine by epoch {cosines}; of the oldest quarter {oldest}; "
                f"own ids {last['own_share']:.2%} of pairs"
                + (f", false negatives {last['false_negative_share']:.2%}" if "false_negative_share" in last else "")
            )


if __name__ == "__main__":
    main()
