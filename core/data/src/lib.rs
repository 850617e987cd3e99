//! `orchestrator-data`: part of the orchestrator workspace, not written yet.
