//! Searches containers with secrets, and some that are not searched.

use super::{Pieces, scan, scan_file, scan_with, token};
use crate::scan::{Limits, Tally};
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::DeflateEncoder, write::GzEncoder, write::ZlibEncoder};
use rawzip::{CompressionMethod, ZipArchiveWriter};
use std::io::Write;
use tegata_token::kind::Kind;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len().try_into().unwrap());
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn zip(entries: &[(&str, &[u8], CompressionMethod)]) -> Vec<u8> {
    let mut archive = ZipArchiveWriter::new(Vec::new());
    for (name, content, method) in entries {
        let (mut entry, config) =
            archive.new_file(name).compression_method(*method).start().unwrap();
        let packed: Box<dyn Write> = match *method {
            CompressionMethod::DEFLATE => {
                Box::new(DeflateEncoder::new(&mut entry, Compression::default()))
            }
            _ => Box::new(&mut entry),
        };
        let mut writer = config.wrap(packed);
        writer.write_all(content).unwrap();
        let (packed, descriptor) = writer.finish().unwrap();
        drop(packed);
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap()
}

const STORE: CompressionMethod = CompressionMethod::STORE;
const DEFLATE: CompressionMethod = CompressionMethod::DEFLATE;

#[test]
fn containers_are_searched_and_their_parts_are_named() {
    let it = token(Kind::ShortLived, None);
    let text = format!("a\nb {it} c\n");
    let text = text.as_bytes();
    let archive = tar(&[("logs/a.txt", b"nothing"), ("logs/b.txt", text), ("c.gz", &gzip(text))]);
    let in_archive = ["logs/b.txt:2:3 token", "c.gz:2:3 token"];
    for whole in [gzip(text), zlib(text), zstd(text), gzip(&zstd(&zlib(text)))] {
        assert_eq!(scan(&whole[..]), [":2:3 token"]);
        assert_eq!(scan_file(&whole), [":2:3 token"]);
    }
    for whole in [archive.clone(), gzip(&archive), zstd(&archive)] {
        assert_eq!(scan(&whole[..]), in_archive);
        assert_eq!(scan(Pieces(&whole, 1)), in_archive, "piece by piece");
    }
    let packed =
        zip(&[("a.txt", text, STORE), ("b/c.txt", text, DEFLATE), ("d.tar", &archive, DEFLATE)]);
    let in_zip = [
        "a.txt:2:3 token",
        "b/c.txt:2:3 token",
        "d.tar!logs/b.txt:2:3 token",
        "d.tar!c.gz:2:3 token",
    ];
    assert_eq!(scan_file(&packed), in_zip);
    assert_eq!(scan(&packed[..]), in_zip, "from a pipe");
    let nested = scan(&gzip(&tar(&[("x.zip", &packed)]))[..]);
    assert_eq!(nested[0], "x.zip!a.txt:2:3 token");
    assert_eq!(nested.len(), 4);
}

#[test]
fn several_streams_in_one_file_are_one_text() {
    let it = token(Kind::V21, None);
    let (first, second) = it.split_at(100);
    for pack in [gzip, zstd] {
        let whole = [pack(first.as_bytes()), pack(second.as_bytes())].concat();
        assert_eq!(scan(&whole[..]), [":1:1 token"]);
    }
    let skipped = [&b"\x50\x2A\x4D\x18\x03\0\0\0abc"[..], &zstd(it.as_bytes())].concat();
    assert_eq!(scan(&skipped[..]), [":1:1 token"]);
}

#[test]
fn names_and_comments_of_parts_are_searched_too() {
    let it = token(Kind::LongLived, None);
    let found = scan(&tar(&[(&it, b"")])[..]);
    assert!(found.iter().any(|it| it.contains("token")), "{found:?}");
    let found = scan_file(&zip(&[(&it, b"", STORE)]));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_container_that_is_not_searched_is_reported() {
    let it = token(Kind::ShortLived, None);
    for (whole, why) in [
        (b"BZh91AY&SY and more".to_vec(), "bzip2"),
        (b"\xFD7zXZ\0 and more".to_vec(), "xz"),
        (b"7z\xBC\xAF\x27\x1C and more".to_vec(), "7z"),
        (b"%PDF-1.7 and more".to_vec(), "PDF"),
        (b"Rar!\x1A\x07 and more".to_vec(), "RAR"),
        (b"Salted__12345678".to_vec(), "encrypted"),
        (
            format!("a mail\n\n{}\n", STANDARD.encode(gzip(b"text"))).into_bytes(),
            "gzip in base64 at line 3",
        ),
        (gzip(it.as_bytes())[..60].to_vec(), "its end is missing"),
        (zstd(it.as_bytes())[..60].to_vec(), ""),
        (zlib(&[it.as_bytes(), it.as_bytes()].concat())[..60].to_vec(), "its end is missing"),
        (tar(&[("a", &[b'x'; 3000])])[..2000].to_vec(), ""),
        (b"PK\x03\x04 and no directory".to_vec(), "a damaged zip"),
        (zip(&[("a", b"x", CompressionMethod::LZMA)]), "compressed by method"),
        ([gzip(b"a"), b"and some words".to_vec()].concat(), ""),
    ] {
        for found in [scan(&whole[..]), scan_file(&whole)] {
            let named = found.iter().any(|it| it.contains("not read") && it.contains(why));
            assert!(named, "{why}: {found:?}");
        }
    }
    let mut encrypted = zip(&[("a", b"x", STORE)]);
    let directory = encrypted.windows(4).rposition(|it| it == b"PK\x01\x02").unwrap();
    encrypted[directory + 8] |= 1;
    assert_eq!(scan_file(&encrypted), ["a not read: it is encrypted"]);
    let mut damaged = zip(&[("a.txt", it.as_bytes(), STORE), ("b.txt", it.as_bytes(), STORE)]);
    let at = damaged.windows(4).position(|it| it == b"tgs_").unwrap();
    damaged[at] = b'x';
    let found = scan_file(&damaged);
    assert!(found[0].starts_with("a.txt not read"), "{found:?}");
    assert_eq!(found[1], "b.txt:1:1 token", "the others are read");
}

#[test]
fn a_decompression_bomb_is_reported_as_not_read() {
    let mut limits = Limits { free: 1 << 20, ..Limits::default() };
    let zeros = vec![0; 8 << 20];
    for whole in [gzip(&zeros), gzip(&gzip(&zeros)), zstd(&zeros), gzip(&tar(&[("a", &zeros)]))] {
        let (found, tally) = scan_with(limits, &whole[..]);
        let spent = found.iter().any(|it| it.contains("more than 200 times"));
        assert!(spent && tally.bytes < 5 << 20, "{found:?}, {tally:?}");
    }
    let bomb = zip(&[("a", &zeros, DEFLATE), ("b", b"text", STORE)]);
    let (found, _) = scan_with(limits, &bomb[..]);
    assert!(found.iter().any(|it| it.contains("more than 200 times")), "{found:?}");
    limits.time = std::time::Duration::ZERO;
    assert!(scan_with(limits, &gzip(b"text")[..]).0[0].contains("longer than 0 s"));
    let deep = (0..6).fold(b"text".to_vec(), |inner, _| gzip(&inner));
    assert_eq!(scan(&deep[..]), [" not read: it is nested in too many containers"]);
    limits.held = 10;
    assert!(scan_with(limits, &bomb[..]).0[0].contains("a zip of more than 0 MiB"));
}

#[test]
fn a_clean_run_reports_how_much_it_read() {
    let (found, tally) = scan_with(Limits::default(), &gzip(b"twelve bytes")[..]);
    assert_eq!((found, tally), (vec![], Tally { texts: 1, bytes: 12 }));
    assert_eq!(scan_with(Limits::default(), &b""[..]).1, Tally { texts: 1, bytes: 0 });
}

#[test]
fn plain_text_that_begins_like_something_else_is_text() {
    let it = token(Kind::ShortLived, None);
    for before in ["P", "PK", "x\u{1}", "BZ", "%", "-----BEGIN ", "#!/bin/sh\n", "MZ", "\0"] {
        let text = format!("{before} {it}");
        for found in [scan(text.as_bytes()), scan_file(text.as_bytes())] {
            assert!(found.len() == 1 && found[0].ends_with("token"), "{before:?}: {found:?}");
        }
    }
}
