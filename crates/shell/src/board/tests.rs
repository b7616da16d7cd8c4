//! Frames over fixed data, as a terminal of some size would show them.

use super::{
    draw::{View, draw, text},
    *,
};
use crate::session::Ink;
use expect_test::{Expect, expect};
use ratatui::{Terminal, backend::TestBackend, style::Modifier};

const NOW: Micros = 1_795_183_331_123_456;

fn board() -> Board {
    let task = |pid: u64, parent: u64, agent: &str, state: &str, why: &str| Task {
        pid,
        parent,
        agent: agent.to_owned(),
        state: state.to_owned(),
        why: why.to_owned(),
        model: "anthropic/claude-sonnet".to_owned(),
        calls: pid,
        tokens: pid * 1_150,
        money: Nano(i64::try_from(pid).unwrap() * 10_000_000),
        left: (pid != 9).then_some(Nano(940_000_000)),
        started: NOW - pid * 61_000_000,
        ..Task::default()
    };
    let mut board = Board {
        workspace: "home".to_owned(),
        today: "$0.42".to_owned(),
        limit: "$5.00".to_owned(),
        running: 3,
        frozen: 1,
        inbox: 2,
        halts: vec![
            "frozen      7 drafts: limit of process:7: calls 3 a run; 3 used · skep kill 7".to_owned(),
        ],
        tasks: vec![
            task(3, 0, "boss", "waiting", "process 7"),
            task(7, 3, "drafts", "frozen", "limit of process:7: calls 3 a run; 3 used"),
            task(8, 7, "東京東京東京東京東京", "running", ""),
            // Escaped when it came in, as everything is.
            task(9, 0, &escape::line("e\u{1b}[2J\u{202e}vil\nname"), "waiting", "model"),
        ],
        ..Board::default()
    };
    board.doing.insert(8, "tool write /data/a.md".to_owned());
    board
        .lines
        .insert(7, (0..40).map(|ix| format!("14:02:{ix:02} tool     write /data/{ix}.md · ok")).collect());
    board
}

fn frame(width: u16, height: u16, view: &View) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let board = board();
    terminal
        .draw(|frame| {
            let area = frame.area();
            draw(frame.buffer_mut(), area, &board, view, NOW);
        })
        .unwrap();
    terminal
}

fn check(width: u16, height: u16, view: &View, want: &Expect) {
    let shown = frame(width, height, view);
    let rows = (0..height).map(|row| format!("{}\n", text(shown.backend().buffer(), row)));
    want.assert_eq(&rows.collect::<String>());
}

