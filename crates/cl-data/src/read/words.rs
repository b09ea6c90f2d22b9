//! Lines of words between spaces and tabs: the common ground of the LightGCN and the sequence format.

use super::Token;
use super::text::Text;
use crate::DataError;

/// Calls `word(n, token)` for the `n`-th word (from 0) of every line, from top to bottom.
///
/// Works on bytes: this is the hot path of reading. Nothing is allocated; the cost is one look at each byte.
pub(super) fn scan<'t>(
    text: &'t Text,
    mut word: impl FnMut(usize, Token<'t>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let content = text.content();
    let end = text.trimmed_len();
    let bytes = &content.as_bytes()[..end];
    let mut at = 0;
    while at < end {
        let line_start = at;
        let mut words = 0;
        while at < end {
            match bytes[at] {
                b' ' | b'\t' => at += 1,
                b'\n' => break,
                b'\r' if bytes.get(at + 1) == Some(&b'\n') => at += 1,
                control @ 0..b' ' => {
                    let found = format!("control character 0x{control:02X}");
                    return Err(text.broken(
                        at,
                        found,
                        "ids between spaces or tabs",
                        "lines end in LF or CR LF",
                    ));
                }
                _ => {
                    let start = at;
                    while at < end && bytes[at] > b' ' {
                        at += 1;
                    }
                    word(words, Token { text: &content[start..at], at: start })?;
                    words += 1;
                }
            }
        }
        if words == 0 {
            return Err(text.broken(line_start, "an empty line", "`user item item …`", "remove the line"));
        }
        at += 1; // the line end
    }
    Ok(())
}
