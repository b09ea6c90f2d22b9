# Each recipe is the cargo command that a person without `just` types.

# List the recipes
default:
    @just --list

# Run an experiment: just run-experiment experiments/quickstart.toml --set seed=7
run-experiment FILE *ARGS:
    cargo run --release -- run {{FILE}} {{ARGS}}

# Print the resolved experiment: every default written out
show FILE *ARGS:
    cargo run --release -- show {{FILE}} {{ARGS}}

# List the components, of one slot or of all
list *SLOT:
    cargo run --release -- list {{SLOT}}

# Run all tests
test:
    cargo test --release --workspace

# The kernels on WebGPU; where there is no GPU, Mesa's software Vulkan serves (Debian: mesa-vulkan-drivers)
test-wgpu:
    cargo test --release -p cl-gpu-tests --features wgpu

# The CUDA that the kernels become, compiled with NVRTC (from PyPI, into target/) and run on the CPU
test-cuda-on-host:
    nvrtc=$(tests/cuda-on-host/nvrtc.sh target/nvrtc) && eval "$nvrtc" && cargo test --release -p cl-gpu-tests --features cuda-on-host
    cargo test --release -p cl-bench --features cuda-on-host --test backends

# The kernels on an NVIDIA GPU, and small trainings there beside the CPU's
test-cuda:
    cargo test --release -p cl-gpu-tests --features cuda
    CL_BACKEND=cuda cargo test --release -p cl-bench --features cuda,cuda-on-host --test backends gpu

# The long versions of the program's tests, on public data: CL_DATA=DIR just test-heavy
test-heavy:
    CL_HEAVY=1 cargo test --release --workspace -- --nocapture

# Formatting, lints, documentation
check:
    cargo fmt --check
    cargo clippy --release --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --workspace

# Write the golden numbers of the tests anew (needs Python with torch and numpy)
golden:
    python3 tests/golden/generate.py
    python3 tests/golden/sequences.py
    python3 tests/golden/queues.py

# Time the kernels, then steps of the quickstart
bench:
    cargo bench --workspace --bench kernels
    cargo run --release -- bench experiments/quickstart.toml --steps 60

# Time so many steps of an experiment
bench-steps FILE STEPS *ARGS:
    cargo run --release -- bench {{FILE}} --steps {{STEPS}} {{ARGS}}

# Beside a PyTorch program: just bench-peers torch_reference.py data/graph/yelp2018 --threads 2 --clock wall
bench-peers OPPONENT DATA *ARGS:
    python3 tests/bench_peers.py --opponent {{OPPONENT}} --data {{DATA}} {{ARGS}}

# Sequence models beside a PyTorch program: just bench-sequences torch_reference.py data/seq/Beauty.txt
bench-sequences OPPONENT SEQUENCES *ARGS:
    python3 tests/bench_sequences.py --opponent {{OPPONENT}} --sequences {{SEQUENCES}} {{ARGS}}

# Instructions of the kernels, counted by callgrind: to compare commits
count-instructions:
    cargo build --release --workspace --examples
    python3 tests/count_instructions.py

# All that a change must pass
ci:
    .ci/run
