"""The model of a run, loaded by the real sentence-transformers, gives the embeddings that orchestrator gives, to 1e-5.

    pip install sentence-transformers
    python bench/static_embedding/check.py path/to/orchestrator RUN_FOLDER
"""
import json
import sqlite3
import subprocess
import sys

import numpy as np
from sentence_transformers import SentenceTransformer

orchestrator, run = sys.argv[1:]
store = sqlite3.connect(f"{run}/store.db")
texts = [text for (text,) in store.execute("SELECT content FROM text ORDER BY id LIMIT 400")]
texts += ["", "   ", "☃ unseen words: zyxwv", "MiXeD CaSe, Ünïcödé and ΔG°"]
texts = [text.replace("\n", " ") for text in texts]

answer = subprocess.run(
    [orchestrator, "model", "encode", f"{run}/model"], input="\n".join(texts) + "\n", capture_output=True, text=True, check=True
)
ours = np.array([json.loads(line) for line in answer.stdout.splitlines()], dtype=np.float32)
theirs = SentenceTransformer(f"{run}/model", device="cpu").encode(texts, convert_to_numpy=True)
assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
difference = float(np.abs(ours - theirs).max())
print(f"{len(texts)} texts, {ours.shape[1]} dimensions, largest difference {difference:.2e}")
sys.exit(0 if difference < 1e-5 else 1)
