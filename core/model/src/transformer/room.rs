//! Buffers that are used again and again: asking the system for fresh memory in every step costs more than some of the work.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Buffers, never more of them than were once needed at the same time.
#[derive(Default)]
pub(super) struct Room(Mutex<Buffers>);

#[derive(Default)]
struct Buffers {
    /// Those that nobody uses, by how much they can hold.
    idle: BTreeMap<usize, Vec<Vec<f32>>>,
    /// Numbers that idle ones can hold.
    resting: usize,
    /// Numbers that those in use can hold, and the most that ever were.
    used: usize,
    most: usize,
}

impl Buffers {
    /// An idle buffer that is large enough, and not much larger.
    fn fitting(&mut self, length: usize) -> Option<Vec<f32>> {
        let (size, some) = self.idle.range_mut(length..=length + length / 4).next()?;
        let (size, buffer) = (*size, some.pop()?);
        if some.is_empty() {
            self.idle.remove(&size);
        }
        self.resting -= size;
        Some(buffer)
    }

    /// Gives idle ones back to the system until there is room for `length` more within what was once needed.
    fn make_room(&mut self, length: usize) {
        while self.used + self.resting + length > self.most {
            let Some(mut largest) = self.idle.last_entry() else {
                return;
            };
            self.resting -= *largest.key();
            largest.get_mut().pop();
            if largest.get().is_empty() {
                largest.remove();
            }
        }
    }
}

impl Room {
    /// A buffer of `length` numbers, whatever they are.
    pub fn take(&self, length: usize) -> Vec<f32> {
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = buffers.fitting(length);
        if found.is_none() {
            buffers.make_room(length);
        }
        buffers.used += found.as_ref().map_or(length, Vec::capacity);
        buffers.most = buffers.most.max(buffers.used);
        drop(buffers);
        match found {
            Some(mut buffer) => {
                buffer.resize(length, 0.0);
                buffer
            }
            None => vec![0.0; length],
        }
    }

    /// Gives it back.
    pub fn give(&self, buffer: Vec<f32>) {
        let size = buffer.capacity();
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.used = buffers.used.saturating_sub(size);
        buffers.resting += size;
        buffers.idle.entry(size).or_default().push(buffer);
    }

    /// Bytes of the buffers that wait to be used again.
    pub fn bytes(&self) -> usize {
        let buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.resting * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_again_and_there_are_never_more_than_were_needed() {
        let room = Room::default();
        let first = room.take(100);
        let at = first.as_ptr();
        room.give(first);
        let again = room.take(90);
        assert_eq!((again.as_ptr(), again.len()), (at, 90));
        room.give(again);
        // Another size: the idle one makes room.
        room.give(room.take(50));
        let buffers = room.0.lock().expect("lock");
        assert_eq!((buffers.resting, buffers.used, buffers.most), (50, 0, 100));
    }
}
