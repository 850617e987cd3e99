//! `orchestrator-losses`: part of the orchestrator workspace, not written yet.
