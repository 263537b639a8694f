//! A gzip stream (RFC 1952) around a part that was compressed before.
//!
//! A snapshot is compressed once for all requests. What stands before and after it differs,
//! and follows as stored blocks (RFC 1951, section 3.2.4): the compressed part ends at a
//! byte, and refers to nothing before itself.

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Crc, FlushCompress};

/// A text and its compressed form.
pub struct Packed {
    /// The text.
    pub plain: Bytes,
    deflated: Bytes,
    crc: Crc,
}

/// RFC 1952, section 2.3: no name, no time, an unknown system.
const HEAD: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];

impl Packed {
    /// Compresses a text.
    pub fn new(plain: Bytes) -> Self {
        let mut compress = Compress::new(Compression::fast(), false);
        let mut deflated = Vec::with_capacity(plain.len() / 4 + 64);
        loop {
            let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
            let rest = plain.get(done..).unwrap_or_default();
            let before = deflated.len();
            deflated.reserve((rest.len() / 4).max(1_024));
            // Into memory, with nothing but the library's own limits to fail.
            let _ = compress.compress_vec(rest, &mut deflated, FlushCompress::Sync);
            let is_whole = usize::try_from(compress.total_in()) == Ok(plain.len());
            if is_whole && deflated.len() < deflated.capacity() || deflated.len() == before {
                break;
            }
        }
        let mut crc = Crc::new();
        crc.update(&plain);
        Self { plain, deflated: deflated.into(), crc }
    }

    /// The stream of the text between two others.
    pub fn between(&self, before: &str, after: &str) -> Bytes {
        let mut crc = Crc::new();
        crc.update(before.as_bytes());
        crc.combine(&self.crc);
        crc.update(after.as_bytes());
        let length = before.len() + self.plain.len() + after.len();
        let mut out = BytesMut::with_capacity(self.deflated.len() + before.len() + 64);
        out.put_slice(&HEAD);
        stored(before.as_bytes(), false, &mut out);
        out.put_slice(&self.deflated);
        stored(after.as_bytes(), true, &mut out);
        out.put_u32_le(crc.sum());
        // Modulo 2^32, as the format has it.
        out.put_u32_le(u32::try_from(length & 0xFFFF_FFFF).unwrap_or(0));
        out.freeze()
    }
}

/// Writes a stored block. What stands around a snapshot is short.
fn stored(text: &[u8], is_last: bool, out: &mut BytesMut) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.put_u8(u8::from(is_last));
    out.put_u16_le(length);
    out.put_u16_le(!length);
    out.put_slice(&text[..length.into()]);
}

/// A whole text as one stream.
pub fn gzip(text: &str) -> Bytes {
    Packed::new(Bytes::copy_from_slice(text.as_bytes())).between("", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn unpacked(stream: &Bytes) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&stream[..]).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_part_that_was_compressed_before_is_one_stream_with_what_stands_around_it() {
        let texts = ["", "x", &"snapshot ".repeat(100_000)];
        for text in texts {
            let packed = Packed::new(Bytes::copy_from_slice(text.as_bytes()));
            for (before, after) in [("", ""), (r#"{"seq":"1","snapshot":"#, "}"), ("a", "")] {
                let stream = packed.between(before, after);
                assert_eq!(unpacked(&stream), format!("{before}{text}{after}"));
                assert!(stream.len() < text.len() / 10 + 100);
            }
        }
    }

    #[test]
    fn a_text_that_does_not_compress_survives_too() {
        let mut seed = 1u64;
        let text: String = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b' ' + u8::try_from(seed >> 58).unwrap())
        })
        .take(300_000)
        .collect();
        assert_eq!(unpacked(&gzip(&text)), text);
    }
}
