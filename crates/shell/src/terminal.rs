//! Somebody's terminal, lent to a program in a sandbox: keys go in, what it shows comes out, as they are.
//!
//! ```text
//! keys ─▶ Ctrl-\ then d leaves it running · Ctrl-\ twice types one · all else to the program
//! SIGWINCH ─▶ its window          SIGTERM, SIGHUP ─▶ leaves it running          daemon gone ─▶ an error
//! ```
//! However this ends, the terminal is as it was: `Raw` is put back when it is dropped, and modes that the
//! program had switched on are switched off. Input that is no terminal goes the same way, without keys of
//! ours. Never here: which program it is.

use crate::{
    client::{Came, Got, Note},
    clock::Deadline,
    fail::Fail,
    session::Session,
};
use abi::{Code, wire};
use rustix::{
    io::Errno,
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr},
};
use serde_json::{Value, json};
use signal_hook::{SigId, consts, low_level};
use std::{
    io::{self, IsTerminal, Read, Stdin},
    os::{fd::AsFd, unix::net::UnixStream},
    time::Duration,
};

/// What is read of the keys at a time.
const KEYS_BYTES: usize = 16 * 1024;
/// What a program does not take yet is offered again after so long.
const AGAIN: Duration = Duration::from_millis(20);
/// Ctrl-\, the key before ours.
const LEAD: u8 = 0x1c;
/// Private modes that a program may leave on: the other screen, a hidden cursor (on is shown), mouse, focus,
/// pasted text in brackets. What they are when nobody has changed them.
const MODES: [(&str, bool); 8] = [
    ("1049", false),
    ("25", true),
    ("1000", false),
    ("1002", false),
    ("1003", false),
    ("1004", false),
    ("1006", false),
    ("2004", false),
];

/// Why nobody sits there any more.
#[derive(Debug)]
pub enum Left {
    /// What was waited for came.
    Ended(Result<Value, Fail>),
    /// The program goes on without anybody.
    Detached,
    /// Ctrl-C, where no terminal hands it to the program.
    Interrupted,
}

/// Whether one may leave what goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Ctrl-\ then d.
    Open,
    /// It ends with who sits there.
    Shut,
}

/// Signals as streams that can be read.
pub struct Signals {
    /// The window has another size.
    window: UnixStream,
    /// The time to go has come: SIGTERM, SIGHUP.
    pub leave: UnixStream,
    /// Ctrl-C, where no terminal takes it to the program.
    interrupt: UnixStream,
    ids: Vec<SigId>,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        let (window, changed) = UnixStream::pair()?;
        let (leave, told) = UnixStream::pair()?;
        let (interrupt, pressed) = UnixStream::pair()?;
        let mut ids = vec![low_level::pipe::register(consts::SIGWINCH, changed)?];
        ids.push(low_level::pipe::register(consts::SIGTERM, told.try_clone()?)?);
        ids.push(low_level::pipe::register(consts::SIGHUP, told)?);
        ids.push(low_level::pipe::register(consts::SIGINT, pressed)?);
        Ok(Self { window, leave, interrupt, ids })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            low_level::unregister(id);
        }
    }
}

/// The size of the window, if there is one.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdin()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// A terminal whose keys come as they are pressed.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        // What was typed ahead is kept.
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // It may be gone by now, and then nothing is to be put back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Modes that the program has changed.
struct Modes {
    on: [bool; MODES.len()],
    /// The end of what was shown: a sequence may come in two pieces.
    tail: Vec<u8>,
}

impl Modes {
    fn new() -> Self {
        Self { on: MODES.map(|(_, on)| on), tail: Vec::new() }
    }

