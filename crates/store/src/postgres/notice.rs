//! What a notification says: which server sent it, and a position. It only spares reads that
//! would find nothing new; a notification without it makes a server read.

use data_encoding::HEXLOWER;
use tegata_token::id::Position;

/// A notification's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notice {
    /// The start of a server that sent it.
    pub server: [u8; 16],
    /// How far that server has made the log grow, or has applied it.
    pub position: Position,
}

impl Notice {
    /// As the text of a notification: without any character that SQL gives a meaning.
    pub fn to_text(self) -> String {
        let Position { epoch, number } = self.position;
        format!("{} {epoch} {number}", HEXLOWER.encode(&self.server))
    }

    /// The content of a text; `None`: it is another program's.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let server = HEXLOWER.decode(words.next()?.as_bytes()).ok()?.try_into().ok()?;
        let (epoch, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let notice = Self { server, position: Position { epoch, number } };
        words.next().is_none().then_some(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_as_it_was_written_and_nothing_else_is() {
        let notice = Notice { server: [0xa7; 16], position: Position { epoch: 3, number: 41 } };
        let text = notice.to_text();
        assert_eq!(Notice::parse(&text), Some(notice));
        for other in ["", "x", &text[1..], &text[..text.len() - 3], &format!("{text} 1")] {
            assert_eq!(Notice::parse(other), None, "{other}");
        }
    }
}
