"""The work of bench/transformer's table as sentence-transformers does it: one piece of work a process, one line of JSON.

    python bench/transformer/peer.py WORK --model FOLDER --scifact FOLDER [--precision f32|bf16] [--threads 2]

| work | what it does |
|---|---|
| `encode` | `--texts` abstracts (1,000) in batches of 32; `--out FILE` writes the embeddings (raw little-endian float32) |
| `train` | `--steps` steps (5) of MultipleNegativesRankingLoss over gold pairs, batches of 32, dropout as configured |
| `combined` | the same with 0.6 MNRL + 0.3 ContrastiveLoss + 0.1 CosineSimilarityLoss, each of which encodes again |
| `curve` | `--steps` steps (an epoch) of `train` without dropout; `--out FILE.json` gets each step's ids, rate, loss and gradient norm |
| `gradients` | every parameter's gradient for the first batch, without dropout; `--out FILE.safetensors` |
| `embeddings` | `--texts` abstracts' embeddings; `--out FILE.npy` and, beside it, the texts as `FILE.jsonl` |
| `ndcg` | nDCG@10 on SciFact's dev claims, which is BEIR's test |

What all sides agree on:

- An abstract's text is its title, a space, and its sentences joined by spaces. Abstracts come in the order of `corpus.jsonl`.
- Gold pairs are the rows of `qrels/train.tsv`, row `i * 337 mod n` at place i, so that a batch has few claims twice. Batch k
  holds places 32k to 32k + 31; the last one of an epoch is smaller. Longer runs begin again.
- `combined`: MNRL takes the batch's pairs. The other losses take the pairs of even places with label 1, and the claims of odd
  places with the abstract of the next place (of the last: the first) and label 0. So the batch's 64 texts are all there are.
- AdamW (0.9, 0.999, 1e-8, no weight decay), gradients clipped at norm 1, 2e-5 falling linearly to 0 over the steps of the run
  (`curve`) or constant (`train`, `combined`).
- bf16 is `torch.autocast`: parameters and optimiser stay float32.
- Time begins with texts in memory and the model loaded, after a batch (`encode`) or a step (`train`, `combined`) that is not
  counted, and has everything in it: tokens, forward, backward, clipping, optimiser.
"""
import argparse
import contextlib
import csv
import json
import math
import os
import pathlib
import sys
import time

BATCH, STRIDE, RATE = 32, 337, 2e-5


def documents(scifact):
    """Ids and texts of the abstracts."""
    lines = [json.loads(line) for line in open(scifact / "corpus.jsonl", encoding="utf-8")]
    return {str(line["doc_id"]): " ".join([line["title"], *line["abstract"]]) for line in lines}


def claims(scifact, part):
    lines = [json.loads(line) for line in open(scifact / f"claims_{part}.jsonl", encoding="utf-8")]
    return {str(line["id"]): line["claim"] for line in lines}


def judged(scifact, part):
    """Pairs of claim and abstract that bears on it, by id."""
    with open(scifact / "qrels" / f"{part}.tsv", encoding="utf-8") as file:
        return [(row["query-id"], row["corpus-id"]) for row in csv.DictReader(file, delimiter="\t") if int(row["score"]) > 0]


def batches(scifact, steps=None, size=BATCH):
    """Batches of pairs of ids; without `steps` those of one epoch."""
    pairs = judged(scifact, "train")
    assert math.gcd(STRIDE, len(pairs)) == 1
    order = [pairs[place * STRIDE % len(pairs)] for place in range(len(pairs))]
    epoch = [order[first:first + size] for first in range(0, len(order), size)]
    return epoch if steps is None else [epoch[step % len(epoch)] for step in range(steps)]


