//! `orchestrator-plugin`: part of the orchestrator workspace, not written yet.
