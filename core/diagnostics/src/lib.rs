//! `orchestrator-diagnostics`: part of the orchestrator workspace, not written yet.
