//! `orchestrator-augmenters`: part of the orchestrator workspace, not written yet.
