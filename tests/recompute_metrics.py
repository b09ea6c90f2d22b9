"""Recomputes a run's test metrics from its topk.tsv: recompute_metrics.py RUN_FOLDER TEST_FILE (LightGCN format)."""

import json
import math
import sys
from pathlib import Path

K = 20
run = Path(sys.argv[1])
truth = {user: set(items) for user, *items in map(str.split, open(sys.argv[2])) if items}
hits = {user: [] for user in truth}  # the ranks, from 1, at which the user's ranking holds an item of the truth
for line in open(run / "topk.tsv"):
    user, item, rank, _ = line.rstrip("\n").split("\t")
    if rank.isdigit() and int(rank) <= K and item in truth.get(user, ()):  # a header's rank is no number
        hits[user].append(int(rank))

discount = [0.0] + [1 / math.log2(rank + 1) for rank in range(1, K + 1)]
sums = dict.fromkeys(("recall", "ndcg", "hit_rate", "precision", "mrr", "map"), 0.0)
for user, ranks in hits.items():
    ranks, best = sorted(ranks), min(K, len(truth[user]))
    sums["recall"] += len(ranks) / len(truth[user])
    sums["ndcg"] += sum(discount[rank] for rank in ranks) / sum(discount[: best + 1])
    sums["hit_rate"] += bool(ranks)
    sums["precision"] += len(ranks) / K
    sums["mrr"] += 1 / ranks[0] if ranks else 0
    sums["map"] += sum(n / rank for n, rank in enumerate(ranks, start=1)) / best
ours, theirs = {f"{m}@{K}": s / len(truth) for m, s in sums.items()}, json.load(open(run / "result.json"))["test"]
wrong = [name for name in ours if not abs(ours[name] - theirs.get(name, math.nan)) <= 1e-6]
sys.exit("\n".join(f"{m}: recomputed {ours[m]}, result.json {theirs.get(m)}" for m in wrong) or None)
