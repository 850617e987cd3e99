//! `orchestrator-engine`: part of the orchestrator workspace, not written yet.
