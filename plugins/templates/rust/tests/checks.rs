//! What `orchestrator plugin check` asks, each check in a process of its own.

fn main() -> Result<(), orchestrator_testkit::Findings> {
    orchestrator_testkit::check(&orchestrator_testkit::library!())
}
