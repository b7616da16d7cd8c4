//! The corpus, as data: what a model asks for at each step.

use super::{Ask, Case, Tools};
use serde_json::{Value, json};

/// Files that there are.
pub fn files() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = (0..40)
        .map(|ix| {
            (format!("/data/in/{ix}.txt"), format!("item {ix}: {}\n", "a line of it. ".repeat(ix % 5 + 1)))
        })
        .collect();
    let long: String = (0..400).map(|line| format!("line {line} of a long report about colours\n")).collect();
    all.push(("/data/long.txt".to_owned(), long));
    all.push(("/data/guide.md".to_owned(), "Write short sentences.\n".to_owned()));
    all.push(("/data/code.csv".to_owned(), (0..40).map(|ix| format!("fn f{ix}() {{}}\n")).collect()));
    all
}

fn one(name: &'static str, args: Value) -> Tools {
    Some(vec![(name, args)])
}

fn read(path: impl Into<String>) -> Tools {
    one("read", json!({"path": path.into()}))
}

fn write(path: impl Into<String>, text: impl Into<String>) -> Tools {
    one("write", json!({"path": path.into(), "text": text.into()}))
}

fn append(path: &str, text: impl Into<String>) -> Tools {
    one("write", json!({"path": path, "mode": "append", "text": text.into()}))
}

fn patch(find: String, text: String) -> Tools {
    one("write", json!({"path": "/data/code.csv", "mode": "patch", "find": find, "text": text}))
}

fn search(query: impl Into<String>) -> Tools {
    one("search", json!({"query": query.into()}))
}

/// Where the page before ended.
fn next(last: &str) -> u64 {
    serde_json::from_str::<Value>(last).ok().and_then(|page| page["next"].as_u64()).unwrap_or(0)
}

/// Goes on up to this step, then is done.
fn upto(ask: &Ask<'_>, steps: usize, tools: impl FnOnce(usize) -> Tools) -> Tools {
    if ask.step < steps { tools(ask.step) } else { None }
}

fn worker(ask: &Ask<'_>, tools: impl FnOnce(usize) -> Tools) -> Tools {
    if ask.agent == "worker" { tools(ask.step) } else { None }
}

const fn looping(name: &'static str, begins: usize, script: fn(&Ask<'_>) -> Tools) -> Case {
    Case { name, begins, tokens: None, unseen: false, script }
}

const fn unseen(name: &'static str, begins: usize, script: fn(&Ask<'_>) -> Tools) -> Case {
    Case { name, begins, tokens: None, unseen: true, script }
}

const fn honest(name: &'static str, script: fn(&Ask<'_>) -> Tools) -> Case {
    Case { name, begins: 0, tokens: None, unseen: false, script }
}

