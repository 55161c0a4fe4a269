//! Splits the output of a kernel's child process into text, evcxr's markers and the kit's messages.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "the relay needs Linux"))]

use std::io;

/// Begins a line that carries a message of the kit as JSON.
pub(super) const MESSAGE: &str = "\x1eMNIST_KIT ";

/// Marks the place of a message in the text: the companion receives them on different ways.
pub(super) const PLACE: &str = "\x1eMNIST_KIT\n";

/// Ends a line that the cell has not finished: the companion removes it with the line break, so
/// that the next line continues this one. evcxr hands on whole lines only.
const UNFINISHED: &str = "\x1e\n";

const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";
const BEGIN_CONTENT: &str = "EVCXR_BEGIN_CONTENT ";
const END_CONTENT: &str = "EVCXR_END_CONTENT";
const INPUT_REQUEST: &str = "EVCXR_INPUT_REQUEST";

/// The line that evcxr's runtime prints after each execution.
pub(super) const COMPLETE_LINE: &[u8] = b"EVCXR_EXECUTION_COMPLETE\n";

/// A line that evcxr's runtime prints for evcxr.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Marker {
    /// The execution has ended.
    Complete,
    /// The code of the cell has panicked.
    Panicked,
    /// A `?` at the top level has ended the code of the cell.
    Failed,
}

impl Marker {
    const ALL: [Marker; 3] = [Marker::Complete, Marker::Panicked, Marker::Failed];

    pub(super) fn text(self) -> &'static str {
        match self {
            Marker::Complete => COMPLETE,
            Marker::Panicked => "EVCXR_PANIC_NOTIFICATION",
            Marker::Failed => "EVCXR_ERROR_OCCURRED",
        }
    }

    /// Returns the marker at the end of a line, and the text before it.
    fn at_end_of(line: &str) -> Option<(&str, Marker)> {
        Marker::ALL.into_iter().find_map(|marker| Some((line.strip_suffix(marker.text())?, marker)))
    }
}

