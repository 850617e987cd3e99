//! `orchestrator-reports`: part of the orchestrator workspace, not written yet.
