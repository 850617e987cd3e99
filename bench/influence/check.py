"""Does leaving out the samples that the report calls harmful help?

    python bench/influence/check.py target/release/orchestrator experiments/noisy.yaml --k 100 [--with experiments/data/scifact.yaml]

For each seed the experiment is run whole; then again without the k negatives of the lowest influence (summed over the versions of the
model), without the k first suspects, without the k negatives of the highest influence, and without k negatives drawn at random (five
draws). All runs are scored on test. Python's own library is enough.
"""
import argparse
import json
import random
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from statistics import mean, stdev

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("orchestrator")
parser.add_argument("experiment")
parser.add_argument("--with", dest="over", action="append", default=[])
parser.add_argument("--set", dest="changes", action="append", default=[])
parser.add_argument("--k", type=int, default=100)
parser.add_argument("--seeds", type=int, nargs="+", default=[13, 14, 15])
parser.add_argument("--draws", type=int, default=5)
arguments = parser.parse_args()
work = Path(tempfile.mkdtemp(prefix="influence-"))
over = [part for file in arguments.over for part in ("--with", file)]
over += [part for change in arguments.changes for part in ("--set", change)]
# What is found out beside the metrics is needed once.
QUICK = ["--set", "analysis.picture=off", "--set", "analysis.topics=off"]


def run(name, seed, *more):
    folder = work / f"{name}-{seed}"
    command = [arguments.orchestrator, "run", arguments.experiment, "--run-dir", folder, "--set", f"seed={seed}", "--quiet"]
    subprocess.run([*command, *over, *QUICK, *more], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return sqlite3.connect(folder / "store.db")


def score(store):
    sql = "SELECT avg(e.value) FROM evaluation e JOIN anchor a ON a.number = e.anchor WHERE e.model = 'trained' AND a.split = ? AND e.metric = 'ndcg@10'"
    return {split: store.execute(sql, [split]).fetchone()[0] for split in ("validation", "test")}


def without(name, seed, ids):
    listed = work / f"{name}-{seed}.txt"
    listed.write_text("".join(f"{one}\n" for one in ids))
    return score(run(name, seed, "--set", f"samples.leave_out={listed}", "--set", "analysis.influence=off"))


rows = []
for seed in arguments.seeds:
    store = run("whole", seed)
    order = [row[0] for row in store.execute(
        "SELECT i.sample FROM influence i JOIN sample s ON s.id = i.sample WHERE s.role = 'negative' GROUP BY i.sample ORDER BY sum(i.value), i.sample")]
    suspects = [row[0] for row in store.execute(
        "SELECT x.sample FROM suspect x JOIN sample s ON s.id = x.sample WHERE s.role = 'negative' ORDER BY x.place")]
    k = min(arguments.k, len(order) // 3)
    draws = [without(f"random-{draw}", seed, random.Random(seed * 100 + draw).sample(order, k)) for draw in range(arguments.draws)]
    row = {
        "seed": seed, "k": k, "negatives": len(order), "whole": score(store),
        "without_harmful": without("harmful", seed, order[:k]),
        "without_suspects": without("suspects", seed, suspects[:k]),
        "without_helpful": without("helpful", seed, order[-k:]),
        "without_random": {split: mean(draw[split] for draw in draws) for split in ("validation", "test")},
        "random_deviation": {split: stdev(draw[split] for draw in draws) for split in ("validation", "test")},
    }
    rows.append(row)
    print(json.dumps(row), flush=True)
for split in ("validation", "test"):
    print(split)
    for what in ("whole", "without_harmful", "without_suspects", "without_helpful", "without_random"):
        print(f"  {what:17} {mean(row[what][split] for row in rows):.4f}  " + " ".join(f"{row[what][split]:.4f}" for row in rows))
