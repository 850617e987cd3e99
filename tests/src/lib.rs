//! `orchestrator-tests`: part of the orchestrator workspace, not written yet.
