"""Golden numbers for the Rust tests, computed with PyTorch and NumPy from the papers' formulas.

    python tests/golden/generate.py          writes the JSON files beside this script

Every loss is written down as its formula, in float64; autograd gives the gradients, and each gradient is held
against finite differences before it is stored. Nothing here is shared with, or derived from, the Rust code.

Inputs are multiples of 1/1024: the same number in decimal, in float32 and in float64, so that a test in
either precision starts from identical inputs. Results are rounded to 10 significant digits.
"""

import json
import math
import platform
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
MADE_WITH = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
SIMILARITIES = ("cosine", "dot")
REDUCTIONS = ("mean", "sum")

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


# --------------------------------------------------------------------------------------------------
# Inputs, gradients, files
# --------------------------------------------------------------------------------------------------


def on_grid(values):
    """Rounds to multiples of 1/1024, exact in float32."""
    return torch.from_numpy(np.round(np.asarray(values, dtype=np.float64) * 1024) / 1024)


def gaussian(seed, *shape, scale=1.0):
    """RandomState, because NumPy promises that its stream never changes (NEP 19)."""
    return on_grid(np.random.RandomState(seed).standard_normal(shape) * scale)


def uniform(seed, *shape):
    """Uniform on (0, 1]."""
    return on_grid(np.random.RandomState(seed).random_sample(shape)).clamp_min(1 / 1024)