#[test]
fn a_terminal_of_80_by_24() {
    let view = View { selected: Some(7), ..View::default() };
    check(
        80,
        24,
        &view,
        &expect![[r#"
            home  $0.42 of $5.00 today · 0 calls/min · 3 awake, 1 frozen · inbox 2
            frozen      7 drafts: limit of process:7: calls 3 a run; 3 used · skep kill 7
                PID AGENT        STATE    CALLS TOKENS    COST    LEFT   AGE NOW
                  3 boss         waiting      3   3.4k   $0.03   $0.94   3 m waits for proce
            >*    7 └drafts      frozen       7   8.0k   $0.07   $0.94   7 m limit of proces
                  8  └東京東京東 running      8   9.2k   $0.08   $0.94   8 m tool write /dat
                  9 e\u{1b}[2J\u waiting      9    10k   $0.09       -   9 m asks anthropic/
















            ↑↓ Enter log  f freeze  t thaw  k kill  i inbox  c cost  T tokens  a age  q quit
        "#]],
    );
}

#[test]
fn a_wide_one_has_every_column() {
    check(
        120,
        12,
        &View { sort: Sort::Cost, ..View::default() },
        &expect![[r#"
            home  $0.42 of $5.00 today · 0 calls/min · 3 awake, 1 frozen · inbox 2
            frozen      7 drafts: limit of process:7: calls 3 a run; 3 used · skep kill 7
                PID AGENT        STATE    MODEL              CALLS TOKENS   COSTv    LEFT   AGE NOW
                  9 e\u{1b}[2J\u waiting  anthropic/claude-s     9    10k   $0.09       -   9 m asks anthropic/claude-sonnet
                  8 東京東京東京 running  anthropic/claude-s     8   9.2k   $0.08   $0.94   8 m tool write /data/a.md
             *    7 drafts       frozen   anthropic/claude-s     7   8.0k   $0.07   $0.94   7 m limit of process:7: calls 3 a run; 3
                  3 boss         waiting  anthropic/claude-s     3   3.4k   $0.03   $0.94   3 m waits for process 7




            ↑↓ Enter log  f freeze  t thaw  k kill  i inbox  c cost  T tokens  a age  q quit
        "#]],
    );
}

#[test]
fn lines_of_a_process_what_is_asked_and_what_waits() {
    let view = View { selected: Some(7), lines: true, ..View::default() };
    check(
        60,
        8,
        &view,
        &expect![[r#"
        home  $0.42 of $5.00 today · 0 calls/min · 3 awake, 1 frozen
        process 7 drafts · frozen limit of process:7: calls 3 a run;
        14:02:35 tool     write /data/35.md · ok
        14:02:36 tool     write /data/36.md · ok
        14:02:37 tool     write /data/37.md · ok
        14:02:38 tool     write /data/38.md · ok
        14:02:39 tool     write /data/39.md · ok
        Enter back  f freeze  t thaw  k kill  q quit
    "#]],
    );
    let inbox = Some(vec!["3    mail.send at outbox".to_owned()]);
    let view = View { selected: Some(7), asks: Some(7), inbox, ..View::default() };
    check(
        60,
        9,
        &view,
        &expect![[r#"
            home  $0.42 of $5.00 today · 0 calls/min · 3 awake, 1 frozen
                PID AGENT        STATE       COST   AGE NOW
                  3 boss         waiting    $0.03   3 m waits for proces
            >*    7 └drafts      frozen     $0.07   7 m limit of process
                  8  └東京東京東 running    $0.08   8 m tool write /data
                  9 e\u{1b}[2J\u waiting    $0.09   9 m asks anthropic/c

            3    mail.send at outbox
            end process 7 and all below it? y/n
        "#]],
    );
}

/// Every size can be drawn, whatever is pointed at, and no escape reaches a cell.
#[test]
fn tiny_screens() {
    for (width, height) in (0..60).flat_map(|width| (0..14).map(move |height| (width, height))) {
        for lines in [false, true] {
            let view = View { selected: Some(9), lines, inbox: Some(vec!["x".into(); 9]), ..View::default() };
            let shown = frame(width.max(1), height.max(1), &view);
            let cells = shown.backend().buffer().content();
            assert!(
                cells.iter().all(|cell| !cell.symbol().contains(|c: char| c.is_control() || c == '\u{202e}'))
            );
        }
    }
    check(
        24,
        5,
        &View { selected: Some(9), ..View::default() },
        &expect![[r#"
        home  $0.42 of $5.00 tod
            PID NOW
              8 tool write /data
        >     9 asks anthropic/c
        ↑↓ Enter log  f freeze
    "#]],
    );
}

/// What is pointed at is seen without colour; without ink there is none.
#[test]
fn no_colour_where_there_is_no_ink() {
    for ink in [None, Some(Ink::Plain), Some(Ink::Colour)] {
        let shown = frame(80, 24, &View { selected: Some(7), ink, ..View::default() });
        let cells = shown.backend().buffer().content();
        let coloured = cells.iter().any(|cell| cell.fg != ratatui::style::Color::Reset);
        assert_eq!(coloured, ink == Some(Ink::Colour));
        assert!(cells.iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)));
    }
}

#[test]
fn orders_and_what_is_left() {
    let pids = |sort| board().sorted(sort).iter().map(|task| task.pid).collect::<Vec<_>>();
    assert_eq!(pids(Sort::Tree), [3, 7, 8, 9]);
    assert_eq!((pids(Sort::Cost), pids(Sort::Age)), (vec![9, 8, 7, 3], vec![9, 8, 7, 3]));
    // A daemon that lies about parents is drawn, too.
    let own = |pid, parent| Task { pid, parent, ..Task::default() };
    let all = tree(&[own(1, 1), own(2, 3), own(3, 2), own(4, 9)]);
    assert_eq!(
        all.iter().map(|task| (task.pid, task.depth)).collect::<Vec<_>>(),
        [(1, 0), (2, 0), (3, 1), (4, 0)]
    );
    let budget = "process:7 money run $0.10 $0.05 $1.00 fine\nagent:x calls day 1 0 5 fine\n\
                  workspace money day $4.90 $0.00 $5.00 near\nworkspace money month $1.00 $0.00 - fine\n";
    assert_eq!(
        (left(budget), left("workspace money day $6 $0 $5 full\n"), left("")),
        (Some(Nano(100_000_000)), Some(Nano(0)), None)
    );
}
