//! Buffers that are used again and again: asking the system for fresh memory in every step costs more than some of the work.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Buffers by how much they can hold.
#[derive(Default)]
pub(super) struct Room(Mutex<BTreeMap<usize, Vec<Vec<f32>>>>);

impl Room {
    /// A buffer of `length` numbers, whatever they are.
    pub fn take(&self, length: usize) -> Vec<f32> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = all
            .range_mut(length..=length + length / 4)
            .find_map(|(_, some)| some.pop());
        drop(all);
        match fits {
            Some(mut buffer) => {
                if buffer.len() > length {
                    buffer.truncate(length);
                } else {
                    buffer.resize(length, 0.0);
                }
                buffer
            }
            None => vec![0.0; length],
        }
    }

    /// Gives it back.
    pub fn give(&self, buffer: Vec<f32>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(buffer.capacity()).or_default().push(buffer);
    }

    /// Bytes of the buffers that wait to be used again.
    pub fn bytes(&self) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let values = all.iter().map(|(capacity, some)| capacity * some.len());
        values.sum::<usize>() * size_of::<f32>()
    }
}
