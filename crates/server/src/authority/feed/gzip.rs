//! Texts that are shared by many responses, and gzip streams (RFC 1952) around them.
//!
//! A text is written and compressed once for all requests, in parts, so that no memory is
//! taken twice while it grows. What stands before and after it differs, and follows as
//! stored blocks (RFC 1951, section 3.2.4): the compressed part ends at a byte, and refers
//! to nothing before itself.

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Crc, FlushCompress};
use std::io;

/// How a response is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// Compressed with gzip.
    Gzip,
}

/// A text and its compressed form, each in parts.
pub struct Packed {
    plain: Vec<Bytes>,
    deflated: Vec<Bytes>,
    crc: Crc,
    length: usize,
}

/// RFC 1952, section 2.3: no name, no time, an unknown system.
const HEAD: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];
/// Length of a part.
const PART: usize = 256 * 1024;
/// A text below this length is not compressed: the library's tables alone are larger. It is
/// sent in one piece with what stands around it.
const SHORT: usize = 1_024;

impl Packed {
    /// A text that is there as a whole.
    pub fn new(text: String) -> Self {
        if text.len() >= SHORT {
            let mut packer = Packer::new();
            packer.take(text.as_bytes());
            return packer.finish();
        }
        let length = text.len();
        Self { plain: vec![text.into()], deflated: Vec::new(), crc: Crc::new(), length }
    }

    /// The length of the text.
    pub fn len(&self) -> usize {
        self.length
    }

    /// The body of a response: the text between two others.
    pub fn between(&self, before: String, after: &'static str, encoding: Encoding) -> Vec<Bytes> {
        match &self.plain[..] {
            [text] if self.length < SHORT => vec![short(&before, text, after, encoding)],
            _ => self.in_parts(before, after, encoding),
        }
    }

    fn in_parts(&self, before: String, after: &'static str, encoding: Encoding) -> Vec<Bytes> {
        let mut parts = Vec::with_capacity(self.plain.len() + 2);
        match encoding {
            Encoding::Plain => {
                parts.push(before.into());
                parts.extend(self.plain.iter().cloned());
                if !after.is_empty() {
                    parts.push(Bytes::from_static(after.as_bytes()));
                }
            }
            Encoding::Gzip => {
                let mut begin = BytesMut::with_capacity(HEAD.len() + before.len() + 5);
                begin.put_slice(&HEAD);
                stored(before.as_bytes(), false, &mut begin);
                parts.push(begin.freeze());
                parts.extend(self.deflated.iter().cloned());
                parts.push(self.end(&before, after));
            }
        }
        parts
    }

    /// What ends a stream.
    fn end(&self, before: &str, after: &str) -> Bytes {
        let mut crc = Crc::new();
        crc.update(before.as_bytes());
        crc.combine(&self.crc);
        crc.update(after.as_bytes());
        let length = before.len() + self.length + after.len();
        let mut end = BytesMut::with_capacity(after.len() + 13);
        stored(after.as_bytes(), true, &mut end);
        end.put_u32_le(crc.sum());
        // Modulo 2^32, as the format has it.
        end.put_u32_le(u32::try_from(length & 0xFFFF_FFFF).unwrap_or(0));
        end.freeze()
    }
}

/// A short text between two others, in one piece: thousands of responses with one change cost
/// less to copy than to send in parts.
fn short(before: &str, text: &[u8], after: &str, encoding: Encoding) -> Bytes {
    let length = before.len() + text.len() + after.len();
    let mut whole = BytesMut::with_capacity(length + HEAD.len() + 13);
    if encoding == Encoding::Gzip {
        whole.put_slice(&HEAD);
        begin_block(length, true, &mut whole);
    }
    let begin = whole.len();
    [before.as_bytes(), text, after.as_bytes()].iter().for_each(|it| whole.put_slice(it));
    if encoding == Encoding::Gzip {
        let mut crc = Crc::new();
        crc.update(&whole[begin..]);
        whole.put_u32_le(crc.sum());
        whole.put_u32_le(u32::try_from(length).unwrap_or(0));
    }
    whole.freeze()
}

/// Takes a text bit by bit, and compresses each part as it is full.
pub struct Packer {
    compress: Compress,
    packed: Packed,
    part: Vec<u8>,
    out: Vec<u8>,
}

