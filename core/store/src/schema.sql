-- One SQLite file a run. Documented in docs/STORE.md; users query it: names and meanings are stable within a version.

CREATE TABLE run (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  name TEXT NOT NULL,
  seed INTEGER NOT NULL,
  version TEXT NOT NULL,            -- of orchestrator
  data_fingerprint TEXT NOT NULL,   -- SHA-256 of corpus and claims
  plan TEXT NOT NULL                -- plan.json: the experiment with every default filled in
) STRICT;

CREATE TABLE tick (
  number INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,               -- data, model, propose, refresh, augment, judge, score, train, evaluate, annotate
  detail TEXT NOT NULL              -- which plugin, epoch, round …
) STRICT;

CREATE INDEX tick_kind ON tick (kind, detail);

CREATE TABLE plugin (
  name TEXT PRIMARY KEY,            -- of the instance, as the experiment gives it
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  version TEXT NOT NULL,
  sha256 TEXT NOT NULL,             -- of the library
  settings TEXT NOT NULL            -- JSON, defaults filled in
) STRICT;

CREATE TABLE text (
  id INTEGER PRIMARY KEY,           -- the first 63 bits of the SHA-256 of the content: each text is here once
  content TEXT NOT NULL
) STRICT;

CREATE TABLE document (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  text INTEGER NOT NULL REFERENCES text,
  metadata TEXT NOT NULL            -- JSON
) STRICT;

CREATE TABLE anchor (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  split TEXT NOT NULL,              -- train, validation, test
  text INTEGER NOT NULL REFERENCES text,
  metadata TEXT NOT NULL            -- JSON
) STRICT;

CREATE TABLE judgement (
  id INTEGER PRIMARY KEY,
  anchor INTEGER NOT NULL REFERENCES anchor,
  document INTEGER NOT NULL REFERENCES document,
  label TEXT NOT NULL,              -- support, partial, contradict, neutral
  sentences TEXT NOT NULL,          -- JSON: one rationale set; [] = the whole document
  relevant INTEGER NOT NULL,        -- a positive under the reading the experiment trains
  grade REAL NOT NULL,              -- 0..1
  held_back INTEGER NOT NULL        -- hidden from training until the oracle reveals it
) STRICT;
CREATE INDEX judgement_anchor ON judgement (anchor);

CREATE TABLE sample (
  id TEXT PRIMARY KEY,              -- hash of anchor, text and role
  anchor INTEGER NOT NULL REFERENCES anchor,
  text INTEGER NOT NULL REFERENCES text,
  role TEXT NOT NULL,               -- positive, negative
  label REAL NOT NULL,              -- 0..1
  weight REAL NOT NULL,
  document INTEGER REFERENCES document,
  parent TEXT REFERENCES sample,    -- what an augmenter made it from
  difficulty REAL,                  -- fixed by its plugin; measured ones are in score
  tick INTEGER NOT NULL REFERENCES tick
) STRICT, WITHOUT ROWID;
CREATE INDEX sample_anchor ON sample (anchor);

CREATE TABLE provenance (
  sample TEXT NOT NULL REFERENCES sample,
  source TEXT NOT NULL,             -- plugin.name, or `annotation`
  tick INTEGER NOT NULL REFERENCES tick,
  score REAL,                       -- similarity that led to the choice
  detail TEXT NOT NULL,             -- JSON or empty: why this row
  PRIMARY KEY (sample, source, tick)
) STRICT, WITHOUT ROWID;

CREATE TABLE verdict (
  sample TEXT NOT NULL REFERENCES sample,
  filter TEXT NOT NULL,             -- plugin.name, or `revealed_positive`: an answer made a negative a positive
  tick INTEGER NOT NULL REFERENCES tick,
  keep INTEGER NOT NULL,
  score REAL,                       -- what was measured
  reason TEXT NOT NULL,
  PRIMARY KEY (sample, filter, tick)
) STRICT, WITHOUT ROWID;

