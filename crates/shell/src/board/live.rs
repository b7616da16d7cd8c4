//! `skep top` on a terminal: keys, records and the clock come together in one loop. Files are read at most
//! once a second, and only when a record came since or some seconds have passed; a frame is drawn at most
//! five times a second, and after a key. However it ends, by a key, a signal, an error or a panic, the
//! terminal is as it was.

use super::{
    Board, Sort,
    draw::{View, draw},
};
use crate::{
    clock::Deadline,
    escape,
    fail::{Exit, Fail, Outcome},
    journal::{Follower, Heard},
    matter,
    session::Session,
};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};
use serde_json::json;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread::Builder,
    time::Duration,
};

/// How often files may be read.
const TICK: Duration = Duration::from_secs(1);
/// They are read after so many ticks also when no record came.
const QUIET_TICKS: u32 = 5;
/// How often a frame may be drawn that no key asked for.
const FRAME: Duration = Duration::from_millis(200);
/// Lines of what waits for a decision.
const INBOX: usize = 5;

/// The terminal, given back when this goes; a panic gives it back before it speaks.
struct Screen(DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What keys and signals bring.
struct Desk {
    wake: UnixStream,
    keys: Receiver<Event>,
    /// Somebody wants this to end.
    over: Arc<AtomicBool>,
}

impl Desk {
    fn open() -> std::io::Result<Self> {
        let (wake, mut bell) = UnixStream::pair()?;
        let over = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP]
        {
            signal_hook::flag::register(signal, over.clone())?;
            signal_hook::low_level::pipe::register(signal, bell.try_clone()?)?;
        }
        let (tell, keys) = mpsc::channel();
        // It ends with the process: nothing can take it out of waiting for a key.
        Builder::new().name("keys".into()).spawn(move || {
            while let Ok(event) = event::read() {
                if tell.send(event).is_err() || bell.write_all(&[0]).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { wake, keys, over })
    }

    fn drain(&mut self) -> std::io::Result<()> {
        let mut bytes = [0; 64];
        self.wake.read(&mut bytes).map(drop)
    }
}

/// Whether it goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Ends,
}

/// Shows it until somebody leaves.
pub fn run(session: &mut Session) -> Outcome {
    let (mut board, seq) = Board::look(session)?;
    let mut follower = Follower::new(session, seq)?;
    let mut view = View { ink: Some(session.ink), ..View::default() };
    let mut desk = Desk::open()?;
    let mut screen = Screen(ratatui::try_init()?);
    let (mut tick, mut frame) = (Deadline::after(TICK), Deadline::after(Duration::ZERO));
    let (mut came, mut quiet, mut dirty) = (false, 0, true);
    while !desk.over.load(Ordering::Relaxed) {
        if tick.left().is_none() {
            quiet += 1;
            if came || quiet >= QUIET_TICKS {
                board.refresh(session)?;
                (came, quiet) = (false, 0);
            }
            (tick, dirty) = (Deadline::after(TICK), true);
        }
        if dirty && frame.left().is_none() {
            let now = (session.clock)();
            screen.0.draw(|one| {
                let area = one.area();
                draw(one.buffer_mut(), area, &board, &view, now);
            })?;
            (frame, dirty) = (Deadline::after(FRAME), false);
        }
        match follower.next(Some(if dirty { frame } else { tick }), Some(&desk.wake))? {
            Heard::Row(row) => {
                board.take(&row);
                (came, dirty) = (true, true);
            }
            Heard::Woken => {
                desk.drain()?;
                while let Ok(event) = desk.keys.try_recv() {
                    let flow = match event {
                        Event::Key(key) if key.kind == KeyEventKind::Press => {
                            press(session, &mut board, &mut view, key)?
                        }
                        _ => Flow::On,
                    };
                    if flow == Flow::Ends {
                        return Ok(Exit::Fine);
                    }
                }
                (frame, dirty) = (Deadline::after(Duration::ZERO), true);
            }
            Heard::Preview(..) | Heard::Late => {}
        }
    }
    Ok(Exit::Fine)
}

/// One key.
fn press(session: &mut Session, board: &mut Board, view: &mut View, key: KeyEvent) -> Result<Flow, Fail> {
    view.message.clear();
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return Ok(Flow::Ends);
    }
    if let Some(pid) = view.asks.take() {
        if matches!(key.code, KeyCode::Char('y' | 'Y')) {
            signal(session, board, view, (pid, "kill"))?;
        }
        return Ok(Flow::On);
    }
    match key.code {
        KeyCode::Char('q') => return Ok(Flow::Ends),
        KeyCode::Esc | KeyCode::Enter if view.lines => view.lines = false,
        KeyCode::Enter => view.lines = point(board, view).is_some(),
        KeyCode::Up => step(board, view, -1),
        KeyCode::Down => step(board, view, 1),
        KeyCode::PageUp => step(board, view, -10),
        KeyCode::PageDown => step(board, view, 10),
        KeyCode::Home => step(board, view, isize::MIN),
        KeyCode::End => step(board, view, isize::MAX),
        KeyCode::Char('c') => view.sort = turned(view.sort, Sort::Cost),
        KeyCode::Char('T') => view.sort = turned(view.sort, Sort::Tokens),
        KeyCode::Char('a') => view.sort = turned(view.sort, Sort::Age),
        KeyCode::Char('i') => {
            view.inbox = if view.inbox.is_some() { None } else { Some(inbox(session)?) };
        }
        KeyCode::Char(word @ ('f' | 't' | 'k')) => match (point(board, view), word) {
            (None, _) => view.message = "no process is pointed at: ↑↓".to_owned(),
            (Some(pid), 'f') => signal(session, board, view, (pid, "freeze"))?,
            (Some(pid), 't') => signal(session, board, view, (pid, "thaw"))?,
            (Some(pid), _) => view.asks = Some(pid),
        },
        _ => {}
    }
    Ok(Flow::On)
}

