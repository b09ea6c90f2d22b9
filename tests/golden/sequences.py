"""Golden numbers of sequence encoders, computed with PyTorch's own layers on padded batches.

    python tests/golden/sequences.py         writes sas_rec.json, bert4rec.json and gru4rec.json beside this script

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


def drawn(case, shapes):
    """Random parameters of these shapes; gains of norms lie around 1."""
    seeds = enumerate(sorted(shapes), start=case["seed"])
    return {name: gaussian(seed, *shapes[name], scale=0.5) + (1.0 if name.endswith("gamma") else 0.0) for seed, name in seeds}


def transformer_shapes(case):
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
    return {f"transformer.{name}": shape for name, shape in shapes.items()}


def padded(left):
    """Sequences on the left or on the right of a batch, and which slots they take."""
    batch, mask = torch.zeros(len(SEQUENCES), LENGTH, dtype=torch.long), torch.zeros(len(SEQUENCES), LENGTH, dtype=torch.bool)
    for row, sequence in enumerate(SEQUENCES):
        slots = slice(LENGTH - len(sequence), LENGTH) if left else slice(0, len(sequence))
        batch[row, slots], mask[row, slots] = torch.tensor(sequence), True
    return batch, mask


def transformer(case, parameters, causal):
    """The state at each slot, and which slots are events."""
    parameters = {name.removeprefix("transformer."): value for name, value in parameters.items()}
    batch, mask = padded(case["positions"] == "from_end")
    epsilon = 1e-12 if case["norm"] == "post" else 1e-8
    scale = DIM**0.5 if case["scale_embeddings"] else 1.0
    x = parameters["items"][batch] * scale + parameters["positions"]
    if case["norm"] == "post":
        x = layer_norm(x, parameters, "first_norm", epsilon)
    order = torch.ones(LENGTH, LENGTH, dtype=torch.bool)
    order = order.tril() if causal else order
    # A query of padding sees itself, so that its softmax is a number; nobody reads it.
    seen = (order & mask[:, None, :]) | torch.eye(LENGTH, dtype=torch.bool)

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
    return x, mask


def pooled(case, at_slots, mask):
    if case["pooling"] == "flatten":
        return (at_slots * mask[..., None]).flatten(1)
    parts = at_slots[mask].split([len(sequence) for sequence in SEQUENCES])
    return torch.stack([part[-1] if case["pooling"] == "last" else part.mean(0) for part in parts])


def sas_rec(case, parameters):
    at_slots, mask = transformer(case, parameters, causal=True)
    items = parameters["transformer.items"][:ITEMS] if case["tie_items"] else parameters["compared_items"]
    return at_slots[mask], pooled(case, at_slots, mask), items


def sas_rec_shapes(case):
    return transformer_shapes(case) | ({} if case["tie_items"] else {"compared_items": (ITEMS, DIM)})


def bert4rec(case, parameters):
    settings = {**case, "norm": "post", "scale_embeddings": False, "activation": "gelu"}
    at_slots, mask = transformer(settings, parameters, causal=False)
    states, items = at_slots[mask], parameters["transformer.items"][:ITEMS]
    if case["transform"]:
        states = layer_norm(F.gelu(linear(states, parameters, "transform.linear")), parameters, "transform.norm", 1e-12)
    if case["item_bias"]:
        states = torch.cat([states, torch.ones(len(states), 1)], 1)
        items = torch.cat([items, parameters["item_bias"]], 1)
    return states, pooled(case, at_slots, mask), items


def bert4rec_shapes(case):
    shapes = transformer_shapes({**case, "norm": "post"})
    if case["transform"]:
        shapes |= {"transform.linear.weight": (DIM, DIM), "transform.linear.bias": (DIM,), "transform.norm.gamma": (DIM,), "transform.norm.beta": (DIM,)}
    return shapes | ({"item_bias": (ITEMS, 1)} if case["item_bias"] else {})


def gru4rec(case, parameters):
    """PyTorch's own GRU on sequences at the left of their rows: what stands behind an event changes nothing before it."""
    batch, mask = padded(left=False)
    hidden, layers = case["hidden"], case["layers"]
    gru = torch.nn.GRU(DIM, hidden, layers, batch_first=True)
    weights = {}
    for layer in range(layers):
        at = f"layers.{layer}"
        weights[f"weight_ih_l{layer}"] = parameters[f"{at}.input.weight"].T
        weights[f"bias_ih_l{layer}"] = parameters[f"{at}.input.bias"]
        weights[f"weight_hh_l{layer}"] = parameters[f"{at}.state"].T
        weights[f"bias_hh_l{layer}"] = parameters[f"{at}.state_bias"][0]
    at_slots, _ = torch.func.functional_call(gru, weights, (parameters["items"][batch],))
    if case["output"]:
        at_slots = linear(at_slots, parameters, "output")
    items = parameters["items"][:ITEMS] if case["tie_items"] else parameters["compared_items"]
    return at_slots[mask], pooled(case, at_slots, mask), items


