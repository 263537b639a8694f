//! HTTP/2 as it comes in, frame by frame (RFC 9113, section 4.1), as far as the server's
//! limits need it: whether a frame or a block of headers has begun and not ended, and how
//! many frames came that request nothing. The library interprets the frames.
//!
//! Each kind of flood (of PING, SETTINGS, PRIORITY, RST_STREAM, WINDOW_UPDATE, of empty
//! DATA, of anything unknown) costs its sender the connection after a thousand frames;
//! each request earns a few of them back, so that no working client reaches the limit.

/// The client connection preface.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Maximum number of frames that request nothing.
const MOST: u32 = 1_000;
/// How many of them each request earns back.
const EARNED: u32 = 8;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The state of the frames that came in so far.
#[derive(Default)]
pub(super) struct Frames {
    preface: usize,
    head: [u8; 9],
    have: usize,
    /// The number of bytes of the current frame that are still to come.
    left: usize,
    in_block: bool,
    /// The number of frames so far, not counting continuations.
    count: u64,
    bare: u32,
}

/// Too many frames that request nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many frames that request nothing")]
pub(super) struct Flood;

impl Frames {
    /// Processes the bytes that came in next.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        // The preface was verified before.
        let preface = (PREFACE.len() - self.preface).min(bytes.len());
        self.preface += preface;
        bytes = &bytes[preface..];
        loop {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return Ok(());
            }
            let taken = (self.head.len() - self.have).min(bytes.len());
            self.head[self.have..][..taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == self.head.len() {
                self.have = 0;
                self.begin()?;
            }
        }
    }

    /// The number of the frame or block of headers that has begun and not ended, if there
    /// is one.
    pub fn partly_in(&self) -> Option<u64> {
        if self.left > 0 || self.in_block {
            Some(self.count)
        } else if self.have > 0 {
            Some(self.count + 1)
        } else {
            None
        }
    }

    fn begin(&mut self) -> Result<(), Flood> {
        let [a, b, c, kind, flags, ..] = self.head;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if !self.in_block {
            self.count += 1;
        }
        match kind {
            HEADERS => {
                self.in_block = flags & END_HEADERS == 0;
                self.bare = self.bare.saturating_sub(EARNED);
            }
            CONTINUATION => {
                self.in_block = flags & END_HEADERS == 0;
                self.bare += 1;
            }
            DATA if self.left > 0 || flags & END_STREAM != 0 => {}
            _ => self.bare += 1,
        }
        if self.bare > MOST { Err(Flood) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.extend(payload);
        frame
    }

    fn after_preface() -> Frames {
        let mut frames = Frames::default();
        frames.take(PREFACE).unwrap();
        frames
    }

    #[test]
    fn every_byte_shows_whether_a_frame_is_incomplete() {
        let mut bytes = frame(HEADERS, 0, b"abc");
        bytes.extend(frame(CONTINUATION, END_HEADERS, b"def"));
        bytes.extend(frame(DATA, END_STREAM, b"body"));
        let ends = [0, 12 + 12, bytes.len()];
        for at_once in [1, 2, 5, 100] {
            let mut frames = after_preface();
            let mut at = 0;
            for part in bytes.chunks(at_once) {
                frames.take(part).unwrap();
                at += part.len();
                assert_eq!(frames.partly_in().is_some(), !ends.contains(&at), "{at} by {at_once}");
            }
        }
    }

    #[test]
    fn an_incomplete_frame_differs_from_an_earlier_one() {
        let bytes = [frame(DATA, 0, b"one"), frame(DATA, 0, b"two")].concat();
        let mut frames = after_preface();
        let begun = bytes.iter().map(|byte| {
            frames.take(&[*byte]).unwrap();
            frames.partly_in()
        });
        let begun: Vec<_> = begun.collect();
        let one = [vec![Some(1); 11], vec![None]].concat();
        let two = [vec![Some(2); 11], vec![None]].concat();
        assert_eq!(begun, [one, two].concat());
    }

    #[test]
    fn a_thousand_frames_that_request_nothing_are_the_limit() {
        for (kind, payload) in [(6, &[0; 8][..]), (4, b""), (2, &[0; 5]), (8, &[0; 4]), (DATA, b"")]
        {
            let mut frames = after_preface();
            let bytes = frame(kind, 0, payload);
            let taken = (0..2_000).take_while(|_| frames.take(&bytes).is_ok()).count();
            assert_eq!(taken, 1_000, "kind {kind}");
        }
    }

    #[test]
    fn requests_earn_the_frames_that_go_with_them() {
        let mut frames = after_preface();
        let mut request = frame(HEADERS, END_HEADERS | END_STREAM, b"x");
        (0..8).for_each(|_| request.extend(frame(8, 0, &[0; 4])));
        for _ in 0..10_000 {
            assert_eq!(frames.take(&request), Ok(()));
        }
        let mut few = frame(HEADERS, END_HEADERS | END_STREAM, b"x");
        (0..20).for_each(|_| few.extend(frame(6, 0, &[0; 8])));
        assert!((0..200).any(|_| frames.take(&few).is_err()));
    }
}
