//! `orchestrator-plugin-host`: part of the orchestrator workspace, not written yet.
