//! One end of the socket between a run and a child: whole frames out, whole frames in, however they arrive.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use super::codec::{Number as _, PREFIX, Writer};

/// Why nothing more comes.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The other side has closed its end.
    Ended,
    /// A frame of so many bytes, which is more than is taken.
    TooLong(u64),
    /// The system says no.
    Io(std::io::Error),
}

/// Room that is made before a frame has arrived: its length is only what the other side says.
const ROOM: usize = 16 << 20;

/// An end of the socket, with what has come of the next frame.
pub(crate) struct Channel {
    stream: UnixStream,
    longest: u64,
    length: Option<usize>,
    /// The first `filled` bytes of it have come.
    came: Vec<u8>,
    filled: usize,
}

impl Channel {
    /// Takes frames of at most `longest` bytes.
    pub fn new(stream: UnixStream, longest: u64) -> Self {
        Self {
            stream,
            longest,
            length: None,
            came: Vec::new(),
            filled: 0,
        }
    }

    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    pub fn send(&mut self, frame: Writer) -> std::io::Result<()> {
        self.stream.write_all(&frame.finish())
    }

    /// The next frame; `None` if it has not come whole before the stream's read timeout.
    pub fn receive(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        loop {
            let wanted = self.length.unwrap_or(PREFIX);
            while self.filled < wanted {
                if self.filled == self.came.len() {
                    // What is said to come is made room for only as it comes.
                    self.came.resize(wanted.min(self.filled + ROOM), 0);
                }
                match (&self.stream).read(&mut self.came[self.filled..]) {
                    Ok(0) => return Err(Broken::Ended),
                    Ok(n) => self.filled += n,
                    Err(error) => match error.kind() {
                        ErrorKind::Interrupted => {}
                        ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(None),
                        ErrorKind::ConnectionReset => return Err(Broken::Ended),
                        _ => return Err(Broken::Io(error)),
                    },
                }
            }
            let came = std::mem::take(&mut self.came);
            self.filled = 0;
            if self.length.take().is_some() {
                return Ok(Some(came));
            }
            let length = u64::take(&came);
            if length > self.longest {
                return Err(Broken::TooLong(length));
            }
            self.length = Some(length as usize);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_whole_in_order_and_in_any_pieces() {
        let (one, other) = UnixStream::pair().unwrap();
        let mut channel = Channel::new(other, 100);
        channel
            .stream()
            .set_read_timeout(Some(std::time::Duration::from_millis(5)))
            .unwrap();
        let mut bytes = Vec::new();
        for text in ["first", "second"] {
            let mut frame = Writer::new(9);
            frame.text(text);
            bytes.extend(frame.finish());
        }
        let (begin, rest) = bytes.split_at(13);
        (&one).write_all(begin).unwrap();
        assert!(channel.receive().unwrap().is_none());
        (&one).write_all(rest).unwrap();
        assert_eq!(channel.receive().unwrap().unwrap().len(), 1 + 8 + 5);
        assert_eq!(channel.receive().unwrap().unwrap().len(), 1 + 8 + 6);
        (&one).write_all(&1000u64.to_le_bytes()).unwrap();
        assert!(matches!(channel.receive(), Err(Broken::TooLong(1000))));
    }

    #[test]
    fn a_side_that_ends_in_the_middle_has_ended() {
        let (one, other) = UnixStream::pair().unwrap();
        (&one).write_all(&[20, 0, 0]).unwrap();
        drop(one);
        assert!(matches!(
            Channel::new(other, 100).receive(),
            Err(Broken::Ended)
        ));
    }
}
