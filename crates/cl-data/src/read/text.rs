//! A file in memory that knows the line and column of each of its bytes.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::{DataError, Location};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: &str = "\u{feff}";

pub(super) struct Text {
    file: PathBuf,
    content: String,
}

impl Text {
    pub(super) fn read(file: &Path) -> Result<Self, DataError> {
        let cannot = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => DataError::NotFound { path: file.to_path_buf(), help: String::new() },
            _ => DataError::Read { path: file.to_path_buf(), source },
        };
        let mut bytes = std::fs::read(file).map_err(cannot)?;
        if bytes.starts_with(&GZIP) {
            let mut unpacked = Vec::new();
            MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).map_err(cannot)?;
            bytes = unpacked;
        }
        let content = String::from_utf8(bytes).map_err(|error| not_utf8(file, &error))?;
        let content = match content.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => rest.to_string(),
            None => content,
        };
        let text = Self { file: file.to_path_buf(), content };
        if text.trimmed_len() == 0 {
            return Err(text.broken(0, "an empty file", "interactions", ""));
        }
        Ok(text)
    }

    pub(super) fn content(&self) -> &str {
        &self.content
    }

    /// Length without white space at the end: a file may end in any number of line ends.
    pub(super) fn trimmed_len(&self) -> usize {
        self.content.trim_ascii_end().len()
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn location(&self, at: usize) -> Location {
        let before = &self.content[..at];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Location {
            file: self.file.clone(),
            line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    pub(super) fn broken(
        &self,
        at: usize,
        found: impl Into<String>,
        expected: impl Into<String>,
        help: impl Into<String>,
    ) -> DataError {
        DataError::Broken {
            location: self.location(at),
            found: found.into(),
            expected: expected.into(),
            help: help.into(),
        }
    }
}

fn not_utf8(file: &Path, error: &std::string::FromUtf8Error) -> DataError {
    let at = error.utf8_error().valid_up_to();
    let bytes = error.as_bytes();
    let line_start = bytes[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    DataError::Broken {
        location: Location {
            file: file.to_path_buf(),
            line: bytes[..at].iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: at - line_start + 1,
        },
        found: format!("byte 0x{:02X} (byte {at} of the text, counted from 0)", bytes[at]),
        expected: "UTF-8 text".into(),
        help: "convert the file to UTF-8".into(),
    }
}