/// Runs that go round and round.
pub const LOOPS: [Case; 40] = [
    looping("reads one file again and again", 1, |_| read("/data/guide.md")),
    looping("reads a file that is not there", 1, |_| read("/data/nothing.md")),
    looping("reads two files in turn", 2, |ask| read(["/data/guide.md", "/data/long.txt"][ask.step % 2])),
    looping("reads five files in a circle", 5, |ask| read(format!("/data/in/{}.txt", ask.step % 5))),
    looping("reads ten files in a circle", 10, |ask| read(format!("/data/in/{}.txt", ask.step % 10))),
    looping("reads all files once more, and once more", 40, |ask| {
        read(format!("/data/in/{}.txt", ask.step % 40))
    }),
    looping("guesses names of files", 0, |ask| read(format!("/data/config-{}.yaml", ask.step))),
    looping("lists one directory again and again", 1, |_| one("list", json!({"path": "/data"}))),
    looping("lists and reads the same in turn", 2, |ask| match ask.step % 2 {
        0 => one("list", json!({"path": "/data/in"})),
        _ => read("/data/in/3.txt"),
    }),
    looping("searches the same and finds nothing", 1, |_| search("zebra")),
    looping("searches in other words and finds nothing", 1, |ask| {
        search(["zebra", "okapi", "giraffe", "gnu", "tapir"][ask.step % 5].to_owned() + &ask.step.to_string())
    }),
    looping("searches the same and finds the same", 1, |_| search("colours")),
    looping("pages beyond the end of a file", 1, |ask| {
        one("read", json!({"path": "/data/guide.md", "offset": 1000 + ask.step * 10, "length": 10}))
    }),
    looping("writes the same text to the same file", 1, |_| write("/data/out.txt", "the answer is 42\n")),
    looping("writes one of two texts in turn", 2, |ask| {
        write("/data/out.txt", ["version a\n", "version b\n"][ask.step % 2])
    }),
    looping("writes one of four texts in turn", 4, |ask| {
        write("/data/out.txt", format!("version {}\n", ask.step % 4))
    }),
    looping("appends the same line for ever", 1, |_| append("/data/log.txt", "retrying\n")),
    looping("writes and takes it back", 2, |ask| match ask.step % 2 {
        0 => write("/data/out.txt", "x\n"),
        _ => one("remove", json!({"path": "/data/out.txt"})),
    }),
    looping("moves a file there and back", 2, |ask| match ask.step % 2 {
        0 => one("move", json!({"from": "/data/in/1.txt", "to": "/data/moved.txt"})),
        _ => one("move", json!({"from": "/data/moved.txt", "to": "/data/in/1.txt"})),
    }),
    looping("patches a text that is not there", 0, |_| patch("fn missing".to_owned(), "fn found".to_owned())),
    looping("patches other texts that are not there", 0, |ask| {
        patch(format!("fn missing{}", ask.step), "fn found".to_owned())
    }),
    looping("writes on an old base, for ever", 2, |ask| {
        one("write", json!({"path": "/data/code.csv", "text": "all new\n", "base": ask.step.min(1)}))
    }),
    looping("writes where it may not", 0, |_| write("/home/other/x.md", "x\n")),
    looping("writes where it may not, elsewhere each time", 0, |ask| {
        write(format!("/home/other/{}.md", ask.step), "x\n")
    }),
    looping("calls a tool that there is not", 0, |_| one("browse", json!({"url": "colours"}))),
    looping("leaves out what a call must have", 0, |_| one("read", json!({}))),
    looping("calls with other nonsense each time", 0, |ask| one("read", json!({"file": ask.step}))),
    looping("starts an agent that there is not", 0, |_| {
        one("spawn", json!({"agent": "nobody", "text": "help"}))
    }),
    looping("starts the same helper on the same task for ever", 1, |ask| {
        worker(ask, |_| one("spawn", json!({"agent": "child", "text": "look into it"})))
    }),
    looping("starts a helper and waits for it, the same each time", 2, |ask| {
        worker(ask, |step| match step % 2 {
            0 => one("spawn", json!({"agent": "child", "text": "look into it"})),
            _ => one("wait", json!({"pid": 2})),
        })
    }),
    looping("waits for a process that has ended", 2, |ask| {
        worker(ask, |step| match step {
            0 => one("spawn", json!({"agent": "child", "text": "look into it"})),
            _ => one("wait", json!({"pid": 2})),
        })
    }),
    looping("looks at its own status, which changes as it looks", 1, |_| read("/proc/1/status")),
    looping("looks at the workspace's status, which changes", 1, |_| read("/sys/status")),
    looping("asks the operator the same question for ever", 1, |_| {
        one("propose", json!({"mount": "operator", "kind": "ask", "args": {"question": "May I?"}}))
    }),
    looping("two agents hand the task to each other", 1, |ask| match (ask.agent, ask.step) {
        ("worker" | "pong", 0) => one("dispatch", json!({"agent": "ping", "text": "your turn"})),
        ("ping", 0) => one("dispatch", json!({"agent": "pong", "text": "your turn"})),
        _ => None,
    }),
    looping("an agent hands its task to itself", 1, |ask| match ask.step {
        0 => one("dispatch", json!({"agent": "ping", "text": "go on"})),
        _ => None,
    }),
    looping("reads in two windows in turn", 2, |ask| {
        one("read", json!({"path": "/data/long.txt", "offset": (ask.step % 2) * 100, "length": 100}))
    }),
    Case {
        tokens: Some(400_000),
        ..looping("thinks dearly and gets nowhere", 1, |_| read("/data/guide.md"))
    },
    unseen("writes its report anew, with other words each time", 1, |ask| {
        write("/data/report.md", format!("# Report, attempt {}\n", ask.step))
    }),
    unseen("writes one more file of the same kind", 1, |ask| {
        write(format!("/data/attempt-{}.md", ask.step), format!("attempt {}\n", ask.step))
    }),
];

