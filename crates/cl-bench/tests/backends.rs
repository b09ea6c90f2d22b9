//! The same experiments on a GPU's backend: CUDA's kernels, run on the CPU, give the CPU's losses and metrics; or those of
//! `CL_BACKEND`, if that is compiled in.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, fail, log, program, result, succeed};

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

/// The experiment file of one of the models.
fn experiment(model: &str) -> String {
    let sequence = ["sas_rec", "gru4rec", "bert4rec"].iter().any(|encoder| model.contains(encoder));
    let (split, batch) = if sequence { ("leave_one_out", 30) } else { ("ratio", 256) };
    format!(
        "name = 'two'\n[data]\nsynthetic = {{ users = 120, items = 90, interactions = 1500 }}\n\
         [split]\ntype = '{split}'\n{model}[train]\nepochs = 2\nbatch_size = {batch}\n"
    )
}

/// What may be asked of another backend over so few steps, of losses as of metrics (`docs/design.md`).
const TOLERANCE: f64 = 1e-4;

#[test]
fn a_gpus_kernels_give_the_cpus_losses_and_metrics() {
    let backend = std::env::var("CL_BACKEND").unwrap_or("cuda-on-host".into());
    for (name, model) in MODELS {
        let place = Place::new();
        let file = place.file("my.toml", &experiment(model));
        let [cpu, gpu] = ["flex", &backend].map(|backend| {
            let mut command = place.run(&file, backend);
            if backend == "cuda-on-host" {
                // Kernels run, and are not compiled by NVRTC besides: other tests do that.
                command.env_remove("CUDA_PATH").env_remove("LD_LIBRARY_PATH").env_remove("CL_REQUIRE_NVRTC");
            }
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

/// What a step asks is copied before its first kernel is launched, so that another thread can do it ahead.
#[test]
fn nothing_is_copied_to_a_device_while_a_step_runs() {
    let more = [
        ("bert4rec", "[encoder]\ntype = 'bert4rec'\ndim = 16\n[objective]\ntype = 'cross_entropy'\n"),
        ("gru4rec", "[encoder]\ntype = 'gru4rec'\ndim = 16\nhidden = 16\n[objective]\ntype = 'gbce'\n"),
        (
            "a copy of the model",
            "[encoder]\ntype = 'light_gcn'\ndim = 16\n[views]\ntype = 'embedding_noise'\n[contrast]\ntype = 'info_nce'\n\
             [negatives]\ntype = 'queue'\nsize = 300\nmask_own_id = false\n",
        ),
        (
            "flatten",
            "[encoder]\ntype = 'sas_rec'\ndim = 16\npooling = 'flatten'\n[objective]\ntype = 'bce'\n\
             [views]\ntype = 'one_of'\n[contrast]\ntype = 'info_nce'\n",
        ),
    ];
    // What copies is told in docs/design.md: here ln q of owners.
    let models = MODELS.into_iter().filter(|(_, model)| !model.contains("sampled_softmax"));
    for (name, model) in models.chain(more) {
        let place = Place::new();
        let file = place.file("my.toml", &experiment(model));
        let mut command = program();
        // Kernels are named and not run; `sigmoid` has no kernel, so that what they would have computed is not looked at.
        command.env("CL_IDLE_DEVICE", "names").arg("bench").arg(&file);
        for argument in "--steps 3 --threads 1 --set device.backend=cuda-on-host".split(' ') {
            command.arg(argument);
        }
        command.args(["--set", "evaluate.score=\"sigmoid\""]);
        let output = succeed(&mut command);
        let told = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<&str> =
            told.lines().filter(|line| line.starts_with("copy ") || line.starts_with("launch ")).collect();
        let adam: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].contains("AdamKernel")).collect();
        // From the end of the first step, which copies the graph, to that of the last.
        let steps = &lines[adam[0]..=adam[adam.len() - 1]];
        let copies = |line: &str| line.starts_with("copy ");
        let begins = steps.windows(2).filter(|pair| copies(pair[1]) && !copies(pair[0]));
        let late: Vec<_> = begins.clone().filter(|pair| !pair[0].contains("AdamKernel")).collect();
        assert!(late.is_empty(), "{name}: {late:?}");
        assert_eq!(begins.count(), 2, "{name}: each step is given something");
    }
}

/// What a device could not do ends the program, tells what needs less, and leaves no result.
#[test]
fn a_failing_device_ends_the_run() {
    let place = Place::new();
    let file = place.file("my.toml", &experiment(MODELS[0].1));
    let mut command = place.run(&file, "out");
    command.env("CL_FAILING_DEVICE", "out of memory").args(["--set", "device.backend=cuda-on-host"]);
    command.env_remove("CUDA_PATH").env_remove("LD_LIBRARY_PATH").env_remove("CL_REQUIRE_NVRTC");
    let said = fail(command.arg("--quiet"));
    assert!(said.starts_with("the device has not enough memory: out of memory"), "{said}");
    assert!(said.contains("train.batch_size"), "{said}");
    assert!(!place.path("out").join("result.json").exists());
}
