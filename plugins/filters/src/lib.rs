//! `orchestrator-filters`: part of the orchestrator workspace, not written yet.
