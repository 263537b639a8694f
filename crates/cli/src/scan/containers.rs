//! Unpacks containers within limits. They are recognised by their first bytes; those that
//! cannot be unpacked are reported as not read.

use super::{
    Event, Report, Scan,
    limits::{Budget, Source, Unpacked},
    zstd::Zstd,
};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use rawzip::{
    CompressionMethod, FileReader, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ReaderAt, ZipArchive,
};
use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
};
use tegata_policy::text::{escaped, is_plain};

/// The format of a file or a part, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Gzip,
    Zlib,
    Zstd,
    Zip,
    Tar,
    /// A format that is not searched.
    Other(&'static str),
}

/// The first bytes of each format.
const MAGIC: [(&[u8], Form); 29] = [
    (b"\x1F\x8B", Form::Gzip),
    (b"\x78\x01", Form::Zlib),
    (b"\x78\x9C", Form::Zlib),
    (b"\x78\xDA", Form::Zlib),
    (b"\x28\xB5\x2F\xFD", Form::Zstd),
    (b"PK\x03\x04", Form::Zip),
    (b"PK\x05\x06", Form::Zip),
    (b"PK\x07\x08", Form::Other("an archive in several parts")),
    (b"BZh", Form::Other("bzip2")),
    (b"\xFD7zXZ\0", Form::Other("xz")),
    (b"7z\xBC\xAF\x27\x1C", Form::Other("7z")),
    (b"Rar!\x1A\x07", Form::Other("RAR")),
    (b"\x04\x22\x4D\x18", Form::Other("LZ4")),
    (b"LZIP", Form::Other("lzip")),
    (b"\x5D\0\0", Form::Other("LZMA")),
    (b"\x1F\x9D", Form::Other("compress (.Z)")),
    (b"MSCF\0\0\0\0", Form::Other("a cabinet file")),
    (b"\xFF\x06\0\0sNaPpY", Form::Other("Snappy")),
    (b"PACK\0\0\0", Form::Other("a Git pack")),
    (b"PAR1", Form::Other("Parquet")),
    (b"%PDF-", Form::Other("PDF")),
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", Form::Other("an Office file of the old format")),
    (b"age-encryption.org/", Form::Other("encrypted by age")),
    (b"-----BEGIN AGE ENCRYPTED", Form::Other("encrypted by age")),
    (b"-----BEGIN PGP MESSAGE", Form::Other("encrypted by PGP")),
    (b"Salted__", Form::Other("encrypted by OpenSSL")),
    (b"$ANSIBLE_VAULT;", Form::Other("encrypted by Ansible")),
    (b"LUKS\xBA\xBE", Form::Other("an encrypted disk")),
    (b"hsqs", Form::Other("a SquashFS image")),
];

/// The number of bytes that identify every format: the first header of a tar archive.
const HEAD: usize = 512;

fn form_of(head: &[u8]) -> Form {
    if let Some(&(_, form)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return form;
    }
    // RFC 8878, section 3.1.2.
    let skippable = matches!(head, [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..]);
    match head.first_chunk::<HEAD>() {
        _ if skippable => Form::Zstd,
        Some(block) if is_tar(block) => Form::Tar,
        _ => Form::Text,
    }
}

/// Whether a block is the header of a tar archive, by its checksum.
fn is_tar(block: &[u8; HEAD]) -> bool {
    let header = tar::Header::from_byte_slice(block);
    let bytes = |range: &[u8]| range.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let sum = bytes(&block[..148]) + 8 * u32::from(b' ') + bytes(&block[156..]);
    block[0] != 0 && header.cksum().is_ok_and(|it| it == sum)
}

/// Whether more bytes could show that this is not text.
fn needs_more(head: &[u8]) -> bool {
    let begins = |(magic, _): &(&[u8], Form)| magic.starts_with(head);
    // A line without zeros is text; the first header of a tar archive contains zeros.
    let line = head.contains(&b'\n') && !head.contains(&0);
    head.len() < HEAD && (!line || MAGIC.iter().any(begins))
}

/// The search of one file.
pub struct Job<'s, 'r, 'f> {
    pub scan: &'s mut Scan,
    pub budget: Budget,
    pub report: &'r mut Report<'f>,
}

