//! The terminal of a program, or the pipe it reads from: who looks at it, what was shown, what is typed.
//!
//! ```text
//! program ─▶ push ─▶ ring (what was shown last) ─▶ every viewer      a slow viewer is waited for, as at a
//! pipe program ◀─ flush ◀─ typed (bounded) ◀─ input ◀─ a connection that the kernel let attach
//! ```
//! A terminal is as large as its smallest viewer, so that each of them sees all of it; with none, it keeps
//! the size it had. What is typed goes to the program and nowhere else: what a program echoes is its
//! output. Never here: who may attach; a word of what it means.

use crate::{connection::Connection, guard::guard, post::notice};
use abi::{Code, Error, ExecId, Pid, call::Stdio, limits, wire};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    termios::{Winsize, tcsetwinsize},
};
use serde_json::json;
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    sync::{Arc, Mutex},
};

/// Bytes of one notification, before base64.
const PIECE_BYTES: usize = 64 * 1024;

/// See the file's head.
pub(crate) struct Screen {
    workspace: String,
    pid: Pid,
    exec: ExecId,
    inner: Mutex<Inner>,
}

struct Inner {
    stdio: Stdio,
    ring: VecDeque<u8>,
    /// More was shown than the ring holds.
    lost: bool,
    viewers: Vec<Viewer>,
    /// The program's end of it, once it runs.
    to: Option<File>,
    typed: VecDeque<u8>,
    /// No more is typed.
    closed: bool,
    over: bool,
}

struct Viewer {
    client: Arc<Connection>,
    size: Option<(u16, u16)>,
}

impl Screen {
    pub fn new(workspace: &str, (pid, exec): (Pid, ExecId), stdio: Stdio) -> Arc<Self> {
        let inner = Inner {
            stdio,
            ring: VecDeque::new(),
            lost: false,
            viewers: Vec::new(),
            to: None,
            typed: VecDeque::new(),
            closed: false,
            over: false,
        };
        Arc::new(Self { workspace: workspace.to_owned(), pid, exec, inner: Mutex::new(inner) })
    }

    /// Whether it is one of this command.
    pub fn is(&self, workspace: &str, exec: ExecId) -> bool {
        self.workspace == workspace && self.exec == exec
    }

    pub fn stdio(&self) -> Stdio {
        guard(&self.inner).stdio
    }

    /// The program runs, and this is where it reads from.
    pub fn begin(&self, to: File) -> io::Result<()> {
        let flags = fcntl_getfl(&to)?;
        fcntl_setfl(&to, flags | OFlags::NONBLOCK)?;
        let mut inner = guard(&self.inner);
        inner.to = Some(to);
        inner.fit();
        inner.flush();
        Ok(())
    }

    /// This connection looks at it from now on: first at what was shown last.
    pub fn attach(self: &Arc<Self>, client: &Arc<Connection>) -> Result<(), Error> {
        let mut inner = guard(&self.inner);
        if inner.over {
            return Err(Error::new(Code::Dead, format!("the program of process {} has ended", self.pid)));
        }
        client.looks_at(self)?;
        if !inner.viewers.iter().any(|viewer| Arc::ptr_eq(&viewer.client, client)) {
            inner.viewers.push(Viewer { client: client.clone(), size: None });
        }
        let mut shown: Vec<u8> = inner.ring.iter().copied().collect();
        if inner.lost {
            // Not from within a character or a sequence.
            let line = shown.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            shown.drain(..line);
        }
        self.show(client, &shown);
        if inner.lost {
            // A program that draws the whole of its terminal is made to do so.
            inner.shake();
        }
        Ok(())
    }

    /// It looks no more.
    pub fn leave(&self, client: &Connection) {
        let mut inner = guard(&self.inner);
        inner.viewers.retain(|viewer| !std::ptr::eq(&*viewer.client, client));
        inner.fit();
    }

    /// How large this viewer's window is.
    pub fn resize(&self, client: &Connection, size: (u16, u16)) {
        let mut inner = guard(&self.inner);
        for viewer in inner.viewers.iter_mut().filter(|viewer| std::ptr::eq(&*viewer.client, client)) {
            viewer.size = Some(size);
        }
        inner.fit();
    }

