#!/usr/bin/env python3
"""Sequence models beside a PyTorch program, A B A B, on the same machine with the same threads; a table of seconds an epoch.

    python3 tests/bench_sequences.py --opponent FILE.py --sequences Beauty.txt [--alternations 5] [--threads 1] [--clock cpu]

SEQUENCES holds lines of `user item item ...`, oldest first. The opponent takes
    --model sasrec|cl4srec --loss bce|ce --data FOLDER --layers 2 --heads 2 --batch 256 --epochs N --bucket --threads T --clock cpu|wall
and prints one JSON line with epoch_s, eval_s, load_s, peak_rss_mib; FOLDER has train.txt and test.txt, written here without
each user's last item, which is what cl-bench trains on when it holds that item out too. With --bucket, sequences of similar
length share a batch, which is padded to its longest. Both train two epochs, and the median of epochs counts here, the second
one there. Environment, table and rules as in bench_peers.py.

The shape: 50 events, d 64, 2 blocks, 2 heads, pre-norm, inner width d, ReLU, dropout 0.2 of embeddings, weights, inner and
outer layer, batches of 256 users, Adam; CL4SRec with one operation of three for each view and sequence, InfoNCE of cosines.
The opponent drops once more in each block, behind the attention's output layer. Where no loss is named it is binary
cross-entropy with one negative.
"""
import argparse, datetime, json, pathlib, subprocess, tempfile

from bench_peers import PAPERS, ROOT, alternate, environment, json_line, line, processor

SHAPE = ["encoder.norm=pre", "encoder.inner=64", "encoder.activation=relu", "encoder.positions=from_start", "encoder.scale_embeddings=true"]
SHAPE += ["encoder.dropout=0.2", "encoder.attention_dropout=0.2", "train.patience=0"]
CONTRAST = ["contrast={ type = 'info_nce', temperature = 1.0, weight = 0.05 }"]
CONTRAST += ["views.of=[{ type = 'crop', keep = 0.5 }, { type = 'mask', rate = 0.5 }, { type = 'reorder', rate = 0.5 }]"]
EXACT = ["objective={ type = 'cross_entropy', positions = 'all' }"]
ROWS = [
    ("SASRec", "sasrec-bce-beauty", ["--model", "sasrec"], SHAPE),
    ("CL4SRec", "cl4srec-bce-beauty", ["--model", "cl4srec"], SHAPE + CONTRAST),
    ("SASRec, cross-entropy over all items", "sasrec-bce-beauty", ["--model", "sasrec", "--loss", "ce"], SHAPE + EXACT),
]


def parts(sequences, folder):
    """train.txt and test.txt of the opponent; the number of users."""
    rows = [row for row in (text.split() for text in open(sequences)) if len(row) > 3]
    with open(folder / "train.txt", "w") as train, open(folder / "test.txt", "w") as test:
        for row in rows:
            train.write(" ".join(row[:-2]) + "\n")
            test.write(f"{row[0]} {row[-2]}\n")
    return len(rows)


def ours(args, file, sets, steps):
    command = [ROOT / "target/release/cl-bench", "bench", PAPERS / f"{file}.toml", "--data", "/"]
    for value in [f"data.path={args.sequences}"] + sets:
        command += ["--set", value]
    return json_line(command + ["--steps", str(steps), "--threads", str(args.threads), "--clock", args.clock])


def theirs(args, folder, model):
    command = [args.python, args.opponent, "--data", folder, "--layers", "2", "--heads", "2", "--batch", "256", "--bucket", *model]
    return json_line(command + ["--epochs", "2", "--eval-every", "2", "--threads", str(args.threads), "--clock", args.clock])


def table(args, folder, users):
    steps, rows = 2 * -(-users // 256), []
    for name, file, model, sets in ROWS:
        pairs = alternate(args, lambda: ours(args, file, sets, steps), lambda: theirs(args, folder, model))
        rows.append(line(f"{name}: s an epoch", [(t["epoch_s"], o["epoch_s"]) for t, o in pairs], 2))
        if name == "CL4SRec":
            for key, what, digits in (("eval_s", "full evaluation, s", 3), ("peak_rss_mib", "peak memory, MiB", 0)):
                rows.append(line(what, [(t[key], o[key]) for t, o in pairs], digits))
    return rows


def attention(args):
    """Our attention and its backward beside the products alone that the backward must do, at three lengths."""
    rows = []
    for length, sequences in ((10, 2560), (50, 512), (200, 128)):
        command = [ROOT / "target/release/examples/kernel_speed", "attention", "--rows", str(sequences), "--length", str(length)]
        for dropout in ("0", "0.5"):
            done = subprocess.run(command + ["--dropout", dropout, "--threads", str(args.threads), "--clock", args.clock, "--times", "9"], capture_output=True, text=True, check=True)
            found = {one["kernel"]: 1e3 * one["median_s"] for one in map(json.loads, done.stdout.splitlines())}
            forward, backward, products = (found[f"attention{name}"] for name in ("", "_backward", "_products"))
            rows.append(f"| {sequences:,} × {length} | {dropout} | {forward:.2f} | {backward:.2f} | {products:.2f} | **{backward / products:.2f}** |")
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opponent", required=True, type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--sequences", required=True, type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--environment", type=pathlib.Path, default=pathlib.Path.home() / ".cache/cl-bench/python")
    args = parser.parse_args()
    args.python = environment(args.environment)
    subprocess.run(["cargo", "build", "--release", "--workspace", "--bins", "--examples"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as folder:
        rows = table(args, folder, parts(args.sequences, pathlib.Path(folder)))
    date = datetime.date.today().isoformat()
    text = f"""# Sequence models beside PyTorch, {date}

{processor()}; {args.threads} thread(s), {args.clock} time, {args.alternations} alternation(s) of two epochs; {pathlib.Path(args.sequences).stem}, 50 events, d = 64, 2 blocks, 2 heads,
batches of 256 users. Made by `tests/bench_sequences.py`, which says what the two have in common; the opponent with batches of similar length, padded to their longest.

| | theirs | ours | ratio of medians | of minima | of neighbours |
|---|---:|---:|---:|---:|---:|
"""
    text += "\n".join(rows) + """

Attention, milliseconds a call: causal, d = 64, 2 heads; the last two columns are the five products that the backward pass must do (scores, and the
gradients of values, weights, queries, keys), each over the whole square with `gemm`, of which the causal half is half, and the backward pass beside them.

| sequences | dropout | forward | backward | products | backward / products |
|---|---:|---:|---:|---:|---:|
"""
    text += "\n".join(attention(args)) + "\n"
    path = ROOT / f"docs/bench/{date}-sequences-{args.threads}-{args.clock}.md"
    path.write_text(text)
    print(path)
