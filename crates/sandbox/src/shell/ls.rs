//! `ls`, since that of bashkit prints long listings in a form of its own and says nothing of the files beside
//! one that is missing.
//!
//! ```text
//!   ls -l a.txt   →   -rw-r--r-- 1 agent agent 17 Nov 14 22:13 a.txt
//! ```
//!
//! It has the options of [`OPTIONS`]; with any other the text is run natively.

use super::Gate;
use bashkit::{
    Builtin, BuiltinContext, DirEntry, Error, ExecResult, FileSystem, FileType, Metadata, Result,
    async_trait, vfs_join,
};
use std::{
    cmp::Ordering,
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Each is one letter.
const OPTIONS: &str = "1aAdFhlpRrSt";
/// Directories that `-R` lists.
const DIRS_MAX: usize = 100_000;
/// Half a year: what is older is shown with its year.
const RECENT_SECONDS: u64 = 31_556_952 / 2;

/// `ls`.
pub(super) struct Ls(pub Arc<Gate>);

/// What was asked for.
struct Asked<'a> {
    letters: String,
    paths: Vec<&'a str>,
    now: u64,
}

/// One line.
struct Line {
    shown: String,
    path: PathBuf,
    meta: Metadata,
}

impl Asked<'_> {
    fn has(&self, letter: char) -> bool {
        self.letters.contains(letter)
    }
}

#[async_trait]
impl Builtin for Ls {
    async fn execute(&self, ctx: BuiltinContext<'_>) -> Result<ExecResult> {
        // seam: what is recent
        #[allow(clippy::disallowed_methods)]
        let now = SystemTime::now();
        let mut asked = Asked { letters: String::new(), paths: Vec::new(), now: seconds(now) };
        let mut plain = false;
        for arg in ctx.args {
            match arg.strip_prefix('-').filter(|letters| !letters.is_empty() && !plain) {
                None => asked.paths.push(arg),
                Some("-") => plain = true,
                Some("-all") => asked.letters.push('a'),
                Some("-color=never" | "-color=auto") => {}
                Some(letters) if letters.chars().all(|letter| OPTIONS.contains(letter)) => {
                    asked.letters.push_str(letters);
                }
                Some(_) => {
                    self.0.needs("ls");
                    return Ok(ExecResult::err(format!("ls: unrecognized option '{arg}'\n"), 2));
                }
            }
        }
        if asked.paths.is_empty() {
            asked.paths.push(".");
        }
        let said = list(&*ctx.fs, ctx.cwd, &asked).await;
        let mut result = ExecResult::ok(said.out);
        result.stderr = said.error.into();
        result.exit_code = said.status;
        Ok(result)
    }
}

/// What `ls` says, and its status.
#[derive(Default)]
struct Listing {
    out: String,
    error: String,
    status: i32,
}

async fn list(fs: &dyn FileSystem, cwd: &Path, asked: &Asked<'_>) -> Listing {
    let mut said = Listing::default();
    let (files, mut dirs) = named(fs, cwd, asked, &mut said).await;
    show(fs, &files, asked, &mut said.out).await;
    dirs.reverse();
    let mut left = DIRS_MAX;
    while let Some(dir) = dirs.pop() {
        let entries = match fs.read_dir(&dir.path).await {
            Ok(entries) => lines(&dir, entries, asked),
            Err(failed) => {
                let _ =
                    writeln!(said.error, "ls: cannot open directory '{}': {}", dir.shown, reason(&failed));
                said.status = if asked.paths.contains(&dir.shown.as_str()) { 2 } else { said.status.max(1) };
                continue;
            }
        };
        if asked.paths.len() > 1 || asked.has('R') {
            let gap = if said.out.is_empty() { "" } else { "\n" };
            let _ = writeln!(said.out, "{gap}{}:", dir.shown);
        }
        if asked.has('l') {
            let blocks: u64 = entries.iter().map(|line| blocks(&line.meta)).sum();
            let _ = writeln!(said.out, "total {blocks}");
        }
        show(fs, &entries, asked, &mut said.out).await;
        if asked.has('R') && left > 0 {
            left -= 1;
            dirs.extend(below(&dir, entries));
        }
    }
    said
}

/// What the words name: files, and directories that are listed.
async fn named(
    fs: &dyn FileSystem,
    cwd: &Path,
    asked: &Asked<'_>,
    said: &mut Listing,
) -> (Vec<Line>, Vec<Line>) {
    // A link that is named is shown as a link only where the line says so.
    let keeps = asked.has('l') || asked.has('d') || asked.has('F');
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    for path in &asked.paths {
        let full = vfs_join(cwd, path);
        let stat = if keeps && !path.ends_with('/') { fs.lstat(&full).await } else { fs.stat(&full).await };
        let found = if stat.is_err() { fs.lstat(&full).await } else { stat };
        match found {
            Ok(meta) => {
                let whole = meta.file_type.is_dir() && !asked.has('d');
                let line = Line { shown: (*path).to_owned(), path: full, meta };
                if whole { dirs.push(line) } else { files.push(line) }
            }
            Err(failed) => {
                let _ = writeln!(said.error, "ls: cannot access '{path}': {}", reason(&failed));
                said.status = 2;
            }
        }
    }
    sort(&mut files, asked);
    sort(&mut dirs, asked);
    (files, dirs)
}

