#!/usr/bin/env python3
"""Instructions of one call of each kernel, counted by callgrind: the same on a busy machine, so that commits compare.

    cargo build --release --example kernel_speed && python3 tests/count_instructions.py

A call is the difference between a run of three calls and a run of two. valgrind has no AVX-512, so that the AVX2 versions
are counted.
"""
import pathlib, re, subprocess, sys, tempfile

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "target/release/examples/kernel_speed"
KERNELS = {
    "spmm, 40,000 interactions, d 64": ["spmm"],
    "spmm, 40,000 interactions, d 48": ["spmm", "--dim", "48"],
    "info_nce, 512 rows, d 64, forward and backward": ["info_nce", "--rows", "512"],
    "top_k, 256 users, 4,096 items, d 64": ["top_k", "--rows", "256", "--items", "4096"],
}


def instructions(arguments):
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", str(PROGRAM)] + arguments
        done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return int(found.group(1))


if __name__ == "__main__":
    if not PROGRAM.exists():
        sys.exit(f"{PROGRAM} is not there: cargo build --release --example kernel_speed")
    for name, arguments in KERNELS.items():
        two, three = (instructions(arguments + ["--times", times]) for times in ("1", "2"))
        print(f"{three - two:>14,}  {name}")
