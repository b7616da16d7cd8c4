//! Files of the operator's clients: read whole, bounded, and known again by when and how they were changed.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Looks up a variable of the daemon's environment.
pub(crate) type Variable = fn(&str) -> Option<String>;

/// Bytes of one of them: such files are written by hand.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// When a file was changed, and how long it is; none if it is not there.
type Stamp = Option<(SystemTime, u64)>;

pub(super) fn stamp(path: &Path) -> Stamp {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

/// What was looked at.
pub(super) struct Files {
    variable: Variable,
    seen: Vec<(PathBuf, Stamp)>,
    trouble: Vec<String>,
}

impl Files {
    pub fn new(variable: Variable) -> Self {
        Self { variable, seen: Vec::new(), trouble: Vec::new() }
    }

    /// A variable of the environment that says something.
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.trim().is_empty())
    }

    /// The operator's home.
    pub fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }

    /// Looks at a file; none if it is not there, or is not to be read.
    pub fn read(&mut self, path: &Path) -> Option<String> {
        self.seen.push((path.to_owned(), stamp(path)));
        let mut bytes = Vec::new();
        // A pipe or a device would be waited for.
        let open = fs::metadata(path).and_then(|about| {
            if about.is_file() { File::open(path) } else { Err(ErrorKind::InvalidInput.into()) }
        });
        let read = open.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        let why = match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
            Ok(_) if bytes.len() as u64 > FILE_BYTES_MAX => "it is larger than 256 KiB".to_owned(),
            Ok(_) => match String::from_utf8(bytes) {
                Ok(text) => return Some(text),
                Err(_) => "it is not UTF-8".to_owned(),
            },
        };
        self.trouble.push(format!("{} is not read: {why}", path.display()));
        None
    }

    /// Whether all of them are as they were.
    pub fn are_unchanged(&self) -> bool {
        self.seen.iter().all(|(path, was)| stamp(path) == *was)
    }

    /// What was there and could not be read.
    pub fn trouble(&self) -> Option<String> {
        (!self.trouble.is_empty()).then(|| self.trouble.join("; "))
    }
}
