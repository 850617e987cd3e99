-- What came with version 2: questions to people, what each of them said, and pictures of embeddings.

CREATE TABLE question (
  id INTEGER PRIMARY KEY,           -- from 1, in the order they are asked
  round INTEGER NOT NULL,           -- of active learning, from 1; 0 = of an audit
  anchor INTEGER NOT NULL REFERENCES anchor,
  document INTEGER REFERENCES document,
  text INTEGER NOT NULL REFERENCES text, -- what is judged: the document, or the sample's text
  sample TEXT REFERENCES sample,    -- of an audit: the sample that is judged
  shared INTEGER NOT NULL,          -- asked of two people, neither of whom sees the other's answer
  similarity REAL,                  -- by the model that asks
  probability REAL,                 -- that it is relevant: by the model as it is
  probability_initial REAL,         -- … by the untrained model
  probability_bm25 REAL,            -- … by BM25
  tick INTEGER NOT NULL REFERENCES tick
) STRICT;

CREATE TABLE answer (
  id INTEGER PRIMARY KEY,           -- in the order they came; nothing is changed or removed
  question INTEGER NOT NULL REFERENCES question,
  annotator TEXT NOT NULL,          -- oracle, llm, or a person's name
  verdict TEXT NOT NULL CHECK (verdict IN ('support', 'partial', 'contradict', 'neutral', 'unrelated', 'skip', 'undo')),
  settles INTEGER NOT NULL,         -- it decides where two people disagreed
  flagged INTEGER NOT NULL,         -- the annotator wants somebody to look at it
  comment TEXT NOT NULL
) STRICT;
CREATE INDEX answer_question ON answer (question);

CREATE TABLE audited (
  sample TEXT PRIMARY KEY REFERENCES sample,
  verdict TEXT NOT NULL,            -- what people said in the end: support, partial, contradict, unrelated
  annotator TEXT NOT NULL,          -- who: all who agree, or who settled it
  agrees INTEGER NOT NULL,          -- with the sample's role
  tick INTEGER NOT NULL REFERENCES tick
) STRICT, WITHOUT ROWID;

CREATE TABLE projection (
  model TEXT NOT NULL,              -- version of the model: initial, epoch-N …
  kind TEXT NOT NULL,               -- anchor, document, sample
  item TEXT NOT NULL,               -- number of the anchor or document, id of the sample
  x REAL NOT NULL,
  y REAL NOT NULL,
  tick INTEGER NOT NULL REFERENCES tick,
  PRIMARY KEY (model, kind, item)
) STRICT, WITHOUT ROWID;
