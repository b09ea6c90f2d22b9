#!/usr/bin/env bash
# NVRTC and CUDA's headers without a CUDA toolkit: NVIDIA's own packages from PyPI, put into the folder that is given.
# Prints the variables that the tests want; `eval "$(tests/cuda-on-host/nvrtc.sh target/nvrtc)"` sets them.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
packages=$folder/packages/nvidia

if ! test -e "$folder/cuda/include/cccl"; then
    python3 -m pip install --quiet --no-deps --upgrade --target "$folder/packages" \
        nvidia-cuda-nvrtc-cu12==12.9.86 nvidia-cuda-runtime-cu12==12.9.79 nvidia-cuda-cccl-cu12==12.9.27 >&2
    # As an installed toolkit has them: headers in include, those of CCCL below it.
    rm -rf "$folder/cuda"
    mkdir -p "$folder/cuda"
    cp -r "$packages/cuda_runtime/include" "$folder/cuda/include"
    cp -r "$packages/cuda_cccl/include" "$folder/cuda/include/cccl"
fi

printf 'export CUDA_PATH=%q\n' "$folder/cuda"
printf 'export LD_LIBRARY_PATH=%q\n' "$packages/cuda_nvrtc/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
printf 'export CL_REQUIRE_NVRTC=1\n'
