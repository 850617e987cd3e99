"""The real model's numbers by orchestrator and by sentence-transformers: equal, not alike.

    python bench/transformer/exact.py target/release MODEL_FOLDER SCIFACT_FOLDER [--texts 1000] [--steps 29] [--skip ndcg,…]

| check | what | may differ by |
|---|---|---|
| `embeddings` | of the first `--texts` abstracts, f32 | 1e-5 |
| `gradients` | of every parameter, one MNRL batch; those of key biases, which are zero but for rounding, aside | 1e-4 of their length |
| `curve` | the losses of `--steps` MNRL steps with AdamW, clipping and falling rate, without dropout, in one order | 1e-3 |
| `ndcg` | nDCG@10 on SciFact's dev claims from our embeddings, f32; published for all-MiniLM-L6-v2: 0.6451 | 4 digits |

What both sides do is at the top of `peer.py`. Ends with 1 if one differs by more.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import peer
from safetensors.numpy import load_file

PUBLISHED = 0.6451

arguments = argparse.ArgumentParser()
for name in ("executables", "model", "scifact"):
    arguments.add_argument(name, type=pathlib.Path)
arguments.add_argument("--texts", type=int, default=1000)
arguments.add_argument("--steps", type=int, default=29)
arguments.add_argument("--skip", default="")
given = arguments.parse_args()
OURS = given.executables.resolve() / "orchestrator-bench-transformer"
THEIRS = pathlib.Path(__file__).parent / "peer.py"
environment = os.environ | {"HF_HUB_OFFLINE": "1"}
wrong = []


def ask(side, work, *more):
    begin = [sys.executable, str(side)] if side == THEIRS else [str(side)]
    command = [*begin, work, "--model", str(given.model), "--scifact", str(given.scifact), *map(str, more)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def tell(what, found, most):
    good = found <= most
    print(f"{what}: {found:.2e}, at most {most:.0e}: {'equal' if good else 'NOT EQUAL'}", flush=True)
    if not good:
        wrong.append(what)


def embeddings(folder):
    mine, theirs = folder / "ours.f32", folder / "theirs.f32"
    ask(OURS, "encode", "--texts", given.texts, "--out", mine)
    ask(THEIRS, "encode", "--texts", given.texts, "--out", theirs)
    mine, theirs = np.fromfile(mine, "<f4"), np.fromfile(theirs, "<f4")
    assert mine.shape == theirs.shape, (mine.shape, theirs.shape)
    tell("embeddings, largest difference", np.abs(mine - theirs).max(), 1e-5)


def gradients(folder):
    mine, theirs = folder / "ours.safetensors", folder / "theirs.safetensors"
    ask(OURS, "gradients", "--out", mine)
    ask(THEIRS, "gradients", "--out", theirs)
    mine, theirs = load_file(mine), load_file(theirs)
    assert mine.keys() == theirs.keys(), mine.keys() ^ theirs.keys()
    length = {name: np.linalg.norm(values.astype("f8")) for name, values in theirs.items()}
    apart = {name: np.linalg.norm(mine[name].astype("f8") - theirs[name]) / length[name] for name in theirs if "key.bias" not in name}
    tell(f"gradients of {len(apart)} parameters, largest relative difference", max(apart.values()), 1e-4)
    assert all(np.isfinite(values).all() and values.any() for values in mine.values()), "a parameter does not move"


def curve(folder):
    out = folder / "curve.json"
    mine = ask(OURS, "curve", "--steps", given.steps)["losses"]
    ask(THEIRS, "curve", "--steps", given.steps, "--out", out)
    theirs = [step["loss"] for step in json.loads(out.read_text())]
    tell(f"losses of {len(theirs)} steps, largest difference", max(abs(a - b) for a, b in zip(mine, theirs, strict=True)), 1e-3)


def ndcg(folder):
    texts, (asked, relevant) = peer.documents(given.scifact), peer.dev(given.scifact)

    def encode(texts):
        command = [str(given.executables.resolve() / "orchestrator"), "model", "encode", str(given.model)]
        lines = "".join(text.replace("\n", " ") + "\n" for text in texts)
        done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, env=environment)
        return np.array([json.loads(line) for line in done.stdout.splitlines()], dtype=np.float32)

    found = peer.ndcg_at_10(encode(asked.values()), encode(texts.values()), list(asked), list(texts), relevant)
    print(f"nDCG@10 {found:.5f}, published {PUBLISHED}")
    tell("nDCG@10, difference", abs(round(found, 4) - PUBLISHED), 0)


with tempfile.TemporaryDirectory() as place:
    for check in (embeddings, gradients, curve, ndcg):
        if check.__name__ not in given.skip.split(","):
            check(pathlib.Path(place))
sys.exit(1 if wrong else 0)