/// The order that a key means; again, and it is the tree.
fn turned(stands: Sort, asked: Sort) -> Sort {
    if stands == asked { Sort::Tree } else { asked }
}

/// The process that is pointed at; the first, if none was.
fn point(board: &Board, view: &mut View) -> Option<u64> {
    let tasks = board.sorted(view.sort);
    let known = view.selected.filter(|pid| view.lines || tasks.iter().any(|task| task.pid == *pid));
    view.selected = known.or_else(|| tasks.first().map(|task| task.pid));
    view.selected
}

fn step(board: &Board, view: &mut View, by: isize) {
    let tasks = board.sorted(view.sort);
    let stands = tasks.iter().position(|task| Some(task.pid) == view.selected);
    let last = tasks.len().saturating_sub(1);
    let to = match stands {
        None => 0,
        Some(at) => at.saturating_add_signed(by).min(last),
    };
    view.selected = tasks.get(to).map(|task| task.pid);
}

fn signal(
    session: &mut Session,
    board: &mut Board,
    view: &mut View,
    (pid, word): (u64, &str),
) -> Result<(), Fail> {
    view.message = match session.call("signal", json!({"pid": pid, "signal": word})) {
        Ok(_) => match word {
            "freeze" => format!("{pid} is frozen"),
            "thaw" => format!("{pid} goes on"),
            _ => format!("{pid} is ended"),
        },
        Err(fail) if fail.code.is_empty() => return Err(fail),
        Err(fail) => escape::line(&format!("{} · {}", fail.message, fail.hint)),
    };
    board.refresh(session)
}

/// What waits for a decision, one line each.
fn inbox(session: &mut Session) -> Result<Vec<String>, Fail> {
    let matters = matter::all(session)?;
    let line = |matter: &matter::Matter| {
        let about = matter.rows(matter::Width::Whole).into_iter().next().unwrap_or_default();
        format!("{:<4} {} {about} · skep inbox {}", matter.head.id, matter.head.what(), matter.head.id)
    };
    let mut lines: Vec<String> = matters.iter().take(INBOX).map(line).collect();
    match matters.len() {
        0 => lines.push("nothing waits for you".to_owned()),
        count if count > INBOX => lines.push(format!("{} more: skep inbox", count - INBOX)),
        _ => {}
    }
    Ok(lines)
}
