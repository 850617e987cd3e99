//! Frames of bytes: a length, a tag, values one after the other. Little-endian, arrays as they lie in memory, so that a
//! step's embeddings are copied and not spelt.

/// What was sent is not what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

pub(crate) type Result<T> = std::result::Result<T, Malformed>;

/// A number that arrays are made of.
pub(crate) trait Number: Copy + Default {
    /// Bytes of one.
    const SIZE: usize;
    fn put(self, place: &mut [u8]);
    fn take(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($($type:ty),*) => { $(
        impl Number for $type {
            const SIZE: usize = size_of::<Self>();
            fn put(self, place: &mut [u8]) {
                place.copy_from_slice(&self.to_le_bytes());
            }
            fn take(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<Self>()];
                own.copy_from_slice(bytes);
                Self::from_le_bytes(own)
            }
        }
    )* };
}
number!(u8, u32, i32, u64, i64, f32, f64);

/// Bytes of the length in front of a frame.
pub(crate) const PREFIX: usize = 8;

/// A frame on its way out.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub fn new(tag: u8) -> Self {
        let mut bytes = vec![0; PREFIX];
        bytes.push(tag);
        Self(bytes)
    }

    pub fn number(&mut self, value: impl Number) {
        self.raw(&[value]);
    }

    /// Without their count.
    fn raw<T: Number>(&mut self, values: &[T]) {
        let start = self.0.len();
        self.0.resize(start + values.len() * T::SIZE, 0);
        let places = self.0[start..].chunks_exact_mut(T::SIZE);
        for (place, value) in places.zip(values) {
            value.put(place);
        }
    }

    pub fn numbers<T: Number>(&mut self, values: &[T]) {
        self.number(values.len() as u64);
        self.raw(values);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub fn texts<S: AsRef<str>>(&mut self, texts: &[S]) {
        self.number(texts.len() as u64);
        for text in texts {
            self.text(text.as_ref());
        }
    }

    pub fn flag(&mut self, value: bool) {
        self.number(u8::from(value));
    }

    /// A value that may be absent, written by `write`.
    pub fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.0.len() - PREFIX
    }

    /// With the length in its place.
    pub fn finish(mut self) -> Vec<u8> {
        let length = self.len() as u64;
        length.put(&mut self.0[..PREFIX]);
        self.0
    }
}

/// A frame that came in, without its length.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The tag, and the rest.
    pub fn new(frame: &'a [u8]) -> Result<(u8, Self)> {
        let (tag, rest) = frame.split_first().ok_or(Malformed)?;
        Ok((*tag, Self(rest)))
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn number<T: Number>(&mut self) -> Result<T> {
        Ok(T::take(self.take(T::SIZE)?))
    }

    /// A count of things that take at least `each` bytes: never more than there is room for in what came.
    pub fn count(&mut self, each: usize) -> Result<usize> {
        let count = usize::try_from(self.number::<u64>()?).map_err(|_| Malformed)?;
        match count.checked_mul(each) {
            Some(bytes) if bytes <= self.0.len() => Ok(count),
            _ => Err(Malformed),
        }
    }

    pub fn numbers<T: Number>(&mut self) -> Result<Vec<T>> {
        let n = self.count(T::SIZE)?;
        let bytes = self.take(n * T::SIZE)?;
        Ok(bytes.chunks_exact(T::SIZE).map(T::take).collect())
    }

    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let n = self.count(1)?;
        self.take(n)
    }

    pub fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub fn texts(&mut self) -> Result<Vec<&'a str>> {
        let n = self.count(8)?;
        (0..n).map(|_| self.text()).collect()
    }

    pub fn flag(&mut self) -> Result<bool> {
        match self.number::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        self.flag()?.then(|| read(self)).transpose()
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_bit_for_bit() {
        let floats = [0.0f32, -0.0, f32::NAN, f32::from_bits(0x7FC0_1234), 1e-40];
        let mut frame = Writer::new(7);
        frame.number(-3i64);
        frame.numbers(&floats);
        frame.texts(&["", "naïve"]);
        frame.optional(None::<u32>, Writer::number);
        frame.optional(Some(5u32), Writer::number);
        let bytes = frame.finish();
        assert_eq!(u64::take(&bytes[..PREFIX]), bytes.len() as u64 - 8);
        let (tag, mut read) = Reader::new(&bytes[PREFIX..]).unwrap();
        assert_eq!((tag, read.number::<i64>()), (7, Ok(-3)));
        let back: Vec<u32> = read
            .numbers::<f32>()
            .unwrap()
            .iter()
            .map(|one| one.to_bits())
            .collect();
        assert_eq!(back, floats.map(f32::to_bits));
        assert_eq!(read.texts().unwrap(), ["", "naïve"]);
        assert_eq!(read.optional(Reader::number::<u32>), Ok(None));
        assert_eq!(read.optional(Reader::number::<u32>), Ok(Some(5)));
        assert_eq!(read.end(), Ok(()));
    }

    #[test]
    fn lengths_that_lie_are_refused_before_anything_is_made_of_them() {
        let mut frame = Writer::new(1);
        frame.number(u64::MAX / 4);
        let bytes = frame.finish();
        let read = || Reader::new(&bytes[PREFIX..]).unwrap().1;
        assert_eq!(read().numbers::<f32>(), Err(Malformed));
        assert_eq!(read().bytes(), Err(Malformed));
        assert_eq!(read().texts(), Err(Malformed));
        assert_eq!(read().flag(), Err(Malformed));
    }
}
