"""A folder that orchestrator saved, loaded by the real sentence-transformers, gives the embeddings that orchestrator gives.

    python bench/transformer/check.py MODEL_FOLDER ORCHESTRATOR [--texts FILE] [--most 1e-5]

Ours come from `ORCHESTRATOR model encode MODEL_FOLDER < texts`, which answers a text a line with a JSON array a line. Without
`--texts` (a text a line) it takes some that are hard on tokenizers, of all lengths. Also says which weights
sentence-transformers misses in the folder or does not read: it would not stop.
"""
import argparse
import json
import logging
import pathlib
import random
import subprocess
import sys

import numpy as np
from safetensors import safe_open
from sentence_transformers import SentenceTransformer

arguments = argparse.ArgumentParser()
for name in ("model", "orchestrator"):
    arguments.add_argument(name, type=pathlib.Path)
arguments.add_argument("--texts", type=pathlib.Path)
arguments.add_argument("--most", type=float, default=1e-5)
given = arguments.parse_args()

WORDS = "the protein of a cell in mice binds to receptor kinase p53 and (IL-6) does not: risk, 95% β-catenin Naïve ΔG° 中文 😀 é".split()
HARD = ["", "   ", "a", "\tTabs\tand  spaces ", "MiXeD CaSe, Ünïcödé and ΔG°", "e\u0301te\u0301 été", "☃ zyxwv 𝒳 \u200b\u00a0\ufeff",
        "[CLS] [SEP] [MASK] [PAD] <s> </s> <mask>", "1,000.5e-3 C57BL/6J; http://example.org/a?b=c", "word" * 60, "漢字かな交じり文", "שלום مرحبا"]
if given.texts:
    # Lines end at line feeds only, as orchestrator reads them.
    texts = given.texts.read_text(encoding="utf-8").removesuffix("\n").split("\n")
else:
    draw = random.Random(13)
    texts = HARD + [" ".join(draw.choices(WORDS, k=length)) for length in [*range(1, 60), 100, 200, 250, 300, 511, 600] for _ in range(3)]

# sentence-transformers warns of weights that are missing or unknown; it does not stop.
told = []
handler = logging.Handler(level=logging.WARNING)
handler.emit = lambda record: told.append(record.getMessage())
logging.getLogger("transformers").addHandler(handler)
model = SentenceTransformer(str(given.model), device="cpu")
with safe_open(given.model / "model.safetensors", "np") as file:
    # As Hugging Face has it, names may begin with the architecture's.
    saved = {name.removeprefix(f"{model[0].auto_model.base_model_prefix}.") for name in file.keys()}
wanted = {name for name, _ in model[0].auto_model.named_parameters()}
print(f"{len(saved & wanted)} tensors of {type(model[0].auto_model).__name__}; missing: {sorted(wanted - saved)}; not read: {sorted(saved - wanted)}")
for message in told:
    print(f"it says: {message}")
# Nobody asks for what the pooler makes.
same = True
for name in sorted(wanted - saved):
    if not name.startswith("pooler."):
        print(f"{name} is missing, so sentence-transformers draws it")
        same = False

answer = subprocess.run(
    [str(given.orchestrator.resolve()), "model", "encode", str(given.model)],
    input="".join(text + "\n" for text in texts), capture_output=True, text=True,
)
if answer.returncode:
    sys.exit(answer.stderr)
ours = np.array([json.loads(line) for line in answer.stdout.splitlines()], dtype=np.float32)
theirs = model.encode(texts, convert_to_numpy=True)
assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
differences = np.abs(ours - theirs).max(axis=1)
print(f"{len(texts)} texts, {ours.shape[1]} dimensions, largest difference {differences.max():.2e}")
for number in np.argsort(-differences)[:5]:
    if differences[number] >= given.most:
        print(f"  {differences[number]:.2e} for {texts[number][:80]!r}")
        same = False
sys.exit(0 if same else 1)