CREATE TABLE score (
  sample TEXT NOT NULL REFERENCES sample,
  model TEXT NOT NULL,              -- model version: initial, epoch-1 …
  tick INTEGER NOT NULL REFERENCES tick,
  similarity REAL NOT NULL,         -- cosine to the anchor
  difficulty REAL,                  -- negatives: (similarity - floor) / (positive - floor)
  band TEXT,                        -- negatives: easy, medium, hard
  PRIMARY KEY (sample, model, tick)
) STRICT, WITHOUT ROWID;

CREATE TABLE use (
  step INTEGER NOT NULL,
  sample TEXT NOT NULL REFERENCES sample,
  tick INTEGER NOT NULL REFERENCES tick,
  epoch INTEGER NOT NULL,           -- from 0
  loss REAL,                        -- the row's weighted loss; NULL = no loss looked at it alone
  PRIMARY KEY (step, sample)
) STRICT, WITHOUT ROWID;
CREATE INDEX use_sample ON use (sample);

CREATE TABLE metric (
  tick INTEGER NOT NULL REFERENCES tick,
  step INTEGER NOT NULL DEFAULT -1, -- -1 = of the tick as a whole
  name TEXT NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (tick, step, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE evaluation (
  model TEXT NOT NULL,              -- bm25, initial, epoch-N, trained
  anchor INTEGER NOT NULL REFERENCES anchor,
  metric TEXT NOT NULL,
  value REAL NOT NULL,
  first_relevant INTEGER,           -- rank of the first relevant document, NULL = not among those ranked
  tick INTEGER NOT NULL REFERENCES tick,
  PRIMARY KEY (model, anchor, metric)
) STRICT, WITHOUT ROWID;

CREATE TABLE annotation (
  round INTEGER NOT NULL,
  anchor INTEGER NOT NULL REFERENCES anchor,
  document INTEGER NOT NULL REFERENCES document,
  annotator TEXT NOT NULL,
  relevant INTEGER NOT NULL,
  label TEXT,                       -- of the judgement revealed; NULL = not judged in the data
  similarity REAL NOT NULL,         -- by the model that asked
  probability REAL NOT NULL,        -- that it is relevant, before the answer
  tick INTEGER NOT NULL REFERENCES tick,
  PRIMARY KEY (round, anchor, document)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint (
  tick INTEGER PRIMARY KEY REFERENCES tick,
  file TEXT NOT NULL,               -- relative to the run folder
  sha256 TEXT NOT NULL
) STRICT;

CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,              -- milliseconds since 1970; the only clock in the store
  kind TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;

-- What a source proposed before it was asked again (a tick of kind `refresh`) is no longer proposed by it.
CREATE VIEW v_live AS
SELECT DISTINCT p.sample
FROM provenance p
WHERE NOT EXISTS (SELECT 1 FROM tick t WHERE t.kind = 'refresh' AND t.detail = p.source AND t.number > p.tick);

CREATE VIEW v_sample AS
SELECT s.id, a.id AS anchor, at.content AS anchor_text, s.role, s.label, s.weight, t.content AS text,
       d.id AS document, s.parent,
       (SELECT group_concat(source, ', ') FROM (SELECT DISTINCT source FROM provenance p WHERE p.sample = s.id ORDER BY source)) AS sources,
       NOT EXISTS (SELECT 1 FROM verdict v WHERE v.sample = s.id AND v.keep = 0)
         AND s.id IN (SELECT sample FROM v_live) AS kept,
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

CREATE VIEW v_epoch AS
SELECT u.epoch, count(*) AS uses, count(DISTINCT u.step) AS steps, count(DISTINCT u.sample) AS samples,
       sum(s.role = 'positive') AS positives, sum(s.role = 'negative') AS negatives, avg(u.loss) AS mean_row_loss
FROM use u JOIN sample s ON s.id = u.sample
GROUP BY u.epoch;

CREATE VIEW v_rejected AS
SELECT v.filter, v.reason, v.score, s.id AS sample, a.id AS anchor, s.role, t.content AS text,
       (SELECT group_concat(source, ', ') FROM (SELECT DISTINCT source FROM provenance p WHERE p.sample = s.id ORDER BY source)) AS sources
FROM verdict v
JOIN sample s ON s.id = v.sample
JOIN anchor a ON a.number = s.anchor
JOIN text t ON t.id = s.text
WHERE v.keep = 0;
