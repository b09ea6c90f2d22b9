#!/usr/bin/env python3
"""cl-bench beside a PyTorch program, A B A B, on the same machine with the same threads; a table of ratios.

    python3 tests/bench_peers.py --opponent FILE.py --data FOLDER [--alternations 5] [--threads 1] [--clock cpu]

FOLDER holds train.txt and test.txt of yelp2018 in LightGCN text. The opponent takes
    --model lightgcn|xsimgcl|simgcl|sgl --data FOLDER --layers L --steps N --threads T --clock cpu|wall --opt OPT
and prints one JSON line with step_s, epoch_s, steps_per_epoch, eval_s, load_s, peak_rss_mib; and for --micro spmm,infonce
the milliseconds of kernels. It runs in a Python environment with torch from PyPI, made outside the checkout
(--environment) on first use. Nothing else should run on the machine. The table is written to docs/bench/.
"""
import argparse, datetime, json, os, pathlib, platform, statistics, subprocess, sys, venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAPERS = ROOT / "experiments/papers"
# SGL as the opponent has it: negatives of the batch, each node once, means.
SGL = ["negatives.type=in_batch", "contrast.unique=true", "contrast.reduction=mean", "objective.reduction=mean"]
ROWS = [
    ("LightGCN, 2 layers", "lightgcn", 2, []),
    ("LightGCN, 3 layers", "lightgcn", 3, []),
    ("XSimGCL, 2 layers", "xsimgcl", 2, []),
    ("XSimGCL, 3 layers", "xsimgcl", 3, []),
    ("SimGCL, 3 layers", "simgcl", 3, []),
    ("SGL-ED, 3 layers", "sgl", 3, SGL),
]


def environment(folder):
    python = folder / "bin/python"
    if not python.exists():
        print(f"making {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "torch", "numpy", "scipy", "numba"], check=True)
    return str(python)


def json_line(command, **more):
    # A spinning pool of OpenMP threads would slow both sides.
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def ours(args, model, layers, sets):
    name = {"sgl": "sgl-ed"}.get(model, model)
    command = [ROOT / "target/release/cl-bench", "bench", PAPERS / f"{name}-yelp2018.toml", "--data", "/"]
    for line in [f"data.path={args.data}", f"encoder.layers={layers}"] + sets:
        command += ["--set", line]
    found = json_line(command + ["--steps", str(args.steps), "--threads", str(args.threads), "--clock", args.clock])
    return {**found, "step": found["epoch_s"] / found["steps_per_epoch"]}


def theirs(args, model, layers):
    command = [args.python, args.opponent, "--model", model, "--data", args.data, "--layers", str(layers), "--opt", args.opt]
    found = json_line(command + ["--steps", str(args.steps), "--threads", str(args.threads), "--clock", args.clock])
    return {**found, "step": found["epoch_s"] / found["steps_per_epoch"]}


def alternate(args, ours, theirs):
    pairs = []
    for _ in range(args.alternations):
        pairs.append((theirs(), ours()))
    return pairs


def line(name, pairs, digits=4):
    """Their median, ours, the ratio of medians, of minima, and the spread of the ratios of neighbours."""
    their, our = ([pair[side] for pair in pairs] for side in (0, 1))
    ratios = sorted(o / t for t, o in pairs)
    medians = statistics.median(their), statistics.median(our)
    row = [name] + [f"{value:.{digits}f}" for value in medians]
    row += [f"**{medians[1] / medians[0]:.2f}**", f"{min(our) / min(their):.2f}", f"{ratios[0]:.2f} to {ratios[-1]:.2f}"]
    print("  ".join(row), file=sys.stderr)
    return "| " + " | ".join(row) + " |"


def steps(args):
    table = []
    for name, model, layers, sets in ROWS:
        pairs = alternate(args, lambda: ours(args, model, layers, sets), lambda: theirs(args, model, layers))
        table.append(line(f"{name}: s a step", [(t["step"], o["step"]) for t, o in pairs]))
        if (model, layers) == ("xsimgcl", 3):
            for key, what, digits in (("eval_s", "full evaluation, s", 3), ("load_s", "load and build, s", 3), ("peak_rss_mib", "peak memory of training, MiB", 0)):
                table.append(line(what, [(t[key], o[key]) for t, o in pairs], digits))
    return table


def kernels(args):
    example = [ROOT / "target/release/examples/kernel_speed", "--threads", str(args.threads), "--clock", args.clock, "--times", "7"]
    micro = [args.python, args.opponent, "--threads", str(args.threads), "--clock", args.clock, "--data", args.data, "--micro"]
    key = "chunked_B16384" if args.opt == "tuned" else "plain_B16384"
    nce = [((m := json_line(micro + ["infonce", "--nce-batches", "16384"])["infonce"][key])["median_ms"] / 1e3, m["peak_extra_mib"],
            (o := json_line(example + ["info_nce", "--rows", "16384"]))["median_s"], max(o["peak_extra_mib"], 0.0)) for _ in range(args.alternations)]
    table = [line("InfoNCE, 16,384 rows, forward and backward, s", [(t, o) for t, _, o, _ in nce], 3),
             line("the same, memory besides the input, MiB", [(t, o) for _, t, _, o in nce], 0)]
    if args.opt == "tuned":
        spmm = [(json_line(micro + ["spmm"])["spmm"]["numba_csr(nnz-balanced)"]["median_ms"], 1e3 * json_line(example + ["spmm", "--data", args.data])["median_s"])
                for _ in range(args.alternations)]
        table.append(line("sparse product (theirs: numba), ms", spmm, 1))
    return table


def processor():
    text = pathlib.Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in text.read_text().splitlines() if line.startswith("model name")] if text.exists() else []
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} processors"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opponent", required=True, type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--data", required=True, type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--opt", choices=("tuned", "plain"), default="tuned")
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--environment", type=pathlib.Path, default=pathlib.Path.home() / ".cache/cl-bench/python")
    args = parser.parse_args()
    args.python = environment(args.environment)
    subprocess.run(["cargo", "build", "--release", "--workspace", "--bins", "--examples"], cwd=ROOT, check=True)
    table = steps(args) + kernels(args)
    date = datetime.date.today().isoformat()
    head = f"""# cl-bench beside PyTorch, {date}

{processor()}; {args.threads} thread(s), {args.clock} time, {args.alternations} alternation(s), {args.steps} steps each; yelp2018, d = 64, batches of 2048.
The opponent with `--opt {args.opt}`. A step is an epoch's seconds over its steps, so that what is done once an epoch counts.

| | theirs | ours | ratio of medians | of minima | of neighbours |
|---|---:|---:|---:|---:|---:|
"""
    folder = ROOT / "docs/bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{date}-{args.opt}-{args.threads}-{args.clock}.md"
    path.write_text(head + "\n".join(table) + "\n")
    print(path)