def ndcg_at_10(of_claims, of_documents, claim_ids, document_ids, relevant):
    """Mean over claims. Of equal scores the greater id comes first, as in trec_eval."""
    import numpy as np

    total = 0.0
    for claim, embedding in zip(claim_ids, of_claims):
        scores = of_documents @ embedding
        near = np.argpartition(-scores, 100)[:100]
        ranked = sorted(((float(scores[number]), document_ids[number]) for number in near), reverse=True)
        gain = sum(1 / math.log2(rank + 2) for rank, (_, document) in enumerate(ranked[:10]) if document in relevant[claim])
        total += gain / sum(1 / math.log2(rank + 2) for rank in range(min(10, len(relevant[claim]))))
    return total / len(claim_ids)


def dev(scifact):
    """Dev claims that have a judged abstract, and those abstracts."""
    relevant = {}
    for claim, document in judged(scifact, "test"):
        relevant.setdefault(claim, set()).add(document)
    texts = claims(scifact, "dev")
    return {claim: texts[claim] for claim in relevant}, relevant


def peak_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


class Clock:
    def __init__(self):
        self.began = time.perf_counter(), time.process_time()

    def times(self):
        return {"seconds": time.perf_counter() - self.began[0], "processor_seconds": time.process_time() - self.began[1]}


