#!/usr/bin/env python3
"""Two experiments over the same users and seeds: the mean difference of a metric with its standard error, and by slices.

    python3 tests/paired_difference.py --sequences Beauty.txt --metric ndcg@10 --a RUN RUN RUN --b RUN RUN RUN

RUN are run folders, those of --a and --b in the same order of seeds. A user's value is its mean over seeds; the difference is
taken user by user, so that what users have in common falls out. SEQUENCES is the data file (`user item item ...`, oldest
first, the last item the test target): slices by the number of a user's events and by how often the target is in training
(the 80 % least popular items, the next 15 %, the top 5 %; ties by id, as `item_popularity` has it). Needs nothing but Python.
"""
import argparse, collections, csv, math, pathlib, statistics


def column(run, metric):
    with open(pathlib.Path(run) / "per_user.tsv") as file:
        return {row["user"]: float(row[metric]) for row in csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t")}


def mean_over_runs(runs, metric):
    columns = [column(run, metric) for run in runs]
    if any(other.keys() != columns[0].keys() for other in columns):
        raise SystemExit("the runs were evaluated on different users")
    return {user: statistics.fmean(values[user] for values in columns) for user in columns[0]}


def slices(path):
    """Of each user, the names of its slices."""
    users = {line.split()[0]: line.split()[1:] for line in open(path)}
    counts = collections.Counter(item for items in users.values() for item in items[:-2])
    every = sorted({item for items in users.values() for item in items}, key=lambda item: (counts[item], -int(item)))
    share = {item: "80 % least popular" if at < len(every) * 80 // 100 else "next 15 %" if at < len(every) * 95 // 100 else "top 5 %" for at, item in enumerate(every)}
    length = lambda n: "to 5" if n <= 5 else "6 to 8" if n <= 8 else "9 to 20" if n <= 20 else "from 21"
    return {user: ("all", f"events: {length(len(items))}", f"target: {share[items[-1]]}") for user, items in users.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", required=True)
    parser.add_argument("--metric", default="ndcg@10")
    parser.add_argument("--a", nargs="+", required=True)
    parser.add_argument("--b", nargs="+", required=True)
    args = parser.parse_args()
    a, b = mean_over_runs(args.a, args.metric), mean_over_runs(args.b, args.metric)
    if a.keys() != b.keys():
        raise SystemExit("the two experiments were evaluated on different users")
    groups = collections.defaultdict(list)
    of = slices(args.sequences)
    for user in a:
        for name in of[user]:
            groups[name].append((a[user], b[user]))
    order = ["all"] + [f"events: {name}" for name in ("to 5", "6 to 8", "9 to 20", "from 21")]
    order += [f"target: {name}" for name in ("80 % least popular", "next 15 %", "top 5 %")]
    print(f"| {args.metric} | users | a | b | b − a | standard error |\n|---|---:|---:|---:|---:|---:|")
    for name in order:
        pairs = groups.get(name, [])
        if len(pairs) < 2:
            continue
        differences = [y - x for x, y in pairs]
        error = statistics.stdev(differences) / math.sqrt(len(pairs))
        means = statistics.fmean(x for x, _ in pairs), statistics.fmean(y for _, y in pairs)
        print(f"| {name} | {len(pairs):,} | {means[0]:.5f} | {means[1]:.5f} | {statistics.fmean(differences):+.5f} | {error:.5f} |")


if __name__ == "__main__":
    main()
