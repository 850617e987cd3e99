//! `orchestrator-plugin-abi`: part of the orchestrator workspace, not written yet.