class Peer:
    def __init__(self, given):
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(given.threads)
        torch.manual_seed(13)
        self.torch, self.given = torch, given
        self.model = SentenceTransformer(str(given.model), device="cpu")
        self.parameters = dict(self.model[0].auto_model.named_parameters())

    def precision(self):
        if self.given.precision == "f32":
            return contextlib.nullcontext()
        return self.torch.autocast("cpu", dtype=self.torch.bfloat16)

    def embed(self, texts):
        with self.precision():
            return self.model.encode(texts, batch_size=BATCH, convert_to_numpy=True)

    def tokens(self, texts):
        return sum(map(len, self.model.tokenizer(texts, truncation=True, max_length=self.model.max_seq_length)["input_ids"]))

    # ---- encoding ----

    def encode(self):
        texts = list(documents(self.given.scifact).values())[:self.given.texts]
        self.embed(texts[:BATCH])
        clock = Clock()
        embeddings = self.embed(texts)
        answer = clock.times() | {"texts": len(texts), "tokens": self.tokens(texts)}
        if self.given.out:
            embeddings.astype("<f4").tofile(self.given.out)
        return answer

    def embeddings(self):
        import numpy as np

        texts = list(documents(self.given.scifact).items())[:self.given.texts]
        clock = Clock()
        np.save(self.given.out, self.embed([text for _, text in texts]).astype(np.float32))
        answer = clock.times() | {"texts": len(texts)}
        with open(self.given.out.with_suffix(".jsonl"), "w", encoding="utf-8") as file:
            for document, text in texts:
                print(json.dumps({"id": document, "text": text}, ensure_ascii=False), file=file)
        return answer

    def ndcg(self):
        texts, (asked, relevant) = documents(self.given.scifact), dev(self.given.scifact)
        clock = Clock()
        of_documents, of_claims = self.embed(list(texts.values())), self.embed(list(asked.values()))
        answer = clock.times() | {"texts": len(texts) + len(asked)}
        return answer | {"ndcg@10": ndcg_at_10(of_claims, of_documents, list(asked), list(texts), relevant)}

    # ---- training ----

    def columns(self, pairs):
        """A batch's texts, by column, as the losses take them."""
        columns = [self.claims[claim] for claim, _ in pairs], [self.documents[document] for _, document in pairs]
        return [self.model.preprocess(column) for column in columns]

    def mnrl(self):
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

        loss = MultipleNegativesRankingLoss(self.model)
        return lambda pairs: loss(self.columns(pairs), None)

    def sum_of_losses(self):
        from sentence_transformers.sentence_transformer.losses import ContrastiveLoss, CosineSimilarityLoss

        mnrl, contrastive, cosine = self.mnrl(), ContrastiveLoss(self.model), CosineSimilarityLoss(self.model)

        def loss(pairs):
            shifted = [(claim, pairs[(place + place % 2) % len(pairs)][1]) for place, (claim, _) in enumerate(pairs)]
            labels = self.torch.tensor([1.0 - place % 2 for place in range(len(pairs))])
            # Each loss is given columns of its own: a forward pass writes into them.
            return 0.6 * mnrl(pairs) + 0.3 * contrastive(self.columns(shifted), labels) + 0.1 * cosine(self.columns(shifted), labels)

        return loss

    def steps(self, loss, listed, rates):
        """Trains, and yields after each step its loss and the norm of its gradient before it was clipped."""
        self.claims, self.documents = claims(self.given.scifact, "train"), documents(self.given.scifact)
        optimiser = self.torch.optim.AdamW(self.model.parameters(), lr=RATE, weight_decay=0.0)
        for pairs, rate in zip(listed, rates):
            with self.precision():
                value = loss(pairs)
            value.backward()
            norm = self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
            optimiser.zero_grad()
            yield value.item(), norm.item()

    def timed(self, loss):
        listed = batches(self.given.scifact, (self.given.steps or 5) + 1)
        self.model.train()
        run = self.steps(loss, listed, [RATE] * len(listed))
        next(run)
        clock = Clock()
        losses = [value for value, _ in run]
        texts = [text for pairs in listed[1:] for claim, document in pairs for text in (self.claims[claim], self.documents[document])]
        return clock.times() | {"steps": len(losses), "pairs": len(texts) // 2, "tokens": self.tokens(texts), "losses": losses}

    def train(self):
        return self.timed(self.mnrl())

    def combined(self):
        return self.timed(self.sum_of_losses())

    def curve(self):
        listed = batches(self.given.scifact, self.given.steps)
        rates = [RATE * (len(listed) - step) / len(listed) for step in range(len(listed))]
        # Evaluation mode: no dropout. Gradients flow all the same.
        self.model.eval()
        clock, found = Clock(), []
        for pairs, rate, (value, norm) in zip(listed, rates, self.steps(self.mnrl(), listed, rates)):
            found.append({"loss": value, "gradient_norm": norm, "rate": rate,
                          "claims": [claim for claim, _ in pairs], "documents": [document for _, document in pairs]})
            print(f"step {len(found)}: {value:.6f}", file=sys.stderr, flush=True)
        self.given.out.write_text("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n", encoding="utf-8")
        return clock.times() | {"steps": len(found), "losses": [one["loss"] for one in found]}

    def gradients(self):
        from safetensors.torch import save_file

        self.claims, self.documents = claims(self.given.scifact, "train"), documents(self.given.scifact)
        pairs = batches(self.given.scifact, 1)[0]
        self.model.eval()
        clock = Clock()
        with self.precision():
            loss = self.mnrl()(pairs)
        loss.backward()
        answer = clock.times() | {"steps": 1, "pairs": len(pairs), "losses": [loss.item()]}
        found = {name: one.grad.contiguous() for name, one in self.parameters.items() if one.grad is not None}
        save_file(found, self.given.out, {"loss": repr(loss.item()), "pairs": json.dumps(pairs)})
        return answer | {"without_gradient": sorted(set(self.parameters) - set(found))}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("work", choices=["encode", "train", "combined", "curve", "gradients", "embeddings", "ndcg"])
    for name in ("--model", "--scifact"):
        arguments.add_argument(name, type=pathlib.Path, required=True)
    arguments.add_argument("--out", type=pathlib.Path)
    arguments.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--texts", type=int, default=1000)
    arguments.add_argument("--steps", type=int)
    given = arguments.parse_args()
    if given.work in ("curve", "gradients", "embeddings") and not given.out:
        arguments.error(f"{given.work} needs --out")
    threads = str(given.threads)
    # Before torch is loaded.
    os.environ.update(OMP_NUM_THREADS=threads, RAYON_NUM_THREADS=threads, HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    peer = Peer(given)
    answer = getattr(peer, given.work)()
    about = {"work": given.work, "precision": given.precision, "threads": given.threads}
    print(json.dumps(about | answer | {"peak_rss_mb": round(peak_mb(), 1)}), flush=True)


if __name__ == "__main__":
    main()