impl Job<'_, '_, '_> {
    /// Searches a file; the entries of a zip archive are those of its directory.
    pub fn file(&mut self, mut file: File) -> io::Result<()> {
        let mut head = [0; 4];
        let read = match file.metadata() {
            // A pipe or a device can be read only once.
            Ok(it) if it.is_file() => FileReader::from(file.try_clone()?).read_at(&mut head, 0),
            _ => Ok(0),
        };
        let head = &head[..read.unwrap_or(0)];
        let carrier = head.starts_with(b"MZ") || head.starts_with(b"#!");
        if form_of(head) == Form::Zip || carrier {
            self.budget.has_read(file.metadata().map_or(0, |it| it.len()));
            let mut room = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
            match ZipArchive::from_file(file.try_clone()?, &mut room) {
                Ok(archive) => self.zip(&archive, None, 1)?,
                Err(_) if carrier => {}
                Err(error) => return self.unread(None, &format!("a damaged zip: {error}")),
            }
            if !carrier {
                return Ok(());
            }
            io::Seek::rewind(&mut file)?;
        }
        self.stream(file)
    }

    /// Searches a stream, which can be read only once.
    pub fn stream(&mut self, stream: impl Read) -> io::Result<()> {
        let mut source = Source { from: stream, budget: self.budget.clone() };
        self.look(&mut source, None, 0)
    }

    fn unread(&mut self, within: Option<&str>, why: &str) -> io::Result<()> {
        (self.report)(Event::Unread { within, why })
    }

    /// Searches a part of any format.
    fn look(&mut self, part: &mut dyn Read, within: Option<&str>, depth: usize) -> io::Result<()> {
        let mut head = Vec::with_capacity(HEAD);
        let failed = loop {
            let mut room = [0; HEAD];
            match part.read(&mut room[..HEAD - head.len()]) {
                Ok(0) => break None,
                Ok(read) => head.extend_from_slice(&room[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Some(error),
            }
            if !needs_more(&head) {
                break None;
            }
        };
        if let Some(error) = failed {
            self.text(&head[..], within)?;
            return self.unread(within, &words(&error));
        }
        let form = form_of(&head);
        let mut whole = Cursor::new(&head).chain(part);
        if form != Form::Text && depth >= self.scan.limits.depth {
            return self.unread(within, "it is nested in too many containers");
        }
        match form {
            Form::Text => self.text(&mut whole, within),
            Form::Other(what) => self.unread(within, what),
            Form::Gzip => {
                self.look_unpacked(MultiGzDecoder::new(BufReader::new(whole)), within, depth)
            }
            Form::Zstd => self.look_unpacked(Zstd::new(BufReader::new(whole)), within, depth),
            Form::Zlib => self.zlib(whole, within, depth),
            Form::Tar => self.tar(&mut whole, within, depth + 1),
            Form::Zip => self.zip_in_stream(&mut whole, within, depth + 1),
        }
    }

    fn look_unpacked(
        &mut self,
        from: impl Read,
        within: Option<&str>,
        depth: usize,
    ) -> io::Result<()> {
        let mut unpacked = Unpacked { from, budget: self.budget.clone() };
        self.look(&mut unpacked, within, depth + 1)
    }

    /// Searches zlib data. Some text begins like zlib, so data that cannot be unpacked at all
    /// is searched as text.
    fn zlib(&mut self, mut whole: impl Read, within: Option<&str>, depth: usize) -> io::Result<()> {
        let mut first = Vec::new();
        if let Err(error) = whole.by_ref().take(1 << 16).read_to_end(&mut first) {
            self.text(&first[..], within)?;
            return self.unread(within, &words(&error));
        }
        let tried = ZlibDecoder::new(&first[..]).read(&mut [0; 64]);
        let whole = Cursor::new(first).chain(whole);
        match tried {
            Ok(_) => self.look_unpacked(ZlibDecoder::new(BufReader::new(whole)), within, depth),
            Err(_) => self.text(whole, within),
        }
    }

    fn text(&mut self, text: impl Read, within: Option<&str>) -> io::Result<()> {
        match self.scan.text(text, within, self.report)? {
            Ok(()) => Ok(()),
            Err(error) => self.unread(within, &words(&error)),
        }
    }

    /// Searches each entry. Entries that describe others (long names, attributes) are
    /// searched like any other, so they are not held in memory.
    fn tar(&mut self, whole: &mut dyn Read, within: Option<&str>, depth: usize) -> io::Result<()> {
        let mut archive = tar::Archive::new(whole);
        archive.set_ignore_zeros(true);
        let entries = match archive.entries() {
            Ok(entries) => entries.raw(true),
            Err(error) => return self.unread(within, &words(&error)),
        };
        for entry in entries {
            let mut entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.unread(within, &words(&error)),
            };
            let name = joined(within, &entry.path_bytes());
            let header = entry.header().as_bytes().to_vec();
            // The header holds its name and that of its link's target.
            self.text(&header[..], Some(&name))?;
            self.look(&mut entry, Some(&name), depth)?;
            if let Some(why) = self.budget.is_spent() {
                return self.unread(within, &why);
            }
        }
        Ok(())
    }

    /// Searches a zip archive in a stream. The directory is at the archive's end, so the
    /// archive is held in memory.
    fn zip_in_stream(
        &mut self,
        whole: &mut dyn Read,
        within: Option<&str>,
        depth: usize,
    ) -> io::Result<()> {
        let most = self.scan.limits.held;
        let mut held = Vec::new();
        let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        if let Err(error) = whole.take(bound).read_to_end(&mut held) {
            return self.unread(within, &words(&error));
        }
        if held.len() > most {
            let why = format!("a zip of more than {} MiB within another container", most >> 20);
            return self.unread(within, &why);
        }
        match ZipArchive::from_slice(held) {
            Ok(archive) => self.zip(&archive.into_reader_archive(), within, depth),
            Err(error) => self.unread(within, &format!("a damaged zip: {error}")),
        }
    }

    fn zip<R: ReaderAt>(
        &mut self,
        archive: &ZipArchive<R>,
        within: Option<&str>,
        depth: usize,
    ) -> io::Result<()> {
        self.text(archive.comment(), within)?;
        let mut room = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let mut entries = archive.entries(&mut room);
        loop {
            let record = match entries.next_entry() {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(()),
                Err(error) => return self.unread(within, &format!("a damaged zip: {error}")),
            };
            let name = joined(within, record.file_path().as_ref());
            let method = record.compression_method();
            let encrypted = record.flags().is_encrypted();
            let entry = archive.get_entry(record.wayfinder());
            self.text(name.as_bytes(), Some(&name))?;
            if record.is_dir() {
                continue;
            }
            if encrypted {
                self.unread(Some(&name), "it is encrypted")?;
                continue;
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.unread(Some(&name), &format!("a damaged zip: {error}"))?;
                    continue;
                }
            };
            let packed = BufReader::new(entry.reader());
            // The size and the checksum of each entry are compared, so that a truncated
            // entry is noticed.
            let unpacked: Box<dyn Read + '_> = match method {
                CompressionMethod::STORE => Box::new(entry.verifying_reader(packed)),
                CompressionMethod::DEFLATE => {
                    Box::new(entry.verifying_reader(DeflateDecoder::new(packed)))
                }
                CompressionMethod::ZSTD => Box::new(entry.verifying_reader(Zstd::new(packed))),
                other => {
                    let method = other.name().map_or(other.as_u16().to_string(), str::to_owned);
                    self.unread(Some(&name), &format!("compressed by method {method}"))?;
                    continue;
                }
            };
            let mut unpacked = Unpacked { from: unpacked, budget: self.budget.clone() };
            self.look(&mut unpacked, Some(&name), depth)?;
            if let Some(why) = self.budget.is_spent() {
                return self.unread(within, &why);
            }
        }
    }
}

/// The name of a part within another, escaped: it comes from the archive's author.
fn joined(within: Option<&str>, name: &[u8]) -> String {
    let name = String::from_utf8_lossy(&name[..name.len().min(300)]);
    let name = escaped(&name);
    within.map_or_else(|| name.clone(), |within| format!("{within}!{name}"))
}

/// The text of a library's error, without any quote from the file.
fn words(error: &io::Error) -> String {
    let words = error.to_string();
    let printable = words.chars().filter(|it| is_plain(*it)).take(200).collect();
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "its end is missing".to_owned(),
        _ => printable,
    }
}
