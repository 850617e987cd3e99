//! `orchestrator-store`: part of the orchestrator workspace, not written yet.
