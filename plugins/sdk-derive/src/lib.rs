//! `orchestrator-plugin-derive`: part of the orchestrator workspace, not written yet.
