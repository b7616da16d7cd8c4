//! search: the real daemon over 100,000 files of 1 KB. Words follow Zipf's law, in the texts and in the
//! queries alike, so that half of the queries ask for a word that thousands of files hold. Then the index is
//! removed, and how fast it is made anew is measured beside how large it is.

use super::{
    Rig, Row, Target, Times,
    client::{self, Client, Daemon},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

const FILES: u64 = 100_000;
/// Files in one directory.
const SHELF: u64 = 200;
const WORDS: u64 = 50_000;
const TEXT_BYTES: usize = 1024;
const QUERIES: usize = 2_000;
const IN_FLIGHT: usize = 256;
/// The index has to be there by then.
const FOLD_MAX: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(100);

/// Numbers that follow from a seed (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Word k comes 1/k as often as the first one.
    fn word(&mut self) -> String {
        let rank = (WORDS as f64).powf(self.share()) as u64;
        format!("w{:x}", rank.wrapping_mul(2_654_435_761) % (1 << 24))
    }
}

/// Measures `search`.
pub fn search(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    let (daemon, _) = Daemon::start(rig.skep, home.path())?;
    let mut client = Client::connect(home.path())?;
    let bytes = fill(&mut client)?;
    settled(&mut client, Instant::now())?;
    let (mut times, mut hits) = (Times::default(), 0);
    let mut dice = Dice(7);
    for ix in 0..QUERIES {
        let query = if ix % 2 == 0 { dice.word() } else { format!("{} {}", dice.word(), dice.word()) };
        let begun = Instant::now();
        let answer = client.call("search", json!({"query": query}))?;
        times.push(begun.elapsed());
        hits += answer["hits"].as_array().map_or(0, Vec::len);
    }
    if hits < QUERIES {
        return Err(format!("{QUERIES} searches found only {hits} files"));
    }
    daemon.down()?;
    let (rate, size) = anew(rig, home.path())?;
    let row = |part, target, measured, unit, n| Row {
        name: "search",
        part,
        target,
        measured,
        unit,
        barriers: 0,
        n,
    };
    let ms = |us: f64| us / 1e3;
    Ok(vec![
        row("p50", Target::AtMost(20.0), ms(times.percentile_us(0.5)), "ms", times.n()),
        row("p99", Target::AtMost(100.0), ms(times.percentile_us(0.99)), "ms", times.n()),
        row("the index made anew", Target::AtLeast(2_000.0), rate, "files/s", FILES),
        row("its size, to the text's", Target::AtMost(1.0), size as f64 / bytes as f64, "×", FILES),
    ])
}

/// Writes the files; says how many bytes of text they hold.
fn fill(client: &mut Client) -> Result<usize, String> {
    let mut dice = Dice(1);
    let (mut bytes, mut under_way) = (0, 0);
    for ix in 0..FILES {
        let mut text = String::with_capacity(TEXT_BYTES + 16);
        while text.len() < TEXT_BYTES {
            text.push_str(&dice.word());
            text.push(if dice.share() < 0.1 { '\n' } else { ' ' });
        }
        bytes += text.len();
        if under_way == IN_FLIGHT {
            client.receive()?;
            under_way -= 1;
        }
        let path = format!("/data/{}/note-{ix}.md", ix / SHELF);
        client.send("write", json!({"path": path, "text": text}))?;
        under_way += 1;
    }
    (0..under_way).try_for_each(|_| client.receive().map(drop))?;
    Ok(bytes)
}

/// Waits until the index has everything.
fn settled(client: &mut Client, begun: Instant) -> Result<Duration, String> {
    loop {
        let answer = client.call("search", json!({"query": "nothing"}))?;
        if answer["indexed"] == answer["seq"] && answer["seq"] != Value::Null {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > FOLD_MAX {
            return Err(format!("the index is at {} of {}", answer["indexed"], answer["seq"]));
        }
        std::thread::sleep(LOOK);
    }
}

/// Removes the index of a daemon at rest; how many files a second the next one takes in, and its bytes.
fn anew(rig: &Rig<'_>, home: &Path) -> Result<(f64, u64), String> {
    let dir = home.join("workspaces/home");
    let files = ["index.db", "index.db-wal"].map(|name| dir.join(name));
    for file in &files {
        fs::remove_file(file).ok();
    }
    let begun = Instant::now();
    let (daemon, _) = Daemon::start(rig.skep, home)?;
    let took = settled(&mut Client::connect(home)?, begun)?;
    daemon.down()?;
    let size = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|data| data.len()).sum();
    Ok((FILES as f64 / took.as_secs_f64(), size))
}
