"""Golden numbers for losses with any keys, and for queues of keys with and without a momentum encoder.

    python tests/golden/queues.py          writes contrasts.json and queues.json beside this script

As generate.py: PyTorch in float64 from the papers' formulas, gradients by autograd and held against finite differences,
nothing shared with the Rust code. A queue is a Python list here.
"""

import itertools
import math

import torch
import torch.nn.functional as F

from generate import gaussian, matrix, number, numbers, reduce, with_gradients, write

# --------------------------------------------------------------------------------------------------
# Losses: rows of anchors, positives, keys
# --------------------------------------------------------------------------------------------------


def negatives_of(i, anchor_ids, key_ids, place, mask):
    """The keys without the positive and, with the mask, without all that carry the anchor's own id."""
    return [j for j, key in enumerate(key_ids) if j != place and not (mask and key == anchor_ids[i])]


def info_nce(pos, neg, **_):
    """van den Oord et al. 2018 (arXiv 1807.03748) eq. 4: the positive once, and all negatives."""
    return torch.logsumexp(torch.cat([pos.view(1), neg]), 0) - pos


def decoupled(pos, neg, **_):
    """Yeh et al. 2022 (arXiv 2110.06848) eq. 6: the positive leaves the denominator."""
    return torch.logsumexp(neg, 0) - pos if len(neg) else pos * 0


def debiased(pos, neg, temperature, positive_share, **_):
    """Chuang et al. 2020 (arXiv 2007.00224) eq. 8, M = 1, written as in their code."""
    n = len(neg)
    of_negatives = (-positive_share * n * pos.exp() + neg.exp().sum()) / (1 - positive_share)
    of_negatives = of_negatives.clamp(min=n * math.exp(-1 / temperature))
    return -torch.log(pos.exp() / (pos.exp() + of_negatives))


def hard_negative(pos, neg, temperature, positive_share, concentration):
    """Robinson et al. 2021 (arXiv 2010.04592), appendix: importance weights e^(beta s), normalised to mean 1."""
    n = len(neg)
    if n == 0:
        return pos * 0
    importance = (concentration * neg).exp()
    reweighted = (importance * neg.exp()).sum() / importance.mean()
    of_negatives = (-positive_share * n * pos.exp() + reweighted) / (1 - positive_share)
    of_negatives = of_negatives.clamp(min=n * math.exp(-1 / temperature))
    return -torch.log(pos.exp() / (pos.exp() + of_negatives))


LOSSES = {f.__name__: f for f in (info_nce, decoupled, debiased, hard_negative)}


def rows_of(loss, anchors, positives, keys, anchor_ids, key_ids, where, mask, similarity, temperature, **more):
    """A loss a row. `where[i]` is the place of the positive among the keys, or None where it is not there."""
    if similarity == "cosine":
        anchors, positives, keys = (F.normalize(x, dim=1) for x in (anchors, positives, keys))
    rows = []
    for i, anchor in enumerate(anchors):
        pos = anchor @ positives[i] / temperature
        logits = keys @ anchor / temperature
        neg = logits[negatives_of(i, anchor_ids, key_ids, where[i], mask)]
        rows.append(LOSSES[loss](pos, neg, temperature=temperature, **more))
    return torch.stack(rows)