    fn see(&mut self, bytes: &[u8]) {
        self.tail.extend(bytes);
        let text = std::mem::take(&mut self.tail);
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| find(rest, b"\x1b[?")) {
            let start = from + at;
            let body = text.get(start + 3..).unwrap_or_default();
            let Some(end) = body.iter().position(|byte| !byte.is_ascii_digit() && *byte != b';') else {
                // No sequence is so long; this one has not ended yet.
                if body.len() < 64 {
                    self.tail = text.get(start..).unwrap_or_default().to_vec();
                }
                return;
            };
            let verb = body.get(end).copied().unwrap_or_default();
            let numbers = String::from_utf8_lossy(body.get(..end).unwrap_or_default()).into_owned();
            for (on, (number, _)) in self.on.iter_mut().zip(MODES) {
                if matches!(verb, b'h' | b'l') && numbers.split(';').any(|one| one == number) {
                    *on = verb == b'h';
                }
            }
            from = start + 3 + end;
        }
        let keep = text.len().saturating_sub(2).max(from);
        self.tail = text.get(keep..).unwrap_or_default().to_vec();
    }

    /// What puts them back.
    fn undo(&self) -> String {
        let changed = self.on.iter().zip(MODES).filter(|(on, (_, before))| *on != before);
        let mut text: String = changed
            .map(|(_, (number, on))| format!("\x1b[?{number}{}", if on { 'h' } else { 'l' }))
            .collect();
        if !text.is_empty() {
            text.push_str("\x1b[0m");
        }
        text
    }
}

/// Takes what a signal left there.
fn drain(mut stream: &UnixStream) {
    let _ = stream.read(&mut [0; 64]);
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Keys on their way to the program.
#[derive(Default)]
struct Keys {
    led: bool,
}

impl Keys {
    /// What of them is the program's; none when the last of them leaves.
    fn press(&mut self, keys: &[u8]) -> Option<Vec<u8>> {
        let mut typed = Vec::new();
        for key in keys {
            match (std::mem::take(&mut self.led), *key) {
                (false, LEAD) => self.led = true,
                (true, b'd' | b'D') => return None,
                (true, LEAD) | (false, _) => typed.push(*key),
                (true, other) => typed.extend([LEAD, other]),
            }
        }
        Some(typed)
    }
}

/// Somebody before a program.
pub struct Seat<'a> {
    signals: &'a Signals,
    door: Door,
    stdin: Stdin,
    is_terminal: bool,
    /// Input that ended is not read again.
    open: bool,
    keys: Keys,
    modes: Modes,
    exec: Option<u64>,
    /// What was sent and is not taken yet, under which number.
    sent: Option<(u64, Value)>,
    again: Option<Deadline>,
}

impl<'a> Seat<'a> {
    pub fn new(signals: &'a Signals, door: Door) -> Self {
        let stdin = io::stdin();
        let is_terminal = stdin.is_terminal();
        Self {
            signals,
            door,
            stdin,
            is_terminal,
            open: true,
            keys: Keys::default(),
            modes: Modes::new(),
            exec: None,
            sent: None,
            again: None,
        }
    }

    /// Sits there until the answer to the request of this number comes, or until who sits there leaves.
    pub fn sit(mut self, session: &mut Session, until: u64) -> Result<Left, Fail> {
        let raw = if self.is_terminal { Some(Raw::enter()?) } else { None };
        let left = self.stay(session, until);
        let _ = session.out.write_all(self.modes.undo().as_bytes());
        let _ = session.out.flush();
        drop(raw);
        left
    }

    fn stay(&mut self, session: &mut Session, until: u64) -> Result<Left, Fail> {
        loop {
            let Signals { leave, window, interrupt, .. } = self.signals;
            let mut wakes = vec![leave.as_fd(), window.as_fd(), interrupt.as_fd()];
            if self.open && self.exec.is_some() && self.sent.is_none() {
                wakes.push(self.stdin.as_fd());
            }
            let came = session.client()?.next_of(self.again, &wakes)?;
            match came {
                Came::Wake(0) => return Ok(Left::Detached),
                Came::Wake(1) => {
                    drain(&self.signals.window);
                    self.tell_size(session)?;
                }
                Came::Wake(2) => {
                    drain(&self.signals.interrupt);
                    return Ok(Left::Interrupted);
                }
                Came::Wake(_) => {
                    if let Some(left) = self.typed(session)? {
                        return Ok(left);
                    }
                }
                Came::Got(Got::Reply(id, reply)) if id == until => return Ok(Left::Ended(reply)),
                Came::Got(Got::Reply(id, reply)) => self.taken(id, &reply),
                Came::Got(Got::Note(Note::Screen { exec, bytes })) => self.show(session, exec, &bytes)?,
                Came::Got(Got::TimedOut) => {
                    self.again = None;
                    if let Some((_, params)) = self.sent.take() {
                        self.send(session, params)?;
                    }
                }
                Came::Got(Got::Note(_) | Got::Woken) => {}
            }
        }
    }

