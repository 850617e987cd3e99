//! Tables we lend, in the Arrow C Data layout, owned here and borrowed by plugins for a call.

use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use orchestrator_plugin_abi as abi;

/// A table of named columns of equal length. Built by adding columns; read by plugins.
pub struct Table {
    rows: usize,
    version: u64,
    columns: Vec<Column>,
    sealed: Option<Box<Sealed>>,
}

/// One array with the memory it points at.
pub(crate) struct Column {
    pub name: CString,
    pub format: &'static std::ffi::CStr,
    pub length: usize,
    pub memory: Memory,
    pub child: Option<Box<Column>>,
}

/// Buffers after the validity buffer, which is always absent: there are no nulls.
pub(crate) enum Memory {
    I64(Vec<i64>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bits(Vec<u8>),
    Text(Vec<i64>, Vec<u8>),
    Offsets(Vec<i64>),
}

/// The C structs, which point into the columns and into each other.
struct Sealed {
    schema: abi::ArrowSchema,
    array: abi::ArrowArray,
    _parts: Vec<Part>,
}

/// Only kept alive: the C structs point into it.
#[allow(dead_code)]
struct Part {
    schemas: Box<[*mut abi::ArrowSchema]>,
    arrays: Box<[*mut abi::ArrowArray]>,
    buffers: Box<[*const c_void]>,
}

// SAFETY: the pointers of `sealed` point into memory that the table owns and never changes after `seal`.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    /// A table of `rows` rows without columns.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        Self::of_columns(rows, Vec::new())
    }

    pub(crate) fn of_columns(rows: usize, columns: Vec<Column>) -> Self {
        static TABLES: AtomicU64 = AtomicU64::new(0);
        Self {
            rows,
            version: TABLES.fetch_add(1, Ordering::Relaxed),
            columns,
            sealed: None,
        }
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Equal for no two tables that this process makes.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn with(
        mut self,
        name: &str,
        format: &'static std::ffi::CStr,
        length: usize,
        memory: Memory,
    ) -> Self {
        assert_eq!(
            length, self.rows,
            "column `{name}` has another length than the table"
        );
        self.columns.push(Column {
            name: CString::new(name).unwrap_or_default(),
            format,
            length,
            memory,
            child: None,
        });
        self
    }

    /// Adds 64-bit integers.
    ///
    /// # Panics
    /// As every other column: if it has another length than the table.
    #[must_use]
    pub fn i64s(self, name: &str, values: Vec<i64>) -> Self {
        self.with(name, c"l", values.len(), Memory::I64(values))
    }

    /// Adds 32-bit integers.
    #[must_use]
    pub fn i32s(self, name: &str, values: Vec<i32>) -> Self {
        self.with(name, c"i", values.len(), Memory::I32(values))
    }

    /// Adds 32-bit floats.
    #[must_use]
    pub fn f32s(self, name: &str, values: Vec<f32>) -> Self {
        self.with(name, c"f", values.len(), Memory::F32(values))
    }

    /// Adds truth values.
    #[must_use]
    pub fn bools(self, name: &str, values: &[bool]) -> Self {
        let mut bits = vec![0u8; values.len().div_ceil(8)];
        for (place, _) in values.iter().enumerate().filter(|(_, value)| **value) {
            bits[place / 8] |= 1 << (place % 8);
        }
        self.with(name, c"b", values.len(), Memory::Bits(bits))
    }

    /// Adds texts.
    #[must_use]
    pub fn strings<S: AsRef<str>>(self, name: &str, values: impl IntoIterator<Item = S>) -> Self {
        let (offsets, bytes) = pack(values);
        self.with(name, c"U", offsets.len() - 1, Memory::Text(offsets, bytes))
    }

    /// Adds lists of texts.
    #[must_use]
    pub fn string_lists<S: AsRef<str>, L: IntoIterator<Item = S>>(
        self,
        name: &str,
        lists: impl IntoIterator<Item = L>,
    ) -> Self {
        let (mut offsets, mut all) = (vec![0], Vec::new());
        for list in lists {
            all.extend(list);
            offsets.push(all.len() as i64);
        }
        let (text_offsets, bytes) = pack(all);
        let length = text_offsets.len() - 1;
        self.with_list(
            name,
            offsets,
            c"U",
            length,
            Memory::Text(text_offsets, bytes),
        )
    }

    /// Adds lists of 32-bit integers.
    #[must_use]
    pub fn i32_lists(self, name: &str, lists: impl IntoIterator<Item = Vec<i32>>) -> Self {
        let (mut offsets, mut all) = (vec![0], Vec::new());
        for list in lists {
            all.extend(list);
            offsets.push(all.len() as i64);
        }
        let length = all.len();
        self.with_list(name, offsets, c"i", length, Memory::I32(all))
    }

    fn with_list(
        self,
        name: &str,
        offsets: Vec<i64>,
        format: &'static std::ffi::CStr,
        length: usize,
        memory: Memory,
    ) -> Self {
        let mut table = self.with(name, c"+L", offsets.len() - 1, Memory::Offsets(offsets));
        if let Some(list) = table.columns.last_mut() {
            list.child = Some(Box::new(Column {
                name: c"item".to_owned(),
                format,
                length,
                memory,
                child: None,
            }));
        }
        table
    }

    /// Builds the C structs; after this the table can be lent.
    #[must_use]
    pub fn seal(mut self) -> Self {
        let mut parts = Vec::new();
        let (schemas, arrays) = describe_all(self.columns.iter(), &mut parts);
        let (schema, array) = structure(
            c"+s",
            c"",
            self.rows,
            vec![ptr::null()],
            schemas,
            arrays,
            &mut parts,
        );
        self.sealed = Some(Box::new(Sealed {
            schema,
            array,
            _parts: parts,
        }));
        self
    }

    /// What a plugin is handed: valid as long as the table.
    pub(crate) fn lend(&self) -> abi::Batch {
        self.sealed.as_ref().map_or(
            abi::Batch {
                schema: ptr::null(),
                array: ptr::null(),
            },
            |sealed| abi::Batch {
                schema: &raw const sealed.schema,
                array: &raw const sealed.array,
            },
        )
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        // The children are boxes of ours, reached only through these pointers.
        free(&mut self.schema, &mut self.array);
    }
}

