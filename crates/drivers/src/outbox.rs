//! A mail sink that writes what would be sent: one RFC 5322 file for each `mail.send`.
//!
//! The file is `<first 16 hexadecimal digits of the effect id>.eml`, and its Message-ID is made from the
//! whole id, so that sending the same effect twice leaves one file, and a probe after a crash finds it. It
//! is written beside and renamed, so that no half of a mail ever bears the name.
//!
//! Never here: a connection, a value that could end a header line (CR, LF and other controls are refused), a
//! receiver hidden in another argument (one value is one address).

use crate::{Delivery, Mount, check, shown, single};
use abi::event::Probed;
use abi::label::{Integrity, Readers};
use abi::manifest::{Audience, Brings, Class, Kind, Manifest, Recovery};
use abi::path::{Pattern, TreePath};
use abi::{Code, Content, EffectId, Error, call::Fields};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

mod compose;

/// Receivers of one mail, so that one approval is never a mass mailing.
const RECEIVERS_MAX: usize = 100;
/// Bytes of an existing file that are read to find its Message-ID, which stands in its first lines.
const HEAD_BYTES: u64 = 4096;

/// The operator's own contacts: a file in the directory, delivered as it is. An address that stands in it as
/// a whole word is one the operator deals with.
const CONTACTS: &str = "/contacts.txt";
/// How a mail is shown to who decides; the rest stands below it.
const TEMPLATE: &str = "Send a mail to {to}\nSubject: {subject}\n";

/// The driver.
pub struct Outbox {
    directory: PathBuf,
    sender: String,
    /// The contacts that the tree has.
    contacts: Mutex<Option<Vec<u8>>>,
}

/// What is to be sent, checked.
struct Mail<'a> {
    to: Vec<compose::Address<'a>>,
    cc: Vec<compose::Address<'a>>,
    bcc: Vec<compose::Address<'a>>,
    subject: &'a str,
    body: &'a str,
}

impl Outbox {
    /// Opens the directory, which is made if it is missing. Mails come from `NAME@outbox.invalid`.
    pub fn open(name: &str, directory: &Path) -> Result<Self, Error> {
        let name = abi::wire::word("name", name)?;
        if directory.as_os_str().is_empty() {
            return Err(Error::invalid("argument", "outbox needs a host directory to write to"));
        }
        fs::create_dir_all(directory).map_err(|error| {
            let message = format!("cannot make {}: {error}", directory.display());
            Error::new(Code::Unavailable, message).argument("argument")
        })?;
        let (directory, sender) = (directory.to_owned(), format!("{name}@outbox.invalid"));
        Ok(Self { directory, sender, contacts: Mutex::new(None) })
    }

    fn contacts(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.contacts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, effect: &EffectId) -> PathBuf {
        let digits: String = effect.to_string().chars().take(16).collect();
        self.directory.join(format!("{digits}.eml"))
    }

    /// Whether the effect's file stands; an error if the name is taken by something else.
    fn stands(&self, effect: &EffectId) -> Result<bool, String> {
        let path = self.file(effect);
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut head = Vec::new();
        match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
            Ok(file) => file.take(HEAD_BYTES).read_to_end(&mut head).map_err(failed)?,
        };
        let line = format!("Message-ID: {}\r\n", message_id(effect));
        if abi::scan::has_text(&head, line.as_bytes()) {
            return Ok(true);
        }
        Err(format!("{} stands already and is another mail", path.display()))
    }

    /// Writes the mail beside its place and renames it. Its date is the one that the file system gave the new
    /// file: a driver has no clock. A mail that is repeated after a crash keeps the first.
    fn put(&self, effect: &EffectId, mail: &Mail<'_>) -> Result<(), String> {
        let path = self.file(effect);
        let beside = path.with_extension("tmp");
        let written = || -> std::io::Result<()> {
            let mut file = File::create(&beside)?;
            let made = file.metadata()?.modified()?;
            file.write_all(&mail.compose(effect, &self.sender, made))?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            // The rename itself is durable only with the directory.
            File::open(&self.directory)?.sync_all()
        };
        written().map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

/// The Message-ID of an effect.
fn message_id(effect: &EffectId) -> String {
    format!("<{effect}@skep.invalid>")
}

/// The addresses of one argument.
fn addresses<'a>(fields: &'a Fields, name: &str) -> Result<Vec<compose::Address<'a>>, String> {
    let values = fields.get(name).map(Vec::as_slice).unwrap_or_default();
    if values.len() > RECEIVERS_MAX {
        return Err(format!("{name} has more than {RECEIVERS_MAX} receivers"));
    }
    let bad = |why: &str, value: &str| format!("{name} {:?} {why}", shown(value));
    values.iter().map(|value| compose::Address::parse(value).map_err(|why| bad(why, value))).collect()
}

