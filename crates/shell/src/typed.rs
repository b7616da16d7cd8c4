//! Lines of an input as they come, while something else may ask to be heard: a prompt that Ctrl-C reaches.
//! A line is bounded. Never here: what a line means.

use crate::fail::Fail;
use abi::limits::ARGUMENT_BYTES_MAX;
use rustix::event::{PollFd, PollFlags, poll};
use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream},
};

/// What waiting for a line came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// A line, without its end.
    Line(String),
    /// The other stream can be read.
    Woken,
    /// The input has ended.
    End,
}

/// An input, and what of it was read and not yet asked for.
#[derive(Debug)]
pub struct Typed<R> {
    from: R,
    buffer: Vec<u8>,
    ended: bool,
}

impl<R: AsFd> Typed<R> {
    /// Of this input, from here on.
    pub fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), ended: false }
    }

    /// The next line; the last may lack its end.
    pub fn next(&mut self, wake: Option<&UnixStream>) -> Result<Got, Fail> {
        let mut searched = 0;
        loop {
            let found = self.buffer.iter().skip(searched).position(|byte| *byte == b'\n');
            if let Some(at) = found {
                let line: Vec<u8> = self.buffer.drain(..=searched + at).collect();
                return text(&line).map(Got::Line);
            }
            searched = self.buffer.len();
            if searched as u64 > ARGUMENT_BYTES_MAX {
                return Err(Fail::new("a line of more than 64 KiB cannot be said")
                    .hint("write it to a file, and name the file: skep write PATH --file FILE"));
            }
            if self.ended {
                let rest = std::mem::take(&mut self.buffer);
                return if rest.is_empty() { Ok(Got::End) } else { text(&rest).map(Got::Line) };
            }
            if self.woken(wake)? {
                // A terminal has forgotten what was typed so far.
                self.buffer.clear();
                return Ok(Got::Woken);
            }
            self.fill()?;
        }
    }

    fn woken(&self, wake: Option<&UnixStream>) -> Result<bool, Fail> {
        let mut fds = vec![PollFd::new(&self.from, PollFlags::IN)];
        fds.extend(wake.map(|wake| PollFd::new(wake, PollFlags::IN)));
        loop {
            match poll(&mut fds, None) {
                Ok(_) => return Ok(fds.get(1).is_some_and(|fd| !fd.revents().is_empty())),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    fn fill(&mut self) -> Result<(), Fail> {
        let mut part = [0; 4096];
        match rustix::io::read(&self.from, &mut part) {
            Ok(0) => self.ended = true,
            Ok(count) => self.buffer.extend(part.iter().take(count)),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        Ok(())
    }
}

fn text(line: &[u8]) -> Result<String, Fail> {
    let text = std::str::from_utf8(line).map_err(|_| Fail::new("that line is not UTF-8"))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_come_one_by_one() {
        let (mut to, from) = UnixStream::pair().unwrap();
        to.write_all("one\r\n\ntwo ö\nthree".as_bytes()).unwrap();
        drop(to);
        let mut typed = Typed::new(from);
        let all: Vec<Got> = (0..6).map(|_| typed.next(None).unwrap()).collect();
        let line = |text: &str| Got::Line(text.to_owned());
        assert_eq!(all, [line("one"), line(""), line("two ö"), line("three"), Got::End, Got::End]);
    }

    #[test]
    fn the_other_stream_is_heard_first_and_what_was_typed_is_forgotten() {
        let ((mut to, from), (mut ring, bell)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let mut typed = Typed::new(from);
        ring.write_all(b"x").unwrap();
        to.write_all(b"half a li").unwrap();
        assert_eq!(typed.next(Some(&bell)).unwrap(), Got::Woken);
        drop(to);
        assert_eq!(typed.next(None).unwrap(), Got::Line("half a li".to_owned()));
    }

    #[test]
    fn a_line_is_bounded_and_text() {
        let (mut to, from) = UnixStream::pair().unwrap();
        to.write_all(b"\xff\xfe\n").unwrap();
        assert_eq!(Typed::new(from).next(None).unwrap_err().message, "that line is not UTF-8");
        let (mut to, from) = UnixStream::pair().unwrap();
        let writer = std::thread::Builder::new();
        let writer = writer.spawn(move || to.write_all(&vec![b'x'; 1 << 20])).unwrap();
        assert!(Typed::new(from).next(None).unwrap_err().message.contains("64 KiB"));
        // It was not read to its end.
        assert!(writer.join().unwrap().is_err());
    }
}