/// Directories that there are.
const PLACES: [&str; 12] = [
    "/",
    "/data",
    "/data/in",
    "/agents",
    "/agents/worker",
    "/agents/ping",
    "/agents/pong",
    "/agents/child",
    "/home",
    "/skills",
    "/sys",
    "/proc",
];

/// Runs that do work.
pub const HONEST: [Case; 34] = [
    honest("reads thirty files and writes a summary", |ask| {
        upto(ask, 31, |step| match step {
            30 => write("/data/summary.md", "Thirty items.\n"),
            step => read(format!("/data/in/{step}.txt")),
        })
    }),
    honest("reads forty files and only answers", |ask| {
        upto(ask, 40, |step| read(format!("/data/in/{step}.txt")))
    }),
    honest("reads three files a step", |ask| {
        upto(ask, 13, |step| {
            let all = (0..3).map(|ix| ("read", json!({"path": format!("/data/in/{}.txt", step * 3 + ix)})));
            Some(all.collect())
        })
    }),
    honest("reads a long file in parts", |ask| {
        upto(ask, 30, |step| {
            one("read", json!({"path": "/data/long.txt", "offset": step * 500, "length": 500}))
        })
    }),
    honest("writes twenty-five notes", |ask| {
        upto(ask, 25, |step| write(format!("/data/notes/{step}.md"), format!("note {step}\n")))
    }),
    honest("keeps a log of forty lines", |ask| {
        upto(ask, 40, |step| append("/data/log.txt", format!("step {step} done\n")))
    }),
    honest("renames thirty functions one by one", |ask| {
        upto(ask, 30, |step| patch(format!("fn f{step}()"), format!("fn g{step}()")))
    }),
    honest("reads and patches in turn", |ask| {
        upto(ask, 40, |step| match step % 2 {
            0 => read("/data/code.csv"),
            _ => patch(format!("fn f{}()", step / 2), format!("fn h{}()", step / 2)),
        })
    }),
    honest("writes and reads back, thirty times", |ask| {
        upto(ask, 30, |step| match step % 2 {
            0 => write("/data/out.txt", format!("draft {step}\n")),
            _ => read("/data/out.txt"),
        })
    }),
    honest("looks at the guide before each note", |ask| {
        upto(ask, 40, |step| match step % 2 {
            0 => read("/data/guide.md"),
            _ => write(format!("/data/notes/{step}.md"), format!("note {step}\n")),
        })
    }),
    honest("lists after each write", |ask| {
        upto(ask, 40, |step| match step % 2 {
            0 => write(format!("/data/notes/{step}.md"), format!("note {step}\n")),
            _ => one("list", json!({"path": "/data/notes"})),
        })
    }),
    honest("searches for twenty things that there are", |ask| {
        upto(ask, 20, |step| search(format!("item {step}")))
    }),
    honest("searches ten times, in vain half of the time, then writes", |ask| {
        upto(ask, 11, |step| match step {
            10 => write("/data/found.md", "some\n"),
            step if step % 2 == 0 => search(format!("zebra{step}")),
            step => search(format!("item {step}")),
        })
    }),
    honest("guesses ten names and finds the eleventh", |ask| {
        upto(ask, 12, |step| match step {
            10 => read("/data/guide.md"),
            11 => write("/data/found.md", "guide\n"),
            step => read(format!("/data/guide-{step}.md")),
        })
    }),
    honest("looks at the history of twenty files", |ask| {
        upto(ask, 20, |step| one("history", json!({"path": format!("/data/in/{step}.txt")})))
    }),
    honest("moves twenty files to the archive", |ask| {
        upto(ask, 21, |step| match step {
            0 => one("write", json!({"path": "/data/archive", "mode": "dir"})),
            step => {
                let (from, to) = (format!("/data/in/{step}.txt"), format!("/data/archive/{step}.txt"));
                one("move", json!({"from": from, "to": to}))
            }
        })
    }),
    honest("removes twenty files", |ask| {
        upto(ask, 20, |step| one("remove", json!({"path": format!("/data/in/{step}.txt")})))
    }),
    honest("makes twenty empty files", |ask| {
        upto(ask, 20, |step| write(format!("/data/dirs/{step}/.keep"), ""))
    }),
    honest("copies a template to twenty places", |ask| {
        upto(ask, 20, |step| write(format!("/data/shops/{step}/hours.md"), "Open from nine to five.\n"))
    }),
    honest("gives fifteen helpers a task each", |ask| {
        worker(ask, |step| {
            (step < 15).then(|| vec![("spawn", json!({"agent": "child", "text": format!("item {step}")}))])
        })
    }),
    honest("gives a task, waits for it, and on to the next", |ask| {
        worker(ask, |step| match step {
            30.. => None,
            step if step % 2 == 0 => one("spawn", json!({"agent": "child", "text": format!("item {step}")})),
            step => one("wait", json!({"pid": 2 + step / 2})),
        })
    }),
    honest("pages through the log", |ask| {
        upto(ask, 15, |step| {
            one("trace", json!({"from": if step == 0 { 0 } else { next(ask.last) }, "limit": 2}))
        })
    }),
    honest("tries a patch, reads, tries better", |ask| {
        upto(ask, 30, |step| match step % 3 {
            0 => patch(format!("fn wrong{step}()"), String::new()),
            1 => one("read", json!({"path": "/data/code.csv", "offset": step, "length": 80})),
            _ => patch(format!("fn f{step}()"), format!("fn k{step}()")),
        })
    }),
    honest("sleeps a minute between looks, and each third finds something", |ask| {
        upto(ask, 45, |step| match step % 3 {
            0 => one("wait", json!({"timeout_ms": 60_000})),
            1 => one("list", json!({"path": "/data"})),
            _ => write(format!("/data/seen-{step}.md"), format!("{step}\n")),
        })
    }),
    honest("sleeps for twenty minutes, a minute at a time", |ask| {
        upto(ask, 21, |step| match step {
            20 => write("/data/awake.md", "up\n"),
            _ => one("wait", json!({"timeout_ms": 60_000})),
        })
    }),
    honest("asks ten questions", |ask| {
        upto(ask, 10, |step| {
            let args = json!({"question": format!("Which colour has door {step}?")});
            one("propose", json!({"mount": "operator", "kind": "ask", "args": args}))
        })
    }),
    honest("checks its own budget after each of twenty steps", |ask| {
        upto(ask, 40, |step| match step % 2 {
            0 => write(format!("/data/notes/{step}.md"), format!("note {step}\n")),
            _ => read("/proc/1/budget"),
        })
    }),
    honest("reads the same five files for each of six chapters", |ask| {
        upto(ask, 36, |step| match step % 6 {
            5 => write(format!("/data/chapter-{}.md", step / 6), format!("chapter {step}\n")),
            ix => read(format!("/data/in/{ix}.txt")),
        })
    }),
    honest("writes a list again with one line more, thirty times", |ask| {
        upto(ask, 30, |step| write("/data/list.txt", "- one\n".repeat(step + 1)))
    }),
    honest("sets a switch, works, and sets it back", |ask| {
        upto(ask, 40, |step| match step % 4 {
            0 => write("/data/switch.txt", "on\n"),
            2 => write("/data/switch.txt", "off\n"),
            _ => append("/data/work.txt", format!("{step}\n")),
        })
    }),
    honest("walks a tree of directories", |ask| {
        upto(ask, PLACES.len(), |step| one("list", json!({"path": PLACES[step]})))
    }),
    honest("compares twenty pairs of files", |ask| {
        upto(ask, 20, |step| {
            let path = |ix: usize| json!({"path": format!("/data/in/{ix}.txt")});
            Some(vec![("read", path(step)), ("read", path(39 - step))])
        })
    }),
    honest("does all in one step", |_| None),
    honest("writes, and patches what it wrote", |ask| {
        upto(ask, 20, |step| match step {
            0 => write("/data/code.csv", (0..40).map(|ix| format!("let v{ix};\n")).collect::<String>()),
            step => patch(format!("let v{step};"), format!("let w{step};")),
        })
    }),
];