/// The directories in a directory, last first.
fn below(dir: &Line, entries: Vec<Line>) -> impl Iterator<Item = Line> {
    let dots = |name: &str| name == "." || name == "..";
    let dirs =
        entries.into_iter().rev().filter(move |line| line.meta.file_type.is_dir() && !dots(&line.shown));
    let above = dir.shown.trim_end_matches('/').to_owned();
    dirs.map(move |line| Line { shown: format!("{above}/{}", line.shown), ..line })
}

fn lines(dir: &Line, entries: Vec<DirEntry>, asked: &Asked<'_>) -> Vec<Line> {
    let hidden = asked.has('a') || asked.has('A');
    let shown = entries.into_iter().filter(|entry| hidden || !entry.name.starts_with('.'));
    let line = |DirEntry { name, metadata }| {
        let path = vfs_join(&dir.path, &name);
        Line { shown: name, path, meta: metadata }
    };
    let mut lines: Vec<Line> = shown.map(line).collect();
    if asked.has('a') {
        let dot =
            |name: &str| Line { shown: name.to_owned(), path: dir.path.clone(), meta: dir.meta.clone() };
        lines.extend([dot("."), dot("..")]);
    }
    sort(&mut lines, asked);
    lines
}

fn sort(lines: &mut [Line], asked: &Asked<'_>) {
    let name = |a: &Line, b: &Line| a.shown.cmp(&b.shown);
    lines.sort_by(|a, b| {
        let order = if asked.has('S') {
            b.meta.size.cmp(&a.meta.size)
        } else if asked.has('t') {
            b.meta.modified.cmp(&a.meta.modified)
        } else {
            Ordering::Equal
        };
        order.then_with(|| name(a, b))
    });
    if asked.has('r') {
        lines.reverse();
    }
}

async fn show(fs: &dyn FileSystem, lines: &[Line], asked: &Asked<'_>, out: &mut String) {
    if !asked.has('l') {
        for line in lines {
            let _ = writeln!(out, "{}{}", line.shown, mark(&line.meta, asked));
        }
        return;
    }
    let sizes: Vec<String> = lines.iter().map(|line| size(line.meta.size, asked)).collect();
    let width = sizes.iter().map(String::len).max().unwrap_or(0);
    let links: Vec<u32> = lines.iter().map(|line| if line.meta.file_type.is_dir() { 2 } else { 1 }).collect();
    for ((line, size), links) in lines.iter().zip(sizes).zip(links) {
        let when = when(seconds(line.meta.modified), asked.now);
        let bits = bits(&line.meta);
        let _ = write!(out, "{bits} {links} agent agent {size:>width$} {when} {}", line.shown);
        match fs.read_link(&line.path).await {
            Ok(target) if line.meta.file_type.is_symlink() => {
                let _ = writeln!(out, " -> {}", target.display());
            }
            Ok(_) | Err(_) => {
                let _ = writeln!(out, "{}", mark(&line.meta, asked));
            }
        }
    }
}

fn mark(meta: &Metadata, asked: &Asked<'_>) -> &'static str {
    match meta.file_type {
        FileType::Directory if asked.has('F') || asked.has('p') => "/",
        FileType::Symlink if asked.has('F') => "@",
        FileType::Fifo if asked.has('F') => "|",
        FileType::File if asked.has('F') && meta.mode & 0o111 != 0 => "*",
        FileType::File | FileType::Directory | FileType::Symlink | FileType::Fifo => "",
    }
}

fn bits(meta: &Metadata) -> String {
    let (kind, mode) = match meta.file_type {
        FileType::File => ('-', meta.mode),
        FileType::Directory => ('d', meta.mode),
        FileType::Symlink => ('l', 0o777),
        FileType::Fifo => ('p', meta.mode),
    };
    let letters = "rwxrwxrwx".chars().enumerate();
    let shown = letters.map(|(at, letter)| if mode >> (8 - at) & 1 == 1 { letter } else { '-' });
    std::iter::once(kind).chain(shown).collect()
}

/// Kibibytes on a disk of blocks of 4 KiB.
fn blocks(meta: &Metadata) -> u64 {
    if meta.file_type.is_file() { meta.size.div_ceil(4096) * 4 } else { 0 }
}

fn size(bytes: u64, asked: &Asked<'_>) -> String {
    if !asked.has('h') || bytes < 1024 {
        return bytes.to_string();
    }
    let mut unit = 1024_u64;
    let mut letters = "KMGTPE".chars();
    let mut letter = letters.next().unwrap_or('K');
    while bytes.div_ceil(unit) >= 1024 {
        let Some(next) = letters.next() else { break };
        (unit, letter) = (unit.saturating_mul(1024), next);
    }
    let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(unit));
    if tenths < 100 {
        return format!("{}.{}{letter}", tenths / 10, tenths % 10);
    }
    format!("{}{letter}", bytes.div_ceil(unit))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `Nov 14 22:13`, or `Nov 14  2023` if that is long ago or to come; UTC.
fn when(time: u64, now: u64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // Civil date of a day, by eras of 400 years that begin in March.
    let days = time / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = (shifted + 2) % 12;
    let year = year + era * 400 + u64::from(month < 2);
    let month = MONTHS.get(month as usize).copied().unwrap_or("");
    if time <= now && now - time < RECENT_SECONDS {
        return format!("{month} {day:>2} {:02}:{:02}", time / 3600 % 24, time / 60 % 60);
    }
    format!("{month} {day:>2}  {year}")
}

fn reason(error: &Error) -> String {
    let Error::Io(error) = error else { return error.to_string() };
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
