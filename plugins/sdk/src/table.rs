//! Reads a borrowed Arrow table by column name, with no Arrow library.

use std::ffi::CStr;
use std::marker::PhantomData;

use orchestrator_plugin_abi as abi;

use crate::{Error, Result};

/// A table lent by the host.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    schema: &'a abi::ArrowSchema,
    array: &'a abi::ArrowArray,
}

/// A column of texts.
#[derive(Debug, Clone, Copy)]
pub struct Strings<'a> {
    offsets: &'a [i64],
    bytes: &'a [u8],
}

/// A column of lists of `T` columns.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a, T> {
    offsets: &'a [i64],
    values: T,
    of: PhantomData<&'a T>,
}

impl<'a> Strings<'a> {
    /// The text of `row`.
    ///
    /// # Panics
    /// If there is no such row or the host broke its promise of UTF-8.
    #[must_use]
    pub fn get(&self, row: usize) -> &'a str {
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        std::str::from_utf8(&self.bytes[range]).unwrap_or("")
    }
}

impl<'a> Lists<'a, Strings<'a>> {
    /// The texts of `row`.
    pub fn get(&self, row: usize) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let values = self.values;
        (self.offsets[row] as usize..self.offsets[row + 1] as usize).map(move |one| values.get(one))
    }
}

impl<'a> Lists<'a, &'a [i32]> {
    /// The numbers of `row`.
    #[must_use]
    pub fn get(&self, row: usize) -> &'a [i32] {
        &self.values[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

impl<'a> Table<'a> {
    /// # Safety
    /// The batch must be what the header says, for `'a`.
    pub(crate) unsafe fn borrow(batch: abi::Batch) -> Result<Self> {
        if batch.schema.is_null() || batch.array.is_null() {
            return Err(Error::data("the host gave no table"));
        }
        // SAFETY: not null; the caller promises the rest.
        unsafe {
            Ok(Self {
                schema: &*batch.schema,
                array: &*batch.array,
            })
        }
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.array.length as usize
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn column(
        &self,
        name: &str,
        format: &str,
    ) -> Result<(&'a abi::ArrowSchema, &'a abi::ArrowArray)> {
        for child in 0..self.schema.n_children as usize {
            // SAFETY: an Arrow struct has n_children children in both, with zero-terminated names and formats.
            let (schema, array, its_name, its_format) = unsafe {
                let schema = &**self.schema.children.add(child);
                let array = &**self.array.children.add(child);
                (
                    schema,
                    array,
                    CStr::from_ptr(schema.name),
                    CStr::from_ptr(schema.format),
                )
            };
            if its_name.to_bytes() == name.as_bytes() {
                if its_format.to_bytes() != format.as_bytes() {
                    return Err(Error::data(format!(
                        "column `{name}` has format {its_format:?}, expected \"{format}\""
                    )));
                }
                return Ok((schema, array));
            }
        }
        Err(Error::data(format!("the table has no column `{name}`")))
    }

    /// A column of 64-bit integers ("l").
    ///
    /// # Errors
    /// If there is no such column of that type.
    pub fn i64s(&self, name: &str) -> Result<&'a [i64]> {
        let (_, array) = self.column(name, "l")?;
        // SAFETY: buffer 1 of a primitive array holds its values.
        Ok(unsafe { values(array, 1) })
    }

    /// A column of 32-bit integers ("i").
    ///
    /// # Errors
    /// If there is no such column of that type.
    pub fn i32s(&self, name: &str) -> Result<&'a [i32]> {
        let (_, array) = self.column(name, "i")?;
        // SAFETY: buffer 1 of a primitive array holds its values.
        Ok(unsafe { values(array, 1) })
    }

    /// A column of 32-bit floats ("f").
    ///
    /// # Errors
    /// If there is no such column of that type.
    pub fn f32s(&self, name: &str) -> Result<&'a [f32]> {
        let (_, array) = self.column(name, "f")?;
        // SAFETY: buffer 1 of a primitive array holds its values.
        Ok(unsafe { values(array, 1) })
    }

    /// A column of truth values ("b"), unpacked.
    ///
    /// # Errors
    /// If there is no such column of that type.
    pub fn bools(&self, name: &str) -> Result<Vec<bool>> {
        let (_, array) = self.column(name, "b")?;
        if array.length == 0 {
            return Ok(Vec::new());
        }
        let (first, n) = (array.offset as usize, array.length as usize);
        // SAFETY: buffer 1 of a boolean array holds offset + length bits.
        let bits = unsafe {
            std::slice::from_raw_parts(
                (*array.buffers.add(1)).cast::<u8>(),
                (first + n).div_ceil(8),
            )
        };
        Ok((first..first + n)
            .map(|bit| bits[bit / 8] >> (bit % 8) & 1 == 1)
            .collect())
    }

    /// A column of texts ("U").
    ///
    /// # Errors
    /// If there is no such column of that type.
    pub fn strings(&self, name: &str) -> Result<Strings<'a>> {
        let (_, array) = self.column(name, "U")?;
        // SAFETY: the column is large utf8.
        Ok(unsafe { texts(array) })
    }

    /// A column of lists of texts ("+L" of "U").
    ///
    /// # Errors
    /// If there is no such column of that type.
    pub fn string_lists(&self, name: &str) -> Result<Lists<'a, Strings<'a>>> {
        let (_, array) = self.column(name, "+L")?;
        // SAFETY: a large list has offsets in buffer 1 and one child, here large utf8.
        unsafe {
            Ok(Lists {
                offsets: offsets(array),
                values: texts(&**array.children),
                of: PhantomData,
            })
        }
    }

    /// A column of lists of 32-bit integers ("+L" of "i").
    ///
    /// # Errors
    /// If there is no such column of that type.
    pub fn i32_lists(&self, name: &str) -> Result<Lists<'a, &'a [i32]>> {
        let (_, array) = self.column(name, "+L")?;
        // SAFETY: a large list has offsets in buffer 1 and one child, here of int32.
        unsafe {
            Ok(Lists {
                offsets: offsets(array),
                values: values(&**array.children, 1),
                of: PhantomData,
            })
        }
    }
}

/// # Safety
/// `buffer` of `array` must hold its values, of type `T`.
unsafe fn values<T>(array: &abi::ArrowArray, buffer: usize) -> &[T] {
    if array.length == 0 {
        return &[];
    }
    // SAFETY: the caller promises offset + length values there.
    unsafe {
        let first = (*array.buffers.add(buffer)).cast::<T>();
        std::slice::from_raw_parts(first.add(array.offset as usize), array.length as usize)
    }
}

/// # Safety
/// `array` must have 64-bit offsets in buffer 1.
unsafe fn offsets(array: &abi::ArrowArray) -> &[i64] {
    // SAFETY: the caller promises length + 1 offsets there.
    unsafe {
        let first = (*array.buffers.add(1)).cast::<i64>();
        std::slice::from_raw_parts(first.add(array.offset as usize), array.length as usize + 1)
    }
}

/// # Safety
/// `array` must be large utf8.
unsafe fn texts<'a>(array: &'a abi::ArrowArray) -> Strings<'a> {
    // SAFETY: offsets in buffer 1, bytes in buffer 2, as many as the last offset says.
    unsafe {
        let offsets = offsets(array);
        let end = *offsets.last().unwrap_or(&0) as usize;
        let bytes = if end == 0 {
            &[]
        } else {
            std::slice::from_raw_parts((*array.buffers.add(2)).cast::<u8>(), end)
        };
        Strings { offsets, bytes }
    }
}
