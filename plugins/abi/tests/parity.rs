//! The header and its mirror agree: the C compiler prints every size and offset, and they are compared here.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::process::Command;

use orchestrator_plugin_abi as abi;

/// For each struct: C name, Rust type, fields.
macro_rules! layouts {
    ($($c:literal = $rust:ident { $($field:ident),* $(,)? })*) => {
        [$(($c, size_of::<abi::$rust>(), vec![$((stringify!($field), offset_of!(abi::$rust, $field))),*])),*]
    };
}

#[test]
fn every_size_and_offset_is_the_c_compilers() {
    let layouts = layouts! {
        "orch_str" = Str { ptr, len }
        "struct ArrowSchema" = ArrowSchema { format, name, metadata, flags, n_children, children, dictionary, release, private_data }
        "struct ArrowArray" = ArrowArray { length, null_count, offset, n_buffers, n_children, buffers, children, dictionary, release, private_data }
        "orch_batch" = Batch { schema, array }
        "orch_call" = Call { struct_size, reserved, step, seed, host, set_error, is_cancelled, progress, service }
        "orch_descriptor" = Descriptor { struct_size, kind, flags, reserved, id, version, name, summary, licence, url, config_schema, requires_services }
        "orch_plugin_entry" = PluginEntry { magic, struct_size, abi_major, abi_minor, min_host_minor, reserved0, reserved1, toolchain, init, plugin_count, descriptor, create, destroy, get_extension }
        "orch_sample_row" = SampleRow { struct_size, role, anchor, document, parent, text, label, weight, score, difficulty, detail }
        "orch_sample_sink" = SampleSink { struct_size, reserved, host, push, count }
        "orch_sampler" = Sampler { struct_size, reserved, propose }
        "orch_select" = Select { struct_size, reserved, select }
        "orch_augmenter" = Augmenter { struct_size, reserved, augment }
        "orch_verdicts" = Verdicts { struct_size, reserved, n, keep, score, host, reason }
        "orch_filter" = Filter { struct_size, reserved, prepare, judge }
        "orch_loss_batch" = LossBatch { struct_size, reserved, n_texts, dim, n_rows, n_groups, embeddings, row_anchor, row_text, row_label, row_weight, row_teacher, group_anchor, positive_offsets, positive_rows, negative_offsets, negative_rows, known_relevant }
        "orch_loss_out" = LossOut { struct_size, reserved, loss, row_loss, gradient }
        "orch_loss" = Loss { struct_size, reserved, needs, forward }
        "orch_corpus" = Corpus { struct_size, reserved, documents }
        "orch_judgements" = Judgements { struct_size, reserved, table }
        "orch_search" = Search { struct_size, reserved, top_k, score }
        "orch_embedder" = Embedder { struct_size, reserved, dim, encode }
        "orch_linalg" = Linalg { struct_size, reserved, sgemm }
        "orch_bm25" = Bm25 { struct_size, reserved, top_k }
        "orch_topics" = Topics { struct_size, reserved, count, infer, documents }
        "orch_corpora" = Corpora { struct_size, reserved, count, get }
        "orch_held_out" = HeldOut { struct_size, reserved, table }
        "orch_pool" = Pool { struct_size, reserved, table }
        "orch_files" = Files { struct_size, reserved, read }
        "orch_scorer" = Scorer { struct_size, reserved, knows, score }
        "orch_teacher" = Teacher { struct_size, reserved, embeddings }
        "orch_chat" = Chat { struct_size, reserved, complete }
        "orch_metrics" = Metrics { struct_size, reserved, report }
    };
    let header = include_str!("../include/orchestrator_plugin.h");
    let declared = header.matches("typedef struct orch_").count();
    // Three structs are declared ahead of their definition by a typedef of their own name.
    let listed = layouts
        .iter()
        .filter(|(c, ..)| c.starts_with("orch_"))
        .count();
    assert_eq!(
        declared, listed,
        "a struct of the header is not compared here"
    );

    let mut program = String::from(
        "#include <stddef.h>\n#include <stdio.h>\n#include \"orchestrator_plugin.h\"\nint main(void) {\n",
    );
    let mut expected = String::new();
    for (c, size, fields) in &layouts {
        writeln!(program, "printf(\"{c} %zu\\n\", sizeof({c}));").unwrap();
        writeln!(expected, "{c} {size}").unwrap();
        for (field, offset) in fields {
            writeln!(
                program,
                "printf(\"{c}.{field} %zu\\n\", offsetof({c}, {field}));"
            )
            .unwrap();
            writeln!(expected, "{c}.{field} {offset}").unwrap();
        }
    }
    for (name, value) in [
        ("ORCH_ABI_MAJOR", i64::from(abi::ABI_MAJOR)),
        ("ORCH_ABI_MINOR", i64::from(abi::ABI_MINOR)),
        ("ORCH_PANIC", i64::from(abi::status::PANIC)),
        ("ORCH_LOSS", i64::from(abi::kind::LOSS)),
        ("ORCH_DETERMINISTIC", i64::from(abi::flag::DETERMINISTIC)),
        ("ORCH_NEGATIVE", i64::from(abi::role::NEGATIVE)),
        ("ORCH_NEEDS_TEACHER", i64::from(abi::needs::TEACHER)),
    ] {
        writeln!(program, "printf(\"{name} %d\\n\", (int){name});").unwrap();
        writeln!(expected, "{name} {value}").unwrap();
    }
    program.push_str("return 0; }\n");

    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("layout.c");
    let binary = folder.path().join("layout");
    std::fs::write(&source, program).unwrap();
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let compiled = Command::new("cc")
        .args([
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-I",
            include,
            "-o",
        ])
        .args([&binary, &source])
        .output()
        .expect("a C compiler named cc");
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let printed = Command::new(&binary).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), expected);
}
