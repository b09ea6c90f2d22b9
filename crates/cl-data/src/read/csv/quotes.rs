//! Where the fields of one record begin, and quotes that do not stand as in RFC 4180.

/// What is wrong with the quotes of a record. Bytes are counted from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The quote at `opened` is never closed.
    Unclosed { opened: usize },
    /// The field opened at `opened` is closed, but goes on at `at`.
    After { opened: usize, at: usize },
}

/// Writes the first byte of every field into `starts`. A quote inside a field that does not begin with one is text.
pub(super) fn field_starts(record: &[u8], separator: u8, starts: &mut Vec<usize>) -> Result<(), Fault> {
    let ends = |at: usize| record.get(at).is_none_or(|byte| [separator, b'\r', b'\n'].contains(byte));
    starts.clear();
    let mut at = 0;
    loop {
        let opened = at;
        starts.push(opened);
        if record.get(at) == Some(&b'"') {
            at = past_closing(record, opened)?;
            if !ends(at) {
                return Err(Fault::After { opened, at });
            }
        }
        while !ends(at) {
            at += 1;
        }
        if record.get(at) != Some(&separator) {
            return Ok(());
        }
        at += 1;
    }
}

/// The byte after the closing quote; two quotes inside a field are one that belongs to the text.
fn past_closing(record: &[u8], opened: usize) -> Result<usize, Fault> {
    let mut at = opened + 1;
    loop {
        match (record.get(at), record.get(at + 1)) {
            (None, _) => return Err(Fault::Unclosed { opened }),
            (Some(b'"'), Some(b'"')) => at += 2,
            (Some(b'"'), _) => return Ok(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(record: &str) -> Result<Vec<usize>, Fault> {
        let mut starts = Vec::new();
        field_starts(record.as_bytes(), b',', &mut starts).map(|()| starts)
    }

    #[test]
    fn fields_begin_after_separators_outside_quotes() {
        assert_eq!(starts("a,b\r\n"), Ok(vec![0, 2]));
        assert_eq!(starts("\"a,\"\"b\",,\"c\nd\"\n"), Ok(vec![0, 8, 9]));
        assert_eq!(starts("5\",6\"x"), Ok(vec![0, 3]));
    }

    #[test]
    fn faults_are_where_they_stand() {
        assert_eq!(starts("a,\"b\nc,d"), Err(Fault::Unclosed { opened: 2 }));
        assert_eq!(starts("\"a\"\"\""), Ok(vec![0]));
        assert_eq!(starts("\"a\"\""), Err(Fault::Unclosed { opened: 0 }));
        assert_eq!(starts("a,\"b\" ,c"), Err(Fault::After { opened: 2, at: 5 }));
    }

    proptest::proptest! {
        #[test]
        fn as_many_fields_as_the_reader_finds(text in "[\",a\n ]{1,16}") {
            let mut reader =
                csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let mut record = csv::StringRecord::new();
            if reader.read_record(&mut record).unwrap()
                && let Ok(starts) = starts(text.trim_start_matches('\n'))
            {
                proptest::prop_assert_eq!(starts.len(), record.len());
            }
        }
    }
}
