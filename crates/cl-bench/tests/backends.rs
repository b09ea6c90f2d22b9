//! The same experiments on a GPU's backend: CUDA's kernels, run on the CPU, give the CPU's losses and metrics.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, log, result, succeed};

/// Encoders, objectives, views and contrasts that together call most kernels.
const MODELS: [(&str, &str); 7] = [
    (
        "sas_rec, one negative",
        "[encoder]\ntype = 'sas_rec'\ndim = 16\nheads = 2\n[objective]\ntype = 'bce'\n",
    ),
    (
        "sas_rec, several",
        "[encoder]\ntype = 'sas_rec'\ndim = 20\ndropout = 0.3\ntie_items = false\n[objective]\ntype = 'gbce'\n\
         negatives_per_positive = 8\n",
    ),
    (
        "gru4rec, by popularity",
        "[encoder]\ntype = 'gru4rec'\ndim = 16\nhidden = 24\n[objective]\ntype = 'sampled_softmax'\n\
         sampling = 'popularity'\nnegatives_per_positive = 4\n",
    ),
    (
        "cl4srec with a penalty on rows",
        "[encoder]\ntype = 'sas_rec'\ndim = 16\n[objective]\ntype = 'bpr'\nnegatives_per_positive = 2\n\
         [views]\ntype = 'one_of'\n[contrast]\ntype = 'nt_xent'\n",
    ),
    ("light_gcn", "[encoder]\ntype = 'light_gcn'\ndim = 16\n[objective]\nnegatives_per_positive = 3\n"),
    (
        "xsimgcl",
        "[encoder]\ntype = 'light_gcn'\ndim = 16\ninclude_layer_zero = false\n[views]\ntype = 'cross_layer'\n\
         [contrast]\ntype = 'info_nce'\n",
    ),
    (
        "sgl_ed",
        "[encoder]\ntype = 'light_gcn'\ndim = 16\n[views]\ntype = 'edge_dropout'\nevery = 'step'\n\
         [contrast]\ntype = 'info_nce'\n[negatives]\ntype = 'all_nodes'\n",
    ),
];

/// What may be asked of another backend over so few steps, of losses as of metrics (`docs/design.md`).
const TOLERANCE: f64 = 1e-4;

#[test]
fn a_gpus_kernels_give_the_cpus_losses_and_metrics() {
    for (name, model) in MODELS {
        let sequence = ["sas_rec", "gru4rec"].iter().any(|encoder| model.contains(encoder));
        let split = if sequence { "leave_one_out" } else { "ratio" };
        let place = Place::new();
        let text = format!(
            "name = 'two'\n[data]\nsynthetic = {{ users = 120, items = 90, interactions = 1500 }}\n\
             [split]\ntype = '{split}'\n{model}[train]\nepochs = 2\nbatch_size = {}\n",
            if sequence { 30 } else { 256 }
        );
        let file = place.file("my.toml", &text);
        let [cpu, gpu] = ["flex", "cuda-on-host"].map(|backend| {
            let mut command = place.run(&file, backend);
            // Kernels run, and are not compiled by NVRTC besides: other tests do that.
            command.env_remove("CUDA_PATH").env_remove("LD_LIBRARY_PATH").env_remove("CL_REQUIRE_NVRTC");
            succeed(command.arg("--quiet").args(["--set", &format!("device.backend={backend}")]));
            let out = place.path(backend);
            let losses: Vec<f64> = log(&out, "metrics.jsonl")
                .iter()
                .flat_map(|line| {
                    line["loss"].as_object().unwrap().values().map(|loss| loss.as_f64().unwrap())
                })
                .collect();
            let test = result(&out)["test"].as_object().unwrap().clone();
            (losses, test)
        });
        assert_eq!((cpu.0.len(), gpu.0.len()), (8, 8), "{name}: four parts of two epochs");
        for (cpu, gpu) in cpu.0.iter().zip(&gpu.0) {
            assert!((cpu - gpu).abs() <= TOLERANCE * cpu.abs(), "{name}: a loss is {cpu}, and {gpu}");
        }
        assert!(!cpu.1.is_empty());
        for (metric, cpu) in &cpu.1 {
            let [cpu, gpu] = [cpu, &gpu.1[metric]].map(|value| value.as_f64().unwrap());
            assert!((cpu - gpu).abs() <= TOLERANCE, "{name}: {metric} is {cpu}, and {gpu}");
        }
    }
}
