//! `orchestrator-train`: part of the orchestrator workspace, not written yet.