    fn show(&mut self, session: &mut Session, exec: u64, bytes: &[u8]) -> Result<(), Fail> {
        if self.exec.is_none() {
            self.exec = Some(exec);
            self.tell_size(session)?;
        }
        if self.exec == Some(exec) {
            if self.is_terminal {
                self.modes.see(bytes);
            }
            session.out.write_all(bytes)?;
            session.out.flush()?;
        }
        Ok(())
    }

    fn tell_size(&mut self, session: &mut Session) -> Result<(), Fail> {
        let (Some(exec), Some((rows, cols))) = (self.exec, size().filter(|_| self.is_terminal)) else {
            return Ok(());
        };
        let params = session.aim(json!({"exec": exec, "rows": rows, "cols": cols}));
        session.client()?.send("terminal", params).map(drop)
    }

    /// Something was typed; whether that means to leave.
    fn typed(&mut self, session: &mut Session) -> Result<Option<Left>, Fail> {
        let mut keys = vec![0; KEYS_BYTES];
        let read = match rustix::io::read(&self.stdin, &mut keys) {
            Ok(read) => read,
            Err(Errno::INTR) => return Ok(None),
            // The terminal was closed under us.
            Err(_) if self.is_terminal => return Ok(Some(Left::Detached)),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        if read == 0 && self.is_terminal {
            return Ok(Some(Left::Detached));
        }
        let keys = keys.get(..read).unwrap_or_default();
        let ours = self.is_terminal && self.door == Door::Open;
        let typed = if ours { self.keys.press(keys) } else { Some(keys.to_vec()) };
        let Some(typed) = typed else { return Ok(Some(Left::Detached)) };
        self.open = read > 0;
        if typed.is_empty() && self.open {
            return Ok(None);
        }
        let exec = self.exec;
        let params = session.aim(json!({"exec": exec, "base64": wire::to_base64(&typed), "end": !self.open}));
        self.send(session, params).map(|()| None)
    }

    fn send(&mut self, session: &mut Session, params: Value) -> Result<(), Fail> {
        let id = session.client()?.send("terminal", params.clone())?;
        self.sent = Some((id, params));
        Ok(())
    }

    /// What was typed has reached the program, or has to be sent again.
    fn taken(&mut self, id: u64, reply: &Result<Value, Fail>) {
        if self.sent.as_ref().is_none_or(|(sent, _)| *sent != id) {
            return;
        }
        match reply {
            Err(fail) if fail.is(Code::Busy) => self.again = Some(Deadline::after(AGAIN)),
            _ => self.sent = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_ours_are_two() {
        for (pieces, want) in [
            (vec!["ab"], Some("ab")),
            (vec!["a\x1cdb"], None),
            (vec!["a\x1c", "d"], None),
            (vec!["\x1c", "\x1c", "d"], Some("\x1cd")),
            (vec!["\x1cx"], Some("\x1cx")),
            (vec!["d"], Some("d")),
        ] {
            let mut keys = Keys::default();
            let typed: Option<Vec<Vec<u8>>> =
                pieces.iter().map(|piece| keys.press(piece.as_bytes())).collect();
            assert_eq!(
                typed.map(|typed| typed.concat()),
                want.map(|want| want.as_bytes().to_vec()),
                "{pieces:?}"
            );
        }
    }

    #[test]
    fn modes_are_put_back() {
        for (pieces, want) in [
            (vec!["plain"], ""),
            (vec!["\x1b[?1049h\x1b[?25l"], "\x1b[?1049l\x1b[?25h\x1b[0m"),
            (vec!["\x1b[?10", "49h"], "\x1b[?1049l\x1b[0m"),
            (vec!["x\x1b", "[?2004hy"], "\x1b[?2004l\x1b[0m"),
            (vec!["\x1b[?1000;1006h", "\x1b[?1000l"], "\x1b[?1006l\x1b[0m"),
            (vec!["\x1b[?1049h", "\x1b[?1049l"], ""),
        ] {
            let mut modes = Modes::new();
            pieces.iter().for_each(|piece| modes.see(piece.as_bytes()));
            assert_eq!(modes.undo(), want, "{pieces:?}");
        }
    }
}