fn free(schema: &mut abi::ArrowSchema, array: &mut abi::ArrowArray) {
    for child in 0..schema.n_children as usize {
        // SAFETY: `describe_all` made each child from a box, and nothing else frees it.
        unsafe {
            let mut one = Box::from_raw(*schema.children.add(child));
            let mut its = Box::from_raw(*array.children.add(child));
            free(&mut one, &mut its);
        }
    }
}

fn pack<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> (Vec<i64>, Vec<u8>) {
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for value in values {
        bytes.extend_from_slice(value.as_ref().as_bytes());
        offsets.push(bytes.len() as i64);
    }
    (offsets, bytes)
}

type Pointers = (Vec<*mut abi::ArrowSchema>, Vec<*mut abi::ArrowArray>);

fn describe_all<'a>(columns: impl Iterator<Item = &'a Column>, parts: &mut Vec<Part>) -> Pointers {
    columns
        .map(|column| {
            let (schemas, arrays) = describe_all(column.child.as_deref().into_iter(), parts);
            let buffers: Vec<*const c_void> = match &column.memory {
                Memory::I64(values) | Memory::Offsets(values) => {
                    vec![ptr::null(), values.as_ptr().cast()]
                }
                Memory::I32(values) => vec![ptr::null(), values.as_ptr().cast()],
                Memory::F32(values) => vec![ptr::null(), values.as_ptr().cast()],
                Memory::Bits(values) => vec![ptr::null(), values.as_ptr().cast()],
                Memory::Text(offsets, bytes) => {
                    vec![ptr::null(), offsets.as_ptr().cast(), bytes.as_ptr().cast()]
                }
            };
            let (schema, array) = structure(
                column.format,
                &column.name,
                column.length,
                buffers,
                schemas,
                arrays,
                parts,
            );
            (
                Box::into_raw(Box::new(schema)),
                Box::into_raw(Box::new(array)),
            )
        })
        .unzip()
}

fn structure(
    format: &'static std::ffi::CStr,
    name: &std::ffi::CStr,
    length: usize,
    buffers: Vec<*const c_void>,
    schemas: Vec<*mut abi::ArrowSchema>,
    arrays: Vec<*mut abi::ArrowArray>,
    parts: &mut Vec<Part>,
) -> (abi::ArrowSchema, abi::ArrowArray) {
    let mut part = Part {
        schemas: schemas.into_boxed_slice(),
        arrays: arrays.into_boxed_slice(),
        buffers: buffers.into_boxed_slice(),
    };
    let schema = abi::ArrowSchema {
        format: format.as_ptr(),
        name: name.as_ptr(),
        metadata: ptr::null(),
        flags: 0,
        n_children: part.schemas.len() as i64,
        children: part.schemas.as_mut_ptr(),
        dictionary: ptr::null_mut(),
        release: None,
        private_data: ptr::null_mut(),
    };
    let array = abi::ArrowArray {
        length: length as i64,
        null_count: 0,
        offset: 0,
        n_buffers: part.buffers.len() as i64,
        n_children: part.arrays.len() as i64,
        buffers: part.buffers.as_mut_ptr(),
        children: part.arrays.as_mut_ptr(),
        dictionary: ptr::null_mut(),
        release: None,
        private_data: ptr::null_mut(),
    };
    parts.push(part);
    (schema, array)
}