def with_gradients(function, *inputs):
    """function(*inputs) -> scalar; returns its value and its gradient with respect to each input."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    loss = function(*leaves)
    gradients = torch.autograd.grad(loss, leaves)
    assert torch.autograd.gradcheck(function, leaves), "autograd and finite differences disagree"
    return loss.item(), [matrix(gradient) for gradient in gradients]


def number(value):
    return float(f"{value:.10g}") + 0.0  # + 0.0 turns -0.0 into 0.0


def numbers(values):
    return [number(value) for value in values]


def matrix(tensor):
    """Row-major. What float32 holds exactly, inputs above all, is written exactly; the rest is rounded. A float32
    tensor is written in the shortest decimals that read back as the same float32."""
    values = tensor.detach().contiguous().numpy()
    if values.dtype == np.float32:
        as_number = lambda value: float(str(value)) + 0.0
    elif np.array_equal(values, values.astype(np.float32)):
        as_number = lambda value: float(value) + 0.0
    else:
        as_number = number
    return {"shape": list(values.shape), "data": [as_number(value) for value in values.ravel()]}


def to_json(value):
    return json.dumps(value, separators=(",", ": "))


def write(name, **content):
    """One line a key, and one line an entry of `inputs` or `cases`, so that differences stay readable."""
    lines = []
    for key, value in {"made_with": MADE_WITH, **content}.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n" + ",\n".join("    " + to_json(entry) for entry in value) + "\n  ]"
        elif isinstance(value, dict) and any(isinstance(entry, (dict, list)) for entry in value.values()):
            entries = [f"    {to_json(inner)}: {to_json(entry)}" for inner, entry in value.items()]
            text = "{\n" + ",\n".join(entries) + "\n  }"
        else:
            text = to_json(value)
        lines.append(f"  {to_json(key)}: {text}")
    path = HERE / f"{name}.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{path.name:26} {path.stat().st_size / 1000:6.1f} kB")


def similarities(a, b, similarity):
    """s_ij [n, m]: dot product, of unit rows for the cosine."""
    if similarity == "cosine":
        a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    return a @ b.T


def reduce(rows, reduction):
    return rows.mean() if reduction == "mean" else rows.sum()


# --------------------------------------------------------------------------------------------------
# Contrastive losses
# --------------------------------------------------------------------------------------------------


def info_nce_rows(logits, positives, anchor_ids, key_ids, own_id_mask):
    """loss_i = logsumexp_{j in K_i} s_ij/tau - s_ip/tau,  p = positives[i].

    van den Oord et al. 2018 (arXiv 1807.03748) eq. 4; one direction over another view's rows: SGL (Wu et al.
    2021, arXiv 2010.10783) eq. 10. K_i is every key; with the own-id mask, the keys that are the anchor's own
    node under another index leave it. The positive always stays.
    """
    rows = []
    for i, p in enumerate(positives):
        kept = [j for j, key in enumerate(key_ids) if j == p or not own_id_mask or key != anchor_ids[i]]
        rows.append(torch.logsumexp(logits[i, kept], dim=0) - logits[i, p])
    return torch.stack(rows)


def info_nce():
    def rows(seed, dim, ids, positives=None, key_ids=None, scale=1.0):
        """In-batch rows, row i of b the positive of row i of a; with `key_ids`, b is a table of other length."""
        a, b = (gaussian(seed + k, len(x), dim, scale=scale) for k, x in enumerate((ids, key_ids or ids)))
        return {"a": a, "b": b, "ids": ids, "positives": positives or list(range(len(ids))), "key_ids": key_ids}

    inputs = {
        # Nodes 3 (rows 0, 2) and 7 (rows 1, 3) stand twice in the batch.
        "batch": rows(1, 4, [3, 7, 3, 7, 9]),
        "batch_dim_7": rows(3, 7, [1, 1, 2, 1, 0]),
        "batch_12_by_8": rows(5, 8, [4, 1, 4, 0, 5, 6, 1, 4, 8, 9, 2, 2]),
        # |logit| reaches several thousand at temperature 0.1: its exp overflows float32 and float64.
        "batch_large": rows(7, 4, [0, 1, 2, 3, 4], scale=16),
        # Node 5 stands at keys 2 and 6, node 1 at keys 0 and 7. Anchors 1 and 3 share a positive.
        "nodes": rows(9, 4, [5, 3, 1, 3, 5], [2, 4, 0, 4, 6], [1, 0, 5, 2, 3, 4, 5, 1]),
        "nodes_dim_7": rows(11, 7, [8, 0, 3, 3, 7, 1], [8, 0, 3, 3, 7, 1], [0, 1, 2, 3, 4, 5, 3, 7, 8]),
    }

    def case(name, similarity, temperature, reduction, symmetric, own_id_mask):
        given = inputs[name]
        a, b, positives, ids = given["a"], given["b"], given["positives"], given["ids"]
        key_ids = given["key_ids"] or ids

        def losses(a, b):
            logits = similarities(a, b, similarity) / temperature
            forward = info_nce_rows(logits, positives, ids, key_ids, own_id_mask)
            if not symmetric:
                return forward
            return (forward + info_nce_rows(logits.T, positives, key_ids, ids, own_id_mask)) / 2

        if not own_id_mask and not symmetric:  # a second road to the same rows
            logits = similarities(a, b, similarity) / temperature
            assert torch.allclose(losses(a, b), F.cross_entropy(logits, torch.tensor(positives), reduction="none"))
        loss, (grad_a, grad_b) = with_gradients(lambda a, b: reduce(losses(a, b), reduction), a, b)
        return {
            "input": name,
            "negatives": "all_nodes" if given["key_ids"] else "in_batch",
            "similarity": similarity,
            "temperature": temperature,
            "reduction": reduction,
            "symmetric": symmetric,
            "own_id_mask": own_id_mask,
            "loss": number(loss),
            "row_losses": numbers(losses(a, b).tolist()),
            "grad_a": grad_a,
            "grad_b": grad_b,
        }

    cases = [
        case(name, *options)
        for name, symmetry in (("batch", (False, True)), ("nodes", (False,)))
        for options in product(SIMILARITIES, (0.1, 0.5), REDUCTIONS, symmetry, (False, True))
    ]
    cases += [
        case("batch_dim_7", "cosine", 0.2, "mean", True, True),
        case("batch_dim_7", "dot", 1.0, "mean", False, False),
        case("batch_12_by_8", "cosine", 0.15, "sum", True, True),
        case("batch_large", "dot", 0.1, "mean", False, False),
        case("nodes_dim_7", "cosine", 0.2, "sum", False, True),
    ]
    stored = {
        name: {
            "a": matrix(given["a"]),
            "b": matrix(given["b"]),
            "anchor_ids": given["ids"],
            "key_ids": given["key_ids"] or given["ids"],
            "positives": given["positives"],
        }
        for name, given in inputs.items()
    }
    write("info_nce", inputs=stored, cases=cases)


def nt_xent_rows(a, b, similarity, temperature):
    """SimCLR (Chen et al. 2020, arXiv 2002.05709) eq. 1: z = [a; b] has 2N rows; row i's positive is its partner
    in the other view, its negatives the 2N - 2 rows that are neither itself nor its partner."""
    z = torch.cat([a, b])
    n = len(a)
    logits = similarities(z, z, similarity) / temperature
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool), -math.inf)
    partner = (torch.arange(2 * n) + n) % (2 * n)
    return F.cross_entropy(logits, partner, reduction="none")


def nt_xent():
    inputs = {"6_by_8": (gaussian(21, 6, 8), gaussian(22, 6, 8)), "5_by_7": (gaussian(23, 5, 7), gaussian(24, 5, 7))}

    def case(name, similarity, temperature, reduction):
        a, b = inputs[name]
        loss, (grad_a, grad_b) = with_gradients(
            lambda a, b: reduce(nt_xent_rows(a, b, similarity, temperature), reduction), a, b
        )
        return {
            "input": name,
            "similarity": similarity,
            "temperature": temperature,
            "reduction": reduction,
            "loss": number(loss),
            "row_losses": numbers(nt_xent_rows(a, b, similarity, temperature).tolist()),
            "grad_a": grad_a,
            "grad_b": grad_b,
        }

    cases = [case(name, *options) for name in inputs for options in product(SIMILARITIES, (0.2, 0.5), REDUCTIONS)]
    write("nt_xent", inputs={name: {"a": matrix(a), "b": matrix(b)} for name, (a, b) in inputs.items()}, cases=cases)


# --------------------------------------------------------------------------------------------------
# Recommendation losses, alignment and uniformity, L2
# --------------------------------------------------------------------------------------------------


def bpr_rows(user, positive, negative, form):
    """BPR (Rendle et al. 2009, arXiv 1205.2618) sec. 4.1: -ln sigmoid(x_ui - x_uj), the mean over k negatives.

    softplus: ln(1 + exp(-difference)), the same number without overflow. selfrec: -ln(1e-5 + sigmoid(difference)),
    as the SELFRec repository computes it (it writes 10e-6); its gradient vanishes on hopeless pairs.
    """
    difference = (user * positive).sum(1, keepdim=True) - torch.einsum("nd,nkd->nk", user, negative)
    if form == "softplus":
        return F.softplus(-difference).mean(1)
    return -torch.log(1e-5 + torch.sigmoid(difference)).mean(1)


def bpr():
    inputs = {
        "k1": (gaussian(31, 6, 7), gaussian(32, 6, 7), gaussian(33, 6, 1, 7)),
        "k3": (gaussian(34, 5, 8), gaussian(35, 5, 8), gaussian(36, 5, 3, 8)),
        # Score differences of some +-100: exp overflows float32, the sigmoid saturates.
        "k1_large": (gaussian(37, 6, 4, scale=8), gaussian(38, 6, 4, scale=8), gaussian(39, 6, 1, 4, scale=8)),
    }

    def case(name, form, reduction):
        rows = bpr_rows(*inputs[name], form)
        loss, gradients = with_gradients(lambda *parts: reduce(bpr_rows(*parts, form), reduction), *inputs[name])
        names = ("grad_user", "grad_positive", "grad_negative")
        return {
            "input": name,
            "form": form,
            "reduction": reduction,
            "loss": number(loss),
            "row_losses": numbers(rows.tolist()),
            **dict(zip(names, gradients)),
        }

    cases = [case(name, *options) for name in inputs for options in product(("softplus", "selfrec"), REDUCTIONS)]
    stored = {name: dict(zip(("user", "positive", "negative"), map(matrix, parts))) for name, parts in inputs.items()}
    write("bpr", inputs=stored, cases=cases)


def alignment(a, b):
    """Wang & Isola 2020 (arXiv 2005.10242) sec. 4.1 with alpha = 2: mean_i ||a_i - b_i||^2 of unit rows."""
    return (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean()


def uniformity(x):
    """Wang & Isola 2020 sec. 4.1 with t = 2: log of the mean over i < j of exp(-2 ||x_i - x_j||^2), unit rows."""
    x = F.normalize(x, dim=1)
    pairs = [(x[i] - x[j]).square().sum() for i in range(len(x)) for j in range(i + 1, len(x))]
    return torch.exp(-2 * torch.stack(pairs)).mean().log()


def direct_au(a, b, gamma):
    """DirectAU (Wang et al. 2022, arXiv 2206.12811) sec. 4: alignment + gamma (uniformity(a) + uniformity(b)) / 2."""
    return alignment(a, b) + gamma * (uniformity(a) + uniformity(b)) / 2


def alignment_uniformity():
    repeated = gaussian(43, 8, 8)
    repeated[5] = repeated[1]  # a user that stands twice in the batch: a pair at distance zero
    inputs = {"6_by_7": (gaussian(41, 6, 7), gaussian(42, 6, 7)), "8_by_8_repeated": (repeated, gaussian(44, 8, 8))}
    cases = []
    for name, (a, b) in inputs.items():
        value, (grad_a, grad_b) = with_gradients(alignment, a, b)
        cases.append(
            {"input": name, "loss_name": "alignment", "loss": number(value), "grad_a": grad_a, "grad_b": grad_b}
        )
        value, (grad_a,) = with_gradients(uniformity, a)
        cases.append({"input": name, "loss_name": "uniformity", "loss": number(value), "grad_a": grad_a})
        for gamma in (0.5, 2.0):
            value, (grad_a, grad_b) = with_gradients(lambda a, b: direct_au(a, b, gamma), a, b)
            cases.append(
                {
                    "input": name,
                    "loss_name": "direct_au",
                    "gamma": gamma,
                    "loss": number(value),
                    "alignment": number(alignment(a, b)),
                    "uniformity_a": number(uniformity(a)),
                    "uniformity_b": number(uniformity(b)),
                    "grad_a": grad_a,
                    "grad_b": grad_b,
                }
            )
    stored = {name: {"a": matrix(a), "b": matrix(b)} for name, (a, b) in inputs.items()}
    write("alignment_uniformity", inputs=stored, cases=cases)


def l2_penalty(parts, weight, form, batch):
    """squared: weight / (2B) * sum of squared entries (LightGCN's code; He et al. 2020, arXiv 2002.02126, eq. 15).
    norm: weight / B * sum over parts of the Frobenius norm, not squared (SELFRec's l2_reg_loss)."""
    if form == "squared":
        return weight * sum(part.square().sum() for part in parts) / (2 * batch)
    return weight * sum(part.square().sum().sqrt() for part in parts) / batch


def l2():
    inputs = {
        "6_by_7": [gaussian(51, 6, 7), gaussian(52, 6, 7), gaussian(53, 6, 7)],
        "5_by_8_k3": [gaussian(54, 5, 8), gaussian(55, 5, 8), gaussian(56, 15, 8)],  # three negatives a row
    }
    cases = []
    for name, form, weight in product(inputs, ("squared", "norm"), (1.0, 1e-4)):
        parts, batch = inputs[name], len(inputs[name][0])
        loss = l2_penalty(parts, weight, form, batch).item()
        # The gradient is checked without the weight: finite differences would see only zeros at 1e-4.
        _, at_weight_one = with_gradients(lambda *parts: l2_penalty(parts, 1.0, form, batch), *parts)
        gradients = [{**part, "data": numbers(weight * value for value in part["data"])} for part in at_weight_one]
        names = ("grad_user", "grad_positive", "grad_negative")
        options = {"input": name, "form": form, "weight": weight, "batch": batch}
        cases.append({**options, "loss": number(loss), **dict(zip(names, gradients))})
    stored = {name: dict(zip(("user", "positive", "negative"), map(matrix, parts))) for name, parts in inputs.items()}
    write("l2", inputs=stored, cases=cases)


# --------------------------------------------------------------------------------------------------
# Graphs
# --------------------------------------------------------------------------------------------------

USERS, ITEMS = 7, 9
ITEMS_OF_USER = [[0, 1, 2, 5], [0, 3], [1, 3, 4, 7, 8], [0, 2, 5], [], [0, 1, 3, 8], [5, 7]]  # item 6 has no user
EDGES = [(user, item) for user, items in enumerate(ITEMS_OF_USER) for item in items]


def adjacency(edges, normalisation):
    """Dense [N, N] over users, then items. symmetric: D^-1/2 A D^-1/2 (LightGCN, He et al. 2020, eq. 3 and 7);
    left: D^-1 A. A node of degree zero keeps a zero row."""
    a = torch.zeros(USERS + ITEMS, USERS + ITEMS)
    for user, item in edges:
        a[user, USERS + item] = a[USERS + item, user] = 1
    degree = a.sum(1)
    power = -0.5 if normalisation == "symmetric" else -1.0
    scale = torch.where(degree > 0, degree.clamp_min(1) ** power, 0.0)
    return scale[:, None] * a * scale[None, :] if normalisation == "symmetric" else scale[:, None] * a


def kept_of_full(kept):
    """The full graph's symmetric values on the kept edges, zero elsewhere: dropout without renormalisation."""
    return adjacency(EDGES, "symmetric") * (adjacency([EDGES[e] for e in kept], "symmetric") > 0)


def propagate(table, graphs, noise=None, epsilon=0.0):
    """[layer 0, layer 1, ...]: e <- A_l e; with noise, then e <- e + sign(e) * N_l / ||row of N_l|| * epsilon
    (SimGCL, Yu et al. 2022, arXiv 2112.08679, sec. 3; the sign is a constant to the gradient, sign(0) = 0)."""
    layers = [table]
    for layer, graph in enumerate(graphs):
        e = graph @ layers[-1]
        if noise is not None:
            e = e + torch.sign(e).detach() * F.normalize(noise[layer], dim=1) * epsilon
        layers.append(e)
    return layers


def mean_of(layers, include_layer_zero):
    """LightGCN eq. 4 with equal weights; SimGCL and XSimGCL leave layer 0 out."""
    return torch.stack(layers if include_layer_zero else layers[1:]).mean(0)


def propagation():
    nodes = USERS + ITEMS
    tables = {4: gaussian(61, nodes, 4, scale=0.25), 7: gaussian(62, nodes, 7, scale=0.25)}
    weights = {4: gaussian(63, nodes, 4), 7: gaussian(64, nodes, 7)}
    second_weight = gaussian(65, nodes, 4)
    noise = {4: [uniform(66 + layer, nodes, 4) for layer in range(3)]}
    symmetric, left = adjacency(EDGES, "symmetric"), adjacency(EDGES, "left")

    def final_and_gradient(final, dim):
        """Final embeddings and the gradient of sum(final * weight) with respect to the table."""
        _, (gradient,) = with_gradients(lambda table: (final(table) * weights[dim]).sum(), tables[dim])
        return {"final": matrix(final(tables[dim])), "grad_table": gradient}

    def light_gcn(normalisation, graph, layers, include_layer_zero, dim):
        options = {
            "normalisation": normalisation,
            "layers": layers,
            "include_layer_zero": include_layer_zero,
            "dim": dim,
        }
        final = lambda table: mean_of(propagate(table, [graph] * layers), include_layer_zero)
        return {**options, **final_and_gradient(final, dim)}

    cases = [light_gcn("symmetric", symmetric, *options, 4) for options in product((1, 2, 3), (True, False))]
    cases += [light_gcn("left", left, *options, 4) for options in ((1, False), (3, True))]
    cases += [light_gcn("symmetric", symmetric, 3, True, 7)]

    # Edge dropout: user 6 and item 4 lose every edge.
    lost = {(0, 1), (1, 3), (2, 4), (2, 8), (3, 0), (6, 5), (6, 7)}
    kept = [e for e, edge in enumerate(EDGES) if edge not in lost]
    dropped = []
    for renormalize in (True, False):
        graph = adjacency([EDGES[e] for e in kept], "symmetric") if renormalize else kept_of_full(kept)
        final = lambda table: mean_of(propagate(table, [graph] * 3), True)
        values = [graph[EDGES[e][0], USERS + EDGES[e][1]].item() for e in kept]
        options = {"renormalize": renormalize, "kept": kept, "values": numbers(values)}
        dropped.append({**options, "layers": 3, "include_layer_zero": True, "dim": 4, **final_and_gradient(final, 4)})

    # SGL's code for "random walk": an independently dropped, renormalised graph a layer.
    draw = np.random.RandomState(70)
    kept_of_layer = [sorted(draw.permutation(len(EDGES))[:14].tolist()) for _ in range(3)]
    graphs = [adjacency([EDGES[e] for e in kept], "symmetric") for kept in kept_of_layer]
    final = lambda table: mean_of(propagate(table, graphs), True)
    options = {"kept_of_layer": kept_of_layer, "renormalize": True, "layers": 3, "include_layer_zero": True, "dim": 4}
    layer_dropout = [{**options, **final_and_gradient(final, 4)}]

    embedding_noise = []
    for epsilon, layers, include_layer_zero in ((0.1, 3, False), (0.2, 2, True)):
        final = lambda table: mean_of(propagate(table, [symmetric] * layers, noise[4], epsilon), include_layer_zero)
        options = {"epsilon": epsilon, "layers": layers, "include_layer_zero": include_layer_zero, "dim": 4}
        embedding_noise.append({**options, **final_and_gradient(final, 4)})

    # XSimGCL (Yu et al. 2023, arXiv 2209.02544): one noisy pass; final = mean of layers 1..L, contrasted
    # with noisy layer l*. The gradient is that of sum(final * weight) + sum(cross_layer * second_weight).
    cross_layer = []
    for cross in (0, 1, 2):
        run = lambda table: propagate(table, [symmetric] * 3, noise[4], 0.2)

        def loss(table):
            layers = run(table)
            return (mean_of(layers, False) * weights[4]).sum() + (layers[cross] * second_weight).sum()

        value, (gradient,) = with_gradients(loss, tables[4])
        layers = run(tables[4])
        cross_layer.append(
            {
                "epsilon": 0.2,
                "layers": 3,
                "layer": cross,
                "dim": 4,
                "final": matrix(mean_of(layers, False)),
                "cross_layer": matrix(layers[cross]),
                "loss": number(value),
                "grad_table": gradient,
            }
        )

    columns = [torch.nonzero(row).flatten().tolist() for row in symmetric]
    entries = [(row, column) for row in range(nodes) for column in columns[row]]
    graph = {
        "users": USERS,
        "items": ITEMS,
        "edges": EDGES,
        "csr_offsets": np.cumsum([0] + [len(row) for row in columns]).tolist(),
        "csr_columns": [column for _, column in entries],
        "csr_symmetric": numbers(symmetric[entry].item() for entry in entries),
        "csr_left": numbers(left[entry].item() for entry in entries),
        "edge_symmetric": numbers(symmetric[user, USERS + item].item() for user, item in EDGES),
        "edge_left_user": numbers(left[user, USERS + item].item() for user, item in EDGES),
        "edge_left_item": numbers(left[USERS + item, user].item() for user, item in EDGES),
    }
    inputs = {
        "table_4": matrix(tables[4]),
        "table_7": matrix(tables[7]),
        "weight_4": matrix(weights[4]),
        "weight_7": matrix(weights[7]),
        "second_weight_4": matrix(second_weight),
        "noise_4": [matrix(layer) for layer in noise[4]],
    }
    write(
        "propagation",
        graph=graph,
        inputs=inputs,
        light_gcn=cases,
        edge_dropout=dropped,
        layer_dropout=layer_dropout,
        embedding_noise=embedding_noise,
        cross_layer=cross_layer,
    )


# --------------------------------------------------------------------------------------------------
# Projection head, effective rank, optimizer
# --------------------------------------------------------------------------------------------------


def head(x, *weights_and_biases):
    """y = x W + b, W stored [in, out]; a ReLU between layers, none after the last (SimCLR sec. 2.1: g(h))."""
    layers = list(zip(weights_and_biases[::2], weights_and_biases[1::2]))
    for index, (weight, bias) in enumerate(layers):
        x = x @ weight + bias
        if index + 1 < len(layers):
            x = torch.relu(x)
    return x


def projection():
    cases = []
    for seed, name, widths in ((81, "linear", [7, 5]), (82, "mlp", [8, 6, 4]), (83, "mlp", [7, 8, 5, 4])):
        draw = np.random.RandomState(seed)
        x, upstream = (on_grid(draw.standard_normal((6, widths[0]))), on_grid(draw.standard_normal((6, widths[-1]))))
        parameters = []
        for before, after in zip(widths, widths[1:]):
            parameters += [
                on_grid(draw.standard_normal((before, after)) * 0.5),
                on_grid(draw.standard_normal(after) * 0.5),
            ]
        _, gradients = with_gradients(lambda *inputs: (head(*inputs) * upstream).sum(), x, *parameters)
        layers = [
            {
                "weight": matrix(parameters[2 * i]),
                "bias": matrix(parameters[2 * i + 1]),
                "grad_weight": gradients[1 + 2 * i],
                "grad_bias": gradients[2 + 2 * i],
            }
            for i in range(len(widths) - 1)
        ]
        cases.append(
            {
                "type": name,
                "input": matrix(x),
                "layers": layers,
                "output": matrix(head(x, *parameters)),
                "upstream": matrix(upstream),
                "grad_input": gradients[0],
            }
        )
    write("projection", cases=cases)


def effective_rank():
    """Roy & Vetterli 2007 (EUSIPCO, pp. 606-610) sec. 2: exp(-sum p ln p), p = singular values / their sum."""
    # Products of small multiples of 1/16 are exact in float32, so the deficient matrices are exactly deficient.
    factors = lambda seed, *shape: torch.round(gaussian(seed, *shape) * 16) / 16
    small_spread = gaussian(95, 12, 7) * torch.tensor([1, 1, 0.5, 0.25, 0.125, 2**-6, 2**-10])
    matrices = {
        "gaussian_10_by_6": gaussian(91, 10, 6),
        "gaussian_12_by_7": gaussian(92, 12, 7),
        "wide_5_by_8": gaussian(93, 5, 8),
        "rank_2_of_6": factors(94, 9, 2) @ factors(96, 2, 6),
        "rank_1": factors(97, 8, 1) @ factors(98, 1, 5),
        "decaying_12_by_7": small_spread,
        "orthogonal_4": torch.eye(8)[:, :4] * 3,
        "far_from_centre": gaussian(99, 10, 5) + 8,  # the mean is not removed
    }
    cases = []
    for name, x in matrices.items():
        assert torch.equal(x, x.float().double()), f"{name} is not exact in float32"
        sigma = np.linalg.svd(x.numpy(), compute_uv=False)
        sigma = np.where(sigma > sigma.max() * 1e-13, sigma, 0.0)  # what is zero in exact arithmetic
        p = sigma[sigma > 0] / sigma.sum()
        rank = math.exp(-(p * np.log(p)).sum())
        options = {"name": name, "matrix": matrix(x), "singular_values": numbers(sigma)}
        cases.append({**options, "effective_rank": number(rank)})
    write("effective_rank", cases=cases)


def adam():
    """Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1; weight decay added to the gradient) and AdamW (Loshchilov
    & Hutter 2019, arXiv 1711.05101, algorithm 2; weight decay applied to the parameter), as torch.optim has them
    and as the formula above the assertion gives them.
    Row 2 gets no gradient in steps 2 to 4: a dense optimizer moves it all the same, by its momentum."""
    initial = gaussian(101, 3, 4, scale=0.5)
    gradients = [gaussian(102 + step, 3, 4) for step in range(5)]
    for step in (1, 2, 3):
        gradients[step][2] = 0

    def formula(kind, lr, betas, eps, weight_decay):
        parameter, m, v, steps = initial.clone(), 0.0, 0.0, []
        for t, gradient in enumerate(gradients, start=1):
            if kind == "adam":
                gradient = gradient + weight_decay * parameter
            else:
                parameter = parameter * (1 - lr * weight_decay)
            m = betas[0] * m + (1 - betas[0]) * gradient
            v = betas[1] * v + (1 - betas[1]) * gradient**2
            parameter = parameter - lr * (m / (1 - betas[0] ** t)) / ((v / (1 - betas[1] ** t)).sqrt() + eps)
            steps.append(parameter)
        return steps

    def steps(kind, dtype, **options):
        parameter = torch.nn.Parameter(initial.to(dtype, copy=True))
        optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind](
            [parameter], foreach=False, **options
        )
        after = []
        for gradient in gradients:
            parameter.grad = gradient.to(dtype)
            optimizer.step()
            after.append(parameter.detach().clone())
        return after

    cases = []
    settings = ((1e-3, (0.9, 0.999)), (0.05, (0.9, 0.98)))
    for kind, weight_decay, (lr, betas) in product(("adam", "adamw"), (0.0, 0.01), settings):
        options = {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": weight_decay}
        exact = steps(kind, torch.float64, **options)
        for ours, torchs in zip(formula(kind, **options), exact):
            assert torch.allclose(ours, torchs, rtol=1e-12, atol=1e-14)
        single = steps(kind, torch.float32, **options)
        after = {"float64": [matrix(step) for step in exact], "float32": [matrix(step) for step in single]}
        cases.append({"type": kind, **options, **after})
    write("adam", initial=matrix(initial), gradients=[matrix(gradient) for gradient in gradients], cases=cases)


# --------------------------------------------------------------------------------------------------
# Evaluation
# --------------------------------------------------------------------------------------------------


def ease():
    """EASE (Steck 2019, arXiv 1905.03375) sec. 3.1: P = (X'X + lambda I)^-1, B_ij = -P_ij / P_jj, diagonal zero."""
    x = np.array(
        [[1, 1, 0, 0, 1], [0, 1, 1, 0, 0], [1, 0, 0, 1, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 1, 0, 0, 1.0]]
    )
    cases = []
    for regularisation in (0.5, 10.0):
        p = np.linalg.inv(x.T @ x + regularisation * np.eye(5))
        b = -p / np.diag(p)[None, :]
        np.fill_diagonal(b, 0)
        # The optimality condition with a zero diagonal: X'X(B - I) + lambda B is zero off the diagonal.
        residual = x.T @ x @ (b - np.eye(5)) + regularisation * b
        assert np.abs(residual - np.diag(np.diag(residual))).max() < 1e-12
        weights, scores = matrix(torch.from_numpy(b)), matrix(torch.from_numpy(x @ b))
        cases.append({"regularisation": regularisation, "weights": weights, "scores": scores})
    write("ease", interactions=matrix(torch.from_numpy(x)), cases=cases)


def metrics_of(ranked, truth, k):
    """One user. hits = the ranks (from 1) at or above k that hold an item of the truth.

    recall    |hits| / |truth|                  precision  |hits| / k
    hit_rate  1 if there is a hit               mrr        1 / rank of the first hit
    ndcg      sum 1/log2(rank + 1) over the hits, divided by that sum over ranks 1..min(k, |truth|)
    map       sum over the hits of precision at that rank, divided by min(k, |truth|)
    """
    hits = [rank for rank, item in enumerate(ranked[:k], start=1) if item in truth]
    best = min(k, len(truth))
    return {
        f"recall@{k}": len(hits) / len(truth),
        f"ndcg@{k}": sum(1 / math.log2(rank + 1) for rank in hits)
        / sum(1 / math.log2(r + 1) for r in range(1, best + 1)),
        f"hit_rate@{k}": float(bool(hits)),
        f"precision@{k}": len(hits) / k,
        f"mrr@{k}": 1 / hits[0] if hits else 0.0,
        f"map@{k}": sum(seen / rank for seen, rank in enumerate(hits, start=1)) / best,
    }


def metrics():
    users = [
        ([4, 1, 7, 2, 9], [4, 1, 7]),  # perfect to rank 3
        ([3, 8, 0, 5, 6], [1, 2]),  # no hit
        ([2, 5, 1, 0, 8], [1]),  # one item, at rank 3
        ([6, 0, 9, 3, 1], [9, 1, 2, 4, 5, 7, 8]),  # more truth than any cut-off
        ([7, 3, 5, 0, 2], [0, 2, 7, 9]),  # hits at ranks 1, 4, 5
        ([8, 2, 4], [4, 5]),  # a list shorter than the cut-off: the rest counts as misses
    ]
    rows, cutoffs = [], (1, 3, 5)
    for ranked, truth in users:
        values = {}
        for k in cutoffs:
            values |= metrics_of(ranked, truth, k)
        rows.append({"ranked": ranked, "truth": truth, "metrics": values})
    mean = {name: number(sum(row["metrics"][name] for row in rows) / len(rows)) for name in rows[0]["metrics"]}
    for row in rows:
        row["metrics"] = {name: number(value) for name, value in row["metrics"].items()}
    write("metrics", cutoffs=list(cutoffs), users=rows, mean=mean)


if __name__ == "__main__":
    for make in (
        info_nce,
        nt_xent,
        bpr,
        alignment_uniformity,
        l2,
        propagation,
        projection,
        effective_rank,
        adam,
        ease,
        metrics,
    ):
        make()
