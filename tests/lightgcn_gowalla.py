#!/usr/bin/env python3
"""LightGCN's first five epochs on gowalla in PyTorch, on the random streams of LightGCN-PyTorch's own run.

    python3 tests/lightgcn_gowalla.py FOLDER [SEED]

FOLDER holds train.txt and test.txt. What LightGCN-PyTorch draws is drawn here from the same generators in the same order
(numpy for users, positives, negatives and the shuffle, torch for the two tables), and lists are ranked as there: by the
sigmoid in f32, with torch.topk. Needs torch, numpy, scipy; about six minutes on two cores. docs/results.md has the figures.
"""
import sys
import numpy as np, scipy.sparse as sp, torch
import torch.nn.functional as F

LAYERS, DIM, BATCH, RATE, DECAY, EPOCHS = 3, 64, 2048, 1e-3, 1e-4, 5


def read(path):
    rows = [list(map(int, line.split())) for line in open(path)]
    return {row[0]: row[1:] for row in rows if len(row) > 1}


class Product(torch.autograd.Function):
    """A x for a symmetric A: its backward is A g."""

    @staticmethod
    def forward(context, matrix, x):
        context.matrix = matrix
        return matrix @ x

    @staticmethod
    def backward(context, gradient):
        return None, context.matrix @ gradient


def main(folder, seed):
    np.random.seed(seed)
    torch.manual_seed(seed)
    train, test = read(f"{folder}/train.txt"), read(f"{folder}/test.txt")
    users = 1 + max(max(train), max(test))
    items = 1 + max(max(row) for part in (train, test) for row in part.values())
    pairs = [(user, item) for user, row in train.items() for item in row]
    taken = sp.csr_matrix((np.ones(len(pairs)), tuple(zip(*pairs))), shape=(users, items))
    positives = [taken.indices[taken.indptr[user]:taken.indptr[user + 1]] for user in range(users)]
    positives = [np.sort(row) for row in positives]
    sets = [set(row.tolist()) for row in positives]

    matrix = sp.bmat([[None, taken], [taken.T, None]]).tocsr()
    degrees = np.asarray(matrix.sum(1)).ravel()
    roots = np.where(degrees > 0, np.maximum(degrees, 1) ** -0.5, 0)
    matrix = (sp.diags(roots) @ matrix @ sp.diags(roots)).tocsr().astype(np.float32)
    matrix = torch.sparse_csr_tensor(matrix.indptr, matrix.indices, matrix.data, matrix.shape)

    tables = [torch.nn.Embedding(rows, DIM) for rows in (users, items)]
    for table in tables:
        torch.nn.init.normal_(table.weight, std=0.1)
    table = torch.nn.Parameter(torch.cat([table.weight.data for table in tables]))
    optimizer = torch.optim.Adam([table], lr=RATE)

    def encode():
        layers = [table]
        for _ in range(LAYERS):
            layers.append(Product.apply(matrix, layers[-1]))
        return torch.stack(layers).mean(0)

    for epoch in range(EPOCHS):
        triples = []
        for user in np.random.randint(0, users, len(pairs)):
            if len(positives[user]) == 0:
                continue
            positive = positives[user][np.random.randint(0, len(positives[user]))]
            while (negative := np.random.randint(0, items)) in sets[user]:
                pass
            triples.append((user, positive, negative))
        order = np.arange(len(triples))
        np.random.shuffle(order)
        triples = torch.from_numpy(np.array(triples)[order])
        total = 0.0
        for batch in triples.split(BATCH):
            user, positive, negative = batch[:, 0], batch[:, 1] + users, batch[:, 2] + users
            out = encode()
            loss = F.softplus((out[user] * out[negative]).sum(1) - (out[user] * out[positive]).sum(1)).mean()
            squares = sum(table[rows].square().sum() for rows in (user, positive, negative))
            loss = loss + DECAY * squares / 2 / len(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: mean loss {total / (len(triples) // BATCH + 1):.4f}", flush=True)

    with torch.no_grad():
        out = encode()
        discounts = 1 / np.log2(np.arange(2, 22))
        recall = ndcg = 0.0
        for user, held_out in test.items():
            scores = torch.sigmoid(out[users:] @ out[user])
            scores[positives[user].astype(np.int64)] = -1024
            hits = np.isin(torch.topk(scores, 20).indices.numpy(), held_out)
            recall += hits.sum() / len(held_out)
            ndcg += (hits * discounts).sum() / discounts[: min(20, len(held_out))].sum()
    print(f"recall@20 {recall / len(test):.5f}, ndcg@20 {ndcg / len(test):.5f}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2020)