impl Packer {
    pub fn new() -> Self {
        let compress = Compress::new(Compression::fast(), false);
        let (plain, deflated) = (Vec::new(), Vec::new());
        let packed = Packed { plain, deflated, crc: Crc::new(), length: 0 };
        Self { compress, packed, part: Vec::new(), out: Vec::new() }
    }

    fn take(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            let (now, rest) = text.split_at(text.len().min(PART - self.part.len()));
            self.part.extend_from_slice(now);
            text = rest;
            if self.part.len() == PART {
                self.end_part(FlushCompress::None);
            }
        }
    }

    fn end_part(&mut self, flush: FlushCompress) {
        let part = std::mem::take(&mut self.part);
        self.packed.crc.update(&part);
        self.packed.length += part.len();
        let begin = self.compress.total_in();
        loop {
            let done = usize::try_from(self.compress.total_in() - begin).unwrap_or(usize::MAX);
            self.out.reserve(PART / 4);
            // Into memory, with nothing but the library's own limits to fail.
            let _ = self.compress.compress_vec(&part[done.min(part.len())..], &mut self.out, flush);
            let done = usize::try_from(self.compress.total_in() - begin).unwrap_or(usize::MAX);
            if done >= part.len() && self.out.len() < self.out.capacity() {
                break;
            }
        }
        if !self.out.is_empty() {
            let out = Bytes::copy_from_slice(&self.out);
            self.out.clear();
            self.packed.deflated.push(out);
        }
        if !part.is_empty() {
            self.packed.plain.push(part.into_boxed_slice().into());
        }
    }

    /// The text, as it is complete.
    pub fn finish(mut self) -> Packed {
        self.end_part(FlushCompress::Sync);
        self.packed
    }
}

impl io::Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a stored block. What stands around a snapshot is short.
fn stored(text: &[u8], is_last: bool, out: &mut BytesMut) {
    let length = begin_block(text.len(), is_last, out);
    out.put_slice(&text[..length.into()]);
}

/// Writes the head of a stored block, and returns the length of its text.
fn begin_block(length: usize, is_last: bool, out: &mut BytesMut) -> u16 {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    out.put_u8(u8::from(is_last));
    out.put_u16_le(length);
    out.put_u16_le(!length);
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn unpacked(parts: &[Bytes]) -> String {
        let (stream, mut text) = (parts.concat(), String::new());
        flate2::read::GzDecoder::new(&stream[..]).read_to_string(&mut text).unwrap();
        text
    }

    #[track_caller]
    fn both_are(packed: &Packed, before: &str, after: &'static str, whole: &str) -> usize {
        let plain = packed.between(before.to_owned(), after, Encoding::Plain);
        assert!(plain.concat() == whole.as_bytes());
        let parts = packed.between(before.to_owned(), after, Encoding::Gzip);
        assert!(unpacked(&parts) == whole);
        parts.iter().map(Bytes::len).sum()
    }

    #[test]
    fn a_part_that_was_compressed_before_is_one_stream_with_what_stands_around_it() {
        let texts = [String::new(), "x".to_owned(), "snapshot ".repeat(100_000)];
        for text in texts {
            let packed = Packed::new(text.clone());
            for (before, after) in [("", ""), (r#"{"seq":"1","snapshot":"#, "}"), ("a", "")] {
                let whole = format!("{before}{text}{after}");
                let length = both_are(&packed, before, after, &whole);
                assert!(length < text.len() / 10 + 100);
            }
        }
    }

    fn incompressible(length: usize) -> String {
        let mut seed = 1u64;
        let next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b' ' + u8::try_from(seed >> 58).unwrap())
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn a_text_that_does_not_compress_survives_too() {
        for length in [SHORT - 1, SHORT, PART - 1, PART, PART + 1, 3 * PART, 700_000] {
            let text = incompressible(length);
            both_are(&Packed::new(text.clone()), "before", "}", &format!("before{text}}}"));
        }
    }

    #[test]
    fn a_text_in_pieces_is_that_text() {
        let text = incompressible(2 * PART + 7);
        let mut packer = Packer::new();
        text.as_bytes().chunks(1_001).for_each(|it| packer.take(it));
        let packed = packer.finish();
        assert_eq!(packed.len(), text.len());
        both_are(&packed, "", "", &text);
    }
}