impl<'a> Mail<'a> {
    fn read(fields: &'a Fields) -> Result<Self, String> {
        let subject = single(fields, "subject")?;
        if subject.contains(char::is_control) {
            return Err("subject has a line break or another control character".to_owned());
        }
        let mail = Self {
            to: addresses(fields, "to")?,
            cc: addresses(fields, "cc")?,
            bcc: addresses(fields, "bcc")?,
            subject,
            body: single(fields, "body")?,
        };
        if mail.to.is_empty() {
            return Err("mail.send needs to: whom it goes to".to_owned());
        }
        Ok(mail)
    }

    fn compose(&self, effect: &EffectId, sender: &str, made: SystemTime) -> Vec<u8> {
        let mut out = String::new();
        let since = made.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let date = mail_parser::DateTime::from_timestamp(seconds).to_rfc822();
        compose::header(&mut out, "Message-ID", &message_id(effect));
        compose::header(&mut out, "Date", &date);
        compose::header(&mut out, "From", &format!("<{sender}>"));
        for (name, list) in [("To", &self.to), ("Cc", &self.cc), ("Bcc", &self.bcc)] {
            let list: Vec<String> = list.iter().map(compose::Address::encode).collect();
            if !list.is_empty() {
                compose::header(&mut out, name, &list.join(",\r\n "));
            }
        }
        compose::header(&mut out, "Subject", &compose::words(self.subject));
        compose::header(&mut out, "MIME-Version", "1.0");
        compose::header(&mut out, "Content-Type", "text/plain; charset=utf-8");
        compose::header(&mut out, "Content-Transfer-Encoding", "quoted-printable");
        out.push_str("\r\n");
        compose::body(&mut out, self.body);
        out.into_bytes()
    }
}

impl Mount for Outbox {
    fn manifest(&self) -> Manifest {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let send = Kind {
            steering: names(&["to", "cc", "bcc"]),
            payload: names(&["subject", "body"]),
            audience: Audience::Named(names(&["to", "cc", "bcc"])),
            // It answers with a Message-ID that this driver made.
            answer: Some(Integrity::Workspace),
            template: TEMPLATE.to_owned(),
            ..Kind::new("mail.send", Class::ExternalIrreversible, Recovery::Probe)
        };
        let directory = |pattern| Brings {
            pattern,
            integrity: Integrity::Workspace,
            readers: Readers::Any,
            directory: true,
        };
        let brings = Pattern::parse(CONTACTS).map(directory).into_iter().collect();
        Manifest { kinds: vec![send], brings, open: false }
    }

    fn poll(&self) -> Result<Vec<Delivery>, String> {
        let mut bytes = Vec::new();
        let file = self.directory.join(CONTACTS.trim_start_matches('/'));
        match File::open(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(format!("{}: {error}", file.display())),
            Ok(file) => file
                .take(abi::limits::BLOB_INLINE_BYTES_MAX + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| error.to_string())?,
        };
        if self.contacts().as_ref() == Some(&bytes) {
            return Ok(Vec::new());
        }
        let path = TreePath::parse(CONTACTS).map_err(|error| error.message)?;
        Ok(vec![Delivery { key: CONTACTS.to_owned(), path, bytes }])
    }

    fn accept(&self, delivery: &Delivery) {
        *self.contacts() = Some(delivery.bytes.clone());
    }

    fn send(&self, effect: &EffectId, kind: &str, fields: &Fields) -> Result<Vec<u8>, String> {
        check(&self.manifest(), kind, fields)?;
        let mail = Mail::read(fields)?;
        if !self.stands(effect)? {
            self.put(effect, &mail)?;
        }
        let name = self.file(effect);
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!("wrote {name}, Message-ID {}", message_id(effect)).into_bytes())
    }

    fn probe(&self, effect: &EffectId, kind: &str, fields: &Fields) -> Probed {
        if check(&self.manifest(), kind, fields).is_err() {
            return Probed::Absent;
        }
        match self.stands(effect) {
            Ok(true) => Probed::Happened(Content::of(b"")),
            Ok(false) => Probed::Absent,
            Err(_) => Probed::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
