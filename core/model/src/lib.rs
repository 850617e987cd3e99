//! `orchestrator-model`: part of the orchestrator workspace, not written yet.
