-- What came with version 3: topics, slices of the evaluation, what was retrieved, influence on validation, suspects.

CREATE TABLE topic (
  number INTEGER PRIMARY KEY,       -- from 0
  terms TEXT NOT NULL,              -- JSON: the stems it has most of, in order
  documents INTEGER NOT NULL,       -- documents that have more of it than of any other topic
  share REAL NOT NULL,              -- of the whole corpus
  coherence REAL,                   -- of its ten first terms over the documents (UMass); NULL = fewer than two terms
  tick INTEGER NOT NULL REFERENCES tick
) STRICT;

CREATE TABLE topical (
  kind TEXT NOT NULL,               -- anchor, document
  item INTEGER NOT NULL,            -- its number
  topic INTEGER NOT NULL REFERENCES topic, -- the one it has most of
  share REAL NOT NULL,              -- how much
  tick INTEGER NOT NULL REFERENCES tick,
  PRIMARY KEY (kind, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE influence (
  sample TEXT NOT NULL REFERENCES sample,
  model TEXT NOT NULL,              -- version of the model it was measured at: epoch-N
  value REAL NOT NULL,              -- by how much a step on it lowers the loss on validation, to first order; below 0 it hurts
  loss REAL,                        -- its own loss at that version; NULL = no loss looks at it alone
  on_its_side INTEGER NOT NULL,     -- a negative further than its anchor's positives are, a positive nearer than its negatives, on average
  tick INTEGER NOT NULL REFERENCES tick,
  PRIMARY KEY (sample, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE suspect (
  sample TEXT PRIMARY KEY REFERENCES sample,
  place INTEGER NOT NULL,           -- from 1, of its role: the most suspicious first
  probability REAL NOT NULL,        -- that its label is wrong
  evidence TEXT NOT NULL,           -- JSON object: what speaks for it
  tick INTEGER NOT NULL REFERENCES tick
) STRICT, WITHOUT ROWID;

CREATE TABLE retrieved (
  model TEXT NOT NULL,              -- bm25, initial, trained
  anchor INTEGER NOT NULL REFERENCES anchor,
  rank INTEGER NOT NULL,            -- from 1
  document INTEGER NOT NULL REFERENCES document,
  score REAL NOT NULL,              -- cosine, or BM25's
  tick INTEGER NOT NULL REFERENCES tick,
  PRIMARY KEY (model, anchor, rank)
) STRICT, WITHOUT ROWID;

CREATE TABLE slice (
  name TEXT NOT NULL,               -- of the slice
  item INTEGER NOT NULL,            -- from 0
  anchor INTEGER REFERENCES anchor, -- NULL = a claim of another corpus
  text INTEGER NOT NULL REFERENCES text, -- what is asked: the claim, or what was made of it
  detail TEXT NOT NULL,             -- JSON object or empty: why it is in the slice, what was changed
  tick INTEGER NOT NULL REFERENCES tick,
  PRIMARY KEY (name, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE slice_score (
  slice TEXT NOT NULL,
  item INTEGER NOT NULL,
  model TEXT NOT NULL,              -- bm25, initial, trained
  metric TEXT NOT NULL,
  value REAL NOT NULL,
  tick INTEGER NOT NULL REFERENCES tick,
  PRIMARY KEY (slice, item, model, metric),
  FOREIGN KEY (slice, item) REFERENCES slice
) STRICT, WITHOUT ROWID;

ALTER TABLE judgement ADD COLUMN spoiled INTEGER NOT NULL DEFAULT 0; -- made wrong on purpose: what it says is not so
ALTER TABLE projection ADD COLUMN method TEXT NOT NULL DEFAULT 'pca'; -- umap, tsne, pca

-- The same as before; whether a source still proposes a sample is looked up for that sample, not for all of them.
DROP VIEW v_sample;
CREATE VIEW v_sample AS
SELECT s.id, a.id AS anchor, at.content AS anchor_text, s.role, s.label, s.weight, t.content AS text,
       d.id AS document, s.parent,
       (SELECT group_concat(source, ', ') FROM (SELECT DISTINCT source FROM provenance p WHERE p.sample = s.id ORDER BY source)) AS sources,
       NOT EXISTS (SELECT 1 FROM verdict v WHERE v.sample = s.id AND v.keep = 0)
         AND EXISTS (SELECT 1 FROM provenance p WHERE p.sample = s.id AND NOT EXISTS (
           SELECT 1 FROM tick t WHERE t.kind = 'refresh' AND t.detail = p.source AND t.number > p.tick)) AS kept,
       (SELECT similarity FROM score c WHERE c.sample = s.id ORDER BY tick LIMIT 1) AS similarity,
       (SELECT c.difficulty FROM score c WHERE c.sample = s.id ORDER BY tick LIMIT 1) AS difficulty,
       (SELECT band FROM score c WHERE c.sample = s.id ORDER BY tick LIMIT 1) AS band,
       (SELECT count(*) FROM use u WHERE u.sample = s.id) AS uses,
       (SELECT avg(loss) FROM use u WHERE u.sample = s.id) AS mean_loss
FROM sample s
JOIN anchor a ON a.number = s.anchor
JOIN text at ON at.id = a.text
JOIN text t ON t.id = s.text
LEFT JOIN document d ON d.number = s.document;