/// A piece of output.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// Whole lines that the cell has printed.
    Text(&'a str),
    /// Whole lines that evcxr acts on, such as content of a MIME type; to be passed on as they are.
    Evcxr(&'a str),
    /// The JSON of a message of the kit.
    Message(&'a str),
    /// A marker, which is due to be passed on as a line.
    Marker(Marker),
}

/// Splits bytes into [`Piece`]s, whatever way they are cut.
///
/// A marker behind unfinished text becomes a line of its own: evcxr compares whole lines, and would
/// wait for it forever. Bytes that are not UTF-8, at which evcxr gives up, are replaced.
#[derive(Default)]
pub(super) struct Lines {
    /// The beginning of a line.
    pending: Vec<u8>,
    /// True while evcxr takes the lines as content of a MIME type.
    in_content: bool,
}

impl Lines {
    /// Hands the pieces of the lines that `bytes` finish to `sink`, neighboring lines together.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let finished = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let (lines, rest) = bytes.split_at(finished);
        if !lines.is_empty() {
            if self.pending.is_empty() {
                self.split(&String::from_utf8_lossy(lines), &mut sink)?;
            } else {
                let mut whole = std::mem::take(&mut self.pending);
                whole.extend_from_slice(lines);
                self.split(&String::from_utf8_lossy(&whole), &mut sink)?;
            }
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// Returns whether there is an unfinished line.
    pub(super) fn unfinished(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Hands on an unfinished line, unless it is content, or may become a message or a marker.
    pub(super) fn flush(
        &mut self,
        mut sink: impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        // The rest of the last letter may follow.
        let end = match std::str::from_utf8(&self.pending) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.pending.len(),
        };
        let text = String::from_utf8_lossy(&self.pending[..end]);
        if self.in_content || text.is_empty() || text.contains(['\x1e']) || text.contains("EVCXR_")
        {
            return Ok(());
        }
        sink(Piece::Text(&format!("{text}{UNFINISHED}")))?;
        self.pending.drain(..end);
        Ok(())
    }

    fn split(
        &mut self,
        text: &str,
        sink: &mut impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        fn whole(lines: &str, for_evcxr: bool) -> Piece<'_> {
            if for_evcxr { Piece::Evcxr(lines) } else { Piece::Text(lines) }
        }
        let (mut start, mut position, mut for_evcxr) = (0, 0, false);
        for line in text.split_inclusive('\n') {
            let begin = position;
            position += line.len();
            let bare = line.strip_suffix('\n').unwrap_or(line);
            // evcxr does not see this either.
            let bare = bare.strip_suffix('\r').unwrap_or(bare);
            let is_for_evcxr = self.in_content || bare.starts_with("EVCXR_");
            let special = self.special(bare);
            if special.is_none() && is_for_evcxr == for_evcxr {
                continue;
            }
            if start < begin {
                sink(whole(&text[start..begin], for_evcxr))?;
            }
            (start, for_evcxr) = (begin, is_for_evcxr);
            let Some((head, special)) = special else { continue };
            start = position;
            if !head.is_empty() {
                sink(Piece::Text(&format!("{head}{UNFINISHED}")))?;
            }
            match special {
                Piece::Evcxr(rest) => sink(Piece::Evcxr(&format!("{rest}\n")))?,
                Piece::Marker(marker) => {
                    // evcxr would take the marker as content.
                    if std::mem::take(&mut self.in_content) && marker == Marker::Complete {
                        sink(Piece::Evcxr(&format!("{END_CONTENT}\n")))?;
                    }
                    sink(Piece::Marker(marker))?;
                }
                message => sink(message)?,
            }
        }
        if start < position {
            sink(whole(&text[start..], for_evcxr))?;
        }
        Ok(())
    }

    /// Returns what stands at the end of a line and the text before it, or `None` for a line that
    /// is passed on as it is.
    fn special<'a>(&mut self, line: &'a str) -> Option<(&'a str, Piece<'a>)> {
        if let Some((head, marker)) = Marker::at_end_of(line) {
            return Some((head, Piece::Marker(marker)));
        }
        if self.in_content {
            self.in_content = line != END_CONTENT;
            return None;
        }
        if let Some((head, json)) = line.split_once(MESSAGE) {
            return Some((head, Piece::Message(json)));
        }
        let (head, rest) = line.split_at(line.find("EVCXR_")?);
        let mime = rest.strip_prefix(BEGIN_CONTENT);
        self.in_content = mime.is_some_and(|mime| !mime.is_empty() && !mime.starts_with(' '));
        let is_command = self.in_content || rest.starts_with(INPUT_REQUEST);
        (is_command && !head.is_empty()).then_some((head, Piece::Evcxr(rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Collects pieces as text: markers in angle brackets, messages in square ones.
    fn collected(text: &mut String) -> impl FnMut(Piece<'_>) -> io::Result<()> {
        |piece| {
            match piece {
                Piece::Text(lines) | Piece::Evcxr(lines) => *text += lines,
                Piece::Message(json) => *text += &format!("[{json}]\n"),
                Piece::Marker(marker) => *text += &format!("<{marker:?}>\n"),
            }
            Ok(())
        }
    }

    /// Feeds the parts one after the other.
    fn fed(parts: &[&[u8]]) -> String {
        let (mut lines, mut text) = (Lines::default(), String::new());
        for part in parts {
            lines.feed(part, collected(&mut text)).unwrap();
        }
        text
    }

    #[test]
    fn markers_and_messages_are_told_from_text() {
        let output = "one\ntwo\nEVCXR_PANIC_NOTIFICATION\n\x1eMNIST_KIT {}\nEVCXR_ERROR_OCCURRED\n\
                      EVCXR_EXECUTION_COMPLETE\r\nthree EVCXR_EXECUTION_COMPLETE four\n";
        assert_eq!(
            fed(&[output.as_bytes()]),
            "one\ntwo\n<Panicked>\n[{}]\n<Failed>\n<Complete>\nthree EVCXR_EXECUTION_COMPLETE four\n"
        );
    }

    #[test]
    fn what_follows_unfinished_text_becomes_a_line_of_its_own() {
        assert_eq!(fed(&[b"12 %EVCXR_EXECUTION_COMPLETE\n"]), "12 %\x1e\n<Complete>\n");
        assert_eq!(fed(&[b"12 %EVCXR_PANIC_NOTIFICATION\n"]), "12 %\x1e\n<Panicked>\n");
        assert_eq!(fed(&[b"12 %\x1eMNIST_KIT {}\n done\n"]), "12 %\x1e\n[{}]\n done\n");
        let content = "EVCXR_BEGIN_CONTENT text/plain\n5\nEVCXR_END_CONTENT\n";
        assert_eq!(fed(&[b"12 %", content.as_bytes()]), format!("12 %\x1e\n{content}"));
        assert_eq!(fed(&[b"Name:EVCXR_INPUT_REQUEST:x\n"]), "Name:\x1e\nEVCXR_INPUT_REQUEST:x\n");
    }

    #[test]
    fn content_is_passed_on_as_it_is() {
        let content = "EVCXR_BEGIN_CONTENT text/plain\na EVCXR_BEGIN_CONTENT b\n\x1eMNIST_KIT {}\n\
                       EVCXR_END_CONTENT\n";
        assert_eq!(fed(&[content.as_bytes()]), content);
        // Content that never ends would hang evcxr.
        assert_eq!(
            fed(&[b"EVCXR_BEGIN_CONTENT text/plain\nEVCXR_EXECUTION_COMPLETE\n\x1eMNIST_KIT {}\n"]),
            "EVCXR_BEGIN_CONTENT text/plain\nEVCXR_END_CONTENT\n<Complete>\n[{}]\n"
        );
    }

    #[test]
    fn lines_for_evcxr_are_told_from_text() {
        let output = "a\nb\nEVCXR_BEGIN_CONTENT text/plain\nc\nd\nEVCXR_END_CONTENT\ne\n\
                      EVCXR_INPUT_REQUEST:x\nf EVCXR_BEGIN_CONTENT text/plain\ng\n";
        let mut texts = String::new();
        let collect = |piece: Piece<'_>| {
            if let Piece::Text(text) = piece {
                texts += text;
            }
            Ok(())
        };
        Lines::default().feed(output.as_bytes(), collect).unwrap();
        assert_eq!(texts, "a\nb\ne\nf \x1e\n");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_replaced() {
        assert_eq!(fed(&[b"a\xffb\nEVCXR_EXECUTION_COMPLETE\n"]), "a\u{fffd}b\n<Complete>\n");
        // A letter that two reads cut in half stays whole.
        assert_eq!(fed(&[b"\xec\x88", b"\xab\n"]), "숫\n");
    }

    #[test]
    fn an_unfinished_line_is_flushed_up_to_its_last_whole_letter() {
        let flushed = |bytes: &[u8]| {
            let (mut lines, mut text) = (Lines::default(), String::new());
            lines.feed(bytes, collected(&mut text)).unwrap();
            lines.flush(collected(&mut text)).unwrap();
            (text, String::from_utf8_lossy(&lines.pending).into_owned())
        };
        assert_eq!(flushed(b"done\n12 %"), ("done\n12 %\x1e\n".into(), String::new()));
        assert_eq!(flushed("12 숫".as_bytes()), ("12 숫\x1e\n".into(), String::new()));
        assert_eq!(flushed(b"12 \xec\x88"), ("12 \x1e\n".into(), "\u{fffd}".into()));
        for waiting in ["\x1eMNI", "EVCXR_EXEC"] {
            assert_eq!(flushed(waiting.as_bytes()), (String::new(), waiting.into()));
        }
        let content = "EVCXR_BEGIN_CONTENT text/plain\nabc";
        assert_eq!(flushed(content.as_bytes()).1, "abc");
    }

    #[test]
    fn lines_of_many_megabytes_pass() {
        let picture = "A".repeat(10 << 20) + "\n";
        let parts: Vec<&[u8]> = picture.as_bytes().chunks(1 << 16).collect();
        assert!(fed(&parts) == picture);
    }

    proptest! {
        #[test]
        fn the_cuts_do_not_matter(
            lines in prop::collection::vec(
                prop::sample::select(vec![
                    "", "text", "숫자", "EVCXR_EXECUTION_COMPLETE", "EVCXR_END_CONTENT", "x\r",
                    "EVCXR_BEGIN_CONTENT text/plain", "a\x1eMNIST_KIT {}", "EVCXR_ERROR_OCCURRED",
                ]),
                0..12,
            ),
            cuts in prop::collection::vec(0usize..200, 0..8),
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|&cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(fed(&parts), fed(&[bytes]));
        }
    }
}
