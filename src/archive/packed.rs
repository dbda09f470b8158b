//! An archive as one file, `.tar` or `.zip`, read as it stands and written to be handed over
//! (section 11 of the format).

use std::fs::File;
use std::io::{Read as _, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::evidence::digest::{Digest, Hasher};
use crate::verify::{Archive, Entry, ReadFailure};

/// How the one file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// POSIX ustar, with GNU long names where a path needs one.
    Tar,
    /// Stored entries: compression would let bytes depend on a codec's version.
    Zip,
}

impl Format {
    /// By the name's ending.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "tar" => Some(Self::Tar),
            "zip" => Some(Self::Zip),
            _ => None,
        }
    }
}

/// What a file is called that was packed from inside the archive's folder (`tar -cf x.tar .`).
fn path_of(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let mut path = &*name;
    while let Some(rest) = path.strip_prefix("./") {
        path = rest;
    }
    path.to_owned()
}

/// A packed archive, open for reading. Its entries are read from where they lie.
pub struct Packed {
    name: String,
    file: File,
    entries: Vec<PackedEntry>,
}

struct PackedEntry {
    path: String,
    is_file: bool,
    start: u64,
    length: u64,
    /// Why its bytes cannot be read; empty when they can.
    fault: &'static str,
}

impl Packed {
    /// Opens a file and reads its table. What it is goes by content.
    ///
    /// # Errors
    /// [`ReadFailure`] when it is neither, or cut off.
    pub fn open(path: &Path) -> Result<Self, ReadFailure> {
        let name = path.display().to_string();
        let io = |error: std::io::Error| ReadFailure::new(name.clone(), error.to_string());
        let help = "give a .tar or .zip of the archive as it was packed, or the archive's folder";
        let failed =
            |reason: String| ReadFailure { help, ..ReadFailure::new(name.clone(), reason) };
        let mut file = File::open(path).map_err(io)?;
        let mut start = [0; 4];
        let is_zip = match file.read_exact(&mut start) {
            Ok(()) => start == *b"PK\x03\x04",
            Err(_) => false,
        };
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        let entries = if is_zip { zip_entries(&file) } else { tar_entries(&file) };
        let entries = entries.map_err(failed)?;
        Ok(Self { name, file, entries })
    }

    fn find(&self, path: &str) -> Result<&PackedEntry, ReadFailure> {
        let failed = |reason: &str| ReadFailure::new(path, reason);
        let entry = self.entries.iter().find(|entry| entry.path == path && entry.is_file);
        let entry = entry.ok_or_else(|| failed("not in the file"))?;
        if entry.fault.is_empty() { Ok(entry) } else { Err(failed(entry.fault)) }
    }

    /// Calls `each` with the bytes of an entry, piece by piece.
    fn pieces(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<u64, ReadFailure> {
        let entry = self.find(path)?;
        let mut buffer = vec![0; 256 << 10];
        let mut done = 0;
        while done < entry.length {
            let rest = usize::try_from(entry.length - done).unwrap_or(usize::MAX);
            let size = rest.min(buffer.len());
            let piece = buffer.get_mut(..size).unwrap_or_default();
            self.file
                .read_exact_at(piece, entry.start + done)
                .map_err(|error| ReadFailure::new(path, error.to_string()))?;
            each(piece);
            done += size as u64;
        }
        Ok(entry.length)
    }
}

fn tar_entries(file: &File) -> Result<Vec<PackedEntry>, String> {
    let mut archive = tar::Archive::new(file);
    let mut found = Vec::new();
    let entries = archive.entries_with_seek().map_err(|error| error.to_string())?;
    for entry in entries {
        // The reader's own words quote what it found.
        let entry = entry.map_err(|_| match found.last() {
            None => "neither a .tar nor a .zip".to_owned(),
            Some(PackedEntry { path, .. }) => {
                format!("neither a whole .tar nor a .zip: it is cut off or damaged after `{path}`")
            }
        })?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        found.push(PackedEntry {
            path: path_of(&entry.path_bytes()),
            is_file: kind.is_file() || kind.is_contiguous(),
            start: entry.raw_file_position(),
            length: entry.size(),
            fault: "",
        });
    }
    if found.is_empty() {
        Err("neither a .tar nor a .zip with files".to_owned())
    } else {
        Ok(found)
    }
}

fn zip_entries(file: &File) -> Result<Vec<PackedEntry>, String> {
    let mut archive = zip::ZipArchive::new(file).map_err(|error| error.to_string())?;
    // The reader keeps one entry of each name; another reader could keep the other one.
    if stated_entries(file).is_some_and(|stated| stated != archive.len() as u64) {
        return Err("the .zip has two entries of one name".to_owned());
    }
    let mut found = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| error.to_string())?;
        if entry.is_dir() {
            continue;
        }
        let fault = if entry.encrypted() {
            "the .zip is encrypted"
        } else if entry.compression() == zip::CompressionMethod::Stored {
            ""
        } else {
            "the entry is compressed: unpack the .zip, or pack it without compression (zip -0)"
        };
        found.push(PackedEntry {
            path: path_of(entry.name_raw()),
            is_file: !entry.is_symlink(),
            start: entry.data_start().unwrap_or_default(),
            length: entry.size(),
            fault,
        });
    }
    Ok(found)
}

