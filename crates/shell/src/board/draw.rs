//! One frame of `skep top`, into cells: the same for a terminal, for `--once`, and for tests.
//!
//! ```text
//! home  $0.42 of $5.00 today · 12 calls/min · 3 run, 1 frozen · inbox 2
//! frozen      7 drafts: limit of process:7: … · skep budget set …          as far as there is room
//!   PID  AGENT   STATE    MODEL  CALLS  TOKENS   COST   LEFT   AGE  NOW
//! >   3  boss    waiting  smart      4    1.2k  $0.02  $0.98   2 m  waits for process 7
//!  *  7  └drafts frozen   …
//! ↑↓ Enter log  f freeze  t thaw  k kill  i inbox  c cost  T tokens  a age  q quit
//! ```
//! Columns go when the screen is narrow, the least needed first. What comes in has been escaped.

use super::{Board, Sort, Task};
use crate::{figures, session::Ink};
use abi::{Micros, money::Nano};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::Span,
};

/// Lines about what stands still, on a screen that is high enough.
const HALTS: usize = 3;
/// A screen lower than this shows rows only.
const LOW: u16 = 12;
/// The narrowest that the last column may be.
const NOW_MIN: usize = 14;
/// The same where there is a choice: what it does says more than which model does it.
const NOW_BESIDE_MODEL: usize = 26;

/// What stands on the screen beside the board.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub sort: Sort,
    /// The process that is pointed at.
    pub selected: Option<u64>,
    /// Its lines are shown instead of the table.
    pub lines: bool,
    /// Whether it is to be ended is asked.
    pub asks: Option<u64>,
    /// What waits for a decision, if that is shown.
    pub inbox: Option<Vec<String>>,
    /// How the last key went.
    pub message: String,
    pub ink: Option<Ink>,
}

/// Head, width, whether numbers stand in it; of the columns before the last. In the order in which they go.
const COLUMNS: [(&str, usize, bool); 9] = [
    ("PID", 5, true),
    ("AGENT", 12, false),
    ("STATE", 8, false),
    ("MODEL", 18, false),
    ("CALLS", 5, true),
    ("TOKENS", 6, true),
    ("COST", 7, true),
    ("LEFT", 7, true),
    ("AGE", 5, true),
];
/// The first of these goes first.
const GOES: [&str; 8] = ["MODEL", "TOKENS", "CALLS", "LEFT", "AGE", "COST", "STATE", "AGENT"];

struct Pen<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    ink: Ink,
}

impl Pen<'_> {
    fn style(&self, colour: Color) -> Style {
        if self.ink == Ink::Colour { Style::new().fg(colour) } else { Style::new() }
    }

    /// Writes into a row from a column on, as far as there is room; how far it came.
    fn put(&mut self, (column, row): (usize, u16), text: &str, width: usize, style: Style) -> usize {
        let room = usize::from(self.area.width).saturating_sub(column).min(width);
        if row >= self.area.height || room == 0 {
            return column;
        }
        let at = self.area.x + u16::try_from(column).unwrap_or(u16::MAX);
        let (end, _) = self.buffer.set_stringn(at, self.area.y + row, text, room, style);
        usize::from(end - self.area.x)
    }

    fn line(&mut self, row: u16, text: &str, style: Style) {
        self.put((0, row), text, usize::MAX, style);
    }
}

/// Draws all of it.
pub fn draw(buffer: &mut Buffer, area: Rect, board: &Board, view: &View, now: Micros) {
    let mut pen = Pen { buffer, area, ink: view.ink.unwrap_or(Ink::Plain) };
    if area.height == 0 {
        return;
    }
    head(&mut pen, board, now);
    let mut top = 1;
    if area.height >= LOW {
        let held = pen.style(Color::Yellow);
        for line in board.halts.iter().take(HALTS) {
            pen.line(top, line, held);
            top += 1;
        }
        if board.halts.len() > HALTS {
            pen.line(top, &format!("{:12}{} more", "", board.halts.len() - HALTS), held);
            top += 1;
        }
    }
    let inbox = view.inbox.as_deref().unwrap_or_default();
    let low = u16::try_from(inbox.len()).unwrap_or(u16::MAX).min(area.height.saturating_sub(top + 3));
    let bottom = area.height.saturating_sub(1 + low).max(top);
    match view.selected.filter(|_| view.lines) {
        Some(pid) => lines(&mut pen, (top, bottom), board, pid),
        None => table(&mut pen, (top, bottom), board, view, now),
    }
    for (at, line) in (bottom..area.height.saturating_sub(1)).zip(inbox) {
        let style = pen.style(Color::Yellow);
        pen.line(at, line, style);
    }
    if area.height > 1 {
        foot(&mut pen, view);
    }
}