def contrasts():
    def given(seed, anchor_ids, key_ids=None, where=None):
        """In-batch without key_ids: the keys are the positives."""
        n, m = len(anchor_ids), len(key_ids or [])
        return {
            "anchors": gaussian(seed, n, 5),
            "positives": gaussian(seed + 1, n, 5),
            "keys": gaussian(seed + 2, m, 5) if key_ids else None,
            "anchor_ids": anchor_ids,
            "key_ids": key_ids or anchor_ids,
            "where": where or [None] * n,
        }

    inputs = {
        "batch": given(1, [3, 7, 2, 9, 4, 1]),
        "duplicates": given(11, [3, 7, 3, 7, 9]),
        "queue": given(21, [1, 2, 3, 4], [8, 9, 5, 6, 7, 0, 12]),
        # Old keys of anchors 1 (twice) and 3.
        "queue_with_own": given(31, [1, 2, 3, 4], [1, 9, 5, 3, 7, 1, 12]),
        # Nobody but anchor 2 itself for anchor 2.
        "one_key": given(41, [2, 5], [2]),
        # The positives of all anchors are keys (row 5, 0, 2), as in a table of all nodes.
        "table": given(51, [5, 0, 2], [0, 1, 2, 3, 4, 5], [5, 0, 2]),
    }

    def case(name, loss, similarity, temperature, reduction, mask=True, **more):
        x = inputs[name]
        own, where = x["keys"] is None, x["where"]
        in_table = any(place is not None for place in where)

        def loss_of(anchors, positives, *keys):
            keys = positives if own else keys[0]
            if in_table:  # the positives are rows of the table
                positives = keys[where]
            places = list(range(len(x["anchor_ids"]))) if own else where
            return rows_of(loss, anchors, positives, keys, x["anchor_ids"], x["key_ids"], places, mask, similarity, temperature, **more)

        tensors = [x["anchors"], x["positives"]] + ([] if own else [x["keys"]])
        if in_table:
            tensors[1] = x["keys"][where]
            value, gradients = with_gradients(lambda a, k: reduce(loss_of(a, None, k), reduction), x["anchors"], x["keys"])
            gradients = [gradients[0], None, gradients[1]]
        else:
            value, gradients = with_gradients(lambda *t: reduce(loss_of(*t), reduction), *tensors)
        return {
            "input": name,
            "loss_name": loss,
            "similarity": similarity,
            "temperature": temperature,
            "reduction": reduction,
            "mask_own_id": mask,
            "positive_share": more.get("positive_share", 0.0),
            "concentration": more.get("concentration", 0.0),
            "loss": number(value),
            "row_losses": numbers(loss_of(*tensors).tolist()),
            "grad_anchors": gradients[0],
            "grad_positives": gradients[1],
            "grad_keys": gradients[2] if len(gradients) > 2 else None,
        }

    cases = []
    for loss, more in (("decoupled", {}), ("debiased", {"positive_share": 0.1}), ("hard_negative", {"positive_share": 0.1, "concentration": 1.0})):
        for name in ("queue_with_own", "table"):
            cases.append(case(name, loss, "cosine", 0.4, "mean", False, **more))
    for name in inputs:
        for similarity, temperature, reduction in (("cosine", 0.2, "mean"), ("dot", 0.7, "sum")):
            if name not in ("batch", "duplicates"):
                for mask in (True, False) if name == "queue_with_own" else (True,):
                    cases.append(case(name, "info_nce", similarity, temperature, reduction, mask))
            cases.append(case(name, "decoupled", similarity, temperature, reduction))
        for temperature, share in ((0.5, 0.1), (0.1, 0.3), (0.5, 0.0)):
            cases.append(case(name, "debiased", "cosine", temperature, "mean", positive_share=share))
        for temperature, share, concentration in ((0.5, 0.1, 1.0), (0.2, 0.0, 0.5), (0.5, 0.3, 0.0)):
            cases.append(case(name, "hard_negative", "cosine", temperature, "mean", positive_share=share, concentration=concentration))
    stored = {
        name: {key: matrix(value) if torch.is_tensor(value) else value for key, value in x.items()} for name, x in inputs.items()
    }
    write("contrasts", inputs=stored, cases=cases)


# --------------------------------------------------------------------------------------------------
# Queues: a linear encoder trained by plain descent
# --------------------------------------------------------------------------------------------------

SIZES = [4, 4, 3, 6, 1, 5, 9, 2]