/// The number of entries in the end record (APPNOTE 4.3.16); `None` where it says that the number
/// stands elsewhere (Zip64).
fn stated_entries(file: &File) -> Option<u64> {
    /// The record, with the longest comment.
    const LONGEST: u64 = 22 + 0xffff;
    let length = file.metadata().ok()?.len();
    let mut tail = vec![0; usize::try_from(length.min(LONGEST)).ok()?];
    let start = length.saturating_sub(LONGEST);
    file.read_exact_at(&mut tail, start).ok()?;
    let start = tail.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let count = tail.get(start + 10..start + 12)?.try_into().ok().map(u16::from_le_bytes)?;
    (count != u16::MAX).then_some(u64::from(count))
}

impl Archive for Packed {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        let entry =
            |entry: &PackedEntry| Entry { path: entry.path.clone(), is_file: entry.is_file };
        Ok(self.entries.iter().map(entry).collect())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        let mut bytes = Vec::new();
        self.pieces(path, &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    fn digest(&self, path: &str) -> Result<(Digest, u64), ReadFailure> {
        let mut hasher = Hasher::default();
        let length = self.pieces(path, &mut |piece| hasher.update(piece))?;
        Ok((hasher.finish(), length))
    }
}

impl std::fmt::Display for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// Why an archive could not be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A file of the archive could not be read.
    #[error(transparent)]
    Read(#[from] ReadFailure),
    /// The one file could not be written.
    #[error("could not write the file: {0}")]
    Write(#[from] std::io::Error),
    /// The same, as the ZIP writer says it.
    #[error("could not write the file: {0}")]
    Zip(#[from] zip::result::ZipError),
}

/// Writes files of an archive, and `own` ones, as one file; `at` becomes the time of every entry.
/// Equal content gives equal bytes.
///
/// # Errors
/// [`PackError`].
pub fn write<W: Write + Seek>(
    format: Format,
    archive: &dyn Archive,
    paths: &[String],
    own: &[(&str, Vec<u8>)],
    at: Timestamp,
    out: W,
) -> Result<(), PackError> {
    let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    paths.extend(own.iter().map(|(path, _)| *path));
    paths.sort_unstable();
    let bytes = |path: &str| match own.iter().find(|(own, _)| *own == path) {
        Some((_, bytes)) => Ok(bytes.clone()),
        None => archive.read(path),
    };
    match format {
        Format::Tar => {
            let mut writer = tar::Builder::new(out);
            for path in paths {
                let bytes = bytes(path)?;
                let mut header = tar::Header::new_ustar();
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(0o644);
                header.set_mtime(u64::try_from(at.as_second()).unwrap_or_default());
                header.set_uid(0);
                header.set_gid(0);
                header.set_size(bytes.len() as u64);
                writer.append_data(&mut header, path, bytes.as_slice())?;
            }
            writer.into_inner()?.flush()?;
        }
        Format::Zip => {
            let mut writer = zip::ZipWriter::new(out);
            let time = Offset::UTC.to_datetime(at);
            let part = |value: i8| u8::try_from(value).unwrap_or_default();
            let time = zip::DateTime::from_date_and_time(
                u16::try_from(time.year()).unwrap_or_default(),
                part(time.month()),
                part(time.day()),
                part(time.hour()),
                part(time.minute()),
                part(time.second()),
            )
            .unwrap_or_default();
            for path in paths {
                let bytes = bytes(path)?;
                let options = zip::write::SimpleFileOptions::default()
                    .compression_method(zip::CompressionMethod::Stored)
                    .last_modified_time(time)
                    .unix_permissions(0o644)
                    .large_file(bytes.len() as u64 >= u64::from(u32::MAX));
                writer.start_file(path, options)?;
                writer.write_all(&bytes)?;
            }
            writer.finish()?.flush()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_from_inside_the_folder_has_the_same_paths() {
        let folder = tempfile::tempdir().unwrap();
        let tar_path = folder.path().join("x.tar");
        let mut tar = tar::Builder::new(File::create(&tar_path).unwrap());
        for (name, bytes) in [("./", &b""[..]), ("./log/a", b"a"), ("././b", b"bb")] {
            let mut header = tar::Header::new_ustar();
            header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            let is_folder = name.ends_with('/');
            header.set_entry_type(if is_folder {
                tar::EntryType::Directory
            } else {
                tar::EntryType::Regular
            });
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            tar.append(&header, bytes).unwrap();
        }
        tar.into_inner().unwrap();
        let zip_path = folder.path().join("x.zip");
        let mut zip = zip::ZipWriter::new(File::create(&zip_path).unwrap());
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        for (name, bytes) in [("./log/a", &b"a"[..]), ("./b", b"bb")] {
            zip.start_file(name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        for path in [tar_path, zip_path] {
            let packed = Packed::open(&path).unwrap();
            let paths: Vec<String> =
                packed.list().unwrap().into_iter().map(|entry| entry.path).collect();
            assert_eq!(paths, ["log/a", "b"], "{}", path.display());
            assert_eq!(packed.read("b").unwrap(), b"bb");
        }
    }

    #[test]
    fn another_file_is_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "a secret ".repeat(200)).unwrap();
        let failure = Packed::open(&path).err().unwrap();
        assert_eq!(failure.reason, "neither a .tar nor a .zip");
        assert!(!failure.help.contains("permissions"));
    }
}
