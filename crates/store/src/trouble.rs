//! What can go wrong with a file of the store, told apart by what the operator can do about it.
//!
//! Layers: SQLite's result codes → [`Trouble`] → `abi::Error` (always `Unavailable`, but for `TooLarge`).
//! Never here: a retry, a repair, a decision.

use abi::{Code, Error};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Why the store could not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such file.
    Missing {
        /// Which.
        file: PathBuf,
    },
    /// The file is there already.
    Exists {
        /// Which.
        file: PathBuf,
    },
    /// What lies there is not what was written.
    Corrupt {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Written by a later version of this program.
    Newer {
        /// Which.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The latest format this program knows.
        known: u32,
    },
    /// No room: the disk, a quota or the page limit.
    Full {
        /// Which.
        file: PathBuf,
    },
    /// The file or its directory cannot be written.
    ReadOnly {
        /// Which.
        file: PathBuf,
    },
    /// Another process has it open for writing.
    Locked {
        /// Which.
        file: PathBuf,
    },
    /// The system refused, for a reason of its own.
    Io {
        /// Which.
        file: PathBuf,
        /// What it said.
        what: String,
    },
    /// Old records, sealed in a file of their own, cannot be read: only who asks for one of them has it.
    Segment {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Another workspace's file lies where this one's should.
    Mistaken {
        /// Which.
        file: PathBuf,
        /// Whose it is, if that one is of this node.
        of: Option<String>,
    },
    /// More than is kept as one.
    TooLarge {
        /// How much.
        bytes: u64,
    },
}

impl Trouble {
    /// What SQLite said, as trouble with this file.
    pub fn of(file: &Path, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Of;
        let file = file.to_path_buf();
        let what = error.to_string();
        let rusqlite::Error::SqliteFailure(cause, _) = &error else {
            return Self::of_row(file, &error);
        };
        match cause.code {
            Of::DatabaseCorrupt | Of::NotADatabase | Of::TypeMismatch | Of::ConstraintViolation => {
                Self::Corrupt { file, what }
            }
            Of::OperationInterrupted => {
                let what = "a question of it comes to no end: its pages lead in circles".to_owned();
                Self::Corrupt { file, what }
            }
            Of::DiskFull => Self::Full { file },
            // The index of the write-ahead log could not grow: SQLite does not say why; there is one reason.
            _ if cause.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => Self::Full { file },
            Of::ReadOnly | Of::PermissionDenied => Self::ReadOnly { file },
            Of::DatabaseBusy | Of::DatabaseLocked => Self::Locked { file },
            Of::CannotOpen if !file.exists() => Self::Missing { file },
            // A missing table or column: the file is one of ours by its header, but not by its contents.
            Of::Unknown if cause.extended_code == rusqlite::ffi::SQLITE_ERROR => Self::Corrupt { file, what },
            _ => Self::Io { file, what },
        }
    }

    /// Errors of reading a row: a value of another type than was written means damage.
    fn of_row(file: PathBuf, error: &rusqlite::Error) -> Self {
        use rusqlite::Error as Of;
        let what = error.to_string();
        match error {
            Of::FromSqlConversionFailure(..)
            | Of::IntegralValueOutOfRange(..)
            | Of::Utf8Error(..)
            | Of::InvalidColumnType(..)
            | Of::SqlInputError { .. }
            | Of::InvalidColumnIndex(..)
            | Of::QueryReturnedNoRows => Self::Corrupt { file, what },
            _ => Self::Io { file, what },
        }
    }

    /// Damage.
    pub fn corrupt(file: &Path, what: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_path_buf(), what: what.into() }
    }

    /// Whether it is trouble with this file, or with one beside it that belongs to it.
    pub(crate) fn is_of(&self, of: &Path) -> bool {
        let mine = |file: &PathBuf| {
            let (name, of) = (file.as_os_str().as_encoded_bytes(), of.as_os_str().as_encoded_bytes());
            name.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-"))
        };
        match self {
            Self::Missing { file } | Self::Exists { file } | Self::Full { file } => mine(file),
            Self::ReadOnly { file } | Self::Locked { file } => mine(file),
            Self::Corrupt { file, .. } | Self::Io { file, .. } => mine(file),
            Self::Newer { file, .. } | Self::Mistaken { file, .. } => mine(file),
            Self::Segment { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { .. } => {
                "create it, or check the name and where the state directory is".to_owned()
            }
            Self::Exists { .. } => "take another name, or open what is there".to_owned(),
            Self::Corrupt { .. } => {
                "set the file aside and restore a backup; what was read is not trusted".to_owned()
            }
            Self::Segment { .. } => {
                "bring this file back from a backup; all but these old records is served".to_owned()
            }
            Self::Newer { .. } => "run the newer program that wrote it; it was left as it is".to_owned(),
            Self::Full { .. } => {
                "make room on the disk, then try again; nothing written before is lost".to_owned()
            }
            Self::ReadOnly { .. } => "make the file and its directory writable for this user".to_owned(),
            Self::Locked { .. } => "stop the other process that has it open".to_owned(),
            Self::Io { .. } => "check the disk and the system's log".to_owned(),
            Self::Mistaken { of: Some(of), .. } => {
                format!("stop the daemon and put each workspace's directory back: this one belongs to {of}")
            }
            Self::Mistaken { .. } => {
                "stop the daemon and put the directory back that belongs here".to_owned()
            }
            Self::TooLarge { bytes } if *bytes > abi::limits::FILE_BYTES_MAX => {
                "a file holds at most 16 GiB; split it into several".to_owned()
            }
            Self::TooLarge { .. } => {
                "one value is at most 1 MiB; upload more: skep write PATH --file FILE".to_owned()
            }
        }
    }

    /// The same as an answer to a caller.
    pub fn to_error(&self) -> Error {
        let code = match self {
            Self::TooLarge { .. } => Code::TooLarge,
            _ => Code::Unavailable,
        };
        Error::new(code, self.to_string()).hint(self.hint())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { file } => write!(out, "{} is not there", file.display()),
            Self::Exists { file } => write!(out, "{} is there already", file.display()),
            Self::Corrupt { file, what } => write!(out, "{} is damaged: {what}", file.display()),
            Self::Newer { file, found, known } => {
                write!(out, "{} has format {found}, this program knows {known}", file.display())
            }
            Self::Full { file } => write!(out, "there is no room to write {}", file.display()),
            Self::ReadOnly { file } => write!(out, "{} cannot be written", file.display()),
            Self::Segment { file, what } => {
                write!(out, "the sealed records in {} cannot be read: {what}", file.display())
            }
            Self::Locked { file } => write!(out, "{} is open in another process", file.display()),
            Self::Io { file, what } => write!(out, "{} could not be read or written: {what}", file.display()),
            Self::Mistaken { file, of: Some(of) } => {
                write!(out, "{} is the file of workspace {of}, or a copy of it", file.display())
            }
            Self::Mistaken { file, .. } => {
                write!(out, "{} is not the file that was here before: its id is another", file.display())
            }
            Self::TooLarge { bytes } => write!(out, "{bytes} bytes are more than is kept as one"),
        }
    }
}

impl std::error::Error for Trouble {}
