"""Mining against sentence-transformers' `mine_hard_negatives`, and search against faiss's `IndexFlatIP`: the same
embeddings, as many threads each, in turn. Says the ratios (theirs to ours: over 1 we are faster) of the time on the clock
and of processor time, which other work on the machine disturbs less (with `--threads 1`, where nobody spins), the memory,
and whether the answers are the same. bench/README.md says how to run it.

    python bench/mining/compare.py mine PROGRAM FOLDER [--pairs 7] [--threads 2]
    python bench/mining/compare.py search PROGRAM FOLDER [--pairs 7] [--threads 2] [--k 100]
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("what", choices=["mine", "search", "faiss"])
arguments.add_argument("program", type=pathlib.Path)
arguments.add_argument("folder", type=pathlib.Path)
arguments.add_argument("--pairs", type=int, default=7)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--k", type=int, default=100)
given = arguments.parse_args()
# Set before numpy, torch and faiss are loaded; OPENBLAS_* would choose an old kernel for the peers.
threads = str(given.threads)
os.environ.update(OMP_NUM_THREADS=threads, RAYON_NUM_THREADS=threads, TQDM_DISABLE="1", HF_HUB_OFFLINE="1")
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

import numpy as np  # noqa: E402

MIB = 1 << 20
# Closer than this, two products of one pair in another order of summation may change places.
NEAR = 2e-6


class Worker:
    """A program that answers each line of JSON with one."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **what):
        print(json.dumps(what), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, f"{self.process.args} stopped"
        return json.loads(line)


def floats(path, dim):
    return np.fromfile(path, dtype="<f4").reshape(-1, dim)


def peak_bytes():
    with open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


class Clock:
    """Time on the clock and processor time of this process since it was made."""

    def __init__(self):
        self.began = time.perf_counter(), time.process_time()

    def times(self):
        return {"seconds": time.perf_counter() - self.began[0], "processor_seconds": time.process_time() - self.began[1]}


def medians(name, pairs):
    """Of pairs of answers, ours first: medians of the times and of the pairs' ratios."""
    parts = []
    for what in ("seconds", "processor_seconds"):
        times = [(mine[what], other[what]) for mine, other in pairs]
        ratios = [other / mine for mine, other in times]
        ours, theirs = (statistics.median(side) for side in zip(*times))
        parts.append(f"{what.replace('_', ' ')}: ours {ours:.3g}, theirs {theirs:.3g}, "
                     f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"{name}, {given.threads} threads, {len(pairs)} pairs: " + "; ".join(parts), flush=True)


# ---- search ----------------------------------------------------------------------------------------------------------


def serve_faiss(folder):
    """Runs as a process of its own, so that its memory is its own."""
    import faiss

    faiss.omp_set_num_threads(given.threads)
    dim = json.loads((folder / "dim.json").read_text())
    queries = floats(folder / "queries.f32", dim)
    documents = np.memmap(folder / "documents.f32", dtype="<f4", mode="r").reshape(-1, dim)
    index = faiss.IndexFlatIP(dim)
    for first in range(0, len(documents), 1 << 14):
        index.add(np.array(documents[first:first + (1 << 14)]))
    del documents
    before = peak_bytes()
    for line in sys.stdin:
        asked = json.loads(line)
        clock = Clock()
        scores, found = index.search(queries, asked["k"])
        times = clock.times()
        peak = peak_bytes()
        if asked.get("out"):
            np.rec.fromarrays([found.astype("<i4"), scores], names="document,score").tofile(asked["out"])
        print(json.dumps(times | {"bytes_before": before, "bytes_peak": peak, "version": faiss.__version__}), flush=True)


def search(given):
    ours = Worker(given.program, "search", given.folder)
    theirs = Worker(sys.executable, __file__, "faiss", given.program, given.folder, "--threads", given.threads)
    out = [given.folder / "ours.found", given.folder / "theirs.found"]
    pairs = []
    for pair in range(given.pairs):
        # Who begins alternates.
        order = [0, 1] if pair % 2 == 0 else [1, 0]
        answers = [None, None]
        for side in order:
            answers[side] = [ours, theirs][side].ask(k=given.k, out=str(out[side]))
        pairs.append(answers)
        print("  ours {:.2f} s, faiss {:.2f} s".format(*(answer["seconds"] for answer in answers)), flush=True)
    for name, answer in zip(("ours", f"faiss {answers[1]['version']}"), answers):
        before, peak = answer["bytes_before"] / MIB, answer["bytes_peak"] / MIB
        print(f"{name}: {peak:.0f} MiB at most, of which {peak - before:.0f} MiB came with the search and its answer")
    medians(f"search, k = {given.k}", pairs)
    kind = np.dtype([("document", "<i4"), ("score", "<f4")])
    found = [np.fromfile(path, dtype=kind).reshape(-1, given.k) for path in out]
    other, worst = 0, 0.0
    for mine, other_row in zip(*found):
        differ = set(mine["document"].tolist()) ^ set(other_row["document"].tolist())
        if differ:
            other += 1
            # Each must stand at the cut, on both sides.
            for row in (mine, other_row):
                for document, score in row:
                    if int(document) in differ:
                        worst = max(worst, float(score) - float(min(mine["score"].min(), other_row["score"].min())))
    print(f"{len(found[0])} queries: the same documents for {len(found[0]) - other}; "
          f"in the others they differ at the cut, by {worst:.1e} at most")
    assert worst < NEAR
    print(f"largest difference of scores {np.abs(found[0]['score'] - found[1]['score']).max():.1e}")


# ---- mining ----------------------------------------------------------------------------------------------------------


class GivenEmbeddings:
    """What `mine_hard_negatives` asks of a model, with the embeddings known. Unit length, so the product is the cosine."""

    def __init__(self, claims, documents):
        import torch
        from sentence_transformers import util

        self.device, self.claims, self.documents = torch.device("cpu"), claims, documents
        self.similarity, self.similarity_pairwise = util.dot_score, util.pairwise_dot_score

    def encode_document(self, texts, **_):
        assert len(texts) == len(self.documents)
        return self.documents

    def encode_query(self, texts, **_):
        assert len(texts) == len(self.claims)
        return self.claims

    def get_embedding_dimension(self):
        return self.documents.shape[1]


# The settings have one name on both sides, but for these. `against: worst` is what theirs does with several positives.
CASES = [
    dict(range_max=50, num_negatives=5),
    dict(range_max=50, num_negatives=5, relative_margin=0.05),
    dict(range_max=50, num_negatives=5, absolute_margin=0.1),
    dict(range_max=100, num_negatives=10, min_score=0.3, max_score=0.7),
    dict(range_min=10, range_max=50, num_negatives=5, max_score=0.8, relative_margin=0.05),
    dict(range_min=10, range_max=50, num_negatives=5, max_score=0.8, relative_margin=0.05, sampling_strategy="random"),
]


def our_settings(case):
    settings = {"top_k": case["range_max"], "per_anchor": case["num_negatives"]}
    settings |= {name: case[name] for name in ("range_min", "max_score", "min_score") if name in case}
    margin = {name: case[f"{name}_margin"] for name in ("relative", "absolute") if f"{name}_margin" in case}
    if margin:
        settings["margin"] = margin | {"against": "worst"}
    # The host checks settings and completes them by their defaults before a plugin sees them; here we do.
    return {"range_min": 0, "sampling": case.get("sampling_strategy", "top"), **settings}


def their_negatives(mined, number_of):
    found = {}
    for claim, negative in zip(mined["anchor"], mined["negative"]):
        found.setdefault(claim, set()).add(number_of[negative])
    return found


def mine(given):
    import datasets
    import faiss
    import torch
    from sentence_transformers import __version__
    from sentence_transformers.util import mine_hard_negatives

    torch.set_num_threads(given.threads)
    faiss.omp_set_num_threads(given.threads)
    dim = json.loads((given.folder / "dim.json").read_text())
    texts = json.loads((given.folder / "texts.json").read_text())
    documents, claims = texts["documents"], texts["claims"]
    number_of = {text: number for number, text in enumerate(documents)}
    of_claims, of_documents = floats(given.folder / "claims.f32", dim), floats(given.folder / "documents.f32", dim)
    exact = of_claims.astype(np.float64) @ of_documents.astype(np.float64).T
    positives = {number: set() for number in range(len(claims))}
    for claim, document in json.loads((given.folder / "positives.json").read_text()):
        positives[claim].add(document)
    rows = [(claims[claim], documents[document]) for claim in positives for document in sorted(positives[claim])]
    dataset = datasets.Dataset.from_dict({"anchor": [row[0] for row in rows], "positive": [row[1] for row in rows]})
    # Theirs asks for each distinct claim once.
    first = list({text: number for number, text in reversed(list(enumerate(claims)))}.values())[::-1]
    model = GivenEmbeddings(of_claims[first], of_documents)
    ours = Worker(given.program, "mine", given.folder)

    def theirs(case, use_faiss):
        random.seed(13)
        clock = Clock()
        mined = mine_hard_negatives(dataset, model, corpus=documents, use_faiss=use_faiss, verbose=False, **case)
        return clock.times(), mined

    for case in CASES:
        settings = our_settings(case)
        print(f"sentence-transformers {__version__}: {case}\norchestrator: {json.dumps(settings)}", flush=True)
        for use_faiss in (False, True):
            pairs = []
            for pair in range(given.pairs + 1):
                if pair % 2 == 0:
                    answer, (times, mined) = ours.ask(**settings), theirs(case, use_faiss)
                else:
                    (times, mined), answer = theirs(case, use_faiss), ours.ask(**settings)
                # The first warms both up.
                pairs += [(answer, times)] if pair else []
            medians(f"  {'faiss' if use_faiss else 'torch'}", pairs)
            found = {number: {} for number in range(len(claims))}
            for claim, document, score in answer["negatives"]:
                found[claim][document] = score
            if case.get("sampling_strategy") == "random":
                # Drawn otherwise, from the same: all that theirs would take with `top` and no limit.
                window = case | {"sampling_strategy": "top", "num_negatives": case["range_max"] - case["range_min"]}
                window = their_negatives(theirs(window, use_faiss)[1], number_of)
                inside = sum(set(found[claim]) <= window.get(text, set()) for claim, text in enumerate(claims))
                print(f"  {inside} of {len(claims)} claims: ours are drawn from what theirs draws from")
                assert inside == len(claims)
                continue
            report(case, claims, found, their_negatives(mined, number_of), exact, positives)


def report(case, claims, ours, theirs, exact, positives):
    """Says for how many claims the negatives are the same, and why not for the others."""
    same, deeper, near, other = 0, 0, 0, []
    for claim, text in enumerate(claims):
        mine, other_side = set(ours[claim]), theirs.get(text, set())
        if mine == other_side:
            same += 1
            continue
        order = [document for document in np.argsort(-exact[claim], kind="stable") if document not in positives[claim]]
        last = exact[claim][order[case["range_max"] - 1]]
        differ = exact[claim][sorted(mine ^ other_side)]
        if mine < other_side and (differ < last).all():
            deeper += 1
        elif np.ptp(differ) < NEAR:
            near += 1
        else:
            other.append(text)
    print(f"  the same negatives for {same} of {len(claims)} claims; {deeper}: theirs looks beyond range_max; {near}: tied at the cut")
    assert not other, other


if given.what == "faiss":
    serve_faiss(given.folder)
elif given.what == "search":
    search(given)
else:
    mine(given)