def train(kind, size, momentum, enqueue, mask, with_batch, max_age, loss):
    """MoCo (He et al. 2020, algorithm 1) and XBM (Wang et al. 2020): the loss and the encoder after each step.

    kind "queue": k = f_k(x_b) with theta_k <- m theta_k + (1 - m) theta_q before the keys are encoded, no gradient to k.
    kind "cross_batch_memory": k = f_q(x_b), the positive keeps its gradient, remembered keys have none.
    """
    weight = gaussian(70, 4, 3, scale=0.7)
    copy = weight.clone()
    remembered = []  # (key, id, step), oldest first
    steps = []
    for step, n in enumerate(SIZES):
        x_a, x_b = gaussian(80 + step, n, 4), gaussian(180 + step, n, 4)
        ids = [(3 * step + row) % 11 for row in range(n)]
        leaf = weight.clone().requires_grad_()
        anchors = x_a @ leaf
        if kind == "queue":
            copy = momentum * copy + (1 - momentum) * weight
            positives = x_b @ copy
        else:
            positives = x_b @ leaf
        fresh = [(key, id, step) for key, id in zip(positives.detach(), ids)]
        if enqueue == "before":
            remembered = (remembered + fresh)[-size:]
        if max_age is not None:
            remembered = [entry for entry in remembered if step - entry[2] <= max_age]
        seen = [(key, id) for key, id, _ in remembered]
        where = [None] * n
        if with_batch:
            where = list(range(n))
            seen = list(zip(positives, ids)) + seen
        elif enqueue == "before":
            held = len([1 for entry in remembered if entry[2] == step])
            where = [len(seen) - n + row if n - row <= held else None for row in range(n)]
        keys = torch.stack([key for key, _ in seen]) if seen else torch.zeros(0, 3)
        rows = rows_of(loss, anchors, positives, keys, ids, [id for _, id in seen], where, mask, "cosine", 0.3,
                       positive_share=0.1, concentration=0.5)
        value = rows.mean()
        (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True)
        weight = weight - 0.5 * gradient
        if enqueue == "after":
            remembered = (remembered + fresh)[-size:]
        steps.append({"ids": ids, "keys_seen": len(seen), "loss": number(value.item()), "gradient": matrix(gradient)})
    return steps, weight, copy


def queues():
    settings = [
        # kind, size, momentum, enqueue, mask, with_batch, max_age, loss
        ("queue", 7, 0.9, "after", True, False, None, "info_nce"),
        ("queue", 7, 0.9, "after", False, False, None, "info_nce"),
        ("queue", 100, 0.99, "before", True, False, None, "info_nce"),
        ("queue", 10, 0.5, "before", False, False, None, "info_nce"),
        ("queue", 10, 0.9, "after", True, True, None, "info_nce"),
        ("queue", 100, 0.9, "after", True, False, 2, "info_nce"),
        ("queue", 5, 0.9, "before", True, False, None, "info_nce"),
        ("queue", 8, 0.9, "after", True, False, None, "decoupled"),
        ("queue", 8, 0.9, "after", True, True, None, "debiased"),
        ("queue", 8, 0.9, "before", True, False, None, "hard_negative"),
        ("queue", 12, 0.9, "before", False, False, None, "decoupled"),
        ("queue", 5, 0.9, "before", False, False, None, "info_nce"),
        ("queue", 100, 0.9, "after", False, False, 3, "debiased"),
        ("cross_batch_memory", 9, 0.0, "before", True, False, None, "info_nce"),
        ("cross_batch_memory", 9, 0.0, "after", True, True, None, "info_nce"),
        ("cross_batch_memory", 30, 0.0, "before", True, False, 1, "decoupled"),
        ("cross_batch_memory", 20, 0.0, "before", False, False, None, "info_nce"),
        ("cross_batch_memory", 5, 0.0, "before", False, False, None, "info_nce"),
        ("cross_batch_memory", 12, 0.0, "before", False, False, None, "hard_negative"),
    ]
    names = ("kind", "size", "momentum", "enqueue", "mask_own_id", "with_batch", "max_age", "loss_name")
    cases = []
    for setting in settings:
        steps, weight, copy = train(*setting)
        cases.append(dict(zip(names, setting)) | {"steps": steps, "weight": matrix(weight), "copy": matrix(copy)})
    inputs = [{"a": matrix(gaussian(80 + step, n, 4)), "b": matrix(gaussian(180 + step, n, 4))} for step, n in enumerate(SIZES)]
    write("queues", weight=matrix(gaussian(70, 4, 3, scale=0.7)), inputs=inputs, cases=cases)


if __name__ == "__main__":
    contrasts()
    queues()
