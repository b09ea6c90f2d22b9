"""Golden numbers of sequence encoders, computed with PyTorch's own layers on padded batches.

    python tests/golden/sequences.py         writes sas_rec.json beside this script

Formats and rounding as in generate.py. A batch is padded here, on the left or on the right, with keys of padding masked;
the Rust code knows no padding, so that equal numbers also show that padding is nothing but a layout. Parameters carry the
paths that the Rust module gives them; weights of linear layers are [inputs, outputs].
"""

import torch
import torch.nn.functional as F

from generate import gaussian, matrix, write

ITEMS, LENGTH, DIM = 9, 6, 8
SEQUENCES = [[4, 1, 8], [2], [0, 5, 9, 5, 3, 7], [6, 2, 1, 0], [9, 8]]  # 9 is the mask token


def layer_norm(x, parameters, name, epsilon):
    return F.layer_norm(x, x.shape[-1:], parameters[f"{name}.gamma"], parameters[f"{name}.beta"], epsilon)


def linear(x, parameters, name):
    return F.linear(x, parameters[f"{name}.weight"].T, parameters[f"{name}.bias"])


def parameters_of(case):
    inner, shapes = case["inner"], {"items": (ITEMS + 1, DIM), "positions": (LENGTH, DIM)}
    norms = ["first_norm"] if case["norm"] == "post" else ["last_norm"]
    for block in range(case["blocks"]):
        at = f"blocks.{block}"
        names = ["query", "key", "value"] + ([] if case["norm"] == "query" else ["output"])
        for name, shape in [(name, (DIM, DIM)) for name in names] + [("inner", (DIM, inner)), ("outer", (inner, DIM))]:
            shapes[f"{at}.{name}.weight"] = shape
            shapes[f"{at}.{name}.bias"] = shape[1:]
        norms += [f"{at}.attention_norm", f"{at}.feed_norm"]
    for name in norms:
        shapes[f"{name}.gamma"] = shapes[f"{name}.beta"] = (DIM,)
    seeds = enumerate(sorted(shapes), start=case["seed"])
    return {name: gaussian(seed, *shapes[name], scale=0.5) + (1.0 if name.endswith("gamma") else 0.0) for seed, name in seeds}


def states(case, parameters):
    """The state after each event, of all sequences one after another."""
    left = case["positions"] == "from_end"
    batch, mask = torch.zeros(len(SEQUENCES), LENGTH, dtype=torch.long), torch.zeros(len(SEQUENCES), LENGTH, dtype=torch.bool)
    for row, sequence in enumerate(SEQUENCES):
        slots = slice(LENGTH - len(sequence), LENGTH) if left else slice(0, len(sequence))
        batch[row, slots], mask[row, slots] = torch.tensor(sequence), True
    epsilon = 1e-12 if case["norm"] == "post" else 1e-8
    scale = DIM**0.5 if case["scale_embeddings"] else 1.0
    x = parameters["items"][batch] * scale + parameters["positions"]
    if case["norm"] == "post":
        x = layer_norm(x, parameters, "first_norm", epsilon)
    # A query of padding sees itself, so that its softmax is a number; nobody reads it.
    seen = (torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril() & mask[:, None, :]) | torch.eye(LENGTH, dtype=torch.bool)

    def heads(x):
        return x.unflatten(-1, (case["heads"], -1)).transpose(1, 2)

    def attend(queries, rest, at):
        q = heads(linear(queries, parameters, f"{at}.query"))
        k, v = (heads(linear(rest, parameters, f"{at}.{name}")) for name in ("key", "value"))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None]).transpose(1, 2).flatten(2)
        return out if case["norm"] == "query" else linear(out, parameters, f"{at}.output")

    def feed(x, at):
        activation = {"relu": F.relu, "gelu": F.gelu}[case["activation"]]
        return linear(activation(linear(x, parameters, f"{at}.inner")), parameters, f"{at}.outer")

    for block in range(case["blocks"]):
        at = f"blocks.{block}"
        first = lambda x: layer_norm(x, parameters, f"{at}.attention_norm", epsilon)
        second = lambda x: layer_norm(x, parameters, f"{at}.feed_norm", epsilon)
        if case["norm"] == "post":
            x = first(x + attend(x, x, at))
            x = second(x + feed(x, at))
        elif case["norm"] == "pre":
            normed = first(x)
            x = x + attend(normed, normed, at)
            x = x + feed(second(x), at)
        else:
            queries = first(x)
            x = second(queries + attend(queries, x, at))
            x = x + feed(x, at)
    if case["norm"] != "post":
        x = layer_norm(x, parameters, "last_norm", epsilon)
    return x[mask]


def pooled(case, of_states):
    parts = of_states.split([len(sequence) for sequence in SEQUENCES])
    return torch.stack([part[-1] if case["pooling"] == "last" else part.mean(0) for part in parts])


def main():
    shapes = [
        {"norm": "query", "positions": "from_end", "scale_embeddings": True, "activation": "relu", "heads": 1, "inner": 8, "blocks": 2, "pooling": "last"},
        {"norm": "post", "positions": "from_end", "scale_embeddings": False, "activation": "gelu", "heads": 2, "inner": 12, "blocks": 2, "pooling": "mean"},
        {"norm": "post", "positions": "from_start", "scale_embeddings": False, "activation": "gelu", "heads": 4, "inner": 5, "blocks": 1, "pooling": "last"},
        {"norm": "pre", "positions": "from_start", "scale_embeddings": True, "activation": "relu", "heads": 2, "inner": 8, "blocks": 2, "pooling": "mean"},
        {"norm": "query", "positions": "from_start", "scale_embeddings": False, "activation": "gelu", "heads": 8, "inner": 3, "blocks": 1, "pooling": "mean"},
    ]
    cases = []
    for number, case in enumerate(shapes):
        case["seed"] = 1000 * (number + 1)
        parameters = parameters_of(case)
        leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
        out = states(case, leaves)
        whole = pooled(case, out)
        of_states, of_wholes = gaussian(case["seed"] + 998, *out.shape), gaussian(case["seed"] + 999, *whole.shape)
        loss = (out * of_states).sum() + (whole * of_wholes).sum()
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        cases.append({
            **case,
            "parameters": {name: matrix(value) for name, value in parameters.items()},
            "states": matrix(out),
            "wholes": matrix(whole),
            "of_states": matrix(of_states),
            "of_wholes": matrix(of_wholes),
            "gradients": {name: matrix(value) for name, value in zip(leaves, gradients)},
        })
    write("sas_rec", items=ITEMS, length=LENGTH, dim=DIM, sequences=SEQUENCES, cases=cases)


if __name__ == "__main__":
    main()
