//! What a command made, sealed: its bytes are hashed and laid into the blob store before the event that names
//! them.

use abi::{
    Content, Error, limits,
    view::{Commit, Told},
};
use sandbox::view::{self, Bytes, Drained};
use std::io::Read;
use store::{Blobs, Manifest, Trouble};

/// Bytes of small contents that one event carries in memory.
const CARRIED_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A commit and the bytes it names.
#[derive(Default)]
pub(crate) struct Sealed {
    pub commit: Commit,
    pub blobs: Vec<Vec<u8>>,
    pub uploads: Vec<Manifest>,
}

/// Why it could not be.
pub(crate) enum Unsealed {
    /// The disk, or the view.
    Trouble(String),
    /// There is too much of it.
    TooLarge(Error),
}

impl From<Trouble> for Unsealed {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble.to_string())
    }
}

impl From<std::io::Error> for Unsealed {
    fn from(error: std::io::Error) -> Self {
        Self::Trouble(error.to_string())
    }
}

/// Seals all that a view has become.
pub(crate) fn seal(drained: Drained, blobs: &Blobs) -> Result<Sealed, Unsealed> {
    let mut sealed = Sealed::default();
    let mut carried = 0;
    let many = drained.steps.len() > limits::COMMIT_CHANGES_MAX;
    for step in drained.steps {
        let change = match &step.bytes {
            // It will be refused, in words; nobody needs its bytes.
            _ if many => step.change,
            None => step.change,
            Some(bytes) => {
                carried += if bytes.bytes() > limits::BLOB_INLINE_BYTES_MAX { 0 } else { bytes.bytes() };
                if carried > CARRIED_BYTES_MAX {
                    let message = "it wrote more than 512 MiB in small files";
                    return Err(Unsealed::TooLarge(Error::new(abi::Code::TooLarge, message)));
                }
                let content = content(bytes, blobs, &mut sealed)?;
                step.sealed(content)
            }
        };
        sealed.commit.changes.push(change);
    }
    sealed.commit.told = told(drained.told);
    Ok(sealed)
}

/// The same of a draft, whose changes the log knows as one text.
pub(crate) fn layered(drained: Drained, blobs: &Blobs) -> Result<Sealed, Unsealed> {
    let mut sealed = seal(drained, blobs)?;
    let text = abi::view::layer(&sealed.commit.changes);
    if text.len() as u64 > limits::LAYER_BYTES_MAX {
        let message = "what it changed takes more than 64 MiB to name";
        return Err(Unsealed::TooLarge(Error::new(abi::Code::TooLarge, message)));
    }
    sealed.commit.layer = Some(Box::new(Content::of(&text)));
    if text.len() as u64 <= limits::BLOB_INLINE_BYTES_MAX {
        sealed.blobs.push(text);
    } else {
        let mut upload = blobs.upload();
        upload.push(&text)?;
        sealed.uploads.push(upload.finish()?);
    }
    Ok(sealed)
}

fn content(bytes: &Bytes, blobs: &Blobs, sealed: &mut Sealed) -> Result<Content, Unsealed> {
    let mut reader = bytes.reader();
    if bytes.bytes() <= limits::BLOB_INLINE_BYTES_MAX {
        let mut all = Vec::new();
        reader.read_to_end(&mut all)?;
        let content = Content::of(&all);
        sealed.blobs.push(all);
        return Ok(content);
    }
    let mut upload = blobs.upload();
    let mut part = vec![0; usize::try_from(limits::CHUNK_BYTES).unwrap_or(1 << 20)];
    loop {
        let read = reader.read(&mut part)?;
        if read == 0 {
            break;
        }
        upload.push(part.get(..read).unwrap_or_default())?;
    }
    let manifest = upload.finish()?;
    let content = manifest.content();
    sealed.uploads.push(manifest);
    Ok(content)
}

/// What programs were told, in the words of the kernel.
pub(crate) fn told(told: view::Told) -> Told {
    let view::Told { opened, labels, homes } = told;
    Told { opened, labels, homes }
}
