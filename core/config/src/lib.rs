//! `orchestrator-config`: part of the orchestrator workspace, not written yet.