def gru4rec_shapes(case):
    hidden, shapes = case["hidden"], {"items": (ITEMS + 1, DIM)}
    for layer in range(case["layers"]):
        at = f"layers.{layer}"
        shapes |= {f"{at}.input.weight": (hidden if layer else DIM, 3 * hidden), f"{at}.input.bias": (3 * hidden,)}
        shapes |= {f"{at}.state": (hidden, 3 * hidden), f"{at}.state_bias": (1, 3 * hidden)}
    if case["output"]:
        shapes |= {"output.weight": (hidden, DIM), "output.bias": (DIM,)}
    return shapes | ({} if case["tie_items"] else {"compared_items": (ITEMS, DIM)})


def golden(name, shapes_of, outputs, settings):
    cases = []
    for number, case in enumerate(settings):
        case["seed"] = 1000 * (number + 1)
        parameters = drawn(case, shapes_of(case))
        leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
        outs = dict(zip(("states", "wholes", "items"), outputs(case, leaves)))
        upstream = {name: gaussian(case["seed"] + 997 + at, *out.shape) for at, (name, out) in enumerate(outs.items())}
        loss = sum((out * upstream[name]).sum() for name, out in outs.items())
        gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True, allow_unused=True)
        cases.append({
            "config": {key: value for key, value in case.items() if key != "seed"},
            "parameters": {name: matrix(value) for name, value in parameters.items()},
            "outputs": {name: matrix(out) for name, out in outs.items()},
            "upstream": {name: matrix(of) for name, of in upstream.items()},
            "gradients": {name: matrix(value) for name, value in zip(leaves, gradients)},
        })
    write(name, items=ITEMS, length=LENGTH, dim=DIM, sequences=SEQUENCES, cases=cases)


def main():
    golden("sas_rec", sas_rec_shapes, sas_rec, [
        {"norm": "query", "positions": "from_end", "scale_embeddings": True, "activation": "relu", "heads": 1, "inner": 8, "blocks": 2, "pooling": "last", "tie_items": True},
        {"norm": "post", "positions": "from_end", "scale_embeddings": False, "activation": "gelu", "heads": 2, "inner": 12, "blocks": 2, "pooling": "mean", "tie_items": True},
        {"norm": "post", "positions": "from_start", "scale_embeddings": False, "activation": "gelu", "heads": 4, "inner": 5, "blocks": 1, "pooling": "flatten", "tie_items": True},
        {"norm": "pre", "positions": "from_start", "scale_embeddings": True, "activation": "relu", "heads": 2, "inner": 8, "blocks": 2, "pooling": "mean", "tie_items": False},
        {"norm": "query", "positions": "from_end", "scale_embeddings": False, "activation": "gelu", "heads": 8, "inner": 3, "blocks": 1, "pooling": "flatten", "tie_items": False},
    ])
    golden("bert4rec", bert4rec_shapes, bert4rec, [
        {"positions": "from_start", "heads": 2, "inner": 16, "blocks": 2, "pooling": "last", "transform": True, "item_bias": True},
        {"positions": "from_end", "heads": 1, "inner": 7, "blocks": 1, "pooling": "mean", "transform": False, "item_bias": True},
        {"positions": "from_end", "heads": 4, "inner": 8, "blocks": 2, "pooling": "flatten", "transform": True, "item_bias": False},
    ])
    golden("gru4rec", gru4rec_shapes, gru4rec, [
        {"hidden": 5, "layers": 1, "output": True, "pooling": "last", "tie_items": True},
        {"hidden": 8, "layers": 2, "output": False, "pooling": "mean", "tie_items": True},
        {"hidden": 12, "layers": 3, "output": True, "pooling": "flatten", "tie_items": False},
    ])


if __name__ == "__main__":
    main()
