//! Buffers that a plugin writes into, with guard words on both sides: who writes past the end of what he was given is
//! found when the call returns. A write that lands further away is not; that takes a process of its own.

/// What a buffer holds. The guard is a value nobody means to write.
pub(crate) trait Word: Copy {
    /// Stands before and behind the buffer.
    const GUARD: Self;
    /// Bit for bit the guard.
    fn is_guard(self) -> bool;
}

impl Word for u8 {
    const GUARD: Self = 0xA5;
    fn is_guard(self) -> bool {
        self == Self::GUARD
    }
}

impl Word for u64 {
    const GUARD: Self = 0xA5A5_A5A5_A5A5_A5A5;
    fn is_guard(self) -> bool {
        self == Self::GUARD
    }
}

impl Word for f32 {
    const GUARD: Self = f32::from_bits(0xA5A5_A5A5);
    fn is_guard(self) -> bool {
        self.to_bits() == Self::GUARD.to_bits()
    }
}

/// On each side, in bytes: more than a row of a gradient, so that the usual mistake is found and does no harm.
const SIDE: usize = 4096;

/// `len` values between guards.
pub(crate) struct Guarded<T> {
    words: Vec<T>,
    len: usize,
}

impl<T: Word> Guarded<T> {
    const AROUND: usize = SIDE / size_of::<T>();

    /// A buffer of `len` times `preset`.
    pub fn new(len: usize, preset: T) -> Self {
        let mut words = vec![T::GUARD; len + 2 * Self::AROUND];
        words[Self::AROUND..Self::AROUND + len].fill(preset);
        Self { words, len }
    }

    /// A buffer of these values.
    pub fn of(values: &[T]) -> Self {
        let mut buffer = Self::new(values.len(), T::GUARD);
        buffer.words[Self::AROUND..Self::AROUND + values.len()].copy_from_slice(values);
        buffer
    }

    /// Its first value, to be handed out: valid for `len` values until the buffer is moved out of.
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self.words[Self::AROUND..].as_mut_ptr()
    }

    /// The values; or which place it wrote that is none of them, `name` being what the buffer is called.
    pub fn open(mut self, name: &str) -> Result<Vec<T>, String> {
        let around = Self::AROUND;
        let inside = around..around + self.len;
        let wrong = self
            .words
            .iter()
            .enumerate()
            .position(|(place, word)| !inside.contains(&place) && !word.is_guard());
        if let Some(place) = wrong {
            return Err(format!(
                "it wrote {name}[{}], of {} places",
                place as i64 - around as i64,
                self.len
            ));
        }
        self.words.truncate(around + self.len);
        self.words.drain(..around);
        Ok(self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::Guarded;

    #[test]
    fn what_is_written_inside_comes_out_and_what_is_written_outside_is_named() {
        for (place, said) in [
            (0, None),
            (2, None),
            (3, Some("it wrote gradient[3], of 3 places")),
            (700, Some("it wrote gradient[700], of 3 places")),
            (-1, Some("it wrote gradient[-1], of 3 places")),
        ] {
            let mut buffer = Guarded::new(3, 0.0f32);
            // SAFETY: within the guards.
            unsafe { *buffer.as_mut_ptr().offset(place) += 1.0 };
            match (buffer.open("gradient"), said) {
                (Ok(values), None) => assert!((values[place as usize] - 1.0).abs() < 1e-9),
                (Err(found), Some(said)) => assert_eq!(found, said),
                (found, _) => panic!("{place}: {found:?}"),
            }
        }
    }

    #[test]
    fn an_empty_buffer_is_guarded_too() {
        let mut buffer = Guarded::new(0, 1u8);
        // SAFETY: within the guards.
        unsafe { *buffer.as_mut_ptr() = 0 };
        assert!(buffer.open("keep").is_err());
    }
}