fn head(pen: &mut Pen<'_>, board: &Board, now: Micros) {
    let money = match (board.today.as_str(), board.limit.as_str()) {
        ("", _) => String::new(),
        (today, "") => format!("  {today} today, no limit ·"),
        (today, limit) => format!("  {today} of {limit} today ·"),
    };
    let calls = board.calls_minute(now);
    let text = format!(
        "{}{money} {calls} calls/min · {} awake, {} frozen · inbox {}",
        board.workspace, board.running, board.frozen, board.inbox
    );
    let end = pen.put((0, 0), &text, usize::MAX, Style::new().add_modifier(Modifier::BOLD));
    if !board.stopped_by.is_empty() {
        let style = pen.style(Color::Red).add_modifier(Modifier::BOLD);
        pen.put((end, 0), &format!(" · STOPPED by {}", board.stopped_by), usize::MAX, style);
    }
}

/// The columns that fit, with the width of the last one.
fn columns(width: usize) -> (Vec<(&'static str, usize, bool)>, usize) {
    let mut kept: Vec<_> = COLUMNS.to_vec();
    let wide = |kept: &[(&str, usize, bool)]| kept.iter().map(|(_, width, _)| width + 1).sum::<usize>() + 2;
    for name in GOES {
        let least = if name == "MODEL" { NOW_BESIDE_MODEL } else { NOW_MIN };
        if wide(&kept) + least <= width {
            break;
        }
        kept.retain(|(of, ..)| *of != name);
    }
    let rest = width.saturating_sub(wide(&kept));
    (kept, rest)
}

fn table(pen: &mut Pen<'_>, (top, bottom): (u16, u16), board: &Board, view: &View, now: Micros) {
    let (columns, rest) = columns(usize::from(pen.area.width));
    let mut at = 2;
    let quiet = Style::new().add_modifier(Modifier::DIM);
    for (name, width, is_number) in &columns {
        let mark = matches!(
            (view.sort, *name),
            (Sort::Cost, "COST") | (Sort::Tokens, "TOKENS") | (Sort::Age, "AGE")
        );
        let name = if mark { format!("{name}v") } else { (*name).to_owned() };
        let text = if *is_number { format!("{name:>width$}") } else { name };
        pen.put((at, top), &text, *width, quiet);
        at += width + 1;
    }
    pen.put((at, top), "NOW", rest, quiet);
    let tasks = board.sorted(view.sort);
    if tasks.is_empty() {
        pen.line(top + 1, "  no process runs; skep run \"task\" starts one", Style::new());
        return;
    }
    let room = usize::from(bottom.saturating_sub(top + 1));
    let picked = tasks.iter().position(|task| Some(task.pid) == view.selected);
    let from = picked.map_or(0, |ix| (ix + 1).saturating_sub(room));
    for (row, task) in (top + 1..bottom).zip(tasks.iter().skip(from)) {
        let is_picked = Some(task.pid) == view.selected;
        let mut style = match task.state.as_str() {
            "frozen" => pen.style(Color::Yellow),
            "stopped" => pen.style(Color::Red),
            _ => Style::new(),
        };
        if is_picked {
            style = style.add_modifier(Modifier::REVERSED);
            pen.put((0, row), &" ".repeat(usize::from(pen.area.width)), usize::MAX, style);
            pen.put((0, row), ">", 1, style);
        }
        if task.state == "frozen" {
            pen.put((1, row), "*", 1, style);
        }
        let mut at = 2;
        for (name, width, is_number) in &columns {
            let cell = cell(task, name, now);
            let text = if *is_number { format!("{cell:>width$}") } else { cell };
            pen.put((at, row), &text, *width, style);
            at += width + 1;
        }
        pen.put((at, row), &board.doing(task), rest, style);
    }
}

fn cell(task: &Task, name: &str, now: Micros) -> String {
    match name {
        "PID" => task.pid.to_string(),
        "AGENT" if task.depth == 0 => task.agent.clone(),
        "AGENT" => format!("{}└{}", " ".repeat(task.depth.min(6) - 1), task.agent),
        "STATE" => task.state.clone(),
        "MODEL" => task.model.clone(),
        "CALLS" => task.calls.to_string(),
        "TOKENS" => short(task.tokens),
        "COST" => price(task.money),
        "LEFT" => task.left.map_or_else(|| "-".to_owned(), price),
        _ => match now.saturating_sub(task.started) / 1_000_000 {
            seconds @ 0..60 => format!("{seconds} s"),
            seconds => figures::length(seconds * 1_000_000),
        },
    }
}

/// `$0.0042`, `$12.35`: rounded up, never cut.
fn price(amount: Nano) -> String {
    const CENT: i64 = 10_000_000;
    match amount.0 {
        ..1_000_000_000 => figures::money(amount),
        nano => {
            let cents = nano.saturating_add(CENT - 1) / CENT;
            format!("${}.{:02}", cents / 100, cents % 100)
        }
    }
}

/// `940`, `1.2k`, `34k`, `5.6m`.
fn short(number: u64) -> String {
    let tenths = |of: u64, unit: &str| format!("{}.{}{unit}", number / of, number % of / (of / 10));
    match number {
        0..1_000 => number.to_string(),
        1_000..10_000 => tenths(1_000, "k"),
        10_000..1_000_000 => format!("{}k", number / 1_000),
        1_000_000..10_000_000 => tenths(1_000_000, "m"),
        _ => format!("{}m", number / 1_000_000),
    }
}

fn lines(pen: &mut Pen<'_>, (top, bottom): (u16, u16), board: &Board, pid: u64) {
    let task = board.tasks.iter().find(|task| task.pid == pid);
    let head = match task {
        None => format!("process {pid} has ended · skep logs {pid}"),
        Some(task) if task.way_out.is_empty() => {
            format!("process {pid} {} · {} {}", task.agent, task.state, task.why)
        }
        Some(task) => format!("process {pid} {} · {} · {}", task.agent, task.why, task.way_out),
    };
    pen.line(top, head.trim_end(), Style::new().add_modifier(Modifier::BOLD));
    let room = usize::from(bottom.saturating_sub(top + 1));
    let mut last: Vec<&str> = board.lines(pid).rev().take(room).collect();
    last.reverse();
    for (row, line) in (top + 1..bottom).zip(last) {
        pen.line(row, line, Style::new());
    }
}

fn foot(pen: &mut Pen<'_>, view: &View) {
    let row = pen.area.height - 1;
    let text = match (view.asks, view.message.as_str(), view.lines) {
        (Some(pid), ..) => format!("end process {pid} and all below it? y/n"),
        (None, "", true) => "Enter back  f freeze  t thaw  k kill  q quit".to_owned(),
        (None, "", false) => {
            "↑↓ Enter log  f freeze  t thaw  k kill  i inbox  c cost  T tokens  a age  q quit".to_owned()
        }
        (None, message, _) => message.to_owned(),
    };
    let style = if view.asks.is_some() { pen.style(Color::Red) } else { Style::new() };
    pen.line(row, &text, style.add_modifier(Modifier::BOLD));
}

/// A row of cells as text. A wide letter stands in its first cell, the next says nothing.
pub fn text(buffer: &Buffer, row: u16) -> String {
    let (mut line, mut skip) = (String::new(), 0);
    for column in 0..buffer.area.width {
        let symbol = buffer.cell((column, row)).map_or(" ", |cell| cell.symbol());
        if skip == 0 {
            line.push_str(symbol);
            skip = Span::raw(symbol).width();
        }
        skip = skip.saturating_sub(1);
    }
    line.trim_end().to_owned()
}
