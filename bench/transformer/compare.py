"""Transformer encoders against sentence-transformers: the same work on the same texts, in turn, a process each time.

    python bench/transformer/compare.py target/release MODEL_FOLDER SCIFACT_FOLDER [--pairs 5] [--rows encode_f32,train_f32,...]

bench/README.md says how to prepare. Ours is called as

    orchestrator-bench-transformer encode|train|combined --model FOLDER --scifact FOLDER --precision f32|bf16|int8 --threads 2
        [--texts N] [--out FILE] (encode)   [--steps N] (train, combined)

and theirs is `peer.py`, whose top says what the work is, which batches, which recipe, and what is inside the time. Each prints
one line of JSON:

| key | in | what |
|---|---|---|
| `work`, `precision`, `threads` | all | as asked |
| `seconds` | all | time on the clock |
| `processor_seconds` | all, optional | of all threads; other work on the machine disturbs it less |
| `texts`, `tokens` | encode | how many; tokens with the special ones, after cutting, without padding |
| `steps`, `pairs`, `losses` | train, combined | timed steps, their pairs together, each step's loss before its update |
| `peak_rss_mb` | all | the process's highest resident memory, MiB, everything included |

For each row: medians of both, the median of the pairs' ratios (theirs to ours: over 1 we are faster, or smaller) with the
lowest and highest pair, and whether it reaches what we ask of ourselves. Encoding also compares the embeddings. `ndcg` scores dev's
nDCG@10 from `orchestrator model encode FOLDER --precision P`, which answers a text a line with a JSON array a line.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import peer

# Row: work, our precision, theirs, least ratio of times, most part of their memory.
ROWS = {
    "encode_f32": ("encode", "f32", "f32", 1.2, None),
    "encode_bf16": ("encode", "bf16", "bf16", 1.25, None),
    "encode_int8": ("encode", "int8", "f32", 3, None),
    "train_f32": ("train", "f32", "f32", 1.4, 1 / 3),
    "train_bf16": ("train", "bf16", "bf16", 1.6, None),
    "combined_f32": ("combined", "f32", "f32", 4, 1 / 6),
}

arguments = argparse.ArgumentParser()
for name in ("executables", "model", "scifact"):
    arguments.add_argument(name, type=pathlib.Path)
arguments.add_argument("--pairs", type=int, default=5)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--texts", type=int, default=1000)
arguments.add_argument("--steps", type=int, default=3, help="timed steps, after one that is not")
arguments.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join([*ROWS, 'ndcg'])}; ndcg takes minutes and is not among the default")
given = arguments.parse_args()
rows = given.rows.split(",")
if unknown := set(rows) - set(ROWS) - {"ndcg"}:
    arguments.error(f"no such row: {', '.join(sorted(unknown))}")
OURS = [str(given.executables.resolve() / "orchestrator-bench-transformer")]
THEIRS = [sys.executable, str(pathlib.Path(__file__).parent / "peer.py")]
environment = os.environ | {"RAYON_NUM_THREADS": str(given.threads), "OMP_NUM_THREADS": str(given.threads), "HF_HUB_OFFLINE": "1"}


def ask(side, work, precision, out):
    command = [*side, work, "--model", given.model, "--scifact", given.scifact, "--precision", precision, "--threads", given.threads]
    command += ["--texts", given.texts, "--out", out] if work == "encode" else ["--steps", given.steps]
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (answer["work"], answer["precision"]) == (work, precision), answer
    return answer


def ratio(name, pairs, key):
    """Of pairs of answers, ours first."""
    ours, theirs = (statistics.median(side) for side in zip(*[(mine[key], other[key]) for mine, other in pairs]))
    ratios = [other[key] / mine[key] for mine, other in pairs]
    print(f"  {name}: ours {ours:.4g}, theirs {theirs:.4g}, ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return statistics.median(ratios)


def same(out):
    """How far the embeddings of a row are apart."""
    mine, other = (np.fromfile(path, dtype="<f4").reshape(given.texts, -1) for path in out)
    assert mine.shape == other.shape, (mine.shape, other.shape)
    cosine = (mine * other).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(other, axis=1)
    print(f"  embeddings: largest difference {np.abs(mine - other).max():.1e}, lowest cosine {cosine.min():.6f}")


def row(name):
    work, our_precision, their_precision, least, most = ROWS[name]
    pairs, missed = [], []
    print(f"{name}: {work}, ours {our_precision}, theirs {their_precision}, {given.threads} threads, {given.pairs} pairs", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = [pathlib.Path(folder) / f"{side}.f32" for side in ("ours", "theirs")]
        sides = [(OURS, our_precision), (THEIRS, their_precision)]
        for pair in range(given.pairs):
            answers = [None, None]
            # Who begins alternates.
            for side in ([0, 1] if pair % 2 == 0 else [1, 0]):
                answers[side] = ask(sides[side][0], work, sides[side][1], out[side])
            units = "texts" if work == "encode" else "pairs"
            for key in (units, "tokens"):
                assert len({answer[key] for answer in answers if key in answer}) == 1, f"not the same {key}: {answers}"
            pairs.append(answers)
            print("    {:.2f} s, theirs {:.2f} s".format(*(answer["seconds"] for answer in answers)), flush=True)
        if work == "encode":
            same(out)
    for mine, other in pairs[:1]:
        print(f"  {mine[units]} {units}; a second: ours {mine[units] / mine['seconds']:.1f}, theirs {other[units] / other['seconds']:.1f}")
        if work != "encode":
            print(f"  losses (each with its own dropout): ours {mine['losses']}, theirs {other['losses']}")
    faster = ratio("seconds", pairs, "seconds")
    if all("processor_seconds" in mine for mine, _ in pairs):
        ratio("processor seconds", pairs, "processor_seconds")
    memory = 1 / ratio("peak memory, MiB", pairs, "peak_rss_mb")
    verdicts = [(f"{least}x as fast", faster >= least)] + ([(f"1/{1 / most:.0f} of the memory", memory <= most)] if most else [])
    for what, reached in verdicts:
        print(f"  must reach {what}: {'reached' if reached else 'NOT REACHED'}", flush=True)
        missed += [] if reached else [f"{name}: {what}"]
    return missed


def lines(texts, precision):
    command = [given.executables.resolve() / "orchestrator", "model", "encode", given.model, "--precision", precision]
    text = "".join(text.replace("\n", " ") + "\n" for text in texts)
    done = subprocess.run([str(part) for part in command], input=text, capture_output=True, text=True, check=True, env=environment)
    return np.array([json.loads(line) for line in done.stdout.splitlines()], dtype=np.float32)


def ndcg():
    texts, (asked, relevant) = peer.documents(given.scifact), peer.dev(given.scifact)
    print("nDCG@10 on SciFact's dev claims", flush=True)
    theirs = ask_plainly("ndcg")["ndcg@10"]
    print(f"  theirs, f32: {theirs:.4f}", flush=True)
    missed = []
    for precision, most in (("f32", 0.00005), ("bf16", math.inf), ("int8", 0.005)):
        of_documents, of_claims = lines(texts.values(), precision), lines(asked.values(), precision)
        value = peer.ndcg_at_10(of_claims, of_documents, list(asked), list(texts), relevant)
        print(f"  ours, {precision}: {value:.4f}, {value - theirs:+.4f}", flush=True)
        missed += [f"nDCG@10 of {precision}"] if theirs - value > most else []
    return missed


def ask_plainly(work):
    command = [*THEIRS, work, "--model", str(given.model), "--scifact", str(given.scifact), "--threads", str(given.threads)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()[-1])


missed = [one for name in rows for one in (ndcg() if name == "ndcg" else row(name))]
print("everything reached" if not missed else "not reached: " + "; ".join(missed))
sys.exit(1 if missed else 0)