    /// Something is typed; `ends` says that it was the last.
    pub fn input(&self, bytes: &[u8], ends: bool) -> Result<(), Error> {
        let mut inner = guard(&self.inner);
        if inner.over {
            return Err(Error::new(Code::Dead, "the program has ended"));
        }
        if inner.typed.len() + bytes.len() > limits::TYPED_BYTES_MAX {
            return Err(
                Error::new(Code::Busy, "the program does not read what is typed").hint("send it later")
            );
        }
        inner.typed.extend(bytes);
        inner.closed |= ends;
        inner.flush();
        Ok(())
    }

    /// Takes to the program what it can take now; whether more waits.
    pub fn flush(&self) -> bool {
        guard(&self.inner).flush()
    }

    /// Whether somebody who looks is behind.
    pub fn is_slow(&self) -> bool {
        guard(&self.inner).viewers.iter().any(|viewer| viewer.client.is_slow())
    }

    /// The program says this.
    pub fn push(&self, piece: &[u8]) {
        let mut inner = guard(&self.inner);
        inner.viewers.retain(|viewer| !viewer.client.is_dead());
        inner.ring.extend(piece);
        let over = inner.ring.len().saturating_sub(limits::SCROLLBACK_BYTES_MAX);
        inner.lost |= over > 0;
        inner.ring.drain(..over);
        inner.viewers.iter().for_each(|viewer| self.show(&viewer.client, piece));
    }

    /// The program has ended: who looks is told.
    pub fn end(&self) {
        let viewers = {
            let mut inner = guard(&self.inner);
            (inner.over, inner.to) = (true, None);
            std::mem::take(&mut inner.viewers)
        };
        let params = json!({ "workspace": self.workspace, "pid": self.pid, "exec": self.exec, "end": true });
        for viewer in viewers {
            viewer.client.send_line(notice("screen", &params));
            viewer.client.looks_away(&self.workspace, self.exec);
        }
    }

    fn show(&self, client: &Arc<Connection>, bytes: &[u8]) {
        let mut pieces = bytes.chunks(PIECE_BYTES);
        // Also who sees nothing yet learns where to type.
        let first = pieces.next().unwrap_or_default();
        for piece in std::iter::once(first).chain(pieces) {
            let (workspace, pid, exec) = (&self.workspace, self.pid, self.exec);
            let base64 = wire::to_base64(piece);
            let params = json!({ "workspace": workspace, "pid": pid, "exec": exec, "base64": base64 });
            client.send_line(notice("screen", &params));
        }
    }
}

impl Inner {
    fn flush(&mut self) -> bool {
        let Some(mut to) = self.to.as_ref() else { return false };
        loop {
            let (piece, _) = self.typed.as_slices();
            if piece.is_empty() {
                break;
            }
            match to.write(piece) {
                Ok(written) => drop(self.typed.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // It reads no more.
                Err(_) => self.typed.clear(),
            }
        }
        if self.closed && self.stdio == Stdio::Pipe {
            self.to = None;
        }
        false
    }

    /// The terminal is as large as the smallest window.
    fn fit(&mut self) {
        let Stdio::Terminal { rows, cols } = self.stdio else { return };
        let sizes = || self.viewers.iter().filter_map(|viewer| viewer.size);
        let least = |of: fn((u16, u16)) -> u16, now| sizes().map(of).min().unwrap_or(now);
        let (rows, cols) = (least(|size| size.0, rows), least(|size| size.1, cols));
        self.stdio = Stdio::Terminal { rows, cols };
        let _ = self.set(rows, cols);
    }

    fn shake(&self) {
        let Stdio::Terminal { rows, cols } = self.stdio else { return };
        let _ = self.set(rows.saturating_add(1), cols).and_then(|()| self.set(rows, cols));
    }

    /// Tells the program's terminal, which tells the program: SIGWINCH.
    fn set(&self, rows: u16, cols: u16) -> Result<(), Errno> {
        let Some(to) = &self.to else { return Ok(()) };
        tcsetwinsize(to, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 })
    }
}
