#!/usr/bin/env python3
"""InfoNCE with any number of keys beside PyTorch, forward and backward: seconds and memory, A B A B on the same machine.

    python3 tests/bench_contrast.py [--alternations 3] [--threads 1] [--clock cpu]

Ours is the example kernel_speed (built first: cargo build --release -p cl-bench --example kernel_speed). PyTorch's two forms stand
below: `plain` is normalize, matmul, cross_entropy with autograd, under a limit of 12 GiB of its own memory, so that it fails cleanly; `chunked`
computes 512 rows at a time with the gradient by hand, which is what one writes who has run out of memory. In-batch cases have
gradients on both sides; the queue has none. Memory is the peak of a call above what the process had before it, inputs
included in neither. It runs in a Python environment with torch from PyPI, made outside the checkout (--environment) on first use.
The table is written to docs/bench/. Nothing else should run on the machine.
"""
import argparse, datetime, json, pathlib, statistics, sys

from bench_peers import ROOT, environment, json_line, processor

CASES = [("in-batch", 2048, 0), ("in-batch", 8192, 0), ("in-batch", 16384, 0), ("queue", 2048, 65536), ("in-batch", 65536, 0)]

THEIRS = r'''
import json, resource, sys, time
form, rows, keys, threads, clock, times = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5], int(sys.argv[6])
import torch, torch.nn.functional as F
torch.set_num_threads(threads)
now = time.process_time if clock == "cpu" else time.perf_counter
resource.setrlimit(resource.RLIMIT_DATA, (12 << 30, 12 << 30))
a, b = (torch.rand(rows, 64).sub_(0.5).requires_grad_() for _ in "ab")
queue = torch.rand(keys, 64).sub_(0.5) if keys else None
TAU = 0.2

def plain():
    x, y = F.normalize(a, dim=1), F.normalize(b, dim=1)
    if queue is None:
        loss = F.cross_entropy(x @ y.T / TAU, torch.arange(rows))
    else:
        logits = torch.cat([(x * y).sum(1, keepdim=True), x @ F.normalize(queue, dim=1).T], 1) / TAU
        loss = F.cross_entropy(logits, torch.zeros(rows, dtype=torch.long))
    loss.backward()

class Chunked(torch.autograd.Function):
    """Unit rows: |logit| <= 1 / tau, so that 1 / tau stands for the maximum. The positive of a queue stands beside the keys."""
    @staticmethod
    def forward(ctx, x, y, keys, chunk):
        own = keys is None
        z = y if own else keys
        n, m = len(x), len(z)
        gx, gy = torch.empty_like(x), torch.zeros_like(y)
        buffer, shift, zt, loss = torch.empty(min(chunk, n), m), torch.full((), 1 / TAU), z.T, 0.0
        for s in range(0, n, chunk):
            e = min(s + chunk, n)
            p = buffer[: e - s]
            q = x[s:e] / TAU
            torch.addmm(shift, q, zt, beta=-1, out=p)
            p.exp_()
            pos = (q * y[s:e]).sum(1, keepdim=True)
            total = p.sum(1, keepdim=True)
            of_pos = torch.zeros_like(pos) if own else (pos - 1 / TAU).exp()
            total += of_pos
            loss += (total.log() + 1 / TAU - pos).sum().item()
            p.mul_(1 / (total * n))
            torch.mm(p, z, out=gx[s:e])
            share = of_pos / total / n - 1 / n
            gx[s:e].addcmul_(y[s:e], share)
            gy[s:e].addcmul_(q, share)
            if own:
                gy.addmm_(p.T, q)
        ctx.save_for_backward(gx.div_(TAU), gy)
        return x.new_tensor(loss / n)

    @staticmethod
    def backward(ctx, g):
        gx, gy = ctx.saved_tensors
        return gx * g, gy * g, None, None

def chunked():
    keys = None if queue is None else F.normalize(queue, dim=1)
    Chunked.apply(F.normalize(a, dim=1), F.normalize(b, dim=1), keys, 512).backward()

def resident(name):
    return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1]) / 1024

call = plain if form == "plain" else chunked
try:
    small = (a, b, queue)
    a, b = (torch.rand(64, 64).requires_grad_() for _ in "ab"); queue = None if keys == 0 else torch.rand(64, 64); rows = 64
    call()  # libraries make their buffers
    a, b, queue = small; rows = len(a)
    before = resident("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")
    call()
    peak = resident("VmHWM") - before
    spent = []
    for _ in range(times):
        a.grad = b.grad = None
        started = now(); call(); spent.append(now() - started)
    print(json.dumps({"median_s": sorted(spent)[times // 2], "peak_extra_mib": peak}))
except (MemoryError, RuntimeError) as error:
    print(json.dumps({"failed": str(error).splitlines()[0][:120]}))
'''


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=pathlib.Path, default=ROOT.parent / ".venv-bench")
    parser.add_argument("--alternations", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", default="cpu", choices=["cpu", "wall"])
    args = parser.parse_args()
    python = environment(args.environment)
    table = []
    for kind, rows, keys in CASES:
        times = "1" if rows > 20000 else "3"
        found = {"ours": [], "chunked": [], "plain": []}
        for _ in range(1 if rows > 20000 else args.alternations):
            command = [ROOT / "target/release/examples/kernel_speed", "info_nce", "--rows", rows, "--keys", keys, "--times", times]
            found["ours"].append(json_line([str(part) for part in command] + ["--threads", str(args.threads), "--clock", args.clock]))
            for form in ("chunked", "plain"):
                found[form].append(json_line([python, "-c", THEIRS, form, str(rows), str(keys), str(args.threads), args.clock, times]))
        print(f"{kind} {rows} {keys}: {json.dumps(found)}", file=sys.stderr)
        median = lambda form, key: statistics.median([run[key] for run in found[form]]) if all(key in run for run in found[form]) else None
        seconds = {form: median(form, "median_s") for form in found}
        memory = {form: median(form, "peak_extra_mib") for form in found}
        show = lambda value, digits: "out of memory" if value is None else f"{value:,.{digits}f}"
        ratio = lambda values, form: "–" if values[form] is None else f"{values['ours'] / values[form]:.2f}"
        table.append(
            f"| {rows:,} × {keys or rows:,} ({kind}) | {show(seconds['ours'], 3)} | {show(seconds['chunked'], 3)} | {show(seconds['plain'], 3)} "
            f"| {ratio(seconds, 'chunked')} | {show(memory['ours'], 0)} | {show(memory['chunked'], 0)} | {show(memory['plain'], 0)} "
            f"| {ratio(memory, 'chunked')} | {'–' if memory['plain'] is None else format(memory['plain'] / memory['ours'], '.0f')} |"
        )
    today = datetime.date.today().isoformat()
    text = (
        f"# InfoNCE beside PyTorch, {args.threads} thread{'s' if args.threads > 1 else ''}, {args.clock} seconds\n\n{today}, {processor()}. Forward and backward, d = 64, medians. "
        "Memory is the peak of a call above what the process held, MiB. Made by `tests/bench_contrast.py`.\n\n"
        "| anchors × keys | ours, s | chunked, s | plain, s | ours / chunked | ours, MiB | chunked, MiB | plain, MiB | ours / chunked | plain / ours |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n" + "\n".join(table) + "\n"
    )
    path = ROOT / f"docs/bench/{today}-contrast-{args.threads}-{args.clock}.md"
    path.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
