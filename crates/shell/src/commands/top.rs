//! `skep top`.

use crate::{
    board::{
        Board,
        draw::{View, draw, text},
        live,
    },
    fail::{Exit, Outcome},
    session::{Desk, Session},
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Columns of a frame that goes to no terminal.
const WIDTH: u16 = 120;
/// Rows of it at most.
const HEIGHT_MAX: usize = 500;
/// Rows beside those of processes: head, heads of columns, halts and how many more.
const AROUND: usize = 8;

/// Processes as they run: state, calls, tokens, cost, what is left, what each does now
///
/// Keys: arrows point at a process, Enter shows its last lines, f freezes, t thaws, k kills (asks), i shows
/// the inbox, c T a order by cost, tokens, age (again: the tree), q leaves. Without a terminal: one frame, as
/// `--once`.
#[derive(Debug, clap::Args)]
pub struct Top {
    /// Print one frame as text, and leave
    #[arg(long)]
    once: bool,
}

impl Top {
    pub fn run(self, session: &mut Session) -> Outcome {
        if !self.once && !session.is_json() && session.desk == Desk::Terminal {
            return live::run(session);
        }
        let (board, _) = Board::look(session)?;
        let now = (session.clock)();
        if session.is_json() {
            session.object(&board.object(now))?;
            return Ok(Exit::Fine);
        }
        let rows = (board.tasks.len() + AROUND).min(HEIGHT_MAX);
        let area = Rect::new(0, 0, WIDTH, u16::try_from(rows).unwrap_or(u16::MAX).max(12));
        let mut buffer = Buffer::empty(area);
        draw(&mut buffer, area, &board, &View::default(), now);
        for line in lines(&buffer, area) {
            session.say(&line)?;
        }
        Ok(Exit::Fine)
    }
}

/// The cells as text, without the keys and the empty lines before them.
fn lines(buffer: &Buffer, area: Rect) -> Vec<String> {
    let mut lines: Vec<String> = (0..area.height - 1).map(|row| text(buffer, row)).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}
