//! `skep audit`: the log as something others can check.

use super::restore::host_file;
use crate::{
    Proof, escape,
    fail::{Exit, Fail, Outcome},
    figures,
    session::Session,
};
use serde_json::{Value, json};
use std::{
    fs::OpenOptions,
    io::{BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

/// Records asked for at a time.
const PAGE: u32 = 1000;

/// Prove the log, sign it, or take it out: verify, checkpoint, key, export
#[derive(Debug, clap::Args)]
pub struct Audit {
    #[command(subcommand)]
    what: What,
}

/// What is wanted of it.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Read a workspace's files without a daemon and say whether they are what was written
    Verify {
        /// A workspace's directory, or its workspace.db [default: of this workspace]
        path: Option<PathBuf>,
        /// Signed checkpoints that were kept elsewhere
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// The key they are signed with, as `skep audit key` once printed it
        #[arg(long, value_name = "HEX")]
        key: Option<String>,
    },
    /// Sign the log as it stands and add the line to a file: keep it where this disk's owner cannot write
    Checkpoint {
        /// The file
        file: PathBuf,
    },
    /// The public key that checkpoints are signed with: note it elsewhere
    Key,
    /// The whole log as lines of JSON, each with its hash and the one before it
    Export {
        /// A new file [default: standard output]
        file: Option<PathBuf>,
    },
}

impl Audit {
    pub fn run(self, session: &mut Session) -> Outcome {
        match self.what {
            What::Verify { path, checkpoint, key } => verify(session, path, checkpoint, key),
            What::Checkpoint { file } => checkpoint(session, &host_file(&file)?),
            What::Key => key(session),
            What::Export { file: None } => {
                let mut lines = Lines::default();
                while let Some(page) = lines.next(session)? {
                    session.print(&page)?;
                }
                Ok(Exit::Fine)
            }
            What::Export { file: Some(file) } => export(session, &host_file(&file)?),
        }
    }
}

fn verify(
    session: &mut Session,
    path: Option<PathBuf>,
    checkpoint: Option<PathBuf>,
    key: Option<String>,
) -> Outcome {
    let path = path.unwrap_or_else(|| session.place.home.join("workspaces").join(&session.workspace));
    let proved = (session.hands.prove)(&Proof { path, checkpoint, key });
    if session.is_json() {
        session.say(&proved.json)?;
    } else {
        session.print(&proved.text)?;
    }
    Ok(if proved.holds { Exit::Fine } else { Exit::Bad })
}

fn checkpoint(session: &mut Session, file: &str) -> Outcome {
    let answer = session.control(&format!("checkpoint {file}"))?;
    if session.is_json() {
        session.object(&answer)?;
        return Ok(Exit::Fine);
    }
    session.say(&escape::line(file))?;
    session.hint("a checkpoint proves something only where whoever holds this disk cannot change it");
    Ok(Exit::Fine)
}

fn key(session: &mut Session) -> Outcome {
    let key = session.read("/sys/key")?;
    if session.is_json() {
        session.object(&json!({"key": key.trim()}))?;
    } else {
        session.say(&escape::line(key.trim()))?;
    }
    Ok(Exit::Fine)
}

fn export(session: &mut Session, file: &str) -> Outcome {
    let mut open = OpenOptions::new();
    let opened =
        open.write(true).create_new(true).mode(0o600).open(file).map_err(|error| {
            Fail::new(format!("{file}: {error}")).hint("name a file that is not there yet")
        })?;
    let (mut out, mut lines) = (BufWriter::new(opened), Lines::default());
    while let Some(page) = lines.next(session)? {
        out.write_all(page.as_bytes())?;
    }
    out.into_inner().map_err(|error| Fail::from(error.into_error()))?.sync_all()?;
    session.say(&format!("{}  {}", escape::line(file), figures::plural(lines.count, "record")))?;
    Ok(Exit::Fine)
}

/// The log, page by page.
struct Lines {
    at: u64,
    count: u64,
    prev: String,
}

impl Default for Lines {
    fn default() -> Self {
        Self { at: 0, count: 0, prev: "0".repeat(64) }
    }
}

impl Lines {
    /// The next lines; none at the present end of the log.
    fn next(&mut self, session: &mut Session) -> Result<Option<String>, Fail> {
        let mut answer = session.call("trace", json!({"from": self.at, "limit": PAGE}))?;
        let records = answer.get_mut("records").map(Value::take);
        let Some(Value::Array(records)) = records.filter(|records| *records != json!([])) else {
            return Ok(None);
        };
        let mut page = String::new();
        for mut record in records {
            let seq = record.get("seq").and_then(Value::as_u64).unwrap_or_default();
            if seq != self.at + 1 {
                let what = format!("record {} is not in what the daemon answers", self.at + 1);
                return Err(Fail::new(what).hint("skep audit verify says what is wrong with the file"));
            }
            let hash = record.get("hash").and_then(Value::as_str).unwrap_or_default().to_owned();
            if let Some(map) = record.as_object_mut() {
                map.insert("prev".into(), self.prev.as_str().into());
            }
            (self.at, self.count, self.prev) = (seq, self.count + 1, hash);
            page.push_str(&record.to_string());
            page.push('\n');
        }
        Ok(Some(page))
    }
}
