//! `orchestrator-samplers`: part of the orchestrator workspace, not written yet.
